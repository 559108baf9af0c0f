// The quants of a run (32 values of each of 8 rows, layout in compiler/formats/run-rows.ts) as loops take them: four at a time as
// unsigned bytes of a word, for four rows at once; or one alone.

import { constant, type Emitter, i32, ops } from './build-loops.ts'
import type { LoopExpr } from './loops.ts'

/** Values 4 · four … 4 · four + 3 of four rows. */
export interface Four {
  readonly four: number
  readonly bytes: LoopExpr
}

export interface RunQuants {
  /** Of 8 rows. */
  readonly words: number
  /** The largest. */
  readonly most: number
  /** The fours of a run, such that those which share vectors follow each other. */
  readonly order: readonly number[]
  /** How many fours follow each other that are read each in a way of its own: a loop takes so many a turn. */
  readonly period: 1 | 4 | 8
  /** Values 4j … 4j+3 of four rows, in the bytes of each word, j = turn * period + i; `vector(v)` reads vector v of the run. */
  bytes(turn: LoopExpr, i: number, vector: (v: LoopExpr) => LoopExpr): LoopExpr
  /**
   * The fours of halves of a run for one token: those that are taken from the same vectors together, so that little is in use between
   * two groups, where other quads take their turn.
   */
  groups(e: Emitter, vector: (v: number) => LoopExpr, halves: readonly (0 | 1)[]): Generator<readonly Four[]>
  /** Parts of a run that read vectors of their own. */
  readonly shares: 1 | 2 | 4
  /** The fours of part `share`: value number `at` of the run and three more, as `bytes` gives them; each vector is read once. */
  share(share: LoopExpr, vector: (v: LoopExpr) => LoopExpr): readonly { readonly at: LoopExpr; readonly bytes: LoopExpr }[]
  /** The first k of four number `four` of a row, in the order in which shares give them. */
  placeOf(four: LoopExpr): LoopExpr
  /** Value k of a row; `word(i)` reads word i of the run. */
  element(k: LoopExpr, row: LoopExpr, word: (i: LoopExpr) => LoopExpr): LoopExpr
}

const filled = (byte: number): LoopExpr => constant('i32x4', Math.imul(byte, 0x01010101))

/** The fours of a turn, which read the same `count` vectors, from number `from` on. */
function together(
  quants: Pick<RunQuants, 'bytes' | 'period'>,
  turn: LoopExpr,
  from: LoopExpr,
  count: number,
  vector: (v: LoopExpr) => LoopExpr,
): readonly { readonly at: LoopExpr; readonly bytes: LoopExpr }[] {
  const read = Array.from({ length: count }, (_, v) => vector(ops.add(from, v)))
  return Array.from({ length: quants.period }, (_, i) => ({
    at: ops.add(ops.mul(turn, 4 * quants.period), 4 * i),
    bytes: quants.bytes(i32(0), i, (v) => read[(v as LoopExpr & { kind: 'const' }).value]!),
  }))
}

const inOrder = (four: LoopExpr): LoopExpr => ops.mul(four, 4)

export const nibbles: RunQuants = {
  words: 32,
  most: 15,
  order: [0, 4, 1, 5, 2, 6, 3, 7],
  period: 1,
  shares: 4,
  share(share, vector) {
    const both = vector(share)
    return [0, 1].map((high) => ({
      at: ops.add(ops.mul(share, 4), 16 * high),
      bytes: ops.and(ops.shr_u(both, 4 * high), filled(0x0f)),
    }))
  },
  placeOf: (four) => {
    const share = ops.mul(ops.and(ops.shr_u(four, 1), 3), 4)
    return ops.add(ops.mul(ops.shr_u(four, 3), 32), ops.add(share, ops.mul(ops.and(four, 1), 16)))
  },
  *groups(e, vector) {
    for (let v = 0; v < 4; v++) {
      const both = e.let('q', vector(v))
      yield [
        { four: v, bytes: masked(both, 0x0f) },
        { four: 4 + v, bytes: masked(ops.shr_u(both, 4), 0x0f) },
      ]
    }
  },
  bytes: (j, _, vector) => ops.and(ops.shr_u(vector(ops.and(j, 3)), ops.mul(ops.shr_u(j, 2), 4)), filled(0x0f)),
  element(k, row, word) {
    const at = ops.add(ops.mul(ops.shr_u(ops.and(k, 15), 2), 8), row)
    const shift = ops.add(ops.mul(ops.and(k, 3), 8), ops.mul(ops.shr_u(k, 4), 4))
    return ops.and(ops.shr_u(word(at), shift), 15)
  },
}

const masked = (value: LoopExpr, byte: number): LoopExpr => ops.and(value, filled(byte))

export const fives: RunQuants = {
  words: 40,
  most: 31,
  order: [2, 3, 4, 7, 0, 5, 1, 6],
  period: 8,
  shares: 1,
  placeOf: inOrder,
  share: (_, vector) => together(fives, i32(0), i32(0), 5, vector),
  *groups(e, vector) {
    for (const v of [0, 1]) {
      const [whole, own] = [e.let('q', vector(v)), e.let('q', vector(3 + v))]
      yield [
        { four: v, bytes: masked(whole, 0x1f) },
        { four: 3 + v, bytes: masked(own, 0x1f) },
        { four: 5 + v, bytes: ops.or(masked(ops.shr_u(whole, 3), 0x1c), masked(ops.shr_u(own, 6), 0x03)) },
      ]
    }
    const q = e.let('q', vector(2))
    const low = ops.or(masked(ops.shr_u(vector(3), 4), 0x02), masked(ops.shr_u(vector(4), 5), 0x01))
    yield [
      { four: 2, bytes: masked(q, 0x1f) },
      { four: 7, bytes: ops.or(masked(ops.shr_u(q, 3), 0x1c), low) },
    ]
  },
  bytes(_, i, vector) {
    const read = (v: number): LoopExpr => vector(i32(v))
    if (i < 5) return masked(read(i), 0x1f)
    // Bits 2..4 are the top of vectors 0, 1, 2; the others are that of 3 and 4.
    const high = masked(ops.shr_u(read(i - 5), 3), 0x1c)
    if (i < 7) return ops.or(high, masked(ops.shr_u(read(i - 2), 6), 0x03))
    return ops.or(ops.or(high, masked(ops.shr_u(read(3), 4), 0x02)), masked(ops.shr_u(read(4), 5), 0x01))
  },
  element(k, row, word) {
    const four = ops.shr_u(k, 2)
    const part = (v: LoopExpr, bit: number, mask: number): LoopExpr =>
      ops.and(ops.shr_u(word(ops.add(ops.mul(v, 8), row)), ops.add(ops.mul(ops.and(k, 3), 8), bit)), mask)
    const whole = part(ops.min(four, 4), 0, 31)
    const last = ops.or(ops.shl(part(i32(3), 5, 1), 1), part(i32(4), 5, 1))
    const low = ops.select(ops.eq(four, 7), last, part(ops.max(ops.min(ops.sub(four, 2), 4), 3), 6, 3))
    return ops.select(ops.lt(four, 5), whole, ops.or(ops.shl(part(ops.max(ops.sub(four, 5), 0), 5, 7), 2), low))
  },
}

export const sixes: RunQuants = {
  words: 48,
  most: 63,
  order: [0, 1, 2, 3, 4, 5, 6, 7],
  period: 4,
  shares: 2,
  placeOf: inOrder,
  share: (share, vector) => together(sixes, share, ops.mul(share, 3), 3, vector),
  *groups(e, vector, halves) {
    for (const half of halves) {
      const [q0, q1] = [e.let('q', vector(3 * half)), e.let('q', vector(3 * half + 1))]
      const first = 4 * half
      yield [
        { four: first, bytes: masked(q0, 0x3f) },
        { four: first + 1, bytes: masked(q1, 0x3f) },
      ]
      // Kept: to read both again is slower here (25.9 GMAC/s, 24.6).
      const low = e.let('low', ops.or(ops.shr_u(masked(q0, 0xc0), 6), ops.shr_u(masked(q1, 0xc0), 4)))
      const q2 = e.let('q', vector(3 * half + 2))
      yield [
        { four: first + 2, bytes: masked(q2, 0x3f) },
        { four: first + 3, bytes: ops.or(low, ops.shr_u(masked(q2, 0xc0), 2)) },
      ]
    }
  },
  bytes(turn, i, vector) {
    const read = (v: number): LoopExpr => vector(ops.add(ops.mul(turn, 3), v))
    if (i < 3) return masked(read(i), 0x3f)
    // The fourth has its bits at the top of the other three.
    const parts = [0, 1, 2].map((v) => ops.shr_u(masked(read(v), 0xc0), 6 - 2 * v))
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
