// The heads of packed blocks: how runs of quants are scaled. value = q * scale + offset; an offset is stored, or follows from a
// centre c: value = (q - c) * scale. Layouts are those of compiler/formats; a quad is rows 0-3 or rows 4-7.

import { type Emitter, i32, isVector, load, ops } from './build-loops.ts'
import { filled } from './integers.ts'
import type { LoopExpr } from './loops.ts'
import { type Address, calmHalf, half, halfOf, halves, shiftedHalves, toFloat, words } from './packed-words.ts'

/** A run of a block by its pair and its place there: constants, or known at run time. */
export interface Run {
  readonly pair: LoopExpr
  readonly odd: LoopExpr
}

export interface Step {
  readonly scale: LoopExpr
  /** Absent: -centre * scale. */
  readonly offset?: LoopExpr
}

export interface RunScales {
  /** Of 8 rows. */
  readonly words: number
  readonly runs: number
  /** Steps of a run: one for all 32 values, or one for each 16. */
  readonly groups: 1 | 2
  /** What a quant stands for less, where no offset is stored. */
  readonly centre?: number
  /** Against 8-bit activations steps come times 2^-112, which the activations' factor pays for (a8.factor). */
  readonly shifted: boolean
  /** Reads what all runs of the block at `weight` share; the result gives the steps of four rows. `bytes`: activations are. */
  open(emitter: Emitter, weight: Address, quad: LoopExpr, bytes: boolean): (run: Run, group: LoopExpr) => Step
  /** The step of one row. */
  element(emitter: Emitter, operand: number, block: LoopExpr, row: LoopExpr, run: Run, group: LoopExpr): Step
}

/** A half for each row. */
const scaleOnly = (centre: number): RunScales => ({
  words: 4,
  runs: 1,
  groups: 1,
  centre,
  shifted: true,
  open: (_, weight, quad, bytes) => () => ({ scale: bytes ? shiftedHalves(words(weight, 0), quad) : halves(words(weight, 0), quad) }),
  element: (_, operand, block, row) => ({
    scale: halfOf(load('i32', operand, ops.add(block, ops.and(row, 3))), ops.shr_u(row, 2)),
  }),
})

/** A half each for scale and minimum. */
const scaleAndMinimum: RunScales = {
  words: 8,
  runs: 1,
  groups: 1,
  shifted: true,
  open(e, weight, quad, bytes) {
    return () => {
      const pair = e.let('pair', words(weight, half(quad)))
      return bytes
        ? { scale: shiftedHalves(pair, i32(0)), offset: shiftedHalves(pair, i32(1)) }
        : { scale: ops.half_lo_f32x4(pair), offset: ops.half_hi_f32x4(pair) }
    }
  },
  element(_, operand, block, row) {
    const pair = load('i32', operand, ops.add(block, row))
    return { scale: ops.half_lo_f32(pair), offset: ops.half_hi_f32(pair) }
  },
}

/**
 * The 6-bit scale and minimum of a run (compiler/formats/k-scales.ts); `word(i)` reads word i of the three groups of 8 that hold
 * them. Byte `pair` of A and B has those of the even run, that of C the low four bits of the odd run's, whose high two bits are
 * the top of A and B: the odd run's masks are the even run's with these parts turned round.
 */
function sixBits(word: (i: LoopExpr) => LoopExpr, { pair, odd }: Run): { scale: LoopExpr; minimum: LoopExpr } {
  const byte = ops.mul(pair, 8)
  const [low, high] = [ops.sub(63, ops.mul(odd, 48)), ops.mul(odd, 48)]
  const masked = (value: LoopExpr, mask: LoopExpr): LoopExpr => ops.and(value, isVector(value.type) ? ops.splat_i32(mask) : mask)
  const number = (main: LoopExpr, shift: LoopExpr, top: number): LoopExpr => {
    const rest = masked(ops.shr_u(word(i32(top)), ops.add(byte, 2)), high)
    return ops.or(masked(ops.shr_u(word(main), shift), low), rest)
  }
  return {
    scale: number(ops.mul(odd, 16), byte, 0),
    minimum: number(ops.add(ops.mul(odd, 8), 8), ops.add(byte, ops.mul(odd, 4)), 8),
  }
}

const sixBitScales: RunScales = {
  words: 32,
  runs: 8,
  groups: 1,
  shifted: false,
  open(e, weight, quad) {
    const pair = e.let('pair', words(weight, half(quad)))
    const d = e.let('d', calmHalf(pair, e))
    const minus = e.let('minus', ops.neg(calmHalf(ops.shr_u(pair, 16), e)))
    return (run) => {
      const { scale, minimum } = sixBits((i) => words(weight, ops.add(half(quad), i), 8), run)
      return { scale: ops.mul(toFloat(scale), d), offset: ops.mul(toFloat(minimum), minus) }
    }
  },
  element(e, operand, block, row, run) {
    const pair = e.let('pair', load('i32', operand, ops.add(block, row)))
    const { scale, minimum } = sixBits((i) => load('i32', operand, ops.add(block, ops.add(row, i)), 8), run)
    return {
      scale: ops.mul(toFloat(scale), calmHalf(pair, e)),
      offset: ops.mul(toFloat(minimum), ops.neg(calmHalf(ops.shr_u(pair, 16), e))),
    }
  },
}

/** Byte number `byte` of each word, with its sign. */
const signedByte = (word: LoopExpr, byte: LoopExpr): LoopExpr => ops.shr_s(ops.shl(word, ops.sub(24, ops.mul(byte, 8))), 24)

const byteScales: RunScales = {
  words: 36,
  runs: 8,
  groups: 2,
  centre: 32,
  shifted: false,
  open(e, weight, quad) {
    const d = e.let('d', calmHalf(ops.shr_u(words(weight, 0), ops.mul(quad, 16)), e))
    return ({ pair, odd }, group) => {
      const word = words(weight, ops.add(half(quad), ops.mul(pair, 8)), 4)
      return { scale: ops.mul(toFloat(signedByte(word, ops.add(ops.mul(odd, 2), group))), d) }
    }
  },
  element(e, operand, block, row, { pair, odd }, group) {
    const halfWord = load('i32', operand, ops.add(block, ops.and(row, 3)))
    const d = calmHalf(ops.shr_u(halfWord, ops.mul(ops.shr_u(row, 2), 16)), e)
    const word = load('i32', operand, ops.add(block, ops.add(row, ops.mul(pair, 8))), 4)
    return { scale: ops.mul(toFloat(signedByte(word, ops.add(ops.mul(odd, 2), group))), d) }
  },
}

export const runScales = { scaleOnly, scaleAndMinimum, sixBitScales, byteScales } as const

/** -centre * scale, or what is stored. */
export const offsetOf = ({ scale, offset }: Step, centre: number | undefined): LoopExpr => offset ?? ops.mul(scale, filled(scale, -centre!))
