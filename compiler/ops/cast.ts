// Another element type. Float to integer truncates towards zero and saturates (WASM's trunc_sat, WGSL's conversion; NaN gives
// 0), a number is true unless 0, integers wrap into narrower ones. In exact mode casts between floats keep the value.

import type { Dtype } from '../graph/types.ts'
import { chooseFrom, chooseOperand } from './choose.ts'
import { expect, isFloat, need, type OpDef } from './op.ts'
import { rounding } from './tensor.ts'

const ranges: Readonly<Partial<Record<Dtype, readonly [number, number]>>> = {
  i32: [-2147483648, 2147483647],
  u32: [0, 4294967295],
  i8: [-128, 127],
  u8: [0, 255],
}

export const cast: OpDef<'cast'> = {
  name: 'cast',
  operands: ['x'],
  rounds: true,
  infer([x], _attributes, declared) {
    expect(x !== undefined, 'cast', 'needs an operand')
    return { dtype: need(declared, 'cast').dtype, dims: x.dims }
  },
  evaluate([x], _attributes, { type }) {
    const { dtype } = type
    if (isFloat(dtype)) return { dtype, dims: x!.dims, data: x!.data.slice() }
    const range = ranges[dtype]
    const clamp = range && isFloat(x!.dtype)
    const data = x!.data.map((value) =>
      clamp ? Math.min(range[1], Math.max(range[0], Math.trunc(Number.isNaN(value) ? 0 : value))) : rounding[dtype](value),
    )
    return { dtype, dims: x!.dims, data }
  },
  generate(choices, pool) {
    const x = chooseOperand(choices, pool, () => true)
    if (x === undefined) return undefined
    const dtype = chooseFrom(choices, ['f32', 'i32', 'f16', 'bool'] as const)!
    return { operands: [x], attributes: {}, declared: { dtype, dims: pool[x]!.dims } }
  },
}
