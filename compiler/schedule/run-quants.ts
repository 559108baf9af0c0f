// The quants of a run (32 values of each of 8 rows, layout in compiler/formats/run-rows.ts) as loops take them: four at a time as
// unsigned bytes of a word, for four rows at once; or one alone.

import { constant, ops } from './build-loops.ts'
import type { LoopExpr } from './loops.ts'

export interface RunQuants {
  /** Of 8 rows. */
  readonly words: number
  /** The fours of a run, such that those which share vectors follow each other. */
  readonly order: readonly number[]
  /** Values 4j … 4j+3 of four rows, in the bytes of each word; `vector(v)` reads vector v of the run. */
  bytes(j: number, vector: (v: number) => LoopExpr): LoopExpr
  /** Value k of a row; `word(i)` reads word i of the run. */
  element(k: LoopExpr, row: LoopExpr, word: (i: LoopExpr) => LoopExpr): LoopExpr
}

const filled = (byte: number): LoopExpr => constant('i32x4', Math.imul(byte, 0x01010101))

export const nibbles: RunQuants = {
  words: 32,
  order: [0, 4, 1, 5, 2, 6, 3, 7],
  bytes: (j, vector) => ops.and(j < 4 ? vector(j) : ops.shr_u(vector(j - 4), 4), filled(0x0f)),
  element(k, row, word) {
    const at = ops.add(ops.mul(ops.shr_u(ops.and(k, 15), 2), 8), row)
    const shift = ops.add(ops.mul(ops.and(k, 3), 8), ops.mul(ops.shr_u(k, 4), 4))
    return ops.and(ops.shr_u(word(at), shift), 15)
  },
}

export const fives: RunQuants = {
  words: 40,
  order: nibbles.order,
  bytes(j, vector) {
    const bits = vector(4)
    const moved = j < 4 ? ops.shl(bits, 4 - j) : ops.shr_u(bits, j - 4)
    return ops.or(nibbles.bytes(j, vector), ops.and(moved, filled(0x10)))
  },
  element(k, row, word) {
    const shift = ops.add(ops.mul(ops.and(k, 3), 8), ops.shr_u(k, 2))
    const fifth = ops.and(ops.shr_u(word(ops.add(row, 32)), shift), 1)
    return ops.or(nibbles.element(k, row, word), ops.shl(fifth, 4))
  },
}

export const sixes: RunQuants = {
  words: 48,
  order: [0, 1, 2, 3, 4, 5, 6, 7],
  bytes(j, vector) {
    const first = 3 * (j >> 2)
    if ((j & 3) < 3) return ops.and(vector(first + (j & 3)), filled(0x3f))
    // The fourth has its bits at the top of the other three.
    const parts = [0, 1, 2].map((i) => ops.shr_u(ops.and(vector(first + i), filled(0xc0)), 6 - 2 * i))
    return parts.reduce((a, b) => ops.or(a, b))
  },
  element(k, row, word) {
    const four = ops.and(ops.shr_u(k, 2), 3)
    const byte = ops.mul(ops.and(k, 3), 8)
    const first = ops.add(ops.mul(ops.shr_u(k, 4), 24), row)
    const whole = ops.and(ops.shr_u(word(ops.add(first, ops.mul(ops.min(four, 2), 8))), byte), 63)
    const spread = [0, 1, 2].map((i) => ops.shl(ops.and(ops.shr_u(word(ops.add(first, 8 * i)), ops.add(byte, 6)), 3), 2 * i))
    return ops.select(
      ops.lt(four, 3),
      whole,
      spread.reduce((a, b) => ops.or(a, b)),
    )
  },
}
