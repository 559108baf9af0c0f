// Packed formats whose block is one k, a value of each of 8 rows: f32, f16, bf16.

import { constant, load, ops } from './build-loops.ts'
import type { LoopExpr } from './loops.ts'
import { type Address, half, halfOf, halves, type PackedFormat, splatFloat, vector, words } from './packed-words.ts'

/** `read(weight, quad)` gives four rows at the block's k. */
function dense(wordsPerK: number, read: (weight: Address, quad: LoopExpr) => LoopExpr, element: PackedFormat['element']): PackedFormat {
  return {
    k: 1,
    words: wordsPerK,
    runs: 1,
    element,
    dotFloat(e, { weight, quads, activations, accumulators }) {
      const rows = quads.map((quad) => e.let('w', read(weight, quad)))
      for (const [t, activation] of activations.entries()) {
        const x = e.let('x', splatFloat(activation, 0))
        for (const [q, row] of rows.entries()) e.set(accumulators[t]![q]!, ops.madd(row, x, accumulators[t]![q]!))
      }
    },
  }
}

/** The word that holds the halves of rows `row & 3` and 4 more. */
const pairOf = (operand: number, block: LoopExpr, row: LoopExpr): LoopExpr => load('i32', operand, ops.add(block, ops.and(row, 3)))
const upper = 0xffff0000 | 0

export const denseFormats: Readonly<Record<'f32' | 'f16' | 'bf16', PackedFormat>> = {
  f32: dense(
    8,
    (weight, quad) => vector(weight, half(quad)),
    (operand, block, row) => load('f32', operand, ops.add(block, row)),
  ),
  f16: dense(
    4,
    (weight, quad) => halves(words(weight, 0), quad),
    (operand, block, row) => halfOf(pairOf(operand, block, row), ops.shr_u(row, 2)),
  ),
  bf16: dense(
    4,
    (weight, quad) => ops.bits_f32x4(ops.and(ops.shl(words(weight, 0), ops.sub(16, ops.mul(quad, 16))), constant('i32x4', upper))),
    (operand, block, row) =>
      ops.bits_f32(ops.and(ops.shl(pairOf(operand, block, row), ops.sub(16, ops.mul(ops.shr_u(row, 2), 16))), upper)),
  ),
}
