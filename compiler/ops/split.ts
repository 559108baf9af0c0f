// One axis becomes several, row-major; the data stays where it is.

import { constant, equals, isConstant } from '../../dsl/affine.ts'
import { chooseFrom, chooseOperand, constantAxes } from './choose.ts'
import { expect, type OpDef } from './op.ts'
import { product, showDims, sizes, splice } from './shape.ts'

const divisors = [2, 3, 1]

export const split: OpDef<'split'> = {
  name: 'split',
  operands: ['x'],
  rounds: false,
  infer([x], { axis, sizes: parts }) {
    const dim = x?.dims[axis]
    expect(x !== undefined && dim !== undefined, 'split', `has no axis ${axis}`)
    expect(equals(product(parts, 'split'), dim), 'split', `${showDims(parts)} does not make ${showDims([dim])}`)
    return { dtype: x.dtype, dims: splice(x.dims, axis, 1, ...parts) }
  },
  evaluate: ([x], _attributes, { type, binding }) => ({ dtype: x!.dtype, dims: sizes(type.dims, binding), data: x!.data }),
  generate(choices, pool) {
    const x = chooseOperand(choices, pool, (type) => type.dims.length < 4 && constantAxes(type).length > 0)
    if (x === undefined) return undefined
    const axis = chooseFrom(choices, constantAxes(pool[x]!))!
    const dim = pool[x]!.dims[axis]!
    if (!isConstant(dim)) return undefined
    const outer = chooseFrom(
      choices,
      divisors.filter((divisor) => dim.const % divisor === 0),
    )!
    return { operands: [x], attributes: { axis, sizes: [constant(outer), constant(dim.const / outer)] } }
  },
}
