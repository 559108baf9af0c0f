// How loops read weights packed in groups of 8 rows (layout r8): one row of the table per storage format, each with the
// blocks' shape, the multiply-add of one block against f32 activations and, for block formats, against 8-bit activations.
// Byte layouts are those of compiler/formats. A quad is half a group: rows 0-3 or rows 4-7, one vector of four rows.

import type { Operand } from '../kernel/types.ts'
import { constant, load, ops, type Emitter, type LoopArg } from './build-loops.ts'
import type { LoopExpr } from './loops.ts'

/** A word address: the operand, a base and a constant part. */
export interface Address {
  readonly operand: number
  readonly at: LoopExpr
  readonly offset: number
}

/** acc[token][quad] += block · activations[token]. */
export interface BlockDot {
  readonly weight: Address
  /** Which half of the group each accumulator holds; a constant, or a value where rows start in the middle of a group. */
  readonly quads: readonly LoopExpr[]
  readonly activations: readonly Address[]
  readonly accumulators: readonly (readonly LoopExpr[])[]
}

export interface PackedFormat {
  /** Values of one row in a block, and words of a block of 8 rows. */
  readonly k: number
  readonly words: number
  /** The element in row `row` (0-7) and place `k` of the block at `block`. */
  element(operand: number, block: LoopExpr, row: LoopExpr, k: LoopExpr): LoopExpr
  dotFloat(emitter: Emitter, dot: BlockDot): void
  dotBytes?(emitter: Emitter, dot: BlockDot): void
}

/**
 * A block of 32 activations in 8 bits: 8 words of signed bytes q, f32 d·2^112, f32 d·Σq·2^100, then max(q, 0) and max(-q, 0) as bytes,
 * for weights that are signed bytes themselves (the dot's second operand has 7 bits). The factor undoes what is left
 * out when an IEEE half is shifted into an f32 (its exponent bias is 112 smaller). The sum's is smaller, since d < 2^14 and
 * Σq < 2^12 would overflow f32 with all of it; the weight's offset takes the rest.
 */
export const a8 = { k: 32, words: 26, scale: 8, sum: 9, positive: 10, negative: 18, factor: 2 ** 112, sumFactor: 2 ** 100 } as const

/** Element `index` of rows of such blocks, for kernels that read a row otherwise than by whole dots. */
export function a8Element(operand: number, index: LoopExpr): LoopExpr {
  const block = ops.mul(ops.shr_u(index, 5), a8.words)
  const word = load('i32', operand, ops.add(block, ops.shr_u(ops.and(index, 31), 2)))
  const q = ops.shr_s(ops.shl(word, ops.sub(24, ops.mul(ops.and(index, 3), 8))), 24)
  return ops.mul(ops.to_f32(q), ops.mul(load('f32', operand, block, a8.scale), constant('f32', 1 / a8.factor)))
}

const vector = (address: Address, offset: LoopArg, constantPart = 0): LoopExpr =>
  load('f32x4', address.operand, ops.add(address.at, offset), address.offset + constantPart, true)
const words = (address: Address, offset: LoopArg, constantPart = 0): LoopExpr =>
  load('i32x4', address.operand, ops.add(address.at, offset), address.offset + constantPart, true)
const splatFloat = (address: Address, offset: number): LoopExpr =>
  ops.splat_f32(load('f32', address.operand, address.at, address.offset + offset))
const splatWord = (address: Address, offset: number): LoopExpr =>
  ops.splat_i32(load('i32', address.operand, address.at, address.offset + offset))

/** Words of the quad's vector inside a pair of vectors. */
const half = (quad: LoopExpr): LoopExpr => ops.mul(quad, 4)
const isQuad = (quad: LoopExpr, value: 0 | 1): boolean => quad.kind === 'const' && quad.value === value

/** Word i of `pair` holds row i (low) and row 4+i (high): the halves of one quad as f32. */
function halves(pair: LoopExpr, quad: LoopExpr): LoopExpr {
  if (isQuad(quad, 0)) return ops.half_lo_f32x4(pair)
  if (isQuad(quad, 1)) return ops.half_hi_f32x4(pair)
  return ops.half_lo_f32x4(ops.shr_u(pair, ops.mul(quad, 16)))
}

/** As `halves`, times 2^-112, in two operations (see a8.factor). Exact for every finite half. */
function shiftedHalves(pair: LoopExpr, quad: LoopExpr): LoopExpr {
  const mask = constant('i32x4', 0x8fffe000 | 0)
  if (isQuad(quad, 1)) return ops.bits_f32x4(ops.and(ops.shr_s(pair, 3), mask))
  const low = isQuad(quad, 0) ? pair : ops.shr_u(pair, ops.mul(quad, 16))
  return ops.bits_f32x4(ops.and(ops.shr_s(ops.shl(low, 16), 3), mask))
}

/** Half number `high` (0 or 1) of a word, at run time. */
const halfOf = (word: LoopExpr, high: LoopExpr): LoopExpr => ops.half_lo_f32(ops.shr_u(word, ops.mul(high, 16)))

const nibbleMask = constant('i32x4', 0x0f0f0f0f)

/** Formats whose block is one k: `row(k, quad)` gives four rows. */
function dense(wordsPerK: number, read: (weight: Address, quad: LoopExpr) => LoopExpr, element: PackedFormat['element']): PackedFormat {
  return {
    k: 1,
    words: wordsPerK,
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

interface Nibbles {
  readonly scaleWords: number
  /** Scale and offset of four rows: value = nibble · scale + offset. */
  scales(emitter: Emitter, weight: Address, quad: LoopExpr): { scale: LoopExpr; offset: LoopExpr }
  /** The same, both times 2^-112; offset absent: −8 · scale. */
  shifted(emitter: Emitter, weight: Address, quad: LoopExpr): { scale: LoopExpr; offset?: LoopExpr }
  elementScales(operand: number, block: LoopExpr, row: LoopExpr): { scale: LoopExpr; offset: LoopExpr }
}

/** 4-bit formats: vector (j, quad), byte 4·r + i = q[r][4j+i] | q[r][16+4j+i] << 4. */
function nibbles({ scaleWords, scales, shifted, elementScales }: Nibbles): PackedFormat {
  return {
    k: 32,
    words: scaleWords + 32,
    element(operand, block, row, k) {
      const j = ops.shr_u(ops.and(k, 15), 2)
      const at = ops.add(block, ops.add(ops.mul(j, 8), row))
      const shift = ops.add(ops.mul(ops.and(k, 3), 8), ops.mul(ops.shr_u(k, 4), 4))
      const q = ops.and(ops.shr_u(load('i32', operand, at, scaleWords), shift), 15)
      const { scale, offset } = elementScales(operand, block, row)
      return ops.madd(ops.to_f32(q), scale, offset)
    },
    dotFloat(e, { weight, quads, activations, accumulators }) {
      const zero = constant('f32x4', 0)
      const sums = activations.map(() => quads.map(() => e.let('sum', zero)))
      const totals = activations.map(() => e.let('total', zero))
      for (let j = 0; j < 4; j++) {
        const packed = quads.map((quad) => e.let('q', words(weight, half(quad), scaleWords + j * 8)))
        for (let i = 0; i < 8; i++) {
          // Byte i of each word: low nibble is k = 4j + i, high nibble k = 16 + 4j + i.
          const [byte, high] = [i >> 1, i & 1]
          const rows = packed.map((q) => e.let('w', ops.to_f32x4(ops.and(ops.shr_u(q, 8 * byte + 4 * high), constant('i32x4', 15)))))
          for (const [t, activation] of activations.entries()) {
            const x = e.let('x', splatFloat(activation, 16 * high + 4 * j + byte))
            e.set(totals[t]!, ops.add(totals[t]!, x))
            for (const [q, row] of rows.entries()) e.set(sums[t]![q]!, ops.madd(row, x, sums[t]![q]!))
          }
        }
      }
      for (const [q, quad] of quads.entries()) {
        const { scale, offset } = scales(e, weight, quad)
        const [d, m] = [e.let('d', scale), e.let('m', offset)]
        for (const t of activations.keys()) {
          e.set(accumulators[t]![q]!, ops.madd(sums[t]![q]!, d, ops.madd(m, totals[t]!, accumulators[t]![q]!)))
        }
      }
    },
    dotBytes(e, { weight, quads, activations, accumulators }) {
      const sums = activations.map(() => quads.map(() => e.let('sum', constant('i32x4', 0))))
      const single = activations.length === 1
      for (let j = 0; j < 4; j++) {
        if (single) {
          const low = e.let('low', splatWord(activations[0]!, j))
          const high = e.let('high', splatWord(activations[0]!, 4 + j))
          for (const [q, quad] of quads.entries()) {
            const packed = e.let('q', words(weight, half(quad), scaleWords + j * 8))
            const sum = sums[0]![q]!
            e.set(sum, ops.dot4(low, ops.and(packed, nibbleMask), sum))
            e.set(sum, ops.dot4(high, ops.and(ops.shr_u(packed, 4), nibbleMask), sum))
          }
          continue
        }
        for (const high of [0, 1]) {
          const rows = quads.map((quad) => {
            const packed = words(weight, half(quad), scaleWords + j * 8)
            return e.let('w', ops.and(high ? ops.shr_u(packed, 4) : packed, nibbleMask))
          })
          for (const [t, activation] of activations.entries()) {
            const x = e.let('x', splatWord(activation, 4 * high + j))
            for (const [q, row] of rows.entries()) e.set(sums[t]![q]!, ops.dot4(x, row, sums[t]![q]!))
          }
        }
      }
      const scaled = quads.map((quad) => {
        const { scale, offset } = shifted(e, weight, quad)
        const d = e.let('d', scale)
        const rest = a8.factor / a8.sumFactor
        return { d, m: e.let('m', offset ? ops.mul(offset, constant('f32x4', rest)) : ops.mul(d, constant('f32x4', -8 * rest))) }
      })
      for (const [t, activation] of activations.entries()) {
        const d = e.let('ad', splatFloat(activation, a8.scale))
        const sum = e.let('as', splatFloat(activation, a8.sum))
        for (const [q, { d: scale, m }] of scaled.entries()) {
          const acc = accumulators[t]![q]!
          e.set(acc, ops.madd(ops.to_f32x4(sums[t]![q]!), ops.mul(scale, d), ops.madd(m, sum, acc)))
        }
      }
    },
  }
}

/** Weight formats by name. */
export const packedFormats: Readonly<Record<string, PackedFormat>> = {
  f32: dense(
    8,
    (weight, quad) => vector(weight, half(quad)),
    (operand, block, row) => load('f32', operand, ops.add(block, row)),
  ),
  f16: dense(
    4,
    (weight, quad) => halves(words(weight, 0), quad),
    (operand, block, row) => halfOf(load('i32', operand, ops.add(block, ops.and(row, 3))), ops.shr_u(row, 2)),
  ),
  bf16: dense(
    4,
    (weight, quad) => ops.bits_f32x4(ops.and(ops.shl(words(weight, 0), ops.sub(16, ops.mul(quad, 16))), constant('i32x4', 0xffff0000 | 0))),
    (operand, block, row) =>
      ops.bits_f32(
        ops.and(
          ops.shl(load('i32', operand, ops.add(block, ops.and(row, 3))), ops.sub(16, ops.mul(ops.shr_u(row, 2), 16))),
          0xffff0000 | 0,
        ),
      ),
  ),
  q8_0: {
    k: 32,
    words: 68,
    element(operand, block, row, k) {
      const at = ops.add(block, ops.add(ops.mul(ops.shr_u(k, 2), 8), row))
      const q = ops.shr_s(ops.shl(load('i32', operand, at, 4), ops.sub(24, ops.mul(ops.and(k, 3), 8))), 24)
      return ops.mul(ops.to_f32(q), halfOf(load('i32', operand, ops.add(block, ops.and(row, 3))), ops.shr_u(row, 2)))
    },
    dotFloat(e, { weight, quads, activations, accumulators }) {
      const sums = activations.map(() => quads.map(() => e.let('sum', constant('f32x4', 0))))
      for (let j = 0; j < 8; j++) {
        const packed = quads.map((quad) => e.let('q', words(weight, half(quad), 4 + j * 8)))
        for (let i = 0; i < 4; i++) {
          const rows = packed.map((q) => e.let('w', ops.to_f32x4(ops.shr_s(ops.shl(q, 24 - 8 * i), 24))))
          for (const [t, activation] of activations.entries()) {
            const x = e.let('x', splatFloat(activation, 4 * j + i))
            for (const [q, row] of rows.entries()) e.set(sums[t]![q]!, ops.madd(row, x, sums[t]![q]!))
          }
        }
      }
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
            e.set(p, ops.dot4(row, plus, p))
            e.set(m, ops.dot4(row, minus, m))
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
  },
  q4_0: nibbles({
    scaleWords: 4,
    scales(e, weight, quad) {
      const scale = e.let('scale', halves(words(weight, 0), quad))
      return { scale, offset: ops.mul(scale, constant('f32x4', -8)) }
    },
    shifted: (_, weight, quad) => ({ scale: shiftedHalves(words(weight, 0), quad) }),
    elementScales(operand, block, row) {
      const scale = halfOf(load('i32', operand, ops.add(block, ops.and(row, 3))), ops.shr_u(row, 2))
      return { scale, offset: ops.mul(scale, constant('f32', -8)) }
    },
  }),
  q4_1: nibbles({
    scaleWords: 8,
    scales(e, weight, quad) {
      const pair = e.let('pair', words(weight, half(quad)))
      return { scale: ops.half_lo_f32x4(pair), offset: ops.half_hi_f32x4(pair) }
    },
    shifted(e, weight, quad) {
      const pair = e.let('pair', words(weight, half(quad)))
      return { scale: shiftedHalves(pair, constant('i32', 0)), offset: shiftedHalves(pair, constant('i32', 1)) }
    },
    elementScales(operand, block, row) {
      const pair = load('i32', operand, ops.add(block, row))
      return { scale: ops.half_lo_f32(pair), offset: ops.half_hi_f32(pair) }
    },
  }),
}

export function packedFormat(name: string): PackedFormat {
  const format = packedFormats[name]
  if (!format) throw new Error(`internal: no loops for the weight format ${name}`)
  return format
}

/** One element of a packed matrix as f32: for embedding rows and shapes that no vector schedule takes. */
export function loadElement(operand: Operand, index: number, place: { row: LoopExpr; column: LoopExpr }, emitter: Emitter): LoopExpr {
  const format = packedFormat(operand.format)
  const row = emitter.value('row', place.row)
  const column = emitter.value('column', place.column)
  const blocks = operand.matrix!.k / format.k
  const group = ops.mul(ops.shr_u(row, 3), blocks * format.words)
  const shift = Math.log2(format.k)
  const block = emitter.value('block', ops.add(group, ops.mul(ops.shr_u(column, shift), format.words)))
  return format.element(index, block, ops.and(row, 7), ops.and(column, format.k - 1))
}
