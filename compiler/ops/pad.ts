// A constant value before and after the positions of one axis.

import { add, constant, evaluate } from '../../dsl/affine.ts'
import { chooseOperand } from './choose.ts'
import { expect, type OpDef } from './op.ts'
import { splice } from './shape.ts'
import { elements } from './tensor.ts'

export const pad: OpDef<'pad'> = {
  name: 'pad',
  operands: ['x'],
  rounds: true,
  infer([x], { axis, before, after }) {
    const dim = x?.dims[axis]
    expect(x !== undefined && dim !== undefined, 'pad', `has no axis ${axis}`)
    return { dtype: x.dtype, dims: splice(x.dims, axis, 1, add(add(before, dim), after)) }
  },
  evaluate([x], { axis, before, after, value }, { binding }) {
    const front = evaluate(before, binding)
    const dims = x!.dims.map((dim, i) => (i === axis ? front + dim + evaluate(after, binding) : dim))
    const data = new Float64Array(elements(dims)).fill(value)
    const run = elements(x!.dims.slice(axis))
    const step = elements(dims.slice(axis))
    const skip = front * elements(dims.slice(axis + 1))
    for (let o = 0; o < elements(dims.slice(0, axis)); o++) data.set(x!.data.subarray(o * run, (o + 1) * run), o * step + skip)
    return { dtype: x!.dtype, dims, data }
  },
  generate(choices, pool) {
    const x = chooseOperand(choices, pool, (type) => type.dims.length > 0 && type.dtype !== 'bool')
    if (x === undefined) return undefined
    const axis = choices.integer(0, pool[x]!.dims.length - 1)
    const [before, after] = [constant(choices.integer(0, 2)), constant(choices.integer(0, 2))]
    return { operands: [x], attributes: { axis, before, after, value: choices.integer(-1, 1) } }
  },
}
