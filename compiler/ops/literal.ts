// A scalar constant. ±Infinity in the attribute means the largest finite number of the type: WGSL has no infinity.

import { expect, isFloat, need, type OpDef } from './op.ts'
import { largest } from './tensor.ts'

const values = [0, 1, 0.5, -1, 2, -0.25, 3]

export const literal: OpDef<'literal'> = {
  name: 'literal',
  operands: [],
  rounds: true,
  infer(operands, _attributes, declared) {
    const type = need(declared, 'literal')
    expect(operands.length === 0 && type.dims.length === 0, 'literal', 'must be a scalar without operands')
    return type
  },
  evaluate(_operands, { value }, { type, mode }) {
    const { dtype } = type
    const finite = Number.isFinite(value) || !isFloat(dtype) ? value : Math.sign(value) * largest(dtype, mode)
    return { dtype, dims: [], data: Float64Array.of(finite) }
  },
  generate(choices) {
    const float = choices.integer(0, 2) > 0
    const value = float ? values[choices.integer(0, values.length - 1)]! : choices.integer(-3, 4)
    return { operands: [], attributes: { value }, declared: { dtype: float ? 'f32' : 'i32', dims: [] } }
  },
}
