// A state as the entry (or the loop body, for a path with `[*]`) finds it.

import { need, type OpDef } from './op.ts'

export const state: OpDef<'state'> = {
  name: 'state',
  operands: [],
  rounds: false,
  infer: (_operands, _attributes, declared) => need(declared, 'state'),
  evaluate: (_operands, { path }, context) => context.state(path),
  generate: null,
}
