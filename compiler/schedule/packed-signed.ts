// q8_0: quants are signed bytes, so against 8-bit activations they are the dot's signed operand and the activations, cut into
// max(q, 0) and max(-q, 0), its 7-bit one.

import { a8 } from './activation-blocks.ts'
import { constant, i32, load, ops } from './build-loops.ts'
import type { LoopExpr } from './loops.ts'
import { half, halfOf, halves, type PackedFormat, shiftedHalves, splatFloat, splatWord, words } from './packed-words.ts'

export const signedBytes: PackedFormat = {
  k: 32,
  words: 68,
  runs: 1,
  element(operand, block, row, k) {
    const at = ops.add(block, ops.add(ops.mul(ops.shr_u(k, 2), 8), row))
    const q = ops.shr_s(ops.shl(load('i32', operand, at, 4), ops.sub(24, ops.mul(ops.and(k, 3), 8))), 24)
    return ops.mul(ops.to_f32(q), halfOf(load('i32', operand, ops.add(block, ops.and(row, 3))), ops.shr_u(row, 2)))
  },
  dotFloat(e, { weight, quads, activations, accumulators, rolled }) {
    const sums = activations.map(() => quads.map(() => e.let('sum', constant('f32x4', 0))))
    const each = (count: number, body: (at: LoopExpr) => void): void => {
      if (rolled) e.loop('at', 0, count, 1, body)
      else for (let at = 0; at < count; at++) body(i32(at))
    }
    each(8, (j) => {
      const packed = quads.map((quad) => e.let('q', words(weight, ops.add(half(quad), ops.mul(j, 8)), 4)))
      each(4, (i) => {
        const rows = packed.map((q) => e.let('w', ops.to_f32x4(ops.shr_s(ops.shl(q, ops.sub(24, ops.mul(i, 8))), 24))))
        for (const [t, activation] of activations.entries()) {
          const x = e.let('x', splatFloat({ ...activation, at: ops.add(activation.at, ops.add(ops.mul(j, 4), i)) }, 0))
          for (const [q, row] of rows.entries()) e.set(sums[t]![q]!, ops.madd(row, x, sums[t]![q]!))
        }
      })
    })
    const pair = e.let('pair', words(weight, 0))
    for (const [q, quad] of quads.entries()) {
      const d = e.let('d', halves(pair, quad))
      for (const t of activations.keys()) e.set(accumulators[t]![q]!, ops.madd(sums[t]![q]!, d, accumulators[t]![q]!))
    }
  },
  dotBytes(e, { weight, quads, activations, accumulators }) {
    // Two planes keep all 8 bits exact: Σ w·max(q,0) − Σ w·max(−q,0).
    const zero = constant('i32x4', 0)
    const planes = activations.map(() => quads.map(() => [e.let('plus', zero), e.let('minus', zero)] as const))
    for (let j = 0; j < 8; j++) {
      const packed = quads.map((quad) => e.let('q', words(weight, half(quad), 4 + j * 8)))
      for (const [t, activation] of activations.entries()) {
        const plus = e.let('x', splatWord(activation, a8.positive + j))
        const minus = e.let('y', splatWord(activation, a8.negative + j))
        for (const [q, row] of packed.entries()) {
          const [p, m] = planes[t]![q]!
          // A pair of weights meets each activation in one plane only: the difference of two products is as small as one.
          const more = e.let('more', ops.dot_part(row, plus, ops.dot_open(p)))
          const less = e.let('less', ops.dot_part(row, minus, ops.dot_open(m)))
          e.set(p, ops.dot_less(more, less, p))
          e.set(m, ops.dot_rest(less))
        }
      }
    }
    const pair = e.let('pair', words(weight, 0))
    const scaled = quads.map((quad) => e.let('d', shiftedHalves(pair, quad)))
    for (const [t, activation] of activations.entries()) {
      const d = e.let('ad', splatFloat(activation, a8.scale))
      for (const [q, scale] of scaled.entries()) {
        const [p, m] = planes[t]![q]!
        e.set(accumulators[t]![q]!, ops.madd(ops.to_f32x4(ops.sub(p, m)), ops.mul(scale, d), accumulators[t]![q]!))
      }
    }
  },
}
