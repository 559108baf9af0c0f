// Repeats x: axis i of x becomes axis places[i] of the result (increasing), the other axes of the result repeat it.
// The result's dims are the node's type.

import { constant, equals, symbol } from '../../dsl/affine.ts'
import { chooseFrom, chooseOperand } from './choose.ts'
import { expect, need, type OpDef } from './op.ts'
import { sizes, splice } from './shape.ts'
import { strides, walk } from './tensor.ts'

export const broadcast: OpDef<'broadcast'> = {
  name: 'broadcast',
  operands: ['x'],
  rounds: false,
  infer([x], { places }, declared) {
    const { dims } = need(declared, 'broadcast')
    expect(x !== undefined && places.length === x.dims.length, 'broadcast', 'needs one place for each axis')
    places.forEach((place, axis) => {
      expect(axis === 0 || place > places[axis - 1]!, 'broadcast', 'places must increase')
      expect(dims[place] !== undefined && equals(dims[place], x.dims[axis]!), 'broadcast', `axis ${axis} does not fit its place`)
    })
    return { dtype: x.dtype, dims }
  },
  evaluate([x], { places }, { type, binding }) {
    const dims = sizes(type.dims, binding)
    const from = strides(x!.dims)
    const steps = dims.map(() => 0)
    places.forEach((place, axis) => {
      steps[place] = from[axis]!
    })
    return { dtype: x!.dtype, dims, data: walk(x!.data, dims, steps) }
  },
  generate(choices, pool) {
    const x = chooseOperand(choices, pool, (type) => type.dims.length < 4)
    if (x === undefined) return undefined
    const { dtype, dims } = pool[x]!
    const at = choices.integer(0, dims.length)
    const size = chooseFrom(choices, [constant(2), constant(1), constant(3), symbol('seq')])!
    const places = dims.map((_, axis) => (axis < at ? axis : axis + 1))
    return { operands: [x], attributes: { places }, declared: { dtype, dims: splice(dims, at, 0, size) } }
  },
}
