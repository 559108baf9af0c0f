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
