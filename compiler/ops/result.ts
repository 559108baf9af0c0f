// One of several results of a composite or a loop. A node with a single result is read directly.

import { expect, need, type OpDef } from './op.ts'

export const result: OpDef<'result'> = {
  name: 'result',
  operands: ['call'],
  rounds: false,
  // The operand's list of types is not visible here: the verifier compares it with the declared type.
  infer(operands, _attributes, declared) {
    expect(operands.length === 1, 'result', 'takes one composite or loop')
    return need(declared, 'result')
  },
  evaluate: (_operands, { index }, context) => context.results()[index]!,
  generate: null,
}
