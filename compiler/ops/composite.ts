// A named call of a library or user op. The region is its whole meaning; the name lets a target take a shortcut.

import { expect, type OpDef } from './op.ts'
import { checkParams } from './region.ts'

export const composite: OpDef<'composite'> = {
  name: 'composite',
  operands: ['...operands'],
  rounds: false,
  infer(operands, { name, region }) {
    checkParams('composite', region, operands)
    expect(region.states.size === 0, 'composite', `${name} stores to a state`)
    return region.results.map((node) => node.type)
  },
  evaluate: (operands, { region }, context) => context.region(region, operands),
  generate: null,
}
