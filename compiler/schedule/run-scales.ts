// The heads of packed blocks: how runs of quants are scaled. value = q * scale + offset; an offset is stored, or follows from a
// centre c: value = (q - c) * scale. Layouts are those of compiler/formats; a quad is rows 0-3 or rows 4-7.

import { type Emitter, i32, load, ops } from './build-loops.ts'
import { filled } from './integers.ts'
import type { LoopExpr } from './loops.ts'
import { type Address, byteOf, half, halfOf, halves, shiftedHalves, toFloat, vector, words } from './packed-words.ts'

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

/**
 * Scales that are small integers times one float a block: a run's sums stay integers. A word of a row holds those of a pair of runs, a
 * byte each.
 */
export interface IntegerScales {
  unit(weight: Address, quad: LoopExpr): LoopExpr
  /** The words of four rows for a pair of runs. */
  words(weight: Address, quad: LoopExpr, pair: LoopExpr): LoopExpr
  /** Which byte of the word. */
  scale(odd: number, group: number): number
  /** What is taken off every value of a run: a 7-bit integer, byte 2 of the even run's and 3 of the odd one's, times a unit of its own. */
  readonly least?: { unit(weight: Address, quad: LoopExpr): LoopExpr }
}

export interface RunScales {
  /** Of 8 rows. */
  readonly words: number
  readonly runs: number
  /** Steps of a run: one for all 32 values, or one for each 16. */
  readonly groups: 1 | 2
  /** What a quant stands for less, where no offset is stored. */
  readonly centre?: number
  /**
   * Reads what all runs of the block at `weight` share; the result gives the steps of four rows. `bytes`: for 8-bit activations, where
   * steps come times 2^-112, which the activations' factor and the end of the sums pay for (activation-blocks.ts). `once` keeps a vector that both quads read.
   */
  open(
    emitter: Emitter,
    weight: Address,
    quad: LoopExpr,
    bytes: boolean,
    once?: (vector: LoopExpr) => LoopExpr,
  ): (run: Run, group: LoopExpr) => Step
  /** How they are taken against 8-bit activations instead. */
  readonly integers?: IntegerScales
  /** The step of one row. */
  element(emitter: Emitter, operand: number, block: LoopExpr, row: LoopExpr, run: Run, group: LoopExpr): Step
}

/** A half for each row. */
const scaleOnly = (centre: number): RunScales => ({
  words: 4,
  runs: 1,
  groups: 1,
  centre,
  open: (_, weight, quad, bytes, once = (vector) => vector) => {
    const pair = once(words(weight, 0))
    return () => ({ scale: bytes ? shiftedHalves(pair, quad) : halves(pair, quad) })
  },
  element: (_, operand, block, row) => ({
    scale: halfOf(load('i32', operand, ops.add(block, ops.and(row, 3))), ops.shr_u(row, 2)),
  }),
})

/** A half each for scale and minimum. */
const scaleAndMinimum: RunScales = {
  words: 8,
  runs: 1,
  groups: 1,
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

/** Byte number `byte` of each word, with its sign. */
const signedByte = (word: LoopExpr, byte: LoopExpr): LoopExpr => ops.shr_s(ops.shl(word, ops.sub(24, ops.mul(byte, 8))), 24)

/** The words of a pair of runs behind `first` words of units (compiler/formats/{k-scales,q6-k}.ts). */
const pairWords =
  (first: number): IntegerScales['words'] =>
  (weight, quad, pair) =>
    words(weight, ops.add(half(quad), ops.mul(pair, 8)), first)

const unit = (first: number) => (weight: Address, quad: LoopExpr) => vector(weight, half(quad), first)

const sixBitUnits = 16
const sixBitScales: RunScales = {
  words: 48,
  runs: 8,
  groups: 1,
  open(e, weight, quad) {
    const d = e.let('d', unit(0)(weight, quad))
    const minus = e.let('minus', ops.neg(unit(8)(weight, quad)))
    return ({ pair, odd }) => {
      const word = e.let('pair', pairWords(sixBitUnits)(weight, quad, pair))
      const of = (byte: LoopExpr): LoopExpr => toFloat(byteOf(word, byte))
      return { scale: ops.mul(of(odd), d), offset: ops.mul(of(ops.add(odd, 2)), minus) }
    }
  },
  element(e, operand, block, row, { pair, odd }) {
    const at = e.value('at', ops.add(block, row))
    const word = e.let('pair', load('i32', operand, ops.add(at, ops.mul(pair, 8)), sixBitUnits))
    const of = (byte: LoopExpr): LoopExpr => toFloat(byteOf(word, byte))
    return {
      scale: ops.mul(of(odd), load('f32', operand, at)),
      offset: ops.mul(of(ops.add(odd, 2)), ops.neg(load('f32', operand, at, 8))),
    }
  },
  integers: { unit: unit(0), words: pairWords(sixBitUnits), scale: (odd) => odd, least: { unit: unit(8) } },
}

const byteUnits = 8
const byteScales: RunScales = {
  words: 40,
  runs: 8,
  groups: 2,
  centre: 32,
  open(e, weight, quad) {
    const d = e.let('d', unit(0)(weight, quad))
    return ({ pair, odd }, group) => {
      const word = pairWords(byteUnits)(weight, quad, pair)
      return { scale: ops.mul(toFloat(signedByte(word, ops.add(ops.mul(odd, 2), group))), d) }
    }
  },
  element(e, operand, block, row, { pair, odd }, group) {
    const at = e.value('at', ops.add(block, row))
    const word = load('i32', operand, ops.add(at, ops.mul(pair, 8)), byteUnits)
    return { scale: ops.mul(toFloat(signedByte(word, ops.add(ops.mul(odd, 2), group))), load('f32', operand, at)) }
  },
  integers: { unit: unit(0), words: pairWords(byteUnits), scale: (odd, group) => 2 * odd + group },
}

export const runScales = { scaleOnly, scaleAndMinimum, sixBitScales, byteScales } as const

/** -centre * scale, or what is stored. */
export const offsetOf = ({ scale, offset }: Step, centre: number | undefined): LoopExpr => offset ?? ops.mul(scale, filled(scale, -centre!))
