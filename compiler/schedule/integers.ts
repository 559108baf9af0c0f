// Integers on machines whose only integer is a signed 32-bit word: i8 and u8 are kept in range by wrapping what arithmetic
// makes of them, u32 is the same word seen without a sign. Compares of unsigned words flip the top bit, which keeps their order.

import type { Dtype } from '../graph/types.ts'
import { constant, isVector, ops } from './build-loops.ts'
import type { LoopExpr } from './loops.ts'

/** A constant as wide as `like`. */
export const filled = (like: LoopExpr, value: number): LoopExpr => constant(like.type, value)

const topBit = -2147483648
const ranges: Readonly<Partial<Record<Dtype, readonly [number, number]>>> = { i8: [-128, 127], u8: [0, 255] }

/** The low 8 bits of an i8 or u8 with the type's sign; other types wrap by themselves. */
export function wrap(value: LoopExpr, dtype: Dtype): LoopExpr {
  if (dtype === 'u8') return ops.and(value, filled(value, 255))
  return dtype === 'i8' ? ops.shr_s(ops.shl(value, 24), 24) : value
}

/** Words whose signed order is the order of the dtype's values; its own inverse. */
export const ordered = (value: LoopExpr, dtype: Dtype): LoopExpr => (dtype === 'u32' ? ops.xor(value, filled(value, topBit)) : value)

/** Scalars. x / 0 = x. Half of a fits a signed word: its quotient, doubled, is at most one too small. */
function unsignedDiv(a: LoopExpr, b: LoopExpr): LoopExpr {
  const least = ops.select(ops.eq(b, 0), constant('i32', 1), b)
  const guess = ops.shl(ops.div(ops.shr_u(a, 1), least), 1)
  const rest = ops.sub(a, ops.mul(guess, least))
  const atLeast = (x: LoopExpr, y: LoopExpr): LoopExpr => ops.to_i32(ops.ge(ordered(x, 'u32'), ordered(y, 'u32')))
  return ops.select(ops.lt(b, 0), atLeast(a, b), ops.add(guess, atLeast(rest, least)))
}

/** Quotient and remainder of u32 scalars; x % 0 = 0. */
export const unsigned = {
  div: unsignedDiv,
  mod: (a: LoopExpr, b: LoopExpr): LoopExpr => ops.select(ops.eq(b, 0), constant('i32', 0), ops.sub(a, ops.mul(unsignedDiv(a, b), b))),
}

/** An integer or truth value as a number: both halves of a u32 are exact, so their sum is rounded once. */
export function toFloat(value: LoopExpr, from: Dtype): LoopExpr {
  const convert = isVector(value.type) ? ops.to_f32x4 : ops.to_f32
  if (from !== 'u32') return convert(value)
  const high = convert(ops.shr_u(value, 16))
  return ops.add(ops.mul(high, filled(high, 65536)), convert(ops.and(value, filled(value, 65535))))
}

/** A number, truncated towards zero and saturated. */
export function fromFloat(value: LoopExpr, to: Dtype): LoopExpr {
  if (to === 'u32') {
    const half = filled(value, 2147483648)
    const high = saturated(ops.sub(value, half))
    return ops.select(ops.ge(value, half), ops.xor(high, filled(high, topBit)), saturated(ops.max(value, filled(value, 0))))
  }
  const range = ranges[to]
  if (!range) return saturated(value)
  return truncated(ops.min(ops.max(value, filled(value, range[0])), filled(value, range[1])))
}

const truncated = (value: LoopExpr): LoopExpr => (isVector(value.type) ? ops.to_i32x4(value) : ops.to_i32(value))

/** WGSL saturates to the largest f32 below 2^31, not to the largest i32. */
function saturated(value: LoopExpr): LoopExpr {
  const words = truncated(value)
  return ops.select(ops.ge(value, filled(value, 2147483648)), filled(words, 2147483647), words)
}
