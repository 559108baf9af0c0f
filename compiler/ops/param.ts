// Parameter of a region: a loop's carried value or invariant, a composite's operand.

import { need, type OpDef } from './op.ts'

export const param: OpDef<'param'> = {
  name: 'param',
  operands: [],
  rounds: false,
  infer: (_operands, _attributes, declared) => need(declared, 'param'),
  evaluate: (_operands, { index }, context) => context.param(index),
  generate: null,
}
