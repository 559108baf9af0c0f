// One table: what each loop op computes on JavaScript numbers (i32 as integers, f32 as doubles that hold an f32, bool as 0/1;
// vectors as arrays of four). The rounding of f32 happens here and nowhere else in the evaluator.

import { expMost } from './math-loops.ts'
import { isVector } from './build-loops.ts'
import type { LoopOp, LoopType } from './loops.ts'

export type Value = number | readonly number[]

type Lane = (a: number, b: number, c: number) => number

const round = Math.fround

function nearestEven(x: number): number {
  const down = Math.floor(x)
  const rest = x - down
  const result = rest < 0.5 ? down : rest > 0.5 ? down + 1 : down % 2 === 0 ? down : down + 1
  return result === 0 && (x < 0 || Object.is(x, -0)) ? -0 : result
}

/** The error function to about 1e-16 absolute: its series for small |x|, a continued fraction for the rest. */
export function erf(x: number): number {
  const z = Math.abs(x)
  if (z < 2.5) {
    let term = z
    let sum = z
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum) && n < 200; n++) {
      term *= (-z * z) / n
      sum += term / (2 * n + 1)
    }
    return Math.sign(x) * sum * (2 / Math.sqrt(Math.PI))
  }
  if (z > 6) return Math.sign(x)
  let fraction = 0
  for (let n = 60; n >= 1; n--) fraction = n / 2 / (z + fraction)
  return Math.sign(x) * (1 - Math.exp(-z * z) / Math.sqrt(Math.PI) / (z + fraction))
}

const whole =
  (f: (a: number, b: number) => number): Lane =>
  (a, b) =>
    f(a, b) | 0
const real =
  (f: (a: number, b: number) => number): Lane =>
  (a, b) =>
    round(f(a, b))

const division =
  (f: (a: number, b: number) => number): Lane =>
  (a, b) => {
    if (b === 0) throw new Error('internal: integer division by zero in a loop function')
    return f(a, b) | 0
  }

const saturate = (x: number): number => (Number.isNaN(x) ? 0 : Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, Math.trunc(x)))) | 0

/** Value of the IEEE half in the low 16 bits. */
const halfValue: Lane = (word) => {
  const [exponent, mantissa] = [(word >> 10) & 31, word & 1023]
  const size =
    exponent === 31 ? (mantissa ? NaN : Infinity) : exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25)
  return word & 0x8000 ? -size : size
}
const upperHalf: Lane = (word) => halfValue(word >>> 16, 0, 0)

/** Byte `shift / 8` of a, signed, times that of b. */
const byteProduct = (a: number, b: number, shift: number): number => {
  const unsigned = (b >>> shift) & 255
  if (unsigned > 127) throw new Error('internal: second argument of a dot of bytes is above 127')
  return ((a << (24 - shift)) >> 24) * unsigned
}

const dot4: Lane = (a, b, acc) => {
  let sum = acc
  for (let shift = 0; shift < 32; shift += 8) sum += byteProduct(a, b, shift)
  return sum | 0
}

const dot4Signed: Lane = (a, b, acc) => {
  let sum = acc
  for (let shift = 0; shift < 32; shift += 8) sum += ((a << (24 - shift)) >> 24) * ((b << (24 - shift)) >> 24)
  return sum | 0
}

/** Parts of a dot are kept as the narrowest target does: i16 sums of neighbouring products. */
const dotPart: Lane = (a, b, part) => {
  const pair = (shift: number): number => {
    const sum = ((part << (16 - shift)) >> 16) + byteProduct(a, b, shift) + byteProduct(a, b, shift + 8)
    if ((sum << 16) >> 16 !== sum) throw new Error('internal: too many products in one part of a dot')
    return sum
  }
  return (pair(0) & 0xffff) | (pair(16) << 16)
}
const dotClose: Lane = (part, sum) => (sum + ((part << 16) >> 16) + (part >> 16)) | 0
const dotScaled: Lane = (part, pairs, sum) => {
  if ((pairs << 16) >> 16 !== pairs >> 16) throw new Error('internal: the scales of a part differ')
  return (sum + Math.imul(dotClose(part, 0, 0), pairs >> 16)) | 0
}
const dotShorts: Lane = (a, b, acc) => (acc + Math.imul((a << 16) >> 16, (b << 16) >> 16) + Math.imul(a >> 16, b >> 16)) | 0
const bytePairs: Lane = (word, mask) => Math.imul((word >>> (8 * mask)) & 255, 0x01000100)

const compare = (f: (a: number, b: number) => boolean): Record<string, Lane> => {
  const lane: Lane = (a, b) => Number(f(a, b))
  return { i32: lane, f32: lane }
}

const bits = new DataView(new ArrayBuffer(4))
const bitsToFloat: Lane = (a) => {
  bits.setInt32(0, a)
  return bits.getFloat32(0)
}
const bitsToInt: Lane = (a) => {
  bits.setFloat32(0, a)
  return bits.getInt32(0)
}
const keep: Lane = (a) => a

/** Lane by lane, by the element type of the (first compared) argument. */
const lanes: Partial<Record<LoopOp, Readonly<Record<string, Lane>>>> = {
  add: { i32: whole((a, b) => a + b), f32: real((a, b) => a + b) },
  sub: { i32: whole((a, b) => a - b), f32: real((a, b) => a - b) },
  mul: { i32: Math.imul, f32: real((a, b) => a * b) },
  div: { i32: division((a, b) => a / b), f32: real((a, b) => a / b) },
  rem: { i32: division((a, b) => a % b) },
  min: { i32: whole(Math.min), f32: real(Math.min) },
  max: { i32: whole(Math.max), f32: real(Math.max) },
  and: { i32: whole((a, b) => a & b), bool: whole((a, b) => a & b) },
  or: { i32: whole((a, b) => a | b), bool: whole((a, b) => a | b) },
  xor: { i32: whole((a, b) => a ^ b) },
  not: { bool: (a) => 1 - a },
  eq: compare((a, b) => a === b),
  ne: compare((a, b) => a !== b),
  lt: compare((a, b) => a < b),
  le: compare((a, b) => a <= b),
  gt: compare((a, b) => a > b),
  ge: compare((a, b) => a >= b),
  neg: { i32: whole((a) => -a), f32: (a) => -a },
  abs: { f32: Math.abs },
  sqrt: { f32: real(Math.sqrt) },
  rsqrt: { f32: real((a) => 1 / round(Math.sqrt(a))) },
  floor: { f32: Math.floor },
  nearest: { f32: nearestEven },
  exp: { f32: real((a) => Math.exp(Math.min(a, expMost))) },
  log: { f32: real(Math.log) },
  tanh: { f32: real(Math.tanh) },
  erf: { f32: real(erf) },
  sin: { f32: real(Math.sin) },
  cos: { f32: real(Math.cos) },
  pow: { f32: real(Math.pow) },
  madd: { f32: (a, b, c) => round(round(a * b) + c) },
  dot4: { i32: dot4 },
  dot4_signed: { i32: dot4Signed },
  dot_open: { i32: () => 0 },
  dot_part: { i32: dotPart },
  dot_close: { i32: dotClose },
  dot_less: { i32: (more, less, sum) => (dotClose(more, sum, 0) - dotClose(less, 0, 0)) | 0 },
  dot_rest: { i32: () => 0 },
  dot_start: { i32: (pairs) => pairs },
  dot_scaled: { i32: dotScaled },
  byte_pairs: { i32: bytePairs },
  dot_shorts: { i32: dotShorts },
  half_lo_f32: { i32: halfValue },
  half_hi_f32: { i32: upperHalf },
  half_lo_f32x4: { i32: halfValue },
  half_hi_f32x4: { i32: upperHalf },
  to_f32: { i32: round, bool: keep },
  to_f32x4: { i32: round, bool: keep },
  to_i32: { f32: saturate, bool: keep },
  to_i32x4: { f32: saturate, bool: keep },
  bits_f32: { i32: bitsToFloat },
  bits_f32x4: { i32: bitsToFloat },
  bits_i32: { f32: bitsToInt },
  bits_i32x4: { f32: bitsToInt },
}

type Apply = (...args: Value[]) => Value
type Four = readonly [number, number, number, number]

/** Of the eight lanes of two vectors, some plus some others. */
function sums(a: Value, b: Value, left: readonly number[], right: readonly number[]): number[] {
  const all = [...(a as Four), ...(b as Four)]
  return left.map((lane, i) => round(all[lane]! + all[right[i]!]!))
}

/** Eight i16 of four words, and back. */
const shortsOf = (v: Value): number[] => (v as Four).flatMap((word) => [(word << 16) >> 16, word >> 16])
const wordsOf = (shorts: readonly number[]): number[] => [0, 2, 4, 6].map((i) => (shorts[i]! & 0xffff) | (shorts[i + 1]! << 16))
const bytesFrom =
  (first: number): Apply =>
  (v) =>
    wordsOf(Array.from({ length: 8 }, (_, i) => ((v as Four)[first + (i >> 2)]! << (24 - 8 * (i & 3))) >> 24))
const zipFrom =
  (first: number): Apply =>
  (a, b) => {
    const [x, y] = [shortsOf(a), shortsOf(b)]
    return wordsOf([0, 1, 2, 3].flatMap((i) => [x[first + i]!, y[first + i]!]))
  }

/** Operations that are not lane by lane. */
const whole4: Partial<Record<LoopOp, Apply>> = {
  splat_f32: (a) => [a, a, a, a] as number[],
  splat_i32: (a) => [a, a, a, a] as number[],
  byte_mask: (n) => [n, n, n, n] as number[],
  splat_bool: (a) => [a, a, a, a] as number[],
  pack_f32: (...args) => args as number[],
  pack_i32: (...args) => args as number[],
  lane_f32: (v, i) => (v as Four)[i as 0]!,
  lane_i32: (v, i) => (v as Four)[i as 0]!,
  hsum: (v) => round(round((v as Four)[0] + (v as Four)[2]) + round((v as Four)[1] + (v as Four)[3])),
  sum_halves: (a, b) => sums(a, b, [0, 4, 1, 5], [2, 6, 3, 7]),
  sum_pairs: (a, b) => sums(a, b, [0, 1, 4, 5], [2, 3, 6, 7]),
  hmax: (v) => Math.max(...(v as Four)),
  hmin: (v) => Math.min(...(v as Four)),
  bytes_lo: bytesFrom(0),
  bytes_hi: bytesFrom(2),
  zip_lo: zipFrom(0),
  zip_hi: zipFrom(4),
  pack_shorts: (a, b) => wordsOf([...(a as Four), ...(b as Four)].map((x) => Math.max(-32768, Math.min(x, 32767)))),
  pack_bytes: (v) => (v as Four).reduce((word, lane, i) => word | ((lane & 255) << (8 * i)), 0),
}

const shifts: Partial<Record<LoopOp, Lane>> = { shl: (a, n) => a << n, shr_s: (a, n) => a >> n, shr_u: (a, n) => (a >>> n) | 0 }

const zeros: Four = [0, 0, 0, 0]
/** The lanes of an argument that the op may not have. */
const lanesOf = (v: Value | undefined): Four => (typeof v === 'object' ? (v as Four) : zeros)

/** The function of one op for arguments of these types. */
export function combine(op: LoopOp, types: readonly LoopType[]): Apply {
  const special = whole4[op]
  if (special) return special
  const shift = shifts[op]
  if (shift) {
    const by = (x: number, n: Value | undefined): number => shift(x, n as number, 0)
    return (a, n) => (typeof a === 'number' ? by(a, n) : [by(a[0]!, n), by(a[1]!, n), by(a[2]!, n), by(a[3]!, n)])
  }
  const vector = isVector(types[0]!)
  if (op === 'select') {
    if (!vector) return (c, yes, no) => (c ? yes! : no!)
    return (c, yes, no) => (c as Four).map((bit, i) => (bit ? (yes as Four)[i]! : (no as Four)[i]!))
  }
  const lane = lanes[op]?.[types[0]!.replace('x4', '')]
  if (!lane) throw new Error(`internal: no evaluation of ${op} on ${types[0]}`)
  if (!vector) return lane as Apply
  return (a, b, c) => {
    const [x, y, z] = [a as Four, lanesOf(b), lanesOf(c)]
    return [lane(x[0], y[0], z[0]), lane(x[1], y[1], z[1]), lane(x[2], y[2], z[2]), lane(x[3], y[3], z[3])]
  }
}
