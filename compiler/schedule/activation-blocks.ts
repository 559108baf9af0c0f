// Blocks of 8-bit activations (operand formats a8 and d8), which outputs.ts writes and the dots of packed rows read. Both hold the same
// numbers: q · d for each of 32, as the graph's `quantise` defines them.

import type { LoopExpr } from './loops.ts'
import { load, ops } from './build-loops.ts'

/**
 * A block of 32 activations in 8 bits: 8 words of signed bytes q, f32 d·2^100, f32 d·Σq·2^100, then max(q, 0) and max(-q, 0) as bytes,
 * for weights that are signed bytes themselves (the dot's second operand has 7 bits), then the words of `centred`, f32 d, f32 d·Σq. The
 * factor undoes what is left out when an IEEE half is shifted into an f32 (its exponent bias is 112 smaller), but for 2^12: d < 2^14
 * and Σq < 2^12 would overflow f32 with all of it. Sums take the rest at their end.
 */
export const a8 = {
  k: 32,
  words: 32,
  scale: 8,
  sum: 9,
  positive: 10,
  negative: 18,
  step: 30,
  total: 31,
  factor: 2 ** 100,
} as const

/** What sums of shifted halves times blocks are still to be multiplied with. */
export const shiftedFactor = 2 ** 112 / a8.factor

/**
 * For machines whose dots take two signed bytes (`dot4_signed`): 8 words of q, then f32 d. Σq is a dot with ones there, and rows of weights
 * that meet the same activations share it.
 */
export const d8 = { k: 32, words: 9, scale: 8 } as const

const blocks = { a8, d8 } as const
export type ByteBlocks = keyof typeof blocks
export const isByteFormat = (format: string): format is ByteBlocks => Object.hasOwn(blocks, format)

/** Words of so many numbers in whole blocks. */
export const byteWords = (format: ByteBlocks, count: number): number => (count / blocks[format].k) * blocks[format].words

/**
 * Where sums of products with quants of a centre begin: words of two i16, -centre·Σq over those with an even and an odd place k >> 1,
 * of as many values as leave i16 by no sum of such pairs of products: all 32, or the first and the last 16.
 */
export const centred: Readonly<Record<number, readonly number[]>> = { 32: [26, 27], 16: [28], 8: [29] }

/** The words of `centred` for the 32 q of a block: where, and what. */
export function centrings(q: ArrayLike<number>): readonly (readonly [word: number, value: number])[] {
  return Object.entries(centred).flatMap(([centre, words]) =>
    words.map((word, part) => {
      const length = a8.k / words.length
      const pair = [0, 0]
      for (let k = length * part; k < length * (part + 1); k++) pair[(k >> 1) & 1]! -= Number(centre) * q[k]!
      return [word, (pair[0]! & 0xffff) | (pair[1]! << 16)] as const
    }),
  )
}

/** Element `index` of rows of such blocks, for kernels that read a row otherwise than by whole dots. */
export function byteElement(format: ByteBlocks, operand: number, index: LoopExpr): LoopExpr {
  const { words } = blocks[format]
  const block = ops.mul(ops.shr_u(index, 5), words)
  const word = load('i32', operand, ops.add(block, ops.shr_u(ops.and(index, 31), 2)))
  const q = ops.shr_s(ops.shl(word, ops.sub(24, ops.mul(ops.and(index, 3), 8))), 24)
  const d = load('f32', operand, block, format === 'a8' ? a8.step : d8.scale)
  return ops.mul(ops.to_f32(q), d)
}
