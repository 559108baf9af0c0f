// state[axis: start ..+ size(value)] = value; the result is the state's next version (here a copy; the planner stores in place).

import { evaluate } from '../../dsl/affine.ts'
import { expect, type OpDef } from './op.ts'
import { sameDims, splice } from './shape.ts'
import { elements } from './tensor.ts'

export const store: OpDef<'store'> = {
  name: 'store',
  operands: ['state', 'value'],
  rounds: false,
  infer([state, value], { axis }) {
    expect(
      state?.dims[axis] !== undefined &&
        value?.dtype === state.dtype &&
        value.dims.length === state.dims.length &&
        sameDims(splice(state.dims, axis, 1), splice(value.dims, axis, 1)),
      'store',
      'the value does not fit the state',
    )
    return state
  },
  evaluate([state, value], { axis, start }, { binding }) {
    const from = evaluate(start, binding)
    const count = value!.dims[axis]!
    expect(from >= 0 && from + count <= state!.dims[axis]!, 'store', `[${from} ..+ ${count}] is not inside ${state!.dims[axis]}`)
    const data = state!.data.slice()
    const inner = elements(state!.dims.slice(axis + 1))
    const run = count * inner
    for (let o = 0; o < elements(state!.dims.slice(0, axis)); o++) {
      data.set(value!.data.subarray(o * run, (o + 1) * run), (o * state!.dims[axis]! + from) * inner)
    }
    return { dtype: state!.dtype, dims: state!.dims, data }
  },
  // Needs a state: the random graphs of the tests place stores themselves.
  generate: null,
}
