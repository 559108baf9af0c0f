// All instances of a part array, in order: instance i runs the region of group order[i] with the carried values and the
// invariants; weights and states of its paths read `array[i]` for `array[*]`. Results are the carried values at the end.

import type { Tensor } from './tensor.ts'
import { expect, type OpDef } from './op.ts'
import { checkParams } from './region.ts'
import { sameType, showType } from './shape.ts'

export const loop: OpDef<'loop'> = {
  name: 'loop',
  operands: ['...carried', '...invariants'],
  rounds: false,
  infer(operands, { array, groups, order, carried }) {
    expect(carried <= operands.length, 'loop', 'carries more values than it has operands')
    expect(
      order.every((group) => group >= 0 && group < groups.length),
      'loop',
      'an instance has no group',
    )
    for (const region of groups) {
      checkParams('loop', region, operands)
      expect(region.results.length === carried, 'loop', `a body over ${array} yields ${region.results.length} of ${carried} values`)
      region.results.forEach((node, i) => {
        expect(
          sameType(node.type, operands[i]!),
          'loop',
          `carried value ${i} changes from ${showType(operands[i]!)} to ${showType(node.type)}`,
        )
      })
    }
    return operands.slice(0, carried)
  },
  evaluate(operands, { array, groups, order, carried }, context) {
    let values: readonly Tensor[] = operands.slice(0, carried)
    const invariants = operands.slice(carried)
    order.forEach((group, index) => {
      values = context.region(groups[group]!, [...values, ...invariants], { array, index })
    })
    return values
  },
  generate: null,
}
