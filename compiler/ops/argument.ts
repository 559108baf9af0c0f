// A tensor argument of the entry.

import { need, type OpDef } from './op.ts'

export const argument: OpDef<'argument'> = {
  name: 'argument',
  operands: [],
  rounds: false,
  infer: (_operands, _attributes, declared) => need(declared, 'argument'),
  evaluate: (_operands, { name }, context) => context.argument(name),
  generate: null,
}
