// Blocks of 8-bit activations (operand format a8), which `storeByteBlock` (outputs.ts) writes and the dots of packed rows read.

import type { LoopExpr } from './loops.ts'
import { constant, load, ops } from './build-loops.ts'

/**
 * A block of 32 activations in 8 bits: 8 words of signed bytes q, f32 d·2^100, f32 d·Σq·2^100, then max(q, 0) and max(-q, 0) as bytes,
 * for weights that are signed bytes themselves (the dot's second operand has 7 bits), then for the first and for the last 16 a
 * word of two i16, −32·Σq over those with an even and an odd place k >> 1, for weights with a scale per 16 and the centre 32: where sums
 * of such pairs of products begin (none of them leaves i16 then). The factor undoes what is left out when an IEEE half is shifted into an f32 (its exponent
 * bias is 112 smaller), but for 2^12: d < 2^14 and Σq < 2^12 would overflow f32 with all of it. Sums take the rest at their end.
 */
export const a8 = {
  k: 32,
  words: 28,
  scale: 8,
  sum: 9,
  positive: 10,
  negative: 18,
  minus: 26,
  centre: 32,
  factor: 2 ** 100,
} as const

/** What sums of shifted halves times blocks are still to be multiplied with. */
export const shiftedFactor = 2 ** 112 / a8.factor

/** Word `half` (0 or 1) of `minus` for the 32 q of a block. */
export function centring(q: ArrayLike<number>, half: number): number {
  const pair = [0, 0]
  for (let k = 16 * half; k < 16 * half + 16; k++) pair[(k >> 1) & 1]! -= a8.centre * q[k]!
  return (pair[0]! & 0xffff) | (pair[1]! << 16)
}

/** Element `index` of rows of such blocks, for kernels that read a row otherwise than by whole dots. */
export function a8Element(operand: number, index: LoopExpr): LoopExpr {
  const block = ops.mul(ops.shr_u(index, 5), a8.words)
  const word = load('i32', operand, ops.add(block, ops.shr_u(ops.and(index, 31), 2)))
  const q = ops.shr_s(ops.shl(word, ops.sub(24, ops.mul(ops.and(index, 3), 8))), 24)
  return ops.mul(ops.to_f32(q), ops.mul(load('f32', operand, block, a8.scale), constant('f32', 1 / a8.factor)))
}
