// Definitions of a kernel for schedules that take them one by one: what a reduction starts from and how it goes on, the axes that
// are left inside the outer loops, and which definitions an expression reads.

import { f32Max, walkExpr } from '../kernel/expression.ts'
import type { AxisId, Definition, Expr, Kernel, KernelAxis } from '../kernel/types.ts'
import { ops } from './build-loops.ts'
import type { LoopExpr } from './loops.ts'
import { elementOf, toWords } from './scalar-calls.ts'
import type { Scope } from './scope.ts'

export type Combine = NonNullable<Definition['combine']>

const identities: Record<'f32' | 'i32', Record<Combine, number>> = {
  f32: { sum: 0, max: -f32Max, min: f32Max },
  i32: { sum: 0, max: -2147483648, min: 2147483647 },
}

export const identityOf = (definition: Definition): number => identities[typeOf(definition)][definition.combine!]

export const typeOf = (definition: Definition): 'f32' | 'i32' => elementOf(definition.dtype)
export const axisOf = (kernel: Kernel, id: AxisId): KernelAxis => kernel.axes.find((axis) => axis.id === id)!
export const innerAxes = (definition: Definition, outer: readonly KernelAxis[]): AxisId[] =>
  definition.free.filter((id) => !outer.some((axis) => axis.id === id))

/** Definitions that a definition or output mentions directly. */
export function uses(expr: Expr): Set<number> {
  const found = new Set<number>()
  walkExpr(expr, (part) => {
    if (part.kind === 'value') found.add(part.definition)
  })
  return found
}

export function combine(how: Combine, acc: LoopExpr, value: LoopExpr): LoopExpr {
  if (how === 'sum') return ops.add(acc, value)
  // Vectors of integers have no max and min.
  if (acc.type === 'i32x4') return ops.select(how === 'max' ? ops.gt(acc, value) : ops.lt(acc, value), acc, value)
  return how === 'max' ? ops.max(acc, value) : ops.min(acc, value)
}

/** acc = combine(acc, body), with products added in one step. */
export function accumulate(scope: Scope, definition: Definition, acc: LoopExpr, lane?: AxisId): void {
  const value = (expr: Expr): LoopExpr => (lane === undefined ? scope.scalar(expr) : scope.vector(expr, lane))
  const { body } = definition
  if (definition.combine === 'sum' && body.kind === 'call' && body.fn === 'mul' && elementOf(body.dtype) === 'f32') {
    scope.emitter.set(acc, ops.madd(value(body.args[0]!), value(body.args[1]!), acc))
  } else scope.emitter.set(acc, combine(definition.combine!, acc, toWords(value(body))))
}

/** Definitions over the axis that some expressions need, those behind them included, in order. */
export function valuesFor({ definitions }: Kernel, axis: AxisId, exprs: readonly Expr[]): number[] {
  const found = new Set<number>()
  const visit = (e: Expr): void => {
    for (const id of uses(e)) {
      const { free, body } = definitions[id]!
      if (!free.includes(axis) || found.has(id)) continue
      found.add(id)
      visit(body)
    }
  }
  exprs.forEach(visit)
  return [...found].sort((a, b) => a - b)
}

/** A load behind a cast to f32, which is what halves are read as anyway. */
export const stripCasts = (expr: Expr): Expr =>
  expr.kind === 'call' && expr.fn === 'cast' && expr.dtype === 'f32' && expr.args[0]!.kind === 'load' ? expr.args[0]! : expr
