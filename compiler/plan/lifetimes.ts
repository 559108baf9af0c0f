// Live ranges of an entry's values: steps are numbered in order, a loop's body once. A value that is used outside a loop too, or
// is carried from instance to instance, lives for the whole loop, and so does what an instance leaves behind; one that is used
// inside only, between its own steps.
// Arguments live from before the first step, results until after the last.
//
// With threads a value may still be read after the step that reads it last: by a thread that is behind, until all meet. Whatever takes
// its place earlier costs a meeting of its own, so `meetings` lets values live on until then.

import type { Bounds } from '../../dsl/affine.ts'
import { range } from '../../dsl/affine.ts'
import type { Kernel, OperandSource } from '../kernel/types.ts'
import { isPerInstance } from '../kernel/program.ts'
import type { KernelProgram, KernelStep, ValueInfo } from '../kernel/steps.ts'
import { a8 } from '../schedule/activation-blocks.ts'
import type { Buffer } from './arena.ts'

/** Bytes of a value at the symbols' upper bounds. */
export function valueBytes(value: Pick<ValueInfo, 'dims' | 'format'>, bounds: Bounds): number {
  const elements = value.dims.reduce((product, dim) => product * range(dim, bounds).max, 1)
  return value.format === 'a8' ? (elements / a8.k) * a8.words * 4 : elements * 4
}

/** Key of a buffer in the arena: a value, an argument, or one scratch operand of a kernel. */
export const valueKey = (id: string): string => `value:${id}`
export const argumentKey = (name: string): string => `argument:${name}`
export const scratchKey = (kernel: string, index: number): string => `scratch:${kernel}:${index}`

/** What is known of a kernel's scratch memory: words of each operand after the kernel's own. */
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
  const loops: { readonly from: number; readonly to: number }[] = []
  let now = 0
  const touch = (key: string, from: number, to: number): void => {
    const known = ranges.get(key)
    ranges.set(key, known ? { from: Math.min(known.from, from), to: Math.max(known.to, to) } : { from, to })
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
    for (const operand of each.operands) note(operand.source, now)
    for (const [i, words] of scratchOf(each).entries()) {
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
        for (const group of step.groups) {
          visit(group)
          now++
        }
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
  const untilMeeting = ({ from, to }: { readonly from: number; readonly to: number }): { readonly from: number; readonly to: number } => {
    const stop = stops.find((step) => step > to) ?? now
    const around = loops.find((loop) => loop.from <= to && to <= loop.to)
    // The next meeting of a loop's body may be in its next round.
    return around && stop > around.to
      ? { from: Math.min(from, around.from), to: Math.max(to, stop - 1) }
      : { from, to: Math.max(to, stop - 1) }
  }
  const alive = meetings.size > 0 ? untilMeeting : (range: { readonly from: number; readonly to: number }) => range
  const buffers = [...ranges].map(([id, range]): Buffer => ({ id, bytes: bytes.get(id)!, ...alive(range) }))
  const given = args.map(({ name, bytes: size }): Buffer => ({ id: argumentKey(name), bytes: size, from: -1, to: now }))
  return { buffers: [...given, ...buffers], steps: names }
}
