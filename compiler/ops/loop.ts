// All instances of a part array, in order: instance i runs the region of group order[i] with the carried values and the
// invariants; weights and states of its paths read `array[i]` for `array[*]`. Results are the carried values at the end, then
// what the bodies gave beyond those: each instance's own, in order of instances.

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
      expect(region.results.length >= carried, 'loop', `a body over ${array} yields ${region.results.length} of ${carried} values`)
      region.results.slice(0, carried).forEach((node, i) => {
        expect(
          sameType(node.type, operands[i]!),
          'loop',
          `carried value ${i} changes from ${showType(operands[i]!)} to ${showType(node.type)}`,
        )
      })
    }
    const kept = order.flatMap((group) => groups[group]!.results.slice(carried).map(({ type }) => type))
    return [...operands.slice(0, carried), ...kept]
  },
  evaluate(operands, { array, groups, order, carried }, context) {
    let values: readonly Tensor[] = operands.slice(0, carried)
    const invariants = operands.slice(carried)
    const kept: Tensor[] = []
    order.forEach((group, index) => {
      const results = context.region(groups[group]!, [...values, ...invariants], { array, index })
      values = results.slice(0, carried)
      kept.push(...results.slice(carried))
    })
    return [...values, ...kept]
  },
  generate: null,
}
