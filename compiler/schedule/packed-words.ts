// What loops over packed rows are made of: addresses, vectors of a quad (half a group: rows 0-3 or rows 4-7), and IEEE halves.

import { constant, type Emitter, isVector, load, type LoopArg, ops } from './build-loops.ts'
import { filled } from './integers.ts'
import type { LoopExpr } from './loops.ts'

/** A word address: the operand, a base and a constant part. */
export interface Address {
  readonly operand: number
  readonly at: LoopExpr
  readonly offset: number
}

/** Four rows of a block. */
export interface Quad {
  /** Quads of one block have the same object. */
  readonly block: Address
  /** Which half of the block's rows: a constant, or a value where rows start in the middle of a group. */
  readonly quad: LoopExpr
}

/** acc[token][quad] += quad's block · activations[token]. */
export interface BlockDot {
  /** Of one block or of several, which meet the same activations. */
  readonly quads: readonly Quad[]
  readonly activations: readonly Address[]
  readonly accumulators: readonly (readonly LoopExpr[])[]
}

/** What quads of the same block read, read once for each block. */
export function oncePerBlock<T>(read: (block: Address) => T): (block: Address) => T {
  const known = new Map<Address, T>()
  return (block) => {
    if (!known.has(block)) known.set(block, read(block))
    return known.get(block)!
  }
}

/**
 * acc[weight][token][quad] += a part of the block at each weight · activations[token]: for invocations that share k. Neighbouring parts
 * are neighbours in memory, and no vector of quants belongs to two.
 */
export interface PartDot {
  readonly part: LoopExpr
  /** Blocks of several matrices that meet the same activations. */
  readonly weights: readonly { readonly block: Address; readonly quads: readonly LoopExpr[] }[]
  readonly activations: readonly Address[]
  readonly accumulators: readonly (readonly (readonly LoopExpr[])[])[]
}

/** Some values of a block that lie side by side, of each of its rows: for invocations that decode a tile of weights together. */
export interface Slice {
  readonly block: Address
  readonly quads: readonly LoopExpr[]
  /** Which of the block. */
  readonly slice: LoopExpr
}

export interface PackedFormat {
  /** Values of one row in a block, and words of a block of 8 rows. */
  readonly k: number
  readonly words: number
  /** Parts of a block that several invocations can take one each (a power of two). */
  readonly parts: number
  /** The element in row `row` (0-7) and place `k` of the block at `block`. */
  element(operand: number, block: LoopExpr, row: LoopExpr, k: LoopExpr, emitter: Emitter): LoopExpr
  dotFloat(emitter: Emitter, dot: BlockDot): void
  /** What sums of `dotFloat` for one token are still to be multiplied with. */
  readonly oneTokenFactor?: number
  dotPart(emitter: Emitter, dot: PartDot): void
  /** Values of one row in a slice (a power of two that divides `k`). */
  readonly sliceK: number
  /** The values of a slice: [value][quad], four rows each. */
  slice(emitter: Emitter, slice: Slice): LoopExpr[][]
  /** The first k of four neighbours: number `four` of a row, counted in the order of slices. */
  placeOf(four: LoopExpr): LoopExpr
  dotBytes?(emitter: Emitter, dot: BlockDot): void
  /** What sums of `dotBytes` are still to be multiplied with. */
  readonly bytesFactor?: number
  readonly packed?: PackedDots
}

/** What four rows of a slice stand for: value = q · scale + offset. */
export interface SliceStep {
  readonly scale: LoopExpr
  readonly offset?: LoopExpr
}

/** Against 8-bit activations (d8), four products an operation, by workgroups: as `parts`, `dotPart` and `slice` are for f32. */
export interface PackedDots {
  readonly parts: number
  dotPart(emitter: Emitter, dot: PartDot): void
  /** Values of a row that share a step, and whether there are offsets. */
  readonly stepK: 16 | 32
  readonly offsets: boolean
  /** The quants of a slice, signed bytes: [four][quad], a word a row. */
  sliceBytes(emitter: Emitter, slice: Slice): LoopExpr[][]
  /** The steps of four rows each, by quad, which hold for a slice and others of its run. */
  sliceSteps(emitter: Emitter, slice: Slice): SliceStep[]
}

const ones = 0x01010101

/** Sums of bytes that begin with these: [token][quad], of [token] and [quad] words. */
export const addBytes = (e: Emitter, sums: (LoopExpr | undefined)[][], xs: readonly LoopExpr[], rows: readonly LoopExpr[]): void => {
  for (const [t, x] of xs.entries()) {
    const four = ops.splat_i32(x)
    for (const [q, row] of rows.entries()) {
      const product = ops.dot4_signed(row, four, sums[t]![q] ?? constant('i32x4', 0))
      if (sums[t]![q]) e.set(sums[t]![q]!, product)
      else sums[t]![q] = e.let('sum', product)
    }
  }
}

/** Σ of the bytes of some words, as a float. */
export const sumOfBytes = (e: Emitter, fours: readonly LoopExpr[]): LoopExpr =>
  e.let('total', ops.to_f32(fours.reduce((sum, x) => ops.dot4_signed(x, ones, sum), constant('i32', 0) as LoopExpr)))

export const vector = (address: Address, offset: LoopArg, constantPart = 0): LoopExpr =>
  load('f32x4', address.operand, ops.add(address.at, offset), address.offset + constantPart, true)
export const words = (address: Address, offset: LoopArg, constantPart = 0): LoopExpr =>
  load('i32x4', address.operand, ops.add(address.at, offset), address.offset + constantPart, true)
export const splatFloat = (address: Address, offset: number): LoopExpr =>
  ops.splat_f32(load('f32', address.operand, address.at, address.offset + offset))
export const splatWord = (address: Address, offset: number): LoopExpr =>
  ops.splat_i32(load('i32', address.operand, address.at, address.offset + offset))

/** Words of the quad's vector inside a pair of vectors. */
export const half = (quad: LoopExpr): LoopExpr => ops.mul(quad, 4)
const isQuad = (quad: LoopExpr, value: 0 | 1): boolean => quad.kind === 'const' && quad.value === value

/** Word i of `pair` holds row i (low) and row 4+i (high): the halves of one quad as f32. */
export function halves(pair: LoopExpr, quad: LoopExpr): LoopExpr {
  if (isQuad(quad, 0)) return ops.half_lo_f32x4(pair)
  if (isQuad(quad, 1)) return ops.half_hi_f32x4(pair)
  return ops.half_lo_f32x4(ops.shr_u(pair, ops.mul(quad, 16)))
}

/** As `halves`, times 2^-112, in two operations (see a8.factor). Exact for every finite half. */
export function shiftedHalves(pair: LoopExpr, quad: LoopExpr): LoopExpr {
  const mask = constant('i32x4', 0x8fffe000 | 0)
  if (isQuad(quad, 1)) return ops.bits_f32x4(ops.and(ops.shr_s(pair, 3), mask))
  const low = isQuad(quad, 0) ? pair : ops.shr_u(pair, ops.mul(quad, 16))
  return ops.bits_f32x4(ops.and(ops.shr_s(ops.shl(low, 16), 3), mask))
}

/** Four activations from `place` on. */
export const fourFloats = ({ operand, at, offset }: Address, place: LoopArg): LoopExpr => load('f32x4', operand, ops.add(at, place), offset)

/** The sums of [token][quad], each going on with four rows of weights times one activation: lane `i` of `xs[token]`. */
export function addRows(
  e: Emitter,
  sums: readonly (readonly LoopExpr[])[],
  xs: readonly LoopExpr[],
  i: number,
  rows: readonly LoopExpr[],
): void {
  for (const [t, x] of xs.entries()) {
    const lane = ops.splat_f32(ops.lane_f32(x, i))
    for (const [q, row] of rows.entries()) e.set(sums[t]![q]!, ops.madd(row, lane, sums[t]![q]!))
  }
}

/** A half whose sign bit is extended (`loadHalves`), times 2^-112. */
export const shiftedHalf = (value: LoopExpr): LoopExpr => ops.bits_f32x4(ops.and(ops.shl(value, 13), constant('i32x4', 0x8fffe000 | 0)))

/** Half number `high` (0 or 1) of a word, at run time. */
export const halfOf = (word: LoopExpr, high: LoopExpr): LoopExpr => ops.half_lo_f32(ops.shr_u(word, ops.mul(high, 16)))

export const toFloat = (value: LoopExpr): LoopExpr => (isVector(value.type) ? ops.to_f32x4(value) : ops.to_f32(value))

/** Byte number `byte` of each word, unsigned. */
export function byteOf(word: LoopExpr, byte: LoopExpr): LoopExpr {
  const moved = ops.shr_u(word, ops.mul(byte, 8))
  return byte.kind === 'const' && byte.value === 3 ? moved : ops.and(moved, filled(moved, 255))
}
