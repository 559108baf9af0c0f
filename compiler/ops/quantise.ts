// The typed meaning of 8-bit activations: in blocks of 32 along the last axis, d = max|x| / 127 as f32, q = round(x / d), the quotient
// an f32, with halves to even, result q·d. The identity in exact mode. A last block may be shorter. With a scale of f16 (ggml's q8_0) the
// result is q times the nearest half of d; numbers beyond what that reaches become the largest it reaches. Rounding twice is rounding once.

import { chooseOperand } from './choose.ts'
import { expect, isFloat, type OpDef } from './op.ts'
import { roundEven, toF16 } from './tensor.ts'

export const blockSize = 32
/** The largest number of a block with a scale of f16, over the largest q. */
export const largestScale = 65504

export const quantise: OpDef<'quantise'> = {
  name: 'quantise',
  operands: ['x'],
  rounds: true,
  infer([x]) {
    expect(x !== undefined && isFloat(x.dtype) && x.dims.length > 0, 'quantise', 'needs floats with an axis')
    return x
  },
  evaluate([x], { scale: kind }, { mode }) {
    if (mode === 'exact') return x!
    const row = x!.dims[x!.dims.length - 1]!
    const data = new Float64Array(x!.data.length)
    for (let base = 0; base < data.length; base += row) {
      for (let from = base; from < base + row; from += blockSize) {
        const end = Math.min(from + blockSize, base + row)
        let most = 0
        for (let i = from; i < end; i++) most = Math.max(most, Math.abs(x!.data[i]!))
        const scale = Math.min(Math.fround(most / 127), kind === 'f16' ? largestScale : Number.POSITIVE_INFINITY)
        const stored = kind === 'f16' ? toF16(scale) : scale
        const q = (value: number): number => Math.max(-127, Math.min(127, roundEven(Math.fround(value / scale))))
        for (let i = from; i < end; i++) data[i] = scale === 0 ? 0 : q(x!.data[i]!) * stored
      }
    }
    return { dtype: x!.dtype, dims: x!.dims, data }
  },
  generate(choices, pool) {
    const x = chooseOperand(choices, pool, (type) => isFloat(type.dtype) && type.dims.length > 0)
    return x === undefined ? undefined : { operands: [x], attributes: {} }
  },
}
