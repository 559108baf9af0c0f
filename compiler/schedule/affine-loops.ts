// Sizes and places as loop expressions: affine numbers over an entry's symbols, row-major places, flat numbers taken apart.

import type { Affine } from '../graph/types.ts'
import type { AxisId, KernelAxis } from '../kernel/types.ts'
import { constant, type Emitter, ops, symbol } from './build-loops.ts'
import type { LoopExpr } from './loops.ts'

/** The i32 value of an affine expression over the entry's symbols. */
export function emitAffine(value: Affine): LoopExpr {
  let sum: LoopExpr | undefined
  for (const [name, factor] of value.terms) {
    const term = factor === 1 ? symbol(name) : ops.mul(symbol(name), constant('i32', factor))
    sum = sum ? ops.add(sum, term) : term
  }
  const rest = constant('i32', value.const)
  return sum ? (value.const === 0 ? sum : ops.add(sum, rest)) : rest
}

/** Row-major strides of dims that may hold symbols, outermost first. */
export function emitStrides(dims: readonly Affine[]): LoopExpr[] {
  const strides: LoopExpr[] = new Array(dims.length)
  let stride: LoopExpr = constant('i32', 1)
  for (let i = dims.length - 1; i >= 0; i--) {
    strides[i] = stride
    stride = ops.mul(stride, emitAffine(dims[i]!))
  }
  return strides
}

/** The row-major place of an element. */
export function emitPlace(at: readonly LoopExpr[], dims: readonly Affine[]): LoopExpr {
  const strides = emitStrides(dims)
  return at.reduce<LoopExpr>((sum, value, i) => ops.add(sum, ops.mul(value, strides[i]!)), constant('i32', 0))
}

/** Cuts a flat index into the values of axes with constant extents, last axis fastest. */
export function unflatten(emitter: Emitter, flat: LoopExpr, axes: readonly KernelAxis[]): [AxisId, LoopExpr][] {
  const values: [AxisId, LoopExpr][] = []
  let rest = flat
  for (let i = axes.length - 1; i >= 0; i--) {
    const extent = axes[i]!.extent.const
    values.unshift([axes[i]!.id, i === 0 ? rest : emitter.value(axes[i]!.id, ops.rem(rest, extent))])
    rest = i === 0 ? rest : emitter.value('rest', ops.div(rest, extent))
  }
  return values
}
