// Live ranges of an entry's values: steps are numbered in order, a loop's body once. A value that is used outside a loop too lives for
// the whole loop, and so does what an instance leaves behind; one that is used inside only, between its own steps. What is carried from
// instance to instance is idle in each body from its last reader to the step that makes the next one.
// Arguments live from before the first step, results until after the last.
//
// With threads a value may still be read after the step that reads it last: by a thread that is behind, until all meet. Whatever takes
// its place earlier costs a meeting of its own, so `meetings` lets values live on until then.

import type { Bounds } from '../../dsl/affine.ts'
import { range } from '../../dsl/affine.ts'
import type { Kernel, OperandSource } from '../kernel/types.ts'
import { isPerInstance } from '../kernel/program.ts'
import { type KernelProgram, type KernelStep, sourceKey, type ValueInfo } from '../kernel/steps.ts'
import { byteWords, isByteFormat } from '../schedule/activation-blocks.ts'
import type { Buffer, Span } from './arena.ts'

/** Bytes of a value at the symbols' upper bounds. */
export function valueBytes(value: Pick<ValueInfo, 'dims' | 'format'>, bounds: Bounds): number {
  const elements = value.dims.reduce((product, dim) => product * range(dim, bounds).max, 1)
  return 4 * (isByteFormat(value.format) ? byteWords(value.format, elements) : elements)
}

/** Key of a buffer in the arena: a value, an argument, or one scratch operand of a kernel. */
export const valueKey = (id: string): string => `value:${id}`
export const argumentKey = (name: string): string => `argument:${name}`
export const scratchKey = (kernel: string, index: number): string => `scratch:${kernel}:${index}`

/** What is known of a kernel's scratch memory: words of each operand after the kernel's own; 0 for what is not in the arena. */
export type ScratchOf = (kernel: Kernel) => readonly number[]

export interface Lifetimes {
  readonly buffers: readonly Buffer[]
  /** What runs in each step: kernels, by name; none where a loop ends. */
  readonly steps: readonly (readonly string[])[]
}

export function lifetimes(
  program: KernelProgram,
  args: readonly { readonly name: string; readonly bytes: number }[],
  scratchOf: ScratchOf,
  meetings: ReadonlySet<string> = new Set(),
): Lifetimes {
  const names: string[][] = []
  const ranges = new Map<string, { from: number; to: number }>()
  const bytes = new Map<string, number>()
  const stops: number[] = []
  const loops: Span[] = []
  /** Steps between which a value is not needed, exclusive: it was read for the last time, and is not written again yet. */
  const idle = new Map<string, Span[]>()
  let now = 0
  const touch = (key: string, from: number, to: number): void => {
    const known = ranges.get(key)
    ranges.set(key, known ? { from: Math.min(known.from, from), to: Math.max(known.to, to) } : { from, to })
  }
  /** Of a body's carried values, by key: the last step that reads them so far, and the first that writes them. */
  let uses = new Map<string, { read: number; written: number }>()
  const noteUse = (source: OperandSource, writes: boolean, at: number): void => {
    const use = source.kind === 'value' ? uses.get(valueKey(source.id)) : undefined
    if (!use) return
    if (writes) use.written = Math.min(use.written, at)
    // A reader behind the writer reads the next one: nothing is idle before it.
    else if (at <= use.written) use.read = at
  }
  const note = (source: OperandSource, at: number): void => {
    // Kept values are noted by the loop, one of each instance.
    if (source.kind !== 'value' || isPerInstance(source)) return
    bytes.set(valueKey(source.id), valueBytes(program.values.get(source.id)!, program.symbols))
    touch(valueKey(source.id), at, at)
  }
  const kernel = (each: Kernel): void => {
    if (meetings.has(each.name)) stops.push(now)
    while (names.length <= now) names.push([])
    names[now]!.push(each.name)
    for (const { source, access } of each.operands) {
      note(source, now)
      if (access !== 'write') noteUse(source, false, now)
      if (access !== 'read') noteUse(source, true, now)
    }
    for (const [i, words] of scratchOf(each).entries()) {
      if (words === 0) continue
      bytes.set(scratchKey(each.name, i), words * 4)
      touch(scratchKey(each.name, i), now, now)
    }
  }
  const visit = (steps: readonly KernelStep[]): void => {
    for (const step of steps) {
      if (step.kind === 'kernel') kernel(step.kernel)
      else if (step.kind === 'launch') step.kernels.forEach(kernel)
      else {
        const before = new Map(ranges)
        const start = now
        const around = uses
        for (const group of step.groups) {
          uses = new Map(step.carried.map((id) => [valueKey(id), { read: now, written: Number.POSITIVE_INFINITY }]))
          visit(group)
          for (const [key, { read, written }] of uses) {
            if (written < Number.POSITIVE_INFINITY && read + 1 < written)
              idle.set(key, [...(idle.get(key) ?? []), { from: read, to: written }])
          }
          now++
        }
        uses = around
        const written = new Set(step.writes.map(sourceKey))
        for (const source of step.reads) noteUse(source, false, written.has(sourceKey(source)) ? start : now)
        for (const source of step.writes) noteUse(source, true, start)
        loops.push({ from: start, to: now })
        const outside = new Set([...before.keys(), ...step.carried.map(valueKey)])
        for (const source of [...step.reads, ...step.writes]) {
          if (source.kind === 'value' && outside.has(valueKey(source.id))) touch(valueKey(source.id), start, now)
        }
        for (const id of step.carried) note({ kind: 'value', id }, start)
        for (const id of step.carried) touch(valueKey(id), start, now)
        for (const id of step.kept) {
          note({ kind: 'value', id }, start)
          touch(valueKey(id), start, now)
        }
      }
      now++
    }
  }
  visit(program.steps)
  for (const source of program.results) {
    note(source, now)
  }
  const untilMeeting = ({ from, to }: Span): Span => {
    const stop = stops.find((step) => step > to) ?? now
    const around = loops.find((loop) => loop.from <= to && to <= loop.to)
    // The next meeting of a loop's body may be in its next round.
    return around && stop > around.to
      ? { from: Math.min(from, around.from), to: Math.max(to, stop - 1) }
      : { from, to: Math.max(to, stop - 1) }
  }
  const spansOf = (id: string, range: Span): readonly Span[] => {
    const spans = without(range, idle.get(id) ?? [])
    return meetings.size > 0 ? joined(spans.map(untilMeeting)) : spans
  }
  const buffers = [...ranges].map(([id, range]): Buffer => ({ id, bytes: bytes.get(id)!, spans: spansOf(id, range) }))
  const given = args.map(({ name, bytes: size }): Buffer => ({ id: argumentKey(name), bytes: size, spans: [{ from: -1, to: now }] }))
  return { buffers: [...given, ...buffers], steps: names }
}

/** A range but for what lies between the ends of some gaps, which are in order, apart and inside of it. */
function without({ from, to }: Span, gaps: readonly Span[]): readonly Span[] {
  const starts = [from, ...gaps.map((gap) => gap.to)]
  const ends = [...gaps.map((gap) => gap.from), to]
  return starts.map((start, i) => ({ from: start, to: ends[i]! }))
}

/** Spans as few that are apart. */
function joined(spans: readonly Span[]): readonly Span[] {
  const made: Span[] = []
  for (const { from, to } of spans.toSorted((a, b) => a.from - b.from)) {
    const last = made.at(-1)
    if (last && from <= last.to + 1) made[made.length - 1] = { from: last.from, to: Math.max(last.to, to) }
    else made.push({ from, to })
  }
  return made
}
