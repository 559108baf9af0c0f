// Measures in rounds: all that is compared (thread counts, peers, the memory's bandwidth) is measured in turn within each round, because
// neighbours on a machine come and go; a first round that warms up is not counted. Rates are tokens per second.

import type { TargetResult } from '../../compiler/compile.ts'
import type { TargetName } from '../../compiler/targets/index.ts'
import type { Binding } from '../../dsl/affine.ts'
import { LlamacError } from '../../runtime/error.ts'
import { type Artifact, type Manifest, type Model, readArtifact, type Session } from '../../runtime/index.ts'
import { findRoles, type ReadingEntry } from '../../runtime/roles.ts'
import type { BenchFlags } from '../bench.ts'
import { loadOpened, type Opened, openSource } from '../open-model.ts'
import { note, print, printJson } from '../report.ts'
import { openWasmProbe } from '../verify/probe-wasm.ts'
import {
  type BenchReport,
  type CallTimes,
  kernelText,
  type Measured,
  type MeasuredPeer,
  type Readers,
  reportOf,
  textOf,
  tokensAt,
  workCounter,
} from './bench-report.ts'
import { ThreadCeilings } from './ceilings.ts'
import { timeKernels } from './kernel-times.ts'
import { type PeerFigures, runPeer } from './peers.ts'

/** One thread count: its model, and what was measured with it so far. */
interface Subject extends Measured {
  readonly model: Model
  readonly ceilings: ThreadCeilings | undefined
}

/** A model with all that is measured of it. */
export interface Benchmark {
  /** One round over all thread counts; one that does not count warms up. */
  round(counts: boolean): Promise<void>
  report(peers?: readonly MeasuredPeer[]): BenchReport
  /** Where the kernels are known; throws E_NO_KERNELS where they should be and are not. */
  kernels(): Promise<CallTimes[]>
  close(): Promise<void>
}

export async function bench(path: string, flags: BenchFlags, signal: AbortSignal): Promise<void> {
  const peers = flags.threads.flatMap((threads) => (flags.compare ?? []).map((one) => ({ ...one, threads, figures: [] as PeerFigures[] })))
  const task = { prefill: flags.prefill[0]!, decode: flags.decode }
  const benchmark = await openBenchmark(path, flags, signal)
  try {
    for (let round = 0; round <= flags.rounds; round++) {
      await benchmark.round(round > 0)
      if (round > 0) for (const one of peers) one.figures.push(await runPeer(one, { ...task, threads: one.threads }, signal))
    }
    const report = benchmark.report(peers)
    const times = flags.kernels ? await benchmark.kernels() : undefined
    if (flags.json) printJson({ ...report, ...(times ? { kernels: times } : {}) })
    else print([textOf(report), ...(times ?? []).map(kernelText)].join('\n'))
  } finally {
    await benchmark.close()
  }
}

/** Loads a model for every thread count that is to be measured. Errors: those of opening a model; E_NO_DEVICE, E_NO_KERNELS. */
export async function openBenchmark(path: string, flags: BenchFlags, signal: AbortSignal): Promise<Benchmark> {
  const { threads: threadCounts, ...rest } = flags
  const opened = await openSource(path, rest)
  const artifact = await readArtifact(opened.source, signal)
  const { manifest } = artifact
  const reading = readersOf(manifest)
  const prompts = flags.prefill.map((length) => madeUpIds(length, vocabularyOf(manifest)))
  const subjects: Subject[] = []
  const close = async (): Promise<void> => {
    for (const { model, ceilings } of subjects) {
      await ceilings?.close()
      await model.dispose()
    }
  }
  try {
    for (const threads of threadCounts) subjects.push(await openSubject(opened, { ...rest, threads }, manifest, prompts, signal))
    const device = targetOf(subjects[0]!.model)
    const compiled = await compiledFor(opened, artifact, device, signal)
    if (!compiled) note('note: the artifact keeps no source: how much a token has to do is not known, so there are no shares')
    if (flags.kernels && compiled?.target !== 'wasm')
      throw new LlamacError(
        'E_NO_KERNELS',
        'times of kernels are measured on WASM, from an artifact that keeps its source: give --device wasm',
      )
    let rounds = 0
    return {
      async round(counts) {
        // Whoever comes first in a round must not always be the same one.
        for (let i = 0; i < subjects.length; i++)
          await measureRound(subjects[(i + rounds) % subjects.length]!, prompts, reading, flags, counts, signal)
        rounds++
      },
      report: (peers = []) => reportOf(manifest, device, subjects, peers, flags, compiled && workCounter(compiled.programs, reading)),
      kernels: () => kernelTimes(artifact, compiled!, reading, flags),
      close,
    }
  } catch (cause) {
    await close()
    throw cause
  }
}

async function openSubject(
  opened: Opened,
  flags: Omit<BenchFlags, 'threads'> & { readonly threads: number },
  manifest: Manifest,
  prompts: readonly (readonly number[])[],
  signal: AbortSignal,
): Promise<Subject> {
  const { threads } = flags
  const started = performance.now()
  const model = await loadOpened(opened, flags, signal)
  const loadMs = performance.now() - started
  if (threads > 1 && !model.device.includes(`${threads} threads`)) {
    await model.dispose()
    throw new LlamacError('E_NO_DEVICE', `the model runs on ${model.device}, not on ${threads} threads`)
  }
  const session = model.createSession()
  await generated(session, prompts[0]!, 1, signal)
  const firstTokenMs = performance.now() - started
  session.dispose()
  const ceilings = targetOf(model) === 'wasm' ? new ThreadCeilings(threads, manifest.math === 'fast') : undefined
  return {
    threads,
    model,
    ceilings,
    loadMs,
    firstTokenMs,
    prefill: prompts.map(() => []),
    decode: [],
    fastest: [],
    at: (flags.at ?? []).map(() => []),
    ...(ceilings ? { machine: { dot: [], madd: [], readBytes: [] } } : {}),
  }
}

async function measureRound(
  { model, ceilings, prefill, decode, fastest, at, machine }: Subject,
  prompts: readonly (readonly number[])[],
  reading: Readers,
  { decode: count, at: positions = [], temperature = 0 }: Pick<BenchFlags, 'decode' | 'at' | 'temperature'>,
  counts: boolean,
  signal: AbortSignal,
): Promise<void> {
  if (ceilings && machine && counts) {
    machine.dot.push(await ceilings.measure('dot'))
    machine.madd.push(await ceilings.measure('madd'))
  }
  for (const [i, prompt] of prompts.entries()) {
    const session = model.createSession()
    const before = performance.now()
    const ends = await generated(session, prompt, i === 0 ? count + 1 : 1, signal, temperature)
    if (counts) prefill[i]!.push((prompt.length * 1000) / (ends[0]! - before))
    if (i === 0) {
      if (counts) {
        decode.push((count * 1000) / (ends.at(-1)! - ends[0]!))
        fastest.push(1000 / Math.min(...ends.slice(1).map((end, t) => end - ends[t]!)))
      }
      // Bandwidth is what decoding is compared with: measured right after it.
      if (ceilings && machine && counts) machine.readBytes.push(await ceilings.measure('readBytes'))
    }
    session.dispose()
  }
  for (const [i, position] of positions.entries()) {
    const rate = await fastestAt(model, reading.decode, position, signal)
    if (counts) at[i]!.push(rate)
  }
}

/** When each of so many tokens was there, as `run` makes them. */
async function generated(
  session: Session,
  prompt: readonly number[],
  maxTokens: number,
  signal: AbortSignal,
  temperature = 0,
): Promise<number[]> {
  const ends: number[] = []
  for await (const _ of session.generate(prompt, { temperature, stopTokens: [], maxTokens, signal })) ends.push(performance.now())
  return ends
}

/** Tokens per second by the fastest of those that are decoded from a position on; what was read before is all zeros. */
async function fastestAt(
  model: Model,
  { entry, tokens, positioned }: ReadingEntry,
  position: number,
  signal: AbortSignal,
): Promise<number> {
  if (!positioned) throw new LlamacError('E_ENTRY', `--at needs positions, and ${entry.name} has none`)
  const empty = model.createSession()
  // A copy has memory of its own: pages that nobody has written are read at the speed of a cache.
  const session = empty.fork()
  let shortest = Infinity
  for (let t = 0; t < tokensAt; t++) {
    const before = performance.now()
    await session.call(entry.name, { [tokens]: [1], start: position + t }, { signal })
    shortest = Math.min(shortest, performance.now() - before)
  }
  session.dispose()
  empty.dispose()
  return 1000 / shortest
}

/** The kernels behind a program; undefined when the artifact does not say. */
async function compiledFor(
  { project }: Opened,
  artifact: Artifact,
  wanted: TargetName,
  signal: AbortSignal,
): Promise<TargetResult | undefined> {
  if (project) return project.compilation.results.find(({ target }) => target === wanted)
  if (!artifact.manifest.source) return undefined
  const { recompile } = await import('../../compiler/recompile.ts')
  const { result, matches } = await recompile(artifact, wanted, signal)
  return matches ? result : undefined
}

/** One call of each reading entry: the first chunk of the first prompt, and a step halfway through the decoded tokens. */
async function kernelTimes(
  artifact: Artifact,
  { plan }: TargetResult,
  { prefill, decode }: Readers,
  flags: BenchFlags,
): Promise<CallTimes[]> {
  const probe = await openWasmProbe(artifact, plan!, 'alone')
  const symbolsOf = ({ size, positioned }: ReadingEntry, length: number, start: number): Binding => ({
    ...(size === undefined ? {} : { [size]: length }),
    ...(positioned ? { start } : {}),
  })
  const calls = [
    { entry: prefill.entry.name, symbols: symbolsOf(prefill, Math.min(prefill.most, flags.prefill[0]!), 0) },
    { entry: decode.entry.name, symbols: symbolsOf(decode, 1, flags.prefill[0]! + Math.floor(flags.decode / 2)) },
  ]
  return calls.map(({ entry, symbols }) => ({ entry, symbols, kernels: timeKernels(probe, plan!, entry, symbols) }))
}

/** `wasm, 2 threads` is wasm. */
const targetOf = ({ device }: Model): TargetName => device.split(',')[0] as TargetName

function readersOf(manifest: Manifest): Readers {
  const { prefill, decode } = findRoles(manifest)
  const [read, step] = [prefill ?? decode, decode ?? prefill]
  if (!read || !step)
    throw new LlamacError(
      'E_ENTRY',
      `bench measures entries prefill and decode; ${manifest.model} has ${manifest.entries.map(({ name }) => name).join(', ')}`,
    )
  return { prefill: read, decode: step }
}

function vocabularyOf(manifest: Manifest): number {
  const { prefill } = readersOf(manifest)
  const argument = prefill.entry.arguments.find(({ name }) => name === prefill.tokens)
  return (argument?.kind === 'tensor' ? argument.below : undefined) ?? 2
}

/** Ids that repeat no short pattern: a multiplicative walk through the vocabulary. */
const madeUpIds = (count: number, vocabulary: number): number[] => Array.from({ length: count }, (_, i) => (i * 7919 + 101) % vocabulary)
