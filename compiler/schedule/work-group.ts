// What the invocations of a workgroup do together: share the points of some axes, and join their partial results: by a tree in scratch
// memory, or, where subgroups exchange values, in registers and then through a slot of scratch memory for each subgroup. How many
// invocations a subgroup has is known when the loops run; sums are added up in an order that depends on it.

import { constant, type Emitter, isVector, load, ops, builtin } from './build-loops.ts'
import { type Combine, combine } from './definitions.ts'
import type { AxisId } from '../kernel/types.ts'
import type { LoopExpr } from './loops.ts'
import type { Machine } from './machine.ts'
import type { Scope } from './scope.ts'

/** `count` values of an axis, from `from` on (0 if left out). */
export interface Span {
  readonly id: AxisId
  readonly count: LoopExpr
  readonly from?: LoopExpr
}

/** Invocations share the points of some axes, the last axis fastest. */
export function shareOut(scope: Scope, threads: number, spans: readonly Span[], body: () => void): void {
  const e = scope.emitter
  const count = spans.reduce<LoopExpr>((product, span) => ops.mul(product, span.count), constant('i32', 1))
  e.loop('point', builtin('invocation'), count, threads, (point) => {
    const at: [AxisId, LoopExpr][] = []
    let rest = point
    for (let i = spans.length - 1; i >= 0; i--) {
      const { id, count: size, from } = spans[i]!
      const place = i === 0 ? rest : e.value(id, ops.rem(rest, size))
      at.push([id, from ? e.value(id, ops.add(from, place)) : place])
      if (i > 0) rest = e.value('rest', ops.div(rest, size))
    }
    scope.at(at, body)
  })
}

/** What a join has to know of the machine. */
type Joining = Pick<Machine, 'threads' | 'leastSubgroup'>
type Emitting = Pick<Scope, 'emitter'>

/** The partial results of all invocations as one, for everybody; `tree` is scratch memory with a word for each. */
export function joinAll(scope: Emitting, machine: Joining, tree: number, how: Combine, partial: LoopExpr): LoopExpr {
  const e = scope.emitter
  const { threads } = machine
  const { type } = partial
  if (machine.leastSubgroup > 0) {
    const everybody = { sharers: threads, sharer: builtin('invocation'), rows: 1, row: constant('i32', 0), used: constant('bool', 1) }
    const all = joinSubgroups(scope, machine, everybody, tree, how, partial)
    e.barrier()
    return all
  }
  const at = (offset: number): LoopExpr => load(type, tree, builtin('invocation'), offset)
  e.store(tree, builtin('invocation'), partial)
  e.barrier()
  for (let width = threads / 2; width >= 1; width /= 2) {
    e.if(ops.lt(builtin('invocation'), width), () => e.store(tree, builtin('invocation'), combine(how, at(0), at(width))))
    e.barrier()
  }
  const result = e.let('all', load(type, tree, constant('i32', 0)))
  e.barrier()
  return result
}

/** Invocations side by side that share something: `sharers` (a power of two) of them, of which this one is number `sharer`. */
interface Sharers {
  readonly sharers: number
  readonly sharer: LoopExpr
}

/** So many subgroups, at most, have sharers of one thing: each leaves what it has in a slot of its own. */
export const mostSlots = ({ leastSubgroup }: Joining, sharers: number): number => Math.max(1, sharers / leastSubgroup)

/** Where a subgroup leaves what its sharers have, whether this invocation does that, and how many slots there are. */
function slotOf(e: Emitter, { sharers, sharer }: Sharers): { readonly slot: LoopExpr; readonly first: LoopExpr; readonly slots: LoopExpr } {
  const run = e.value('run', ops.min(builtin('lanes'), sharers))
  return { slot: ops.div(sharer, run), first: ops.eq(ops.rem(sharer, run), 0), slots: ops.div(constant('i32', sharers), run) }
}

/** A value of the sharers of this invocation that are in its subgroup. */
function joinNear(e: Emitter, { threads, leastSubgroup }: Joining, sharers: number, how: Combine, value: LoopExpr): LoopExpr {
  if (sharers === threads) return e.subgroup('near', how, value)
  let total = value
  for (let by = 1; by < sharers; by *= 2) {
    const both = combine(how, total, e.subgroup('other', { by }, total))
    const inside = ops.lt(constant('i32', by), builtin('lanes'))
    const chosen = by < leastSubgroup ? both : ops.select(isVector(value.type) ? ops.splat_bool(inside) : inside, both, total)
    total = e.let('near', chosen)
  }
  return total
}

/**
 * A value of the sharers of a row as one, for each of them, by subgroups. `slots`: a word for each row and slot (mostSlots), which are read
 * when it returns. `used`: whether this invocation has a row.
 */
export function joinSubgroups(
  { emitter: e }: Emitting,
  machine: Joining,
  rows: Sharers & { readonly rows: number; readonly row: LoopExpr; readonly used: LoopExpr },
  slots: number,
  how: Combine,
  value: LoopExpr,
): LoopExpr {
  const near = joinNear(e, machine, rows.sharers, how, value)
  if (mostSlots(machine, rows.sharers) === 1) return near
  const { type } = value
  const own = slotOf(e, rows)
  e.if(ops.and(rows.used, own.first), () => e.store(slots, ops.add(ops.mul(own.slot, rows.rows), rows.row), near))
  e.barrier()
  const row = rows.used.kind === 'const' ? rows.row : e.value('row', ops.min(rows.row, rows.rows - 1))
  const all = e.let('all', load(type, slots, row))
  e.loop('slot', 1, own.slots, 1, (slot) => e.set(all, combine(how, all, load(type, slots, ops.add(ops.mul(slot, rows.rows), row)))))
  return all
}

/** Partial results: `points` words side by side of each sharer, in scratch operand `partial`. */
export interface Partials {
  readonly sharers: number
  readonly points: number
  readonly partial: number
  /** Where their totals go, from word `start` on. */
  readonly sums: number
  readonly start: number
  /** 'sum' if left out. */
  readonly how?: Combine
}

/**
 * Joins the partial results of sharers, in rounds that keep as many invocations busy as there are; neighbours read neighbouring words.
 * A barrier must have come before; the last round ends with one.
 */
export function joinPoints({ emitter: e }: Emitting, threads: number, partials: Partials): void {
  const { sharers, points, partial, sums, start, how = 'sum' } = partials
  for (let left = sharers; ; ) {
    const by = left <= 8 ? left : Math.min(left, Math.max(8, 2 ** Math.ceil(Math.log2((left * points) / threads))))
    const after = left / by
    e.loop('point', builtin('invocation'), after * points, threads, (point) => {
      let total = load('f32', partial, point)
      for (let i = 1; i < by; i++) total = combine(how, total, load('f32', partial, point, i * after * points))
      e.store(after === 1 ? sums : partial, point, total, after === 1 ? start : 0)
    })
    e.barrier()
    left = after
    if (left <= 1) return
  }
}

/** A value of this invocation, at words `at + offset` of the points. */
export interface Part {
  readonly at: LoopExpr
  readonly offset: number
  readonly value: LoopExpr
}

/** The totals of all points, in `sums` when it returns; `partial` has room for all sharers, or for a slot of each subgroup. */
export function joinParts(scope: Emitting, machine: Joining, partials: Partials & Sharers, parts: readonly Part[]): void {
  const { sharers, sharer, points, partial, sums, start, how = 'sum' } = partials
  const e = scope.emitter
  const { threads } = machine
  if (machine.leastSubgroup === 0) {
    for (const { at, offset, value } of parts) e.store(partial, ops.add(ops.mul(sharer, points), at), value, offset)
    e.barrier()
    return joinPoints(scope, threads, partials)
  }
  const near = parts.map((part) => ({ ...part, value: joinNear(e, machine, sharers, how, part.value) }))
  const { slot, first, slots } = slotOf(e, partials)
  const alone = mostSlots(machine, sharers) === 1
  e.if(first, () => {
    const own = e.value('own', alone ? constant('i32', 0) : ops.mul(slot, points))
    for (const { at, offset, value } of near) e.store(alone ? sums : partial, ops.add(own, at), value, offset + (alone ? start : 0))
  })
  e.barrier()
  if (alone) return
  e.loop('point', builtin('invocation'), constant('i32', points), threads, (point) => {
    const total = e.let('total', load('f32', partial, point))
    e.loop('slot', 1, slots, 1, (other) => e.set(total, combine(how, total, load('f32', partial, ops.add(ops.mul(other, points), point)))))
    e.store(sums, point, total, start)
  })
  e.barrier()
}
