// Compares a loaded model with the reference on made-up calls, then kernel by kernel down to the first that differs. The artifact's
// own program runs; the definition (the graph in f64) and what each kernel should give come from the source that the artifact
// keeps, compiled again.

import { readStoredWeights, recompile, type Recompiled, type StoredWeights } from '../../compiler/recompile.ts'
import { createReference, type Reference, type StateValues } from '../../compiler/targets/reference/evaluate.ts'
import { activationsOf, type TargetName } from '../../compiler/targets/index.ts'
import { LlamacError } from '../../runtime/error.ts'
import { prepareCall } from '../../runtime/entry-call.ts'
import { webgpuUnmet } from '../../runtime/devices/webgpu.ts'
import { type Artifact, type Model, readArtifact } from '../../runtime/index.ts'
import { loadOpened, openSource } from '../open-model.ts'
import { BadNews, print, printJson } from '../report.ts'
import type { VerifyFlags } from '../verify.ts'
import { type Examined, type ExaminedCall, examineCall } from './bisect.ts'
import { bounds, judgeResult } from './judge.ts'
import { type MadeUpSession, madeUpSessions } from './made-up-calls.ts'
import type { KernelProbe, ProbeMode } from './probe.ts'

interface EntryVerdict {
  readonly entry: string
  readonly calls: number
  readonly wrong: number
  /** The largest normalised mean square error of a row. */
  readonly error: number
}

export interface VerifyReport {
  readonly model: string
  readonly device: string
  readonly math: string
  readonly activations?: string
  readonly fine: boolean
  /** Largest error that is allowed. */
  readonly bound: number
  readonly entries: readonly EntryVerdict[]
  /** Kernels that were examined one by one, and what was found; absent when that was not asked for and not needed. */
  readonly kernels?: Examined
  /** Why kernels could not be examined. */
  readonly unexamined?: string
  /** Whether the artifact's programs are, byte for byte, what this compiler makes of its source. */
  readonly unaltered: boolean
}

export async function verify(path: string, flags: VerifyFlags, signal: AbortSignal): Promise<void> {
  if (flags.device === 'reference')
    throw new LlamacError('E_NO_DEVICE', 'verify compares a device with the reference: give --device wasm or webgpu')
  const opened = await openSource(path, flags)
  const artifact = await readArtifact(opened.source, signal)
  await using model = await loadOpened(opened, flags, signal)
  const report = await verifyModel(artifact, model, flags, signal)
  if (flags.json) printJson(report)
  else print(textOf(report))
  if (!report.fine) throw new BadNews('the device is wrong')
}

/** Compares a loaded model with the reference. Errors: E_NO_SOURCE, those of the device. */
export async function verifyModel(
  artifact: Artifact,
  model: Model,
  flags: Pick<VerifyFlags, 'bisect' | 'length' | 'seed'>,
  signal?: AbortSignal,
): Promise<VerifyReport> {
  const { manifest } = artifact
  // `wasm, 2 threads` is wasm.
  const target = model.device.split(',')[0] as TargetName
  const recompiled = await recompile(artifact, target, signal)
  const weight = await readStoredWeights(artifact, recompiled, signal)
  const reference = createReference(recompiled.compilation.graphs, { weight })
  const ofBytes = activationsOf(target, manifest) === 'int8' && manifest.tensors.some(({ format }) => format.startsWith('q'))
  const ofHalves = manifest.states.some(({ dtype }) => dtype === 'f16')
  const ofBlocks = manifest.states.some(({ format }) => format !== undefined)
  const bound = ofBytes ? bounds.bytes : ofBlocks ? bounds.blocks : ofHalves ? bounds.halves : bounds.f32
  const verdicts = new Map<string, EntryVerdict>()
  let examine: readonly ExaminedCall[] = []
  let wrong = false
  for (const session of madeUpSessions(manifest, flags.length, flags.seed)) {
    const { calls, fine } = await compareSession(model, reference, session, bound, verdicts, signal)
    if ((!fine && !wrong) || (flags.bisect && examine.length === 0)) examine = calls
    wrong ||= !fine
  }
  const examined = examine.length === 0 ? {} : await examineCalls(artifact, { ...recompiled, weight }, target, examine, bound, wrong)
  const { kernels } = examined
  return {
    model: manifest.model,
    device: model.device,
    math: manifest.math,
    ...(manifest.activations ? { activations: manifest.activations } : {}),
    fine: !wrong && kernels?.fault === undefined && kernels?.misbuilt === undefined,
    bound,
    entries: [...verdicts.values()],
    ...examined,
    unaltered: recompiled.unaltered,
  }
}

/** The calls up to the first whose results are off. */
async function compareSession(
  model: Model,
  reference: Reference,
  session: MadeUpSession,
  bound: number,
  verdicts: Map<string, EntryVerdict>,
  signal: AbortSignal | undefined,
): Promise<{ readonly calls: readonly ExaminedCall[]; readonly fine: boolean }> {
  using running = model.createSession()
  let states: StateValues = new Map()
  const calls: ExaminedCall[] = []
  for (const { entry, args } of session) {
    const { symbols, inputs } = prepareCall(model.manifest.entries.find(({ name }) => name === entry)!, args)
    const got = await running.call(entry, args, signal ? { signal } : {})
    const wanted = reference.run(entry, symbols, inputs, states)
    calls.push({ entry, symbols, inputs, states, wanted: wanted.results })
    states = wanted.states
    const judged = wanted.results.map(({ data, dims, dtype }, i) =>
      judgeResult(got[i]!.values, data, dims.at(-1) ?? 1, bound, dtype === 'i32' || dtype === 'bool'),
    )
    const fine = judged.every((verdict) => verdict.fine)
    const before = verdicts.get(entry) ?? { entry, calls: 0, wrong: 0, error: 0 }
    verdicts.set(entry, {
      entry,
      calls: before.calls + 1,
      wrong: before.wrong + (fine ? 0 : 1),
      error: Math.max(before.error, ...judged.map(({ error }) => error)),
    })
    if (!fine) return { calls, fine }
  }
  return { calls, fine: true }
}

/** Kernels alone; then, if results are wrong and no kernel is, all of them together. */
async function examineCalls(
  artifact: Artifact,
  recompiled: Recompiled & { readonly weight: StoredWeights },
  target: TargetName,
  calls: readonly ExaminedCall[],
  bound: number,
  wrong: boolean,
): Promise<Pick<VerifyReport, 'kernels' | 'unexamined'>> {
  if (!recompiled.matches)
    return {
      unexamined:
        "the artifact's program has another form than this version of the compiler makes: compile the model again and verify that",
    }
  let kernels = 0
  for (const mode of wrong ? (['alone', 'up to'] as const) : (['alone'] as const)) {
    const probe = await openProbe(artifact, recompiled, target, mode)
    try {
      for (const call of calls) {
        const found = await examineCall(recompiled, probe, mode, call, bound)
        kernels += found.kernels
        if (found.fault || found.misbuilt) return { kernels: { ...found, kernels } }
      }
    } finally {
      probe.dispose()
    }
  }
  return { kernels: { kernels } }
}

async function openProbe(artifact: Artifact, { result }: Recompiled, target: TargetName, mode: ProbeMode): Promise<KernelProbe> {
  if (target === 'webgpu') {
    const [{ openWebgpuProbe }, { createNodeGpu }] = await Promise.all([import('./probe-webgpu.ts'), import('../webgpu-node.ts')])
    const gpu = await createNodeGpu()
    const variants = artifact.manifest.variants.filter((variant) => variant.target === 'webgpu')
    // The first that can run here, as the runtime takes it; the last needs nothing.
    const unmet = await Promise.all(variants.map((variant) => webgpuUnmet(variant, gpu)))
    const variant = variants.find((_, i) => unmet[i] === undefined) ?? variants.at(-1)!
    return openWebgpuProbe(artifact, variant, result.plan!, gpu, mode)
  }
  const { openWasmProbe } = await import('./probe-wasm.ts')
  return openWasmProbe(artifact, result.plan!, mode)
}

function textOf({ model, device, math, activations, fine, bound, entries, kernels, unexamined, unaltered }: VerifyReport): string {
  const size = (error: number): string => (Number.isFinite(error) ? error.toExponential(1) : 'not a number')
  const width = Math.max(...entries.map(({ entry }) => entry.length))
  const lines = [
    `${model} on ${device}, ${math} math${activations ? `, ${activations} activations` : ''}, against the reference; errors are Σ(got − wanted)² / Σ wanted² of the worst row`,
    ...entries.map(
      ({ entry, calls, wrong, error }) =>
        `  ${entry.padEnd(width)}  ${calls} call${calls === 1 ? ' ' : 's'}  error ${size(error)}, ${size(bound)} allowed  ${wrong === 0 ? 'fine' : `${wrong} WRONG`}`,
    ),
  ]
  if (kernels)
    lines.push(
      ...kernelLines(
        kernels,
        size,
        entries.some(({ wrong }) => wrong > 0),
      ),
    )
  if (unexamined !== undefined) lines.push(`kernels were not examined: ${unexamined}`)
  if (!unaltered)
    lines.push("the artifact's program is not what this compiler makes of its source: it was altered, or made by another version")
  lines.push(fine ? 'all numbers are within their bounds' : 'the device gives wrong numbers')
  return lines.join('\n')
}

function kernelLines({ kernels, fault, misbuilt }: Examined, size: (error: number) => string, wrong: boolean): string[] {
  if (misbuilt)
    return [
      `${kernels} kernels run as compiled, but together they do not mean what the model means (result ${misbuilt.result} of ${misbuilt.entry}, error ${size(misbuilt.error)}): a fault of the compiler, please report it`,
    ]
  if (!fault)
    return [
      `${kernels} kernels examined one by one: fine${wrong ? '; what is wrong is how the program calls them (order, addresses, threads)' : ''}`,
    ]
  const { kernel, entry, launch, launches, instance, mode, axes, places, output, index, got, wanted, error } = fault
  const how = mode === 'alone' ? 'computes wrong numbers from right operands' : 'does not find the operands that were meant for it'
  return [
    `the first kernel that differs: ${kernel}${instance === '' ? '' : ` for ${instance}`}, launch ${launch + 1} of ${launches} in ${entry}: it ${how}`,
    `  axes     ${axes.map(({ name, extent, size: count }) => `${name} < ${extent}${extent === String(count) ? '' : ` = ${count}`}`).join(', ')}`,
    ...places.map(({ file, line, text }, i) => `  ${i === 0 ? 'computes' : '        '} ${file}:${line}  ${text}`),
    `  writes   ${output}[${index.join(', ')}] = ${shown(got)}, wanted ${shown(wanted)}; error ${size(error)}`,
  ]
}

const shown = (value: number): string => String(Number(value.toPrecision(7)))
