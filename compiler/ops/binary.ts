// Pointwise functions of two operands of one type; the functions are rows of the scalar table.

import { binaryOps } from '../../dsl/sink.ts'
import { chooseFrom, chooseOperand } from './choose.ts'
import { expect, isFloat, type OpDef } from './op.ts'
import { accepts, binaryRow } from './scalar.ts'
import { sameType, showType } from './shape.ts'
import { rounding } from './tensor.ts'

export const binary: OpDef<'binary'> = {
  name: 'binary',
  operands: ['a', 'b'],
  rounds: true,
  infer([a, b], { fn }) {
    const row = binaryRow(fn)
    expect(a !== undefined && b !== undefined && sameType(a, b), 'binary', `${fn} of ${a && showType(a)} and ${b && showType(b)}`)
    expect(accepts(row, a.dtype), 'binary', `${fn} is not defined on ${a.dtype}`)
    return { dtype: row.result === 'bool' ? 'bool' : a.dtype, dims: a.dims }
  },
  evaluate([a, b], { fn }, { type }) {
    const row = binaryRow(fn)
    const evaluate = !isFloat(a!.dtype) && row.integer ? row.integer : row.evaluate
    const left = a!.data
    const right = b!.data
    const data = new Float64Array(left.length)
    for (let i = 0; i < data.length; i++) data[i] = evaluate(left[i]!, right[i]!)
    if (!isFloat(type.dtype)) for (let i = 0; i < data.length; i++) data[i] = rounding[type.dtype](data[i]!)
    return { dtype: type.dtype, dims: a!.dims, data }
  },
  generate(choices, pool) {
    const fn = chooseFrom(choices, binaryOps)!
    const a = chooseOperand(choices, pool, (type) => accepts(binaryRow(fn), type.dtype))
    if (a === undefined) return undefined
    const b = chooseOperand(choices, pool, (type) => sameType(type, pool[a]!))!
    return { operands: [a, b], attributes: { fn } }
  },
}
