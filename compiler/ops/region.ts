// Type rule that composite and loop share: a region's parameters are the operands, one by one.

import type { Region, TensorType } from '../graph/types.ts'
import { expect } from './op.ts'
import { sameType, showType } from './shape.ts'

export function checkParams(op: string, region: Region, operands: readonly TensorType[]): void {
  expect(region.params.length === operands.length, op, `has ${operands.length} operands, its region ${region.params.length} parameters`)
  region.params.forEach((param, index) => {
    const operand = operands[index]!
    expect(param.attributes.index === index && param.attributes.region === region.id, op, `parameter ${index} belongs elsewhere`)
    expect(sameType(param.type, operand), op, `parameter ${index} is ${showType(param.type)}, the operand ${showType(operand)}`)
  })
}
