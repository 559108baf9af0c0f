// condition ? yes : no, element by element. Both sides are values already: nothing is skipped.

import { chooseOperand } from './choose.ts'
import { expect, type OpDef } from './op.ts'
import { sameDims, sameType } from './shape.ts'

export const where: OpDef<'where'> = {
  name: 'where',
  operands: ['condition', 'yes', 'no'],
  rounds: false,
  infer([condition, yes, no]) {
    expect(condition?.dtype === 'bool' && yes !== undefined && no !== undefined, 'where', 'needs a bool condition and two values')
    expect(sameType(yes, no) && sameDims(condition.dims, yes.dims), 'where', 'condition and values differ in shape or type')
    return yes
  },
  evaluate([condition, yes, no]) {
    const data = new Float64Array(yes!.data.length)
    for (let i = 0; i < data.length; i++) data[i] = condition!.data[i] !== 0 ? yes!.data[i]! : no!.data[i]!
    return { dtype: yes!.dtype, dims: yes!.dims, data }
  },
  generate(choices, pool) {
    const condition = chooseOperand(choices, pool, (type) => type.dtype === 'bool')
    if (condition === undefined) return undefined
    const yes = chooseOperand(choices, pool, (type) => sameDims(type.dims, pool[condition]!.dims))!
    const no = chooseOperand(choices, pool, (type) => sameType(type, pool[yes]!))!
    return { operands: [condition, yes, no], attributes: {} }
  },
}
