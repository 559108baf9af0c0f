// Parts one after the other along an axis; all other axes are equal.

import { add, constant } from '../../dsl/affine.ts'
import { chooseOperand } from './choose.ts'
import { expect, type OpDef } from './op.ts'
import { sameDims, sizes, splice } from './shape.ts'
import { elements } from './tensor.ts'

export const concat: OpDef<'concat'> = {
  name: 'concat',
  operands: ['...parts'],
  rounds: false,
  infer(parts, { axis }) {
    const first = parts[0]
    expect(first !== undefined && axis >= 0 && axis < first.dims.length, 'concat', `has no axis ${axis}`)
    const rest = splice(first.dims, axis, 1)
    for (const part of parts) {
      expect(
        part.dtype === first.dtype && part.dims.length === first.dims.length && sameDims(splice(part.dims, axis, 1), rest),
        'concat',
        'the parts do not fit together',
      )
    }
    const size = parts.reduce((sum, part) => add(sum, part.dims[axis]!), constant(0))
    return { dtype: first.dtype, dims: splice(first.dims, axis, 1, size) }
  },
  evaluate(parts, { axis }, { type, binding }) {
    const dims = sizes(type.dims, binding)
    const data = new Float64Array(elements(dims))
    const outer = elements(dims.slice(0, axis))
    const runs = parts.map((part) => elements(part.dims.slice(axis)))
    let out = 0
    for (let o = 0; o < outer; o++) {
      parts.forEach((part, i) => {
        const run = runs[i]!
        data.set(part.data.subarray(o * run, (o + 1) * run), out)
        out += run
      })
    }
    return { dtype: type.dtype, dims, data }
  },
  generate(choices, pool) {
    const x = chooseOperand(choices, pool, (type) => type.dims.length > 0)
    if (x === undefined) return undefined
    const axis = choices.integer(0, pool[x]!.dims.length - 1)
    const rest = splice(pool[x]!.dims, axis, 1)
    const y = chooseOperand(
      choices,
      pool,
      (type) => type.dtype === pool[x]!.dtype && type.dims.length === rest.length + 1 && sameDims(splice(type.dims, axis, 1), rest),
    )!
    return { operands: [x, y], attributes: { axis } }
  },
}
