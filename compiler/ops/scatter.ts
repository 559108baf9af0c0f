// state[axis: index] = value, where value has index's axis in place of `axis`; where indices repeat, the last wins. Indices
// outside are clamped, as in every kernel. The result is the state's next version.

import { equals } from '../../dsl/affine.ts'
import { expect, type OpDef } from './op.ts'
import { sameDims, splice } from './shape.ts'
import { elements } from './tensor.ts'

export const scatter: OpDef<'scatter'> = {
  name: 'scatter',
  operands: ['state', 'index', 'value'],
  rounds: false,
  infer([state, index, value], { axis }) {
    expect(
      state?.dims[axis] !== undefined && index?.dtype === 'i32' && index.dims.length === 1,
      'scatter',
      'needs an i32 index of one axis',
    )
    expect(
      value?.dtype === state.dtype &&
        value.dims.length === state.dims.length &&
        equals(value.dims[axis]!, index.dims[0]!) &&
        sameDims(splice(state.dims, axis, 1), splice(value.dims, axis, 1)),
      'scatter',
      'the value does not fit the state',
    )
    return state
  },
  evaluate([state, index, value], { axis }) {
    const data = state!.data.slice()
    const inner = elements(state!.dims.slice(axis + 1))
    const size = state!.dims[axis]!
    const count = index!.dims[0]!
    for (let o = 0; o < elements(state!.dims.slice(0, axis)); o++) {
      for (let i = 0; i < count; i++) {
        const row = Math.min(size - 1, Math.max(0, index!.data[i]!))
        const from = (o * count + i) * inner
        data.set(value!.data.subarray(from, from + inner), (o * size + row) * inner)
      }
    }
    return { dtype: state!.dtype, dims: state!.dims, data }
  },
  generate: null,
}
