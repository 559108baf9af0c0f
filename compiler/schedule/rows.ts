// Rows of a function: the part of its outer axes that may be cut into runs for blocks and threads.

import * as affine from '../../dsl/affine.ts'
import type { KernelAxis } from '../kernel/types.ts'
import { builtin } from './build-loops.ts'
import { countOf } from './count.ts'
import type { LoopFunction } from './loops.ts'
import { nest, type Scope } from './scope.ts'
import { unflatten } from './affine-loops.ts'

/** Rows that are worth handing out to threads: more of them would only cost divisions. */
const enoughRows = 16

/**
 * Loops over some axes as rows that can be handed out in runs (`from` … `to`): the first axis, with those after it while
 * they are constant and the rows are few. Undefined where there is no axis to cut.
 */
export function overRows(scope: Scope, axes: readonly KernelAxis[], body: () => void): LoopFunction['rows'] {
  const [first, ...others] = axes
  if (!first) {
    body()
    return undefined
  }
  let [taken, count] = [1, first.extent]
  while (affine.isConstant(count) && count.const < enoughRows && axes[taken] && affine.isConstant(axes[taken]!.extent)) {
    count = affine.scale(count, axes[taken++]!.extent.const)
  }
  const e = scope.emitter
  const rest = taken === 1 ? others : axes.slice(taken)
  const name = taken === 1 ? first.id : 'row'
  e.loop(name, builtin('from'), builtin('to'), 1, (flat) => {
    scope.at(taken === 1 ? [[first.id, flat]] : unflatten(e, flat, axes.slice(0, taken)), () => nest(scope, rest, body))
  })
  return { count: countOf(count), unit: 1 }
}
