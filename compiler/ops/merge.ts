// Neighbouring axes become one, row-major; the data stays where it is.

import { isConstant } from '../../dsl/affine.ts'
import { chooseOperand } from './choose.ts'
import { expect, type OpDef } from './op.ts'
import { product, sizes, splice } from './shape.ts'

export const merge: OpDef<'merge'> = {
  name: 'merge',
  operands: ['x'],
  rounds: false,
  infer([x], { axis, count }) {
    expect(x !== undefined && axis >= 0 && count >= 1 && axis + count <= x.dims.length, 'merge', `has no ${count} axes from ${axis}`)
    return { dtype: x.dtype, dims: splice(x.dims, axis, count, product(x.dims.slice(axis, axis + count), 'merge')) }
  },
  evaluate: ([x], _attributes, { type, binding }) => ({ dtype: x!.dtype, dims: sizes(type.dims, binding), data: x!.data }),
  generate(choices, pool) {
    const x = chooseOperand(choices, pool, (type) => type.dims.length > 1)
    if (x === undefined) return undefined
    const { dims } = pool[x]!
    const axis = choices.integer(0, dims.length - 2)
    if (!isConstant(dims[axis]!) && !isConstant(dims[axis + 1]!)) return undefined
    return { operands: [x], attributes: { axis, count: 2 } }
  },
}
