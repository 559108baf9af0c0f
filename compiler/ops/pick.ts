// One position of an axis; the axis is gone afterwards.

import { constant, evaluate, isConstant } from '../../dsl/affine.ts'
import { chooseFrom, chooseOperand, constantAxes } from './choose.ts'
import { expect, type OpDef } from './op.ts'
import { splice } from './shape.ts'
import { strides, walk } from './tensor.ts'

export const pick: OpDef<'pick'> = {
  name: 'pick',
  operands: ['x'],
  rounds: false,
  infer([x], { axis, at }) {
    const dim = x?.dims[axis]
    expect(x !== undefined && dim !== undefined, 'pick', `has no axis ${axis}`)
    expect(!isConstant(at) || (at.const >= 0 && (!isConstant(dim) || at.const < dim.const)), 'pick', 'is outside the axis')
    return { dtype: x.dtype, dims: splice(x.dims, axis, 1) }
  },
  evaluate([x], { axis, at }, { binding }) {
    const place = evaluate(at, binding)
    expect(place >= 0 && place < x!.dims[axis]!, 'pick', `${place} is not inside ${x!.dims[axis]}`)
    const steps = strides(x!.dims)
    const without = <T>(list: readonly T[]): T[] => list.filter((_, i) => i !== axis)
    const dims = without(x!.dims)
    return { dtype: x!.dtype, dims, data: walk(x!.data, dims, without(steps), place * steps[axis]!) }
  },
  generate(choices, pool) {
    const x = chooseOperand(choices, pool, (type) => constantAxes(type).length > 0)
    if (x === undefined) return undefined
    const axis = chooseFrom(choices, constantAxes(pool[x]!))!
    return { operands: [x], attributes: { axis, at: constant(choices.integer(0, pool[x]!.dims[axis]!.const - 1)) } }
  },
}
