// `size` neighbouring positions of one axis from `start` on. That they lie inside is one check per call, not per op.

import { constant, evaluate, isConstant, subtract } from '../../dsl/affine.ts'
import { chooseFrom, chooseOperand, constantAxes } from './choose.ts'
import { expect, type OpDef } from './op.ts'
import { splice } from './shape.ts'
import { strides, walk } from './tensor.ts'

export const slice: OpDef<'slice'> = {
  name: 'slice',
  operands: ['x'],
  rounds: false,
  infer([x], { axis, start, size }) {
    const dim = x?.dims[axis]
    expect(x !== undefined && dim !== undefined, 'slice', `has no axis ${axis}`)
    const left = subtract(subtract(dim, start), size)
    expect(!isConstant(start) || start.const >= 0, 'slice', 'starts before the axis')
    expect(!isConstant(left) || left.const >= 0, 'slice', 'ends behind the axis')
    return { dtype: x.dtype, dims: splice(x.dims, axis, 1, size) }
  },
  evaluate([x], { axis, start, size }, { binding }) {
    const from = evaluate(start, binding)
    const count = evaluate(size, binding)
    expect(from >= 0 && count >= 0 && from + count <= x!.dims[axis]!, 'slice', `[${from} ..+ ${count}] is not inside ${x!.dims[axis]}`)
    const steps = strides(x!.dims)
    const dims = x!.dims.map((dim, i) => (i === axis ? count : dim))
    const data =
      axis === 0 ? x!.data.subarray(from * steps[0]!, (from + count) * steps[0]!) : walk(x!.data, dims, steps, from * steps[axis]!)
    return { dtype: x!.dtype, dims, data }
  },
  generate(choices, pool) {
    const x = chooseOperand(choices, pool, (type) => constantAxes(type).length > 0)
    if (x === undefined) return undefined
    const axis = chooseFrom(choices, constantAxes(pool[x]!))!
    const dim = pool[x]!.dims[axis]!.const
    const start = choices.integer(0, dim - 1)
    const size = choices.integer(1, dim - start)
    return { operands: [x], attributes: { axis, start: constant(start), size: constant(size) } }
  },
}
