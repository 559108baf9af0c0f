// The k largest along an axis, largest first, ties by lower index. Two nodes with one operand: values, and i32 indices.

import { constant } from '../../dsl/affine.ts'
import { chooseFrom, chooseOperand, constantAxes } from './choose.ts'
import { expect, type OpDef } from './op.ts'
import { splice } from './shape.ts'
import { elements } from './tensor.ts'

export const topk: OpDef<'topk'> = {
  name: 'topk',
  operands: ['x'],
  rounds: false,
  infer([x], { axis, k, part }) {
    expect(x?.dims[axis] !== undefined && x.dtype !== 'bool', 'topk', `has no axis ${axis} of numbers`)
    return { dtype: part === 'values' ? x.dtype : 'i32', dims: splice(x.dims, axis, 1, constant(k)) }
  },
  evaluate([x], { axis, k, part }, { type }) {
    const n = x!.dims[axis]!
    expect(k <= n, 'topk', `${k} of ${n}`)
    const inner = elements(x!.dims.slice(axis + 1))
    const outer = elements(x!.dims.slice(0, axis))
    const dims = x!.dims.map((dim, i) => (i === axis ? k : dim))
    const data = new Float64Array(elements(dims))
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        const at = (j: number): number => x!.data[(o * n + j) * inner + i]!
        const order = [...Array(n).keys()].sort((a, b) => at(b) - at(a) || a - b)
        for (let j = 0; j < k; j++) data[(o * k + j) * inner + i] = part === 'values' ? at(order[j]!) : order[j]!
      }
    }
    return { dtype: type.dtype, dims, data }
  },
  generate(choices, pool) {
    const x = chooseOperand(choices, pool, (type) => type.dtype !== 'bool' && constantAxes(type).length > 0)
    if (x === undefined) return undefined
    const axis = chooseFrom(choices, constantAxes(pool[x]!))!
    const k = choices.integer(1, pool[x]!.dims[axis]!.const)
    return { operands: [x], attributes: { axis, k, part: choices.integer(0, 1) === 0 ? 'values' : 'indices' } }
  },
}
