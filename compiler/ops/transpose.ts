// Axes in another order: axis i of the result is axis order[i] of x.

import { chooseOperand } from './choose.ts'
import { expect, type OpDef } from './op.ts'
import { permute } from './tensor.ts'

export const transpose: OpDef<'transpose'> = {
  name: 'transpose',
  operands: ['x'],
  rounds: false,
  infer([x], { order }) {
    expect(x !== undefined && order.length === x.dims.length && new Set(order).size === order.length, 'transpose', 'needs each axis once')
    return {
      dtype: x.dtype,
      dims: order.map((axis) => {
        const dim = x.dims[axis]
        expect(dim !== undefined, 'transpose', `has no axis ${axis}`)
        return dim
      }),
    }
  },
  evaluate: ([x], { order }) => permute(x!, order),
  generate(choices, pool) {
    const x = chooseOperand(choices, pool, (type) => type.dims.length > 1)
    if (x === undefined) return undefined
    const rest = pool[x]!.dims.map((_, axis) => axis)
    const order: number[] = []
    while (rest.length > 0) order.push(...rest.splice(choices.integer(0, rest.length - 1), 1))
    return { operands: [x], attributes: { order } }
  },
}
