// Pointwise functions of one operand; the functions are rows of the scalar table.

import { unaryOps } from '../../dsl/sink.ts'
import { chooseFrom, chooseOperand } from './choose.ts'
import { expect, type OpDef } from './op.ts'
import { accepts, unaryRow } from './scalar.ts'
import { rounding } from './tensor.ts'
import { isFloat } from './op.ts'

export const unary: OpDef<'unary'> = {
  name: 'unary',
  operands: ['x'],
  rounds: true,
  infer([x], { fn }) {
    const row = unaryRow(fn)
    expect(x !== undefined && accepts(row, x.dtype), 'unary', `${fn} is not defined on ${x?.dtype}`)
    return { dtype: row.result === 'bool' ? 'bool' : x.dtype, dims: x.dims }
  },
  evaluate([x], { fn }, { type }) {
    const { evaluate } = unaryRow(fn)
    const source = x!.data
    const data = new Float64Array(source.length)
    for (let i = 0; i < data.length; i++) data[i] = evaluate(source[i]!)
    if (!isFloat(type.dtype)) for (let i = 0; i < data.length; i++) data[i] = rounding[type.dtype](data[i]!)
    return { dtype: type.dtype, dims: x!.dims, data }
  },
  generate(choices, pool) {
    const fn = chooseFrom(choices, unaryOps)!
    const x = chooseOperand(choices, pool, (type) => accepts(unaryRow(fn), type.dtype))
    return x === undefined ? undefined : { operands: [x], attributes: { fn } }
  },
}
