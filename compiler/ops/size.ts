// The i32 value of an affine expression over the entry's symbols: a size or an `index` argument inside an expression.

import { evaluate } from '../../dsl/affine.ts'
import { constant, symbol } from '../../dsl/affine.ts'
import type { OpDef } from './op.ts'

export const size: OpDef<'size'> = {
  name: 'size',
  operands: [],
  rounds: false,
  infer: () => ({ dtype: 'i32', dims: [] }),
  evaluate: (_operands, { value }, { binding }) => ({ dtype: 'i32', dims: [], data: Float64Array.of(evaluate(value, binding)) }),
  generate(choices) {
    const value = [constant(2), symbol('start'), symbol('seq')][choices.integer(0, 2)]!
    return { operands: [], attributes: { value } }
  },
}
