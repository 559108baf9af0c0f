// The typed meaning of 8-bit activations: in blocks of 32 along the last axis, d = max|x| / 127 as f32, q = round(x / d) with
// halves to even, result q·d. The identity in exact mode. A last block may be shorter.

import { chooseOperand } from './choose.ts'
import { expect, isFloat, type OpDef } from './op.ts'
import { roundEven } from './tensor.ts'

export const blockSize = 32

export const quantise: OpDef<'quantise'> = {
  name: 'quantise',
  operands: ['x'],
  rounds: true,
  infer([x]) {
    expect(x !== undefined && isFloat(x.dtype) && x.dims.length > 0, 'quantise', 'needs floats with an axis')
    return x
  },
  evaluate([x], _attributes, { mode }) {
    if (mode === 'exact') return x!
    const row = x!.dims[x!.dims.length - 1]!
    const data = new Float64Array(x!.data.length)
    for (let base = 0; base < data.length; base += row) {
      for (let from = base; from < base + row; from += blockSize) {
        const end = Math.min(from + blockSize, base + row)
        let most = 0
        for (let i = from; i < end; i++) most = Math.max(most, Math.abs(x!.data[i]!))
        const scale = Math.fround(most / 127)
        for (let i = from; i < end; i++) data[i] = scale === 0 ? 0 : roundEven(x!.data[i]! / scale) * scale
      }
    }
    return { dtype: x!.dtype, dims: x!.dims, data }
  },
  generate(choices, pool) {
    const x = chooseOperand(choices, pool, (type) => isFloat(type.dtype) && type.dims.length > 0)
    return x === undefined ? undefined : { operands: [x], attributes: {} }
  },
}
