// States in blocks of 8 bits (operand format s8, `--cache q8_0`): n numbers in blocks of 32 along the last dim, each q · d as in ggml's
// q8_0, in two planes, so that both are aligned: first n signed bytes, then n / 32 halves. Of sixteen numbers, which take four words,
// word l holds numbers l, 4 + l, 8 + l and 12 + l, lowest byte first: shifts of one vector give four neighbours at a time.

import type { Operand } from '../kernel/types.ts'
import { largestScale } from '../ops/quantise.ts'
import { constant, type Emitter, load, type LoopArg, loadHalves, ops } from './build-loops.ts'
import { fromHalf, toHalf } from './halves.ts'
import type { LoopExpr } from './loops.ts'

export const s8 = { k: 32 } as const

/** Words of so many numbers. */
export const blockWords = (count: number): number => count / 4 + Math.ceil(count / s8.k / 2)

/** Which byte of the plane holds a number. */
export const byteOfNumber = (i: number): number => (i & ~15) | ((i & 3) << 2) | ((i >> 2) & 3)

/** Where an operand's scales begin, in halves of words. */
const scalesOf = ({ dims }: Operand): number => dims.reduce((count, dim) => count * dim.const, 1) / 2

/** Number `flat` of the operand. */
export function s8Element(operand: Operand, n: number, flat: LoopExpr): LoopExpr {
  const word = load('i32', n, ops.add(ops.shl(ops.shr_u(flat, 4), 2), ops.and(flat, 3)))
  const q = ops.shr_s(ops.shl(word, ops.sub(24, ops.mul(ops.and(ops.shr_u(flat, 2), 3), 8))), 24)
  return ops.mul(ops.to_f32(q), fromHalf(loadHalves('i32', n, ops.add(ops.shr_u(flat, 5), scalesOf(operand)))))
}

/** Numbers flat … flat + 3 of the operand; flat is a multiple of four. */
export function s8Four(e: Emitter, operand: Operand, n: number, flat: LoopExpr): LoopExpr {
  const words = load('i32x4', n, ops.shl(ops.shr_u(flat, 4), 2))
  const byte = ops.and(ops.shr_u(flat, 2), 3)
  const q = ops.shr_s(ops.shl(words, ops.sub(24, ops.mul(byte, 8))), 24)
  const d = fromHalf(loadHalves('i32', n, ops.add(ops.shr_u(flat, 5), scalesOf(operand))))
  return e.let('four', ops.mul(ops.to_f32x4(q), ops.splat_f32(d)))
}

/** A row of blocks: the word of its first number, and the half that is its first scale. */
export interface BlockRow {
  readonly operand: number
  readonly words: LoopExpr
  readonly scales: LoopExpr
}

/** The row that begins at number `flat`. */
export const blockRow = (e: Emitter, operand: Operand, n: number, flat: LoopExpr): BlockRow => ({
  operand: n,
  words: e.value('words', ops.shr_u(flat, 2)),
  scales: e.value('scales', ops.add(ops.shr_u(flat, 5), scalesOf(operand))),
})

/** What `fourOfBlock` leaves in its numbers: bytes stay at the top of their words, which takes fewer shifts. */
const topFactor = 2 ** 24

/** Numbers 4·i … 4·i + 3 of block `block`, without its scale, times `topFactor`; i is 0 … 7. */
export const fourOfBlock = (e: Emitter, { operand, words }: BlockRow, block: LoopArg, i: number): LoopExpr =>
  e.let('v', ops.to_f32x4(atTop(load('i32x4', operand, ops.add(words, ops.mul(block, s8.k / 4)), 4 * (i >> 2)), i & 3)))

/** Byte i of each word moved to the top, zeros below. */
function atTop(words: LoopExpr, i: number): LoopExpr {
  const moved = ops.shl(words, 24 - 8 * i)
  return i === 0 ? moved : ops.and(moved, constant('i32x4', 0xff000000 | 0))
}

/** A block's scale in four lanes, over `topFactor`. */
export function scaleOfBlock(e: Emitter, { operand, scales }: BlockRow, block: LoopArg): LoopExpr {
  const half = loadHalves('i32', operand, ops.add(scales, block))
  // Scales have no sign: nothing is to be masked.
  const small = ops.bits_f32(ops.shl(half, 13))
  return e.let('scale', ops.splat_f32(ops.mul(small, 2 ** 112 / topFactor)))
}

/** Rounds 32 values and stores them from number `flat` (a multiple of 32) on: d = absmax / 127, q = nearest(x / d), then d as a half. */
export function storeStateBlock(e: Emitter, operand: Operand, n: number, flat: LoopExpr, values: readonly LoopExpr[]): void {
  const { scale, quants } = roundBlock(e, values, largestScale)
  const block = e.value('block', ops.shr_u(flat, 5))
  for (let group = 0; group < 2; group++) {
    const [a, b, c, d] = quants(4 * group, 4) as [LoopExpr, LoopExpr, LoopExpr, LoopExpr]
    const low = (q: LoopExpr): LoopExpr => ops.and(q, constant('i32x4', 255))
    const word = ops.or(ops.or(low(a), ops.shl(low(b), 8)), ops.or(ops.shl(low(c), 16), ops.shl(d, 24)))
    e.store(n, ops.mul(block, s8.k / 4), word, 4 * group)
  }
  e.storeHalves(n, ops.add(block, scalesOf(operand)), toHalf(e, scale))
}

/** What values are divided by where this is their step, in four lanes: a step of 0 is that of zeros. */
export const divisorOf = (d: LoopExpr): LoopExpr => ops.splat_f32(ops.select(ops.gt(d, constant('f32', 0)), d, constant('f32', 1)))

/** Four quants: the nearest to x / step, ±127 at most. */
export const nearestQuants = (x: LoopExpr, step: LoopExpr): LoopExpr =>
  ops.to_i32x4(ops.max(ops.min(ops.nearest(ops.div(x, step)), constant('f32x4', 127)), constant('f32x4', -127)))

/** Of 32 values in vectors: d = absmax / 127, at most `limit`, and q = nearest(x / d) of `count` vectors from one on. */
export function roundBlock(
  e: Emitter,
  values: readonly LoopExpr[],
  limit: number,
): { readonly scale: LoopExpr; quants(from: number, count: number): LoopExpr[] } {
  const largest = e.let(
    'largest',
    values.map((x) => ops.abs(x)).reduce((a, b) => ops.max(a, b)),
  )
  const scale = e.let('d', ops.min(ops.div(ops.hmax(largest), constant('f32', 127)), constant('f32', limit)))
  const safe = e.let('safe', divisorOf(scale))
  return {
    scale,
    quants: (from, count) => values.slice(from, from + count).map((x) => e.let('q', nearestQuants(x, safe))),
  }
}
