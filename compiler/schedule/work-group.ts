// What the invocations of a workgroup do together: share the points of some axes, and join their partial results by a tree in
// scratch memory.

import { constant, load, ops, builtin } from './build-loops.ts'
import { type Combine, combine } from './definitions.ts'
import type { AxisId } from '../kernel/types.ts'
import type { LoopExpr } from './loops.ts'
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

/** The partial results of all invocations as one, for everybody; `tree` is scratch memory with a word for each. */
export function joinAll(scope: Pick<Scope, 'emitter'>, threads: number, tree: number, how: Combine, partial: LoopExpr): LoopExpr {
  const e = scope.emitter
  const type = partial.type
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

/** Partial results: `points` words side by side of each sharer, in scratch operand `partial`. */
export interface Partials {
  readonly threads: number
  /** A power of two. */
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
export function joinPoints(scope: Scope, { threads, sharers, points, partial, sums, start, how = 'sum' }: Partials): void {
  const e = scope.emitter
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
