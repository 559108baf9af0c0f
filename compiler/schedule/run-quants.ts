// The quants of a run (32 values of each of 8 rows, layout in compiler/formats/run-rows.ts) as loops take them: four at a time as
// unsigned bytes of a word, for four rows at once; or one alone.

import { runBytes, type RunRows, type Term } from '../formats/run-rows.ts'
import { constant, i32, ops } from './build-loops.ts'
import type { LoopExpr } from './loops.ts'

/** Four neighbours of each of four rows. */
export interface Four {
  /** Number of the four in the first share. */
  readonly four: number
  /** In the bytes of each word; `vector(v)` reads vector v of the share. */
  bytes(vector: (v: number) => LoopExpr): LoopExpr
}

export interface RunQuants {
  /** Of 8 rows. */
  readonly words: number
  /** The largest. */
  readonly most: number
  /** Parts of a run that read vectors of their own: so many, of so many vectors, with fours that lie so far apart. */
  readonly shares: 1 | 2 | 4
  readonly vectors: number
  readonly fourStep: number
  /** Those of a share, in groups that read the same vectors. */
  readonly fours: readonly (readonly Four[])[]
  /** The first k of four number `four` of a row, in the order in which shares give them. */
  placeOf(four: LoopExpr): LoopExpr
  /** Value k of a row; `word(i)` reads word i of the run. */
  element(k: LoopExpr, row: LoopExpr, word: (i: LoopExpr) => LoopExpr): LoopExpr
}

/** Value number `i` of up to eight that take four bits each. */
function pick(values: readonly number[], i: LoopExpr): LoopExpr {
  if (values.every((value) => value === values[0])) return i32(values[0]!)
  return ops.and(ops.shr_u(i32(values.reduce((bits, value, n) => bits | (value << (4 * n)), 0)), ops.mul(i, 4)), 15)
}

const shifted = (word: LoopExpr, by: number): LoopExpr => (by === 0 ? word : ops.shr_u(word, by))

export function runQuants(rows: RunRows): RunQuants {
  const { bits, shares, vectors, fourStep } = rows
  const fours = rows.fours.flat()
  const largest = 2 ** bits - 1
  const mask = constant('i32x4', Math.imul(largest, 0x01010101))
  return {
    words: runBytes(rows) / 4,
    most: largest,
    shares,
    vectors,
    fourStep,
    fours: rows.fours.map((group) =>
      group.map(({ four, terms }) => ({
        four,
        bytes: (vector) =>
          ops.and(
            terms.map(({ vector: v, shift }) => shifted(vector(v), shift)).reduce((a, b) => ops.xor(a, b)),
            mask,
          ),
      })),
    ),
    placeOf(number) {
      const [inRun, run] = [ops.and(number, 7), ops.shr_u(number, 3)]
      const [share, i] = [ops.shr_u(inRun, Math.log2(fours.length)), ops.and(inRun, fours.length - 1)]
      const order = fours.map(({ four }) => four)
      return ops.mul(ops.add(ops.mul(run, 8), ops.add(ops.mul(share, fourStep), pick(order, i))), 4)
    },
    element(k, row, word) {
      const number = ops.shr_u(k, 2)
      const share = fourStep === 1 ? ops.and(number, shares - 1) : ops.shr_u(number, Math.log2(fourStep))
      const four = ops.sub(number, ops.mul(share, fourStep))
      const most = Math.max(...fours.map(({ terms }) => terms.length))
      const parts = Array.from({ length: most }, (_, n) => {
        const of = (what: (term: Term | undefined) => number): LoopExpr => {
          const values = Array.from({ length: 8 }, () => 0)
          for (const each of fours) values[each.four] = what(each.terms[n])
          return pick(values, four)
        }
        const [vector, shift, present] = [of((term) => term?.vector ?? 0), of((term) => term?.shift ?? 0), of((term) => (term ? 1 : 0))]
        const read = word(ops.add(ops.mul(ops.add(ops.mul(share, vectors), vector), 8), row))
        const moved = ops.shr_u(read, shift)
        return ops.mul(moved, present)
      })
      return ops.and(
        ops.shr_u(
          parts.reduce((a, b) => ops.xor(a, b)),
          ops.mul(ops.and(k, 3), 8),
        ),
        largest,
      )
    },
  }
}
