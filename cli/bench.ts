// `llamac bench`: how fast a model reads and generates here, in rounds, beside what the machine can do in the same rounds. All
// that is compared (thread counts, peers, the memory's bandwidth) is measured in turn within each round, because neighbours on
// a machine come and go; a first round that warms up is not counted. Rates are tokens per second.

import { type Command, InvalidArgumentError } from 'commander'
import type { TargetResult } from '../compiler/compile.ts'
import type { KernelProgram } from '../compiler/kernel/program.ts'
import type { TargetName } from '../compiler/targets/index.ts'
import type { Binding } from '../dsl/affine.ts'
import { LlamacError } from '../runtime/error.ts'
import { argmax, type Artifact, type Manifest, type Model, readArtifact } from '../runtime/index.ts'
import { findRoles, type ReadingEntry } from '../runtime/roles.ts'
import { addCompileFlags, addDeviceName, whole } from './flags.ts'
import { type Ceilings, ThreadCeilings } from './measure/ceilings.ts'
import { type KernelTime, timeKernels } from './measure/kernel-times.ts'
import { type Peer, type PeerFigures, runPeer } from './measure/peers.ts'
import { type Spread, spreadOf } from './measure/spread.ts'
import { noWork, sumWork, type Work, workOfCall } from './measure/work.ts'
import { loadOpened, type Opened, type OpenFlags, openSource } from './open-model.ts'
import { interruptible, note, print, printJson } from './report.ts'
import { openWasmProbe } from './verify/probe-wasm.ts'

interface Flags extends Omit<OpenFlags, 'threads'> {
  readonly prefill: readonly number[]
  readonly decode: number
  readonly threads: readonly number[]
  readonly rounds: number
  readonly kernels?: boolean
  readonly compare?: readonly Peer[]
  readonly json?: boolean
}

export function addBench(program: Command): void {
  const command = program.command('bench').argument('<artifact|file>', 'an artifact folder, or a .dsl with --weights or --seed-weights')
    .description('prefill and decode rates, load time, memory, and the share of what the machine can do')
    .option('--prefill <lengths>', 'prompts of these lengths: 128,512', counts, [128])
    .option('--decode <n>', 'tokens to generate after the first of these prompts', whole(1), 64)
    .option('--threads <counts>', 'numbers of threads to measure: 1,2', counts, [1])
    .option('--rounds <n>', 'rounds that count', whole(1), 5)
    .option('--kernels', 'also the time of each kernel, on one thread of WASM; measured apart, after the rounds')
    .option('--compare <name=command>', 'a command to time in the same rounds; repeatable. A line {"prefill": …, "decode": …} of its stdout tells tokens per second, else its wall time counts', peer)
    .option('--json', 'one JSON document')
  addCompileFlags(addDeviceName(command)).action((path: string, flags: Flags) => interruptible((signal) => bench(path, flags, signal)))
}

function counts(text: string): readonly number[] {
  const values = text.split(',').map((part) => Number(part.trim()))
  if (values.some((value) => !Number.isSafeInteger(value) || value < 1)) throw new InvalidArgumentError('expected whole numbers from 1, such as 1,2')
  return values
}

function peer(text: string, before: readonly Peer[] | undefined): readonly Peer[] {
  const cut = text.indexOf('=')
  if (cut <= 0 || cut === text.length - 1) throw new InvalidArgumentError('expected name=command')
  return [...(before ?? []), { name: text.slice(0, cut).trim(), command: text.slice(cut + 1) }]
}

/** One thread count: its model, and what was measured with it so far, by round. */
interface Subject {
  readonly threads: number
  readonly model: Model
  readonly ceilings: ThreadCeilings | undefined
  readonly loadMs: number
  readonly firstTokenMs: number
  readonly prefill: readonly number[][]
  readonly decode: number[]
  /** Tokens per second by the fastest token of a round. */
  readonly fastest: number[]
  readonly machine: { readonly [Kind in keyof Ceilings]: number[] }
}

async function bench(path: string, flags: Flags, signal: AbortSignal): Promise<void> {
  const { threads: threadCounts, ...rest } = flags
  const opened = await openSource(path, rest, signal)
  const artifact = await readArtifact(opened.source, signal)
  const { manifest } = artifact
  const reading = readersOf(manifest)
  const prompts = flags.prefill.map((length) => madeUpIds(length, vocabularyOf(manifest)))
  const subjects: Subject[] = []
  const peers = (flags.compare ?? []).map((one) => ({ ...one, figures: [] as PeerFigures[] }))
  try {
    for (const threads of threadCounts) {
      const started = performance.now()
      const model = await loadOpened(opened, { ...rest, threads }, signal)
      const loadMs = performance.now() - started
      if (threads > 1 && !model.device.includes(`${threads} threads`)) {
        await model.dispose()
        throw new LlamacError('E_NO_DEVICE', `the model runs on ${model.device}, not on ${threads} threads`)
      }
      const session = model.createSession()
      argmax(await session.prefill(prompts[0]!, { signal }))
      const firstTokenMs = performance.now() - started
      session.dispose()
      const ceilings = targetOf(model) === 'wasm' ? new ThreadCeilings(threads, manifest.math === 'fast') : undefined
      subjects.push({ threads, model, ceilings, loadMs, firstTokenMs, prefill: prompts.map(() => []), decode: [], fastest: [], machine: { dot: [], madd: [], readBytes: [] } })
    }
    const compiled = await compiledFor(opened, artifact, targetOf(subjects[0]!.model), signal)
    if (!compiled) note('note: the artifact keeps no source: how much a token has to do is not known, so there are no shares')
    if (flags.kernels && compiled?.target !== 'wasm') throw new LlamacError('E_NO_KERNELS', 'times of kernels are measured on WASM, from an artifact that keeps its source: give --device wasm')
    for (let round = 0; round <= flags.rounds; round++) {
      // Whoever comes first in a round must not always be the same one.
      for (let i = 0; i < subjects.length; i++) await measureRound(subjects[(i + round) % subjects.length]!, prompts, flags.decode, round > 0, signal)
      if (round > 0) for (const one of peers) one.figures.push(await runPeer(one, signal))
    }
    const report = reportOf(manifest, subjects, peers, flags, compiled && workCounter(compiled.programs, reading))
    const times = flags.kernels && compiled ? await kernelTimes(artifact, compiled, reading, flags) : undefined
    if (flags.json) printJson({ ...report, ...(times ? { kernels: times } : {}) })
    else print([textOf(report), ...(times ?? []).map(kernelText)].join('\n'))
  } finally {
    for (const { model, ceilings } of subjects) {
      await ceilings?.close()
      await model.dispose()
    }
  }
}

async function measureRound({ model, ceilings, prefill, decode, fastest, machine }: Subject, prompts: readonly (readonly number[])[], count: number, counts: boolean, signal: AbortSignal): Promise<void> {
  if (ceilings && counts) {
    machine.dot.push(await ceilings.measure('dot'))
    machine.madd.push(await ceilings.measure('madd'))
  }
  for (const [i, prompt] of prompts.entries()) {
    const session = model.createSession()
    const before = performance.now()
    let next = argmax(await session.prefill(prompt, { signal }))
    const read = performance.now()
    if (counts) prefill[i]!.push((prompt.length * 1000) / (read - before))
    if (i === 0) {
      const ends = [performance.now()]
      for (let t = 0; t < count; t++) {
        next = argmax(await session.decode(next, { signal }))
        ends.push(performance.now())
      }
      if (counts) {
        decode.push((count * 1000) / (ends.at(-1)! - ends[0]!))
        fastest.push(1000 / Math.min(...ends.slice(1).map((end, t) => end - ends[t]!)))
      }
      // Bandwidth is what decoding is compared with: measured right after it.
      if (ceilings && counts) machine.readBytes.push(await ceilings.measure('readBytes'))
    }
    session.dispose()
  }
}

/** The kernels behind a program; undefined when the artifact does not say. */
async function compiledFor({ project }: Opened, artifact: Artifact, wanted: TargetName, signal: AbortSignal): Promise<TargetResult | undefined> {
  if (project) return project.compilation.results.find(({ target }) => target === wanted)
  if (!artifact.manifest.source) return undefined
  const { recompile } = await import('../compiler/recompile.ts')
  const { result, matches } = await recompile(artifact, wanted, signal)
  return matches ? result : undefined
}

interface CallTimes {
  readonly entry: string
  readonly symbols: Binding
  readonly kernels: readonly KernelTime[]
}

/** One call of each reading entry: the first chunk of the first prompt, and a step halfway through the decoded tokens. */
async function kernelTimes(artifact: Artifact, { plan }: TargetResult, { prefill, decode }: Readers, flags: Flags): Promise<CallTimes[]> {
  const probe = await openWasmProbe(artifact, plan!, 'alone')
  const symbolsOf = ({ size, positioned }: ReadingEntry, length: number, start: number): Binding => ({ ...(size === undefined ? {} : { [size]: length }), ...(positioned ? { start } : {}) })
  const calls = [
    { entry: prefill.entry.name, symbols: symbolsOf(prefill, Math.min(prefill.most, flags.prefill[0]!), 0) },
    { entry: decode.entry.name, symbols: symbolsOf(decode, 1, flags.prefill[0]! + Math.floor(flags.decode / 2)) },
  ]
  return calls.map(({ entry, symbols }) => ({ entry, symbols, kernels: timeKernels(probe, plan!, entry, symbols) }))
}

interface Readers {
  readonly prefill: ReadingEntry
  readonly decode: ReadingEntry
}

/** `wasm, 2 threads` is wasm. */
const targetOf = ({ device }: Model): TargetName => device.split(',')[0] as TargetName

function readersOf(manifest: Manifest): Readers {
  const { prefill, decode } = findRoles(manifest)
  const [read, step] = [prefill ?? decode, decode ?? prefill]
  if (!read || !step) throw new LlamacError('E_ENTRY', `bench measures entries prefill and decode; ${manifest.model} has ${manifest.entries.map(({ name }) => name).join(', ')}`)
  return { prefill: read, decode: step }
}

function vocabularyOf(manifest: Manifest): number {
  const { prefill } = readersOf(manifest)
  const argument = prefill.entry.arguments.find(({ name }) => name === prefill.tokens)
  return (argument?.kind === 'tensor' ? argument.below : undefined) ?? 2
}

/** Ids that repeat no short pattern: a multiplicative walk through the vocabulary. */
const madeUpIds = (count: number, vocabulary: number): number[] => Array.from({ length: count }, (_, i) => (i * 7919 + 101) % vocabulary)

interface WorkCounter {
  prefill(length: number): Work
  /** Per token, halfway through `count` tokens from position `start` on. */
  decode(start: number, count: number): Work
}

function workCounter(programs: readonly KernelProgram[], { prefill, decode }: Readers): WorkCounter {
  const calls = ({ entry, most, size, positioned }: ReadingEntry, from: number, length: number): Work => {
    const program = programs.find((one) => one.entry === entry.name)!
    let work = noWork
    for (let at = 0; at < length; at += most) {
      const binding = { ...(size === undefined ? {} : { [size]: Math.min(most, length - at) }), ...(positioned ? { start: from + at } : {}) }
      work = sumWork(work, workOfCall(program, binding))
    }
    return work
  }
  return { prefill: (length) => calls(prefill, 0, length), decode: (start, count) => calls(decode, start + Math.floor(count / 2), 1) }
}

interface Rate {
  readonly tokens: number
  readonly tokens_per_second: Spread
  /** By the fastest token of each round: what the machine gives when nobody interrupts. */
  readonly fastest?: Spread
  /**
   * Of the machine's ceiling in the same round; absent where there is none or the kernels are not known. Ceilings are best spans of
   * some milliseconds, so a decoded token is compared by the fastest.
   */
  readonly share?: Spread
}

interface Report {
  readonly model: string
  readonly preset?: string
  readonly parameters: number
  readonly weight_bytes: number
  readonly formats: readonly string[]
  readonly device: string
  readonly math: string
  readonly rounds: number
  /** Bytes of weights, states and tables that a token of `decode` needs. */
  readonly bytes_per_token?: number
  readonly threads: readonly {
    readonly threads: number
    readonly load_ms: number
    /** Loading and the first prompt, before the engine has optimised anything. */
    readonly first_token_ms: number
    readonly prefill: readonly Rate[]
    readonly decode: Rate
    /** 1e9 multiply-adds of bytes and of f32, and 1e9 bytes read, a second. */
    readonly machine?: { readonly [Kind in keyof Ceilings]: Spread }
  }[]
  readonly memory: { readonly resident_bytes: number; readonly peak_bytes: number }
  readonly peers: readonly { readonly name: string; readonly prefill?: Spread; readonly decode?: Spread; readonly seconds?: Spread }[]
}

function reportOf(manifest: Manifest, subjects: readonly Subject[], peers: readonly (Peer & { readonly figures: readonly PeerFigures[] })[], flags: Flags, work: WorkCounter | undefined): Report {
  const token = work?.decode(flags.prefill[0]!, flags.decode)
  return {
    model: manifest.model,
    ...(manifest.preset === undefined ? {} : { preset: manifest.preset }),
    parameters: manifest.parameters,
    weight_bytes: manifest.tensors.reduce((sum, { bytes }) => sum + bytes, 0),
    formats: [...new Set(manifest.tensors.filter(({ path }) => !path.startsWith('table:')).map(({ format }) => format))],
    device: targetOf(subjects[0]!.model),
    math: manifest.math,
    rounds: flags.rounds,
    ...(token ? { bytes_per_token: Math.round(token.bytes) } : {}),
    threads: subjects.map(({ threads, loadMs, firstTokenMs, prefill, decode, fastest, machine, ceilings }) => ({
      threads,
      load_ms: loadMs,
      first_token_ms: firstTokenMs,
      prefill: prefill.map((rates, i): Rate => {
        const tokens = flags.prefill[i]!
        const whole = work?.prefill(tokens)
        // Seconds that the arithmetic alone takes at its peak.
        const ideal = (round: number): number => (whole!.dots / machine.dot[round]! + whole!.madds / machine.madd[round]!) / 1e9
        return { tokens, tokens_per_second: spreadOf(rates), ...(whole && ceilings ? { share: spreadOf(rates.map((rate, round) => ideal(round) / (tokens / rate))) } : {}) }
      }),
      decode: {
        tokens: flags.decode,
        tokens_per_second: spreadOf(decode),
        fastest: spreadOf(fastest),
        ...(token && ceilings ? { share: spreadOf(fastest.map((rate, round) => (token.bytes * rate) / machine.readBytes[round]! / 1e9)) } : {}),
      },
      ...(ceilings ? { machine: { dot: spreadOf(machine.dot), madd: spreadOf(machine.madd), readBytes: spreadOf(machine.readBytes) } } : {}),
    })),
    // The peak counts all that the process did, compiling a .dsl included.
    memory: { resident_bytes: process.memoryUsage().rss, peak_bytes: process.resourceUsage().maxRSS * 1024 },
    peers: peers.map(({ name, figures }) => {
      const of = (kind: keyof PeerFigures) => {
        const values = figures.flatMap((one) => one[kind] ?? [])
        return values.length > 0 ? { [kind]: spreadOf(values) } : {}
      }
      return { name, ...of('prefill'), ...of('decode'), ...of('seconds') }
    }),
  }
}

function textOf(report: Report): string {
  const { model, preset, parameters, weight_bytes, formats, device, math, rounds, bytes_per_token, threads, memory, peers } = report
  const rows: string[][] = [['threads', '', 'median', 'rounds', 'of the machine']]
  const percent = (share: Spread | undefined, ceiling: string): string => (share ? `${(share.median * 100).toFixed(0)} % of ${ceiling}` : '')
  const rate = ({ median, min, max }: Spread): string[] => [`${figure(median)} tokens/s`, `${figure(min)} .. ${figure(max)}`]
  for (const one of threads) {
    const count = String(one.threads)
    rows.push([count, 'load', `${one.load_ms.toFixed(0)} ms`, '', ''])
    rows.push([count, 'first token', `${one.first_token_ms.toFixed(0)} ms`, '', ''])
    for (const each of one.prefill) rows.push([count, `prefill ${each.tokens}`, ...rate(each.tokens_per_second), percent(each.share, 'its arithmetic')])
    rows.push([count, `decode ${one.decode.tokens}`, ...rate(one.decode.tokens_per_second), ''])
    rows.push([count, '  fastest token', ...rate(one.decode.fastest!), percent(one.decode.share, `its bandwidth, ${figure(one.machine?.readBytes.median ?? 0)} GB/s`)])
  }
  for (const { name, prefill, decode, seconds } of peers) {
    if (prefill) rows.push(['', `${name}: prefill`, ...rate(prefill), ''])
    if (decode) rows.push(['', `${name}: decode`, ...rate(decode), ''])
    if (seconds) rows.push(['', name, `${figure(seconds.median)} s`, `${figure(seconds.min)} .. ${figure(seconds.max)}`, ''])
  }
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((cells) => cells[column]!.length)))
  const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`
  return [
    `${model}${preset === undefined ? '' : ` ${preset}`}: ${parameters.toLocaleString('en-US')} parameters, ${mib(weight_bytes)} as ${formats.join(', ')}, ${math} math, on ${device}, ${rounds} round${rounds === 1 ? '' : 's'}`,
    ...rows.map((cells) => cells.map((cell, column) => (column === 2 || column === 0 ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!))).join('  ').trimEnd()),
    ...(bytes_per_token === undefined ? [] : [`a token of decode needs ${(bytes_per_token / 1e6).toFixed(1)} MB of weights, states and tables`]),
    `memory: ${mib(memory.resident_bytes)} now, ${mib(memory.peak_bytes)} at most`,
  ].join('\n')
}

function kernelText({ entry, symbols, kernels }: CallTimes): string {
  const total = kernels.reduce((sum, { milliseconds }) => sum + milliseconds, 0)
  const rate = (amount: number, milliseconds: number): string => (amount === 0 ? '' : figure(amount / milliseconds / 1e6))
  const rows = [
    ['kernel', 'launches', 'ms', 'share', 'GB/s', 'GMAC/s'],
    ...kernels.map(({ kernel, launches, milliseconds, work }) =>
      [kernel, String(launches), milliseconds.toFixed(3), `${((100 * milliseconds) / total).toFixed(1)} %`, rate(work.bytes, milliseconds), rate(work.madds + work.dots, milliseconds)]),
  ]
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((cells) => cells[column]!.length)))
  const shown = Object.entries(symbols).map(([name, value]) => `${name} = ${value}`).join(', ')
  return [`${entry} (${shown}): ${total.toFixed(2)} ms in kernels`, ...rows.map((cells) => cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  ').trimEnd())].join('\n')
}

const figure = (value: number): string => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toPrecision(3))
