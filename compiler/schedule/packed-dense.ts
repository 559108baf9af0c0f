// Packed formats whose block is one k, a value of each of 8 rows: f32, f16, bf16.
//
// A half that is shifted into an f32 is 2^-112 of its value. Products with it would leave the range of f32, so one of the factors takes
// the rest: the weights, where several tokens share them, else the activation, which serves two vectors of weights, by as much as its own
// range allows (2^56 leaves it 2^71); the sums then come times 2^-56. Not where
// denormals are flushed (GPUs, `dotPart`).

import { constant, load, ops } from './build-loops.ts'
import type { LoopExpr } from './loops.ts'
import {
  type Address,
  half,
  halfOf,
  halves,
  type PackedFormat,
  oncePerBlock,
  type Quad,
  shiftedHalves,
  splatFloat,
  vector,
  words,
} from './packed-words.ts'

/** `pair`: the first vector of the block, where it was read already. */
type Read = (weight: Address, quad: LoopExpr, pair?: LoopExpr) => LoopExpr

/** `read(weight, quad)` gives four rows at the block's k; `small` gives them times 2^-112 in fewer operations. */
function dense(wordsPerK: number, read: Read, element: PackedFormat['element'], small?: Read): PackedFormat {
  return {
    k: 1,
    words: wordsPerK,
    parts: 1,
    sliceK: 1,
    element,
    slice: (_, { block, quads }) => [quads.map((quad) => read(block, quad))],
    placeOf: (four) => ops.mul(four, 4),
    ...(small ? { oneTokenFactor: 2 ** 56 } : {}),
    dotFloat(e, { quads, activations, accumulators }) {
      const single = activations.length === 1
      const scaled = single && small
      const pairOf = oncePerBlock((block) => (wordsPerK === 4 ? e.let('pair', words(block, 0)) : undefined))
      const rowsOf = ({ block, quad }: Quad): LoopExpr => (scaled || read)(block, quad, pairOf(block))
      // One token's are read where they are used: those of several blocks would not fit the registers.
      const kept = single ? undefined : quads.map((each) => e.let('w', rowsOf(each)))
      for (const [t, activation] of activations.entries()) {
        const whole = splatFloat(activation, 0)
        const x = e.let('x', scaled ? ops.mul(whole, constant('f32x4', 2 ** 56)) : whole)
        for (const [q, acc] of accumulators[t]!.entries()) e.set(acc, ops.madd(kept?.[q] ?? rowsOf(quads[q]!), x, acc))
      }
    },
    dotPart(e, { weights, activations, accumulators }) {
      const xs = activations.map((activation) => e.let('x', splatFloat(activation, 0)))
      for (const [n, { block, quads }] of weights.entries()) {
        for (const [q, quad] of quads.entries()) {
          const row = e.let('w', read(block, quad))
          for (const [t, x] of xs.entries()) e.set(accumulators[n]![t]![q]!, ops.madd(row, x, accumulators[n]![t]![q]!))
        }
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
    (weight, quad, pair = words(weight, 0)) => halves(pair, quad),
    (operand, block, row) => halfOf(pairOf(operand, block, row), ops.shr_u(row, 2)),
    (weight, quad, pair = words(weight, 0)) => shiftedHalves(pair, quad),
  ),
  bf16: dense(
    4,
    (weight, quad, pair = words(weight, 0)) =>
      ops.bits_f32x4(ops.and(ops.shl(pair, ops.sub(16, ops.mul(quad, 16))), constant('i32x4', upper))),
    (operand, block, row) =>
      ops.bits_f32(ops.and(ops.shl(pairOf(operand, block, row), ops.sub(16, ops.mul(ops.shr_u(row, 2), 16))), upper)),
  ),
}
