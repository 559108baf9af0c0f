// 0, 1, … n-1 as i32[n].

import { constant, evaluate, symbol } from '../../dsl/affine.ts'
import type { OpDef } from './op.ts'

export const iota: OpDef<'iota'> = {
  name: 'iota',
  operands: [],
  rounds: false,
  infer: (_operands, { n }) => ({ dtype: 'i32', dims: [n] }),
  evaluate(_operands, attributes, { binding }) {
    const n = evaluate(attributes.n, binding)
    return { dtype: 'i32', dims: [n], data: Float64Array.from({ length: n }, (_, i) => i) }
  },
  generate(choices) {
    const pick = choices.integer(0, 3)
    return { operands: [], attributes: { n: pick === 3 ? symbol('seq') : constant(pick + 1) } }
  },
}
