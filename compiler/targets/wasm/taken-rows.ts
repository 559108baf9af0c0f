// How the threads of a team share the rows of a kernel. Each has a run of them in ascending order and takes from its front, half of what
// is left at a time (all of it where a half is not worth it); whoever has finished takes from the end of the others' runs. So what a thread reads stays one stream as long as all
// are equally fast, and nobody waits for the slowest longer than for one piece. Who computes a row never changes how.
//
// What was taken of a run is one number: how many rows from its front, and above 32 bits how many from its end. One addition takes, and
// what it finds says what was left; there is no other way to a row. Numbers are zero at the start of a kernel without a meeting for it:
// two sets take turns from one meeting to the next, and while one is in use each thread clears its line of the other, which
// nobody looks at, since all have left the kernels before the last meeting.

import binaryen from 'binaryen'
import type { LoopFunction } from '../../schedule/loops.ts'
import type { AddressType } from './address-type.ts'
import type { Ref } from './expressions.ts'
import { control, type Step } from './program.ts'

const { i32, i64 } = binaryen
/** Of one thread in one set. */
const lineBytes = 64
const slotBytes = 8
/** Kernels between two meetings whose rows are taken; the threads keep to their runs in further ones. */
const slots = lineBytes / slotBytes
/** From one set to the other, by exclusive or. */
const otherSet = control.taken.bytes / 2

export const takenName = (kernel: string): string => `${kernel}.taken`

/**
 * `kernel.taken(operands…, count, least, thread, threads, numbers, symbols…)`: this thread's part of the rows [0, count), pieces of `least`
 * rows or more; `numbers`: address of the kernel's number in the first thread's line. `blocks`: the function that computes rows [from, to).
 */
export function addTakenRows(m: binaryen.Module, fn: LoopFunction, blocks: string, addresses: AddressType): void {
  const operands = fn.operands.length
  const [count, least, thread, threads, numbers] = [0, 1, 2, 3, 4].map((n) => operands + n) as [number, number, number, number, number]
  const symbols = numbers + 1
  const params = symbols + fn.symbols.length
  const locals = { nth: i32, owner: i32, first: i32, rows: i32, number: i32, found: i64, left: i32, piece: i32, from: i32 }
  const local = Object.fromEntries(Object.keys(locals).map((name, n) => [name, params + n])) as Record<keyof typeof locals, number>
  const { nth, owner, first, rows, number, found, left, piece, from } = local
  const get = (index: number): Ref => m.local.get(index, i32)
  const set = (index: number, value: Ref): Ref => m.local.set(index, value)
  const constant = (value: number): Ref => m.i32.const(value)
  const whenOwn = (own: Ref, other: Ref): Ref => m.select(m.i32.eqz(get(nth)), own, other)
  const pointer = (): Ref => addresses.distance(get(number), 0)
  const fromFront = (): Ref => m.i32.wrap(m.local.get(found, i64))
  const fromEnd = (): Ref => m.i32.wrap(m.i64.shr_u(m.local.get(found, i64), m.i64.const(32n)))
  const whatIsLeft = (): Ref => set(left, m.i32.sub(m.i32.sub(get(rows), fromFront()), fromEnd()))
  const nothingLeft = (): Ref => m.br('finished', m.i32.le_s(get(left), constant(0)))
  /** Thread t of n has the run [count·t/n, count·(t+1)/n). */
  const cut = (part: Ref): Ref => m.i32.div_u(m.i32.mul(get(count), part), get(threads))
  const compute = (start: Ref, end: Ref): Ref =>
    m.call(
      blocks,
      [...fn.operands.map((_, i) => m.local.get(i, addresses.type)), start, end, ...fn.symbols.map((_, i) => get(symbols + i))],
      binaryen.none,
    )
  const take = m.block(null, [
    // Half of its own run; of another's, at which its thread is at work too, a quarter.
    set(piece, m.i32.shr_u(get(left), whenOwn(constant(1), constant(2)))),
    set(piece, m.select(m.i32.gt_s(get(piece), get(least)), get(piece), get(least))),
    // What would be left must be worth a piece too.
    set(piece, m.select(m.i32.lt_s(m.i32.sub(get(left), get(piece)), get(least)), get(left), get(piece))),
    m.local.set(
      found,
      m.i64.atomic.rmw.add(0, pointer(), m.i64.shl(m.i64.extend_u(get(piece)), whenOwn(m.i64.const(0n), m.i64.const(32n)))),
    ),
    whatIsLeft(),
    nothingLeft(),
    set(piece, m.select(m.i32.lt_s(get(piece), get(left)), get(piece), get(left))),
    set(left, m.i32.sub(get(left), get(piece))),
    set(from, m.i32.add(m.i32.add(get(first), fromFront()), whenOwn(constant(0), get(left)))),
    compute(get(from), m.i32.add(get(from), get(piece))),
    m.br('take', m.i32.gt_s(get(left), constant(0))),
  ])
  const runs = m.block(null, [
    set(owner, m.i32.add(get(thread), get(nth))),
    set(owner, m.i32.sub(get(owner), m.select(m.i32.ge_s(get(owner), get(threads)), get(threads), constant(0)))),
    set(first, cut(get(owner))),
    set(rows, m.i32.sub(cut(m.i32.add(get(owner), constant(1))), get(first))),
    set(number, m.i32.add(get(numbers), m.i32.mul(get(owner), constant(lineBytes)))),
    set(left, get(rows)),
    m.block('finished', [
      m.if(get(nth), m.block(null, [m.local.set(found, m.i64.atomic.load(0, pointer())), whatIsLeft()])),
      nothingLeft(),
      m.loop('take', take),
    ]),
    set(nth, m.i32.add(get(nth), constant(1))),
    m.br('runs', m.i32.lt_s(get(nth), get(threads))),
  ])
  const body = m.if(m.i32.eq(get(threads), constant(1)), compute(constant(0), get(count)), m.loop('runs', runs))
  const types = Array.from({ length: params }, (_, i) => (i < operands ? addresses.type : i32))
  m.addFunction(takenName(fn.name), binaryen.createType(types), binaryen.none, Object.values(locals), body)
}

/** Which number each kernel of an entry has, while the entry is written: kernels that threads may be in at once have different ones. */
export class TakenNumbers {
  #next = 0
  #meets = true

  /** All threads meet here. */
  meet(): void {
    this.#next = 0
  }

  /** Bytes from a line's start to the next kernel's number; undefined when it has none. */
  take(): number | undefined {
    return this.#meets && this.#next < slots ? this.#next++ * slotBytes : undefined
  }

  /** Around the groups of a loop, each written by `write`: its first kernels may run while others are in the last ones of the instance before. */
  loop<T>(groups: readonly (readonly Step[])[], write: (steps: readonly Step[]) => T): T[] {
    const [next, meets] = [this.#next, this.#meets]
    // Without a meeting a thread might come to the same kernel again while others are in it.
    this.#meets &&= groups.every((steps) => steps.some(({ kind }) => kind === 'barrier'))
    const start = Math.max(next, ...groups.map(splitAtEnd))
    let end = 0
    const written = groups.map((steps) => {
      this.#next = start
      const result = write(steps)
      end = Math.max(end, this.#next)
      return result
    })
    this.#next = end
    this.#meets = meets
    return written
  }
}

/** Kernels after the last meeting. */
const splitAtEnd = (steps: readonly Step[]): number =>
  steps.slice(steps.findLastIndex(({ kind }) => kind === 'barrier') + 1).filter((step) => step.kind !== 'call' || step.share === 'split')
    .length

/** The set that an entry begins with. */
export const firstSet = control.taken.at

/** After a meeting: this thread's line of the set in local `here` is cleared, and the other one taken. */
export function turnSets(m: binaryen.Module, here: number, thread: number, addresses: AddressType): Ref[] {
  const line = (): Ref =>
    addresses.distance(m.i32.add(m.local.get(here, i32), m.i32.mul(m.local.get(thread, i32), m.i32.const(lineBytes))), 0)
  const zero = (): Ref => m.i32x4.splat(m.i32.const(0))
  return [
    ...Array.from({ length: lineBytes / 16 }, (_, i) => m.v128.store(16 * i, 16, line(), zero())),
    m.local.set(here, m.i32.xor(m.local.get(here, i32), m.i32.const(otherSet))),
  ]
}

/** At an entry's end, when nobody else is in it any more: all lines of both sets. */
export function clearSets(m: binaryen.Module, threads: number, addresses: AddressType): Ref[] {
  const bytes = (): Ref => addresses.distance(m.i32.mul(m.local.get(threads, i32), m.i32.const(lineBytes)), 0)
  return [firstSet, firstSet ^ otherSet].map((set) => m.memory.fill(addresses.const(set), m.i32.const(0), bytes()))
}
