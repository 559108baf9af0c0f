// What a benchmark says: its figures as JSON, and as a table for people.

import type { KernelProgram } from '../../compiler/kernel/program.ts'
import type { Binding } from '../../dsl/affine.ts'
import type { Manifest } from '../../runtime/index.ts'
import type { ReadingEntry } from '../../runtime/roles.ts'
import { tableLines } from '../table.ts'
import type { Ceilings } from './ceilings.ts'
import type { KernelTime } from './kernel-times.ts'
import type { Peer, PeerFigures } from './peers.ts'
import { type Spread, spreadOf } from './spread.ts'
import { noWork, sumWork, type Work, workOfCall } from '../../compiler/kernel/work.ts'

/** The entries that are measured. */
export interface Readers {
  readonly prefill: ReadingEntry
  readonly decode: ReadingEntry
}

export interface WorkCounter {
  prefill(length: number): Work
  /** Per token, halfway through `count` tokens from position `start` on. */
  decode(start: number, count: number): Work
}

export function workCounter(programs: readonly KernelProgram[], { prefill, decode }: Readers): WorkCounter {
  const calls = ({ entry, most, size, positioned }: ReadingEntry, from: number, length: number): Work => {
    const program = programs.find((one) => one.entry === entry.name)!
    let work = noWork
    for (let at = 0; at < length; at += most) {
      const binding = {
        ...(size === undefined ? {} : { [size]: Math.min(most, length - at) }),
        ...(positioned ? { start: from + at } : {}),
      }
      work = sumWork(work, workOfCall(program, binding))
    }
    return work
  }
  return { prefill: (length) => calls(prefill, 0, length), decode: (start, count) => calls(decode, start + Math.floor(count / 2), 1) }
}

/** What was measured with one thread count, by round. */
export interface Measured {
  readonly threads: number
  readonly loadMs: number
  readonly firstTokenMs: number
  /** Tokens per second, by prompt and round. */
  readonly prefill: readonly number[][]
  readonly decode: number[]
  /** Tokens per second by the fastest token of a round. */
  readonly fastest: number[]
  /** The same at each position that was asked for. */
  readonly at: readonly number[][]
  /** Where ceilings are known: on the CPU. */
  readonly machine?: { readonly [Kind in keyof Ceilings]: number[] }
}

/** Tokens that are decoded at each position of `--at`. */
export const tokensAt = 16

/** A peer on so many threads, by round. */
export interface MeasuredPeer extends Peer {
  readonly threads: number
  readonly figures: readonly PeerFigures[]
}

/** What was asked for. */
export interface Asked {
  readonly prefill: readonly number[]
  readonly decode: number
  readonly at?: readonly number[]
  readonly rounds: number
}

/** The kernels of one call. */
export interface CallTimes {
  readonly entry: string
  readonly symbols: Binding
  readonly kernels: readonly KernelTime[]
}

export interface Rate {
  readonly tokens: number
  readonly tokens_per_second: Spread
  /** By the fastest token of each round: what the machine gives when nobody interrupts. */
  readonly fastest?: Spread
  /**
   * Of the machine's ceiling in the same round; absent where there is none or the kernels are not known. Ceilings are best spans of
   * some milliseconds, so a decoded token is compared by the fastest.
   */
  readonly share?: Spread
  /** Of a decoded token, whose `share` is that of the bandwidth: the share of the arithmetic's ceiling. */
  readonly arithmetic_share?: Spread
}

/** Seconds that the arithmetic of some work alone takes at the peak of a round. */
const computing = ({ dots, madds }: Work, { dot, madd }: NonNullable<Measured['machine']>, round: number): number =>
  (dots / dot[round]! + madds / madd[round]!) / 1e9

/** Decoding at a position, by the fastest token of each round. */
export interface RateAt {
  readonly position: number
  readonly tokens_per_second: Spread
  /** Where the kernels are known: what such a token needs, and how much of that it gets a second. */
  readonly bytes?: number
  readonly bytes_per_second?: Spread
}

export interface BenchReport {
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
    readonly at: readonly RateAt[]
    /** 1e9 multiply-adds of bytes and of f32, and 1e9 bytes read, a second. */
    readonly machine?: { readonly [Kind in keyof Ceilings]: Spread }
  }[]
  readonly memory: { readonly resident_bytes: number; readonly peak_bytes: number }
  readonly peers: readonly PeerRates[]
}

/** A peer with as many threads as a row of `threads`. */
interface PeerRates {
  readonly name: string
  readonly threads: number
  readonly prefill?: Spread
  readonly decode?: Spread
  readonly seconds?: Spread
  /** How many times as fast this program is, round by round. */
  readonly times?: { readonly prefill?: Spread; readonly decode?: Spread }
}

/** `work` is absent where the kernels are not known. */
export function reportOf(
  manifest: Manifest,
  device: string,
  measured: readonly Measured[],
  peers: readonly MeasuredPeer[],
  asked: Asked,
  work: WorkCounter | undefined,
): BenchReport {
  const token = work?.decode(asked.prefill[0]!, asked.decode)
  return {
    model: manifest.model,
    ...(manifest.preset === undefined ? {} : { preset: manifest.preset }),
    parameters: manifest.parameters,
    weight_bytes: manifest.tensors.reduce((sum, { bytes }) => sum + bytes, 0),
    formats: [...new Set(manifest.tensors.filter(({ path }) => !path.startsWith('table:')).map(({ format }) => format))],
    device,
    math: manifest.math,
    rounds: asked.rounds,
    ...(token ? { bytes_per_token: Math.round(token.bytes) } : {}),
    threads: measured.map(({ threads, loadMs, firstTokenMs, prefill, decode, fastest, at, machine }) => ({
      threads,
      load_ms: loadMs,
      first_token_ms: firstTokenMs,
      prefill: prefill.map((rates, i): Rate => {
        const tokens = asked.prefill[i]!
        const whole = work?.prefill(tokens)
        return {
          tokens,
          tokens_per_second: spreadOf(rates),
          ...(whole && machine ? { share: spreadOf(rates.map((rate, n) => (computing(whole, machine, n) * rate) / tokens)) } : {}),
        }
      }),
      decode: {
        tokens: asked.decode,
        tokens_per_second: spreadOf(decode),
        fastest: spreadOf(fastest),
        ...(token && machine
          ? {
              share: spreadOf(fastest.map((rate, n) => (token.bytes * rate) / machine.readBytes[n]! / 1e9)),
              arithmetic_share: spreadOf(fastest.map((rate, n) => computing(token, machine, n) * rate)),
            }
          : {}),
      },
      at: at.map((rates, i): RateAt => {
        const position = asked.at![i]!
        const bytes = work?.decode(position, tokensAt).bytes
        return {
          position,
          tokens_per_second: spreadOf(rates),
          ...(bytes === undefined ? {} : { bytes, bytes_per_second: spreadOf(rates.map((rate) => rate * bytes)) }),
        }
      }),
      ...(machine ? { machine: { dot: spreadOf(machine.dot), madd: spreadOf(machine.madd), readBytes: spreadOf(machine.readBytes) } } : {}),
    })),
    // The peak counts all that the process did, compiling a .dsl included.
    memory: { resident_bytes: process.memoryUsage().rss, peak_bytes: process.resourceUsage().maxRSS * 1024 },
    peers: peers.map(({ name, threads, figures }): PeerRates => {
      const of = (kind: keyof PeerFigures) => {
        const values = figures.flatMap((one) => one[kind] ?? [])
        return values.length > 0 ? { [kind]: spreadOf(values) } : {}
      }
      const ours = measured.find((one) => one.threads === threads)!
      const times = (kind: 'prefill' | 'decode', rates: readonly number[]) => {
        const values = figures.flatMap((one, round) => (one[kind] === undefined ? [] : rates[round]! / one[kind]))
        return values.length > 0 ? { [kind]: spreadOf(values) } : {}
      }
      const faster = { ...times('prefill', ours.prefill[0]!), ...times('decode', ours.decode) }
      return {
        name,
        threads,
        ...of('prefill'),
        ...of('decode'),
        ...of('seconds'),
        ...(Object.keys(faster).length > 0 ? { times: faster } : {}),
      }
    }),
  }
}

/** The table. */
export function textOf(report: BenchReport): string {
  const { model, preset, parameters, weight_bytes, formats, device, math, rounds, bytes_per_token, threads, memory, peers } = report
  const rows: string[][] = [['threads', '', 'median', 'rounds', 'of the machine']]
  const percent = (share: Spread | undefined, ceiling: string): string =>
    share ? `${(share.median * 100).toFixed(0)} % of ${ceiling}` : ''
  const rate = ({ median, min, max }: Spread): string[] => [`${figure(median)} tokens/s`, `${figure(min)} .. ${figure(max)}`]
  for (const one of threads) {
    const count = String(one.threads)
    rows.push([count, 'load', `${one.load_ms.toFixed(0)} ms`, '', ''])
    rows.push([count, 'first token', `${one.first_token_ms.toFixed(0)} ms`, '', ''])
    for (const each of one.prefill)
      rows.push([count, `prefill ${each.tokens}`, ...rate(each.tokens_per_second), percent(each.share, 'its arithmetic')])
    rows.push([count, `decode ${one.decode.tokens}`, ...rate(one.decode.tokens_per_second), ''])
    rows.push([
      count,
      '  fastest token',
      ...rate(one.decode.fastest!),
      [
        percent(one.decode.share, `its bandwidth, ${figure(one.machine?.readBytes.median ?? 0)} GB/s`),
        percent(one.decode.arithmetic_share, 'its arithmetic'),
      ]
        .filter((part) => part !== '')
        .join('; '),
    ])
    for (const { position, tokens_per_second, bytes, bytes_per_second } of one.at) {
      const needs = bytes_per_second ? `${figure(bytes! / 1e6)} MB at ${figure(bytes_per_second.median / 1e9)} GB/s` : ''
      rows.push([count, `decode at ${position}`, ...rate(tokens_per_second), needs])
    }
  }
  for (const { name, threads: count, seconds, times, ...rates } of peers) {
    for (const kind of ['prefill', 'decode'] as const) {
      const [spread, ratio] = [rates[kind], times?.[kind]]
      if (spread)
        rows.push([String(count), `${name}: ${kind}`, ...rate(spread), ratio ? `this is ${figure(ratio.median)} times as fast` : ''])
    }
    if (seconds) rows.push([String(count), name, `${figure(seconds.median)} s`, `${figure(seconds.min)} .. ${figure(seconds.max)}`, ''])
  }
  const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`
  return [
    `${model}${preset === undefined ? '' : ` ${preset}`}: ${parameters.toLocaleString('en-US')} parameters, ${mib(weight_bytes)} as ${formats.join(', ')}, ${math} math, on ${device}, ${rounds} round${rounds === 1 ? '' : 's'}`,
    ...tableLines(rows, [1, 3, 4]),
    ...(bytes_per_token === undefined
      ? []
      : [`a token of decode needs ${(bytes_per_token / 1e6).toFixed(1)} MB of weights, states and tables`]),
    `memory: ${mib(memory.resident_bytes)} now, ${mib(memory.peak_bytes)} at most`,
  ].join('\n')
}

/** The table of one call's kernels. */
export function kernelText({ entry, symbols, kernels }: CallTimes): string {
  const total = kernels.reduce((sum, { milliseconds }) => sum + milliseconds, 0)
  const rate = (amount: number, milliseconds: number): string => (amount === 0 ? '' : figure(amount / milliseconds / 1e6))
  const rows = [
    ['kernel', 'launches', 'ms', 'share', 'GB/s', 'GMAC/s'],
    ...kernels.map(({ kernel, launches, milliseconds, work }) => [
      kernel,
      String(launches),
      milliseconds.toFixed(3),
      `${((100 * milliseconds) / total).toFixed(1)} %`,
      rate(work.bytes, milliseconds),
      rate(work.madds + work.dots, milliseconds),
    ]),
  ]
  const shown = Object.entries(symbols)
    .map(([name, value]) => `${name} = ${value}`)
    .join(', ')
  return [`${entry} (${shown}): ${total.toFixed(2)} ms in kernels`, ...tableLines(rows)].join('\n')
}

const figure = (value: number): string => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toPrecision(3))
