// f32 values as IEEE halves and back, in registers: what plain operands of the format f16 (states) are stored as.

import { constant, type Emitter, isVector, ops } from './build-loops.ts'
import type { LoopExpr } from './loops.ts'

/** The largest finite half. */
export const halfMost = 65504

/**
 * The bits of the nearest half (half to even, denormals too), in the low 16 bits; what is beyond the largest half becomes that. A
 * denormal half is a multiple of 2^-24, which is what the last place of a number from 0.5 on counts: adding 0.5 rounds to it.
 */
export function toHalf(e: Emitter, value: LoopExpr): LoopExpr {
  const wide = isVector(value.type)
  const i = (n: number): LoopExpr => constant(wide ? 'i32x4' : 'i32', n)
  const f = (n: number): LoopExpr => constant(wide ? 'f32x4' : 'f32', n)
  const bitsOf = wide ? ops.bits_i32x4 : ops.bits_i32
  const floatOf = wide ? ops.bits_f32x4 : ops.bits_f32
  const all = e.let('bits', bitsOf(value))
  const size = e.let('size', ops.min(floatOf(ops.and(all, i(0x7fffffff))), f(halfMost)))
  const bits = e.let('size_bits', bitsOf(size))
  const even = ops.and(ops.shr_u(bits, 13), i(1))
  const normal = ops.shr_u(ops.add(ops.add(bits, even), i(0xfff - (112 << 23))), 13)
  const denormal = ops.sub(bitsOf(ops.add(size, f(0.5))), i(0x3f000000))
  return ops.or(ops.select(ops.lt(bits, i(113 << 23)), denormal, normal), ops.and(ops.shr_u(all, 16), i(0x8000)))
}

/** The value of halves with the sign bit extended, or whatever above their low 16 bits. */
export const fromHalf = (half: LoopExpr): LoopExpr => (isVector(half.type) ? ops.half_lo_f32x4(half) : ops.half_lo_f32(half))
