// sum, max, min over axes. Sums accumulate in f64 here and in at least f32 everywhere, so a sum of half floats may be declared
// f32: that is `f32(sum(…))` without the rounding between. An empty max or min is 0, and so is a max over a fully masked row
// (nothing above -inf's finite stand-in) and a min over one: models need no special case for rows that see nothing.

import type { ReduceOp } from '../../dsl/sink.ts'
import { chooseFrom, chooseOperand, constantAxes } from './choose.ts'
import { expect, isFloat, type OpDef } from './op.ts'
import { elements, largest, permute, rounding } from './tensor.ts'

const combine: Readonly<Record<ReduceOp, (a: number, b: number) => number>> = { sum: (a, b) => a + b, max: Math.max, min: Math.min }
const start: Readonly<Record<ReduceOp, number>> = { sum: 0, max: Number.NEGATIVE_INFINITY, min: Number.POSITIVE_INFINITY }

export const reduce: OpDef<'reduce'> = {
  name: 'reduce',
  operands: ['x'],
  rounds: true,
  infer([x], { fn, axes }, declared) {
    expect(x !== undefined && x.dtype !== 'bool', 'reduce', 'needs a number operand')
    expect(
      axes.every((axis, i) => axis >= 0 && axis < x.dims.length && (i === 0 || axis > axes[i - 1]!)),
      'reduce',
      'axes must increase',
    )
    const wide = fn === 'sum' && declared?.dtype === 'f32' && isFloat(x.dtype)
    return { dtype: wide ? 'f32' : x.dtype, dims: x.dims.filter((_, axis) => !axes.includes(axis)) }
  },
  evaluate([x], { fn, axes }, { type, mode }) {
    const kept = x!.dims.flatMap((_, axis) => (axes.includes(axis) ? [] : [axis]))
    const { data: source } = permute(x!, [...kept, ...axes])
    const dims = kept.map((axis) => x!.dims[axis]!)
    const run = elements(axes.map((axis) => x!.dims[axis]!))
    const data = new Float64Array(elements(dims))
    const step = combine[fn]
    const limit = isFloat(x!.dtype) ? largest(x!.dtype, mode) : Number.POSITIVE_INFINITY
    // Integers have no value that stands for a masked place; of i32 the ends of its range do.
    const [least, most] = x!.dtype === 'i32' ? [-2147483648, 2147483647] : [-limit, limit]
    for (let row = 0; row < data.length; row++) {
      let value = start[fn]
      for (let i = row * run; i < (row + 1) * run; i++) value = step(value, source[i]!)
      if (fn === 'max' && value <= least) value = 0
      if (fn === 'min' && value >= most) value = 0
      data[row] = isFloat(type.dtype) ? value : rounding[type.dtype](value)
    }
    return { dtype: type.dtype, dims, data }
  },
  generate(choices, pool) {
    const x = chooseOperand(choices, pool, (type) => type.dims.length > 0 && type.dtype !== 'bool')
    if (x === undefined) return undefined
    const fn = chooseFrom(choices, ['sum', 'max', 'min'] as const)!
    const all = pool[x]!.dims.map((_, axis) => axis)
    const axes = choices.integer(0, 3) === 3 ? all : [chooseFrom(choices, constantAxes(pool[x]!).concat(all))!]
    return { operands: [x], attributes: { fn, axes } }
  },
}
