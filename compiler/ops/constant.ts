// A tensor computed at compile time. Its data lives in Graph.constants under the attribute's id.

import { need, type OpDef } from './op.ts'

export const constant: OpDef<'constant'> = {
  name: 'constant',
  operands: [],
  rounds: true,
  infer: (_operands, _attributes, declared) => need(declared, 'constant'),
  evaluate(_operands, { id }, context) {
    const { dtype, dims, data } = context.constant(id)
    return { dtype, dims, data: data.slice() }
  },
  // Made by passes only, together with its data.
  generate: null,
}
