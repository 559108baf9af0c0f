// q8_0: quants are signed bytes, so against 8-bit activations they are the dot's signed operand and the activations, cut into
// max(q, 0) and max(-q, 0), its 7-bit one.

import { a8, d8, shiftedFactor } from './activation-blocks.ts'
import { constant, type Emitter, load, ops } from './build-loops.ts'
import type { LoopExpr } from './loops.ts'
import {
  addBytes,
  addRows,
  fourFloats,
  half,
  halfOf,
  halves,
  oncePerBlock,
  type PackedFormat,
  type Quad,
  shiftedHalves,
  splatFloat,
  splatWord,
  words,
} from './packed-words.ts'

/** Byte number i of each word as a float, with its sign. */
const signedByte = (word: LoopExpr, i: number): LoopExpr => ops.to_f32x4(ops.shr_s(ops.shl(word, 24 - 8 * i), 24))

/** accumulators += the blocks' sums times their scales; both [token][quad]. */
function scale(
  e: Emitter,
  quads: readonly Quad[],
  sums: readonly (readonly LoopExpr[])[],
  accumulators: readonly (readonly LoopExpr[])[],
): void {
  const pairOf = oncePerBlock((block) => e.let('pair', words(block, 0)))
  for (const [q, { block, quad }] of quads.entries()) {
    const d = e.let('d', halves(pairOf(block), quad))
    for (const [t, row] of sums.entries()) e.set(accumulators[t]![q]!, ops.madd(row[q]!, d, accumulators[t]![q]!))
  }
}

export const signedBytes: PackedFormat = {
  k: 32,
  words: 68,
  parts: 8,
  element(operand, block, row, k) {
    const at = ops.add(block, ops.add(ops.mul(ops.shr_u(k, 2), 8), row))
    const q = ops.shr_s(ops.shl(load('i32', operand, at, 4), ops.sub(24, ops.mul(ops.and(k, 3), 8))), 24)
    return ops.mul(ops.to_f32(q), halfOf(load('i32', operand, ops.add(block, ops.and(row, 3))), ops.shr_u(row, 2)))
  },
  dotFloat(e, { quads, activations, accumulators }) {
    const sums = activations.map(() => quads.map(() => e.let('sum', constant('f32x4', 0))))
    for (let j = 0; j < 8; j++) {
      const packed = quads.map(({ block, quad }) => e.let('q', words(block, half(quad), 4 + 8 * j)))
      for (let i = 0; i < 4; i++) {
        const rows = packed.map((q) => e.let('w', signedByte(q, i)))
        for (const [t, activation] of activations.entries()) {
          const x = e.let('x', splatFloat({ ...activation, at: ops.add(activation.at, 4 * j + i) }, 0))
          for (const [q, row] of rows.entries()) e.set(sums[t]![q]!, ops.madd(row, x, sums[t]![q]!))
        }
      }
    }
    scale(e, quads, sums, accumulators)
  },
  dotPart(e, { part, weights, activations, accumulators }) {
    const xs = activations.map((activation) => e.let('x', fourFloats(activation, ops.mul(part, 4))))
    for (const [n, { block, quads }] of weights.entries()) {
      const sums = activations.map(() => quads.map(() => e.let('sum', constant('f32x4', 0))))
      const packed = quads.map((quad) => e.let('q', words(block, ops.add(half(quad), ops.mul(part, 8)), 4)))
      for (let i = 0; i < 4; i++)
        addRows(
          e,
          sums,
          xs,
          i,
          packed.map((q) => e.let('w', signedByte(q, i))),
        )
      scale(
        e,
        quads.map((quad) => ({ block, quad })),
        sums,
        accumulators[n]!,
      )
    }
  },
  sliceK: 8,
  slice(e, { block, quads, slice }) {
    const pair = e.let('pair', words(block, 0))
    const steps = quads.map((quad) => e.let('d', halves(pair, quad)))
    return [0, 1].flatMap((n) => {
      const packed = quads.map((quad) => e.let('q', words(block, ops.add(half(quad), ops.mul(slice, 16)), 4 + 8 * n)))
      return [0, 1, 2, 3].map((i) => packed.map((q, row) => ops.mul(signedByte(q, i), steps[row]!)))
    })
  },
  placeOf: (four) => ops.mul(four, 4),
  packed: {
    parts: 2,
    dotPart(e, { part, weights, activations, accumulators }) {
      // Neighbours take every other four: what they read lies side by side.
      const fours = Array.from({ length: 4 }, (_, i) => e.value('j', ops.add(part, 2 * i)))
      const xs = activations.map(({ operand, at, offset }) => fours.map((j) => e.let('x', load('i32', operand, ops.add(at, j), offset))))
      const steps = activations.map(({ operand, at, offset }) => e.let('ad', load('f32', operand, at, offset + d8.scale)))
      for (const [n, { block, quads }] of weights.entries()) {
        const sums: (LoopExpr | undefined)[][] = activations.map(() => [])
        for (const [f, j] of fours.entries()) {
          addBytes(
            e,
            sums,
            xs.map((of) => of[f]!),
            quads.map((quad) => e.let('q', words(block, ops.add(half(quad), ops.mul(j, 8)), 4))),
          )
        }
        const scaled = sums.map((row, t) => row.map((sum) => ops.mul(ops.to_f32x4(sum!), ops.splat_f32(steps[t]!))))
        scale(
          e,
          quads.map((quad) => ({ block, quad })),
          scaled,
          accumulators[n]!,
        )
      }
    },
    stepK: 32,
    offsets: false,
    sliceBytes: (e, { block, quads, slice }) =>
      [0, 1].map((n) => quads.map((quad) => e.let('q', words(block, ops.add(half(quad), ops.mul(slice, 16)), 4 + 8 * n)))),
    sliceSteps(e, { block, quads }) {
      const pair = e.let('pair', words(block, 0))
      return quads.map((quad) => ({ scale: e.let('d', halves(pair, quad)) }))
    },
  },
  bytesFactor: shiftedFactor,
  dotBytes(e, { quads, activations, accumulators }) {
    // Two planes keep all 8 bits exact: Σ w·max(q,0) − Σ w·max(−q,0).
    const zero = constant('i32x4', 0)
    const planes = activations.map(() => quads.map(() => [e.let('plus', zero), e.let('minus', zero)] as const))
    for (let j = 0; j < 8; j++) {
      const read = ({ block, quad }: Quad): LoopExpr => e.let('q', words(block, half(quad), 4 + j * 8))
      const kept = activations.length > 1 ? quads.map(read) : undefined
      for (const [t, activation] of activations.entries()) {
        const plus = e.let('x', splatWord(activation, a8.positive + j))
        const minus = e.let('y', splatWord(activation, a8.negative + j))
        for (const [q, quad] of quads.entries()) {
          const row = kept?.[q] ?? read(quad)
          const [p, m] = planes[t]![q]!
          // A pair of weights meets each activation in one plane only: the difference of two products is as small as one.
          const more = e.let('more', ops.dot_part(row, plus, ops.dot_open(p)))
          const less = e.let('less', ops.dot_part(row, minus, ops.dot_open(m)))
          e.set(p, ops.dot_less(more, less, p))
          e.set(m, ops.dot_rest(less))
        }
      }
    }
    const pairOf = oncePerBlock((block) => e.let('pair', words(block, 0)))
    const scaleOf = ({ block, quad }: Quad): LoopExpr => e.let('d', shiftedHalves(pairOf(block), quad))
    const scales = activations.length > 1 ? quads.map(scaleOf) : undefined
    for (const [t, activation] of activations.entries()) {
      const d = e.let('ad', splatFloat(activation, a8.scale))
      for (const [q, quad] of quads.entries()) {
        const scale = scales?.[q] ?? scaleOf(quad)
        const [p, m] = planes[t]![q]!
        e.set(accumulators[t]![q]!, ops.madd(ops.to_f32x4(ops.sub(p, m)), ops.mul(scale, d), accumulators[t]![q]!))
      }
    }
  },
}
