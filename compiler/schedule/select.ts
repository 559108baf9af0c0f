// Schedules the choice of the k largest: for every point of the other axes, k passes over the axis, each taking the largest
// value after the one before in the order (value descending, index ascending). No memory is needed, and ties go to the lower
// index by construction. k and the axis are small where models choose (experts); an arg-max is the case k = 1.

import * as affine from '../../dsl/affine.ts'
import { dtypeOf } from '../kernel/expression.ts'
import type { Kernel } from '../kernel/types.ts'
import { builtin, constant, Emitter, ops } from './build-loops.ts'
import { ordered } from './integers.ts'
import type { LoopExpr, LoopFunction } from './loops.ts'
import type { Machine } from './machine.ts'
import { kernelFunction } from './outputs.ts'
import { overRows } from './rows.ts'
import { elementOf } from './scalar-calls.ts'
import { emitAffine } from './affine-loops.ts'
import { nest, Scope } from './scope.ts'

export function scheduleSelect(kernel: Kernel, machine: Machine, bounds: affine.Bounds): LoopFunction {
  const select = kernel.select!
  const scope = new Scope(kernel, new Emitter(), bounds)
  const e = scope.emitter
  const along = kernel.axes.find((axis) => axis.id === select.axis)!
  const places = new Set([select.values?.place, select.indices?.place])
  const outer = kernel.axes.filter((axis) => axis !== along && !places.has(axis.id))
  const fixed = outer.filter((axis) => affine.isConstant(axis.extent))
  const moving = outer.filter((axis) => !affine.isConstant(axis.extent))

  const float = elementOf(dtypeOf(select.value)) === 'f32'
  const [least, most] = float ? [-3.4028234663852886e38, 3.4028234663852886e38] : [-2147483648, 2147483647]
  const limit = (value: number): LoopExpr => constant(float ? 'f32' : 'i32', value)

  const point = (): void => {
    const lastValue = e.let('last_value', limit(most))
    const lastIndex = e.let('last_index', constant('i32', -1))
    e.loop('rank', 0, select.k, 1, (rank) => {
      const best = e.let('best', limit(least))
      const bestIndex = e.let('best_index', constant('i32', 0))
      const found = e.let('found', constant('i32', 0))
      e.loop(along.id, 0, emitAffine(along.extent), 1, (i) =>
        scope.at([[along.id, i]], () => {
          const value = e.value('value', ordered(scope.scalar(select.value), dtypeOf(select.value)))
          const after = ops.or(ops.lt(value, lastValue), ops.and(ops.eq(value, lastValue), ops.gt(i, lastIndex)))
          const better = ops.or(ops.eq(found, 0), ops.gt(value, best))
          e.if(ops.and(after, better), () => {
            e.set(best, value)
            e.set(bestIndex, i)
            e.set(found, 1)
          })
        }),
      )
      e.set(lastValue, best)
      e.set(lastIndex, bestIndex)
      const write = (place: NonNullable<typeof select.values> | undefined, value: LoopExpr): void => {
        if (place)
          scope.at([[place.place, rank]], () => e.store(place.operand, scope.flat(kernel.operands[place.operand]!, place.index), value))
      }
      write(select.values, ordered(best, dtypeOf(select.value)))
      write(select.indices, bestIndex)
    })
  }
  if (machine.rowBlocks) {
    const rows = overRows(scope, outer, point)
    return kernelFunction(kernel, e, rows ? { rows } : {})
  }
  if (moving.length > 2) throw new Error(`internal: ${kernel.name} has more symbolic axes than a grid has dimensions`)
  const at: [string, LoopExpr][] = moving.map((axis, i) => [axis.id, builtin(i === 0 ? 'group_y' : 'group_z')])
  scope.at(at, () => nest(scope, fixed, point))
  return kernelFunction(kernel, e, { workgroup: 1, grid: [[], ...moving.map((axis) => [{ size: axis.extent, divisor: 1 }])] })
}
