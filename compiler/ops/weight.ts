// A weight as the model reads it: real-typed whatever its storage. `[*]` in the path stands for the instance of the loop.

import { evaluate } from '../../dsl/affine.ts'
import { expect, need, type OpDef } from './op.ts'

export const weight: OpDef<'weight'> = {
  name: 'weight',
  operands: [],
  rounds: true,
  infer: (_operands, _attributes, declared) => need(declared, 'weight'),
  evaluate(_operands, { path }, context) {
    const { data } = context.weight(path)
    const dims = context.type.dims.map((dim) => evaluate(dim, context.binding))
    expect(data.length === dims.reduce((a, b) => a * b, 1), 'weight', `${path} has ${data.length} values, the graph wants [${dims}]`)
    return { dtype: context.type.dtype, dims, data }
  },
  generate: null,
}
