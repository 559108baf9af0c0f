// One table: how each loop op is written in WebAssembly. Most are one instruction, found by the names of the row; the rest are
// short sequences below. The table never uses one expression reference twice in a tree (binaryen would emit a broken
// module): values needed twice go through a local. Vector min and max are pmin and pmax (one x86 instruction; which zero or
// NaN wins is left open); booleans are i32 0/1, boolx4 lanes are all ones or all zeros.

import binaryen from 'binaryen'
import { isVector } from '../../schedule/build-loops.ts'
import type { LoopExpr, LoopOp, LoopType } from '../../schedule/loops.ts'
import { isMathOp, type MathOp } from '../../schedule/math-loops.ts'

export type Ref = number

/** What the op table needs from the function being emitted. */
export interface Context {
  readonly module: binaryen.Module
  readonly relaxed: boolean
  readonly pairs: boolean
  expr(e: LoopExpr): Ref
  /** Byte address of the words [at + offset …), in part as an immediate. */
  place(access: { readonly operand: number; readonly at: LoopExpr; readonly offset: number; readonly halves?: boolean }): {
    pointer: Ref
    offset: number
  }
  newLocal(type: binaryen.Type): number
  /** A vector constant, from a local inside loops. */
  vector(lane: number, asFloat?: boolean): Ref
  /** The same of four words. */
  fourWords(words: readonly number[]): Ref
  math(op: MathOp, type: LoopType, args: Ref[]): Ref
}

type Op = LoopExpr & { kind: 'op' }
type Methods = Record<string, Record<string, (...args: Ref[]) => Ref>>

/** Method names of one-instruction ops: for integers, for floats. */
const direct: Partial<Record<LoopOp, readonly [integer?: string, float?: string]>> = {
  add: ['add', 'add'],
  sub: ['sub', 'sub'],
  mul: ['mul', 'mul'],
  div: ['div_s', 'div'],
  rem: ['rem_s'],
  and: ['and'],
  or: ['or'],
  xor: ['xor'],
  shl: ['shl'],
  shr_s: ['shr_s'],
  shr_u: ['shr_u'],
  eq: ['eq', 'eq'],
  ne: ['ne', 'ne'],
  lt: ['lt_s', 'lt'],
  le: ['le_s', 'le'],
  gt: ['gt_s', 'gt'],
  ge: ['ge_s', 'ge'],
  abs: [undefined, 'abs'],
  sqrt: [undefined, 'sqrt'],
  floor: [undefined, 'floor'],
  nearest: [undefined, 'nearest'],
  neg: ['neg', 'neg'],
  min: [undefined, 'min'],
  max: [undefined, 'max'],
}

const bitwise = new Set<LoopOp>(['and', 'or', 'xor'])
const vectorNames: Partial<Record<LoopOp, string>> = { min: 'pmin', max: 'pmax' }

/** Wasm type of a loop value. */
export const wasmType = (type: LoopType): binaryen.Type => (isVector(type) ? binaryen.v128 : type === 'f32' ? binaryen.f32 : binaryen.i32)

const swapHalves = [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7]
const swapNeighbours = [4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11]
const lowBytes = [0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12]

type Sequence = (c: Context, e: Op) => Ref
type Read = () => Ref

/** Evaluates each expression once and gives `body` functions that read the values as often as needed. */
function bind(c: Context, args: readonly LoopExpr[], result: LoopType, body: (...reads: Read[]) => Ref): Ref {
  const sets: Ref[] = []
  const reads = args.map((a): Read => {
    if (a.kind === 'local' || a.kind === 'const') return () => c.expr(a)
    const type = wasmType(a.type)
    const local = c.newLocal(type)
    sets.push(c.module.local.set(local, c.expr(a)))
    return () => c.module.local.get(local, type)
  })
  const value = body(...reads)
  return sets.length === 0 ? value : c.module.block(null, [...sets, value], wasmType(result))
}

function keep(c: Context, value: Ref, body: (read: Read) => Ref): Ref {
  const local = c.newLocal(binaryen.v128)
  return c.module.block(null, [c.module.local.set(local, value), body(() => c.module.local.get(local, binaryen.v128))], binaryen.v128)
}

/** i32 has no min and max. */
const pick =
  (compare: 'lt_s' | 'gt_s'): Sequence =>
  (c, e) =>
    bind(c, e.args, 'i32', (a, b) => c.module.select(c.module.i32[compare](a!(), b!()), a!(), b!()))

/** Joins the four lanes: with the other half, then with the neighbour; the result is lane 0. */
const fold =
  (join: 'add' | 'pmin' | 'pmax'): Sequence =>
  (c, e) => {
    const { i8x16, f32x4 } = c.module
    const step = (value: Ref, order: number[]) => keep(c, value, (v) => f32x4[join](v(), i8x16.shuffle(v(), v(), order)))
    return f32x4.extract_lane(step(step(c.expr(e.args[0]!), swapHalves), swapNeighbours), 0)
  }

/** Some lanes of two vectors plus some others; lanes 4 to 7 are the second vector's. */
const crossed =
  (left: readonly number[], right: readonly number[]): Sequence =>
  (c, e) =>
    bind(c, e.args, e.type, (a, b) => {
      const pick4 = (lanes: readonly number[]) =>
        c.module.i8x16.shuffle(
          a!(),
          b!(),
          lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte)),
        )
      return c.module.f32x4.add(pick4(left), pick4(right))
    })

/** A scalar load that is splat at once is one instruction. */
const splat =
  (space: 'i32x4' | 'f32x4'): Sequence =>
  (c, e) => {
    const value = e.args[0]!
    if (value.kind === 'load' && !value.halves) {
      const { pointer, offset } = c.place(value)
      return c.module.v128.load32_splat(offset, 4, pointer)
    }
    return c.module[space].splat(c.expr(value))
  }

const pack =
  (space: 'i32x4' | 'f32x4'): Sequence =>
  (c, e) => {
    const known = e.args.map((a) => (a.kind === 'const' ? a.value : Number.NaN))
    if (!known.some(Number.isNaN)) return c.fourWords([...(space === 'i32x4' ? known : new Int32Array(Float32Array.from(known).buffer))])
    const [first, ...rest] = e.args.map((a) => c.expr(a)) as [Ref, ...Ref[]]
    return rest.reduce((vector, value, i) => c.module[space].replace_lane(vector, i + 1, value), c.module[space].splat(first))
  }

const lane =
  (space: 'i32x4' | 'f32x4'): Sequence =>
  (c, e) => {
    const index = e.args[1]!
    if (index.kind !== 'const') throw new Error('internal: lane number is not constant')
    return c.module[space].extract_lane(c.expr(e.args[0]!), index.value)
  }

/** Even and odd bytes as 16-bit numbers. */
function signedPairs(c: Context, x: Read): [Ref, Ref] {
  const { i16x8, i32 } = c.module
  return [i16x8.shr_s(i16x8.shl(x(), i32.const(8)), i32.const(8)), i16x8.shr_s(x(), i32.const(8))]
}

/** Without relaxed SIMD: products of 16-bit numbers summed in pairs; exact as well. */
function dotBytes(c: Context, a: Read, b: Read, acc: Ref, signed = false): Ref {
  const { i16x8, i32x4, v128, i32 } = c.module
  const [a0, a1] = signedPairs(c, a)
  const [b0, b1] = signed ? signedPairs(c, b) : [v128.and(b(), c.vector(0x00ff00ff)), i16x8.shr_u(b(), i32.const(8))]
  return i32x4.add(i32x4.add(i32x4.dot_i16x8_s(a0, b0), i32x4.dot_i16x8_s(a1, b1)), acc)
}

interface Raw {
  _BinaryenSIMDTernary(module: number, op: number, a: Ref, b: Ref, c: Ref): Ref
  _BinaryenBinary(module: number, op: number, a: Ref, b: Ref): Ref
}

/** binaryen has no builder of relaxed instructions, but its C interface takes them. */
const raw = binaryen as unknown as Raw
const pointerOf = (c: Context): number => (c.module as unknown as { ptr: number }).ptr
const ternary = (c: Context, op: number, a: Ref, b: Ref, d: Ref): Ref => raw._BinaryenSIMDTernary(pointerOf(c), op, a, b, d)

const exactDot =
  (signed: boolean): Sequence =>
  (c, e) => {
    const [a, b, acc] = e.args as readonly [LoopExpr, LoopExpr, LoopExpr]
    const { i32x4 } = c.module
    if (e.type !== 'i32') return bind(c, [a, b], 'i32x4', (x, y) => dotBytes(c, x!, y!, c.expr(acc), signed))
    return bind(c, [a, b], 'i32', (x, y) => {
      const [va, vb] = [() => i32x4.splat(x!()), () => i32x4.splat(y!())]
      return i32x4.extract_lane(dotBytes(c, va, vb, i32x4.splat(c.expr(acc)), signed), 0)
    })
  }

const dot4: Sequence = (c, e) => {
  const [a, b, acc] = e.args as readonly [LoopExpr, LoopExpr, LoopExpr]
  if (!c.relaxed || e.type === 'i32') return exactDot(false)(c, e)
  return ternary(c, binaryen.RelaxedDotI8x16I7x16AddSToVecI32x4, c.expr(a), c.expr(b), c.expr(acc))
}

/**
 * Parts of a dot. Where the engine has no instruction for a whole dot of bytes it makes one of pmaddubsw, pmaddwd and a constant; a
 * part there sums the i16 results of pmaddubsw alone, and pmaddwd follows once. Else a part is the i32 sums themselves.
 */
const dotOpen: Sequence = (c, e) => (c.pairs ? c.vector(0) : c.expr(e.args[0]!))

const dotPart: Sequence = (c, e) => {
  if (!c.pairs) return dot4(c, e)
  const [a, b, part] = e.args as readonly [LoopExpr, LoopExpr, LoopExpr]
  const sums = raw._BinaryenBinary(pointerOf(c), binaryen.RelaxedDotI8x16I7x16SToVecI16x8, c.expr(a), c.expr(b))
  return isZero(part) ? sums : c.module.i16x8.add(sums, c.expr(part))
}

/** Pairs of i16 as their sums. Products with one, which stays in a register: V8 loads it for every `extadd_pairwise` (q8_0 6 % slower). */
const inWords = (c: Context, pairs: Ref): Ref => c.module.i32x4.dot_i16x8_s(pairs, c.vector(0x00010001))

const dotClose: Sequence = (c, e) => {
  const [part, sum] = e.args as readonly [LoopExpr, LoopExpr]
  if (!c.pairs) return c.expr(part)
  const whole = inWords(c, c.expr(part))
  return isZero(sum) ? whole : c.module.i32x4.add(whole, c.expr(sum))
}

const dotLess: Sequence = (c, e) => {
  const [more, less, sum] = e.args as readonly [LoopExpr, LoopExpr, LoopExpr]
  if (!c.pairs) return c.expr(more)
  return c.module.i32x4.add(inWords(c, c.module.i16x8.sub(c.expr(more), c.expr(less))), c.expr(sum))
}

const dotStart: Sequence = (c, e) => {
  const pairs = c.expr(e.args[0]!)
  return c.pairs ? pairs : c.module.i32x4.dot_i16x8_s(pairs, c.vector(0x00010001))
}

const dotScaled: Sequence = (c, e) => {
  const { i32x4 } = c.module
  const [part, pairs] = [c.expr(e.args[0]!), c.expr(e.args[1]!)]
  const scaled = c.pairs ? i32x4.dot_i16x8_s(part, pairs) : i32x4.mul(part, i32x4.shr_s(pairs, c.module.i32.const(16)))
  return isZero(e.args[2]!) ? scaled : i32x4.add(scaled, c.expr(e.args[2]!))
}

/** Places of a byte of each word in the high byte of both its halves; 0x80 is a place outside, which gives zero. */
const byteMask: Sequence = (c, e) => {
  const n = e.args[0]!
  const places = (first: number): number[] => [0, 4, 8, 12].map((word) => Math.imul(word + first, 0x01000100) | 0x00800080)
  if (n.kind === 'const') return c.fourWords(places(n.value))
  const { i32, i32x4 } = c.module
  return i32x4.add(c.fourWords(places(0)), i32x4.splat(i32.mul(c.expr(n), i32.const(0x01000100))))
}

const bytePairs: Sequence = (c, e) => {
  const [words, mask] = [c.expr(e.args[0]!), c.expr(e.args[1]!)]
  return c.relaxed ? raw._BinaryenBinary(pointerOf(c), binaryen.RelaxedSwizzleVecI8x16, words, mask) : c.module.i8x16.swizzle(words, mask)
}

/** Bytes that come from memory are widened as they are loaded. */
const widened =
  (upper: boolean): Sequence =>
  (c, e) => {
    const value = e.args[0]!
    const { v128, i16x8 } = c.module
    if (value.kind !== 'load') return upper ? i16x8.extend_high_i8x16_s(c.expr(value)) : i16x8.extend_low_i8x16_s(c.expr(value))
    const { pointer, offset } = c.place(value)
    return v128.load8x8_s(offset + (upper ? 8 : 0), 4, pointer)
  }

const dotShorts: Sequence = (c, e) => {
  const [a, b, acc] = e.args as readonly [LoopExpr, LoopExpr, LoopExpr]
  const { i32x4 } = c.module
  const products = i32x4.dot_i16x8_s(c.expr(a), c.expr(b))
  return isZero(acc) ? products : i32x4.add(products, c.expr(acc))
}

const zipped =
  (first: number): Sequence =>
  (c, e) => {
    const order = [0, 1, 2, 3].flatMap((i) => [0, 16].flatMap((side) => [0, 1].map((byte) => side + 2 * (first + i) + byte)))
    return c.module.i8x16.shuffle(c.expr(e.args[0]!), c.expr(e.args[1]!), order)
  }

const isZero = (e: LoopExpr): boolean => (e.kind === 'const' && e.value === 0) || (e.kind === 'op' && e.op === 'dot_open')

const madd: Sequence = (c, e) => {
  const [a, b, d] = e.args.map((x) => c.expr(x)) as [Ref, Ref, Ref]
  if (e.type === 'f32') return c.module.f32.add(c.module.f32.mul(a, b), d)
  return c.relaxed ? ternary(c, binaryen.RelaxedMaddVecF32x4, a, b, d) : c.module.f32x4.add(c.module.f32x4.mul(a, b), d)
}

const rsqrt: Sequence = (c, e) => {
  const value = c.expr(e.args[0]!)
  if (e.type === 'f32') return c.module.f32.div(c.module.f32.const(1), c.module.f32.sqrt(value))
  return c.module.f32x4.div(c.vector(1, true), c.module.f32x4.sqrt(value))
}

/**
 * The low half of each word with its sign, shifted left: one product of halves instead of two shifts. Halves that are kept for several
 * tokens are shifted (`half`): there one more constant is worth a register of sums (f16 in tiles 5 % slower).
 */
function signedLow(c: Context, e: Op): Ref | undefined {
  const [moved, by] = e.args
  if (e.op !== 'shr_s' || e.type !== 'i32x4' || by?.kind !== 'const' || by.value < 2 || by.value > 16) return undefined
  if (moved?.kind !== 'op' || moved.op !== 'shl' || moved.args[1]?.kind !== 'const' || moved.args[1].value !== 16) return undefined
  return c.module.i32x4.dot_i16x8_s(c.expr(moved.args[0]!), c.vector(2 ** (16 - by.value)))
}

/** An IEEE half shifted into an f32 is 2^-112 of its value, denormals included; infinities are not kept. */
const half =
  (high: boolean): Sequence =>
  (c, e) => {
    const word = e.args[0]!
    const wide = isVector(word.type)
    const { i32, i32x4, f32, f32x4, v128 } = c.module
    const by = (n: number): Ref => i32.const(n)
    const up = (value: Ref): Ref => (high ? value : wide ? i32x4.shl(value, by(16)) : i32.shl(value, by(16)))
    if (!wide) return f32.mul(f32.reinterpret(i32.and(i32.shr_s(up(c.expr(word)), by(3)), by(0x8fffe000))), f32.const(2 ** 112))
    return f32x4.mul(v128.and(i32x4.shr_s(up(c.expr(word)), by(3)), c.vector(0x8fffe000)), c.vector(2 ** 112, true))
  }

const unary =
  (write: (m: binaryen.Module, value: Ref, from: LoopType, c: Context) => Ref): Sequence =>
  (c, e) =>
    write(c.module, c.expr(e.args[0]!), e.args[0]!.type, c)

const sequences: Partial<Record<LoopOp, Sequence>> = {
  hsum: fold('add'),
  sum_halves: crossed([0, 4, 1, 5], [2, 6, 3, 7]),
  sum_pairs: crossed([0, 1, 4, 5], [2, 3, 6, 7]),
  hmax: fold('pmax'),
  hmin: fold('pmin'),
  splat_f32: splat('f32x4'),
  splat_i32: splat('i32x4'),
  pack_f32: pack('f32x4'),
  pack_i32: pack('i32x4'),
  splat_bool: unary((m, v) => m.i32x4.splat(m.i32.sub(m.i32.const(0), v))),
  lane_f32: lane('f32x4'),
  lane_i32: lane('i32x4'),
  half_lo_f32: half(false),
  half_hi_f32: half(true),
  half_lo_f32x4: half(false),
  half_hi_f32x4: half(true),
  dot4,
  dot4_signed: exactDot(true),
  dot_open: dotOpen,
  dot_part: dotPart,
  dot_close: dotClose,
  dot_less: dotLess,
  dot_rest: (c, e) => (c.pairs ? c.vector(0) : c.expr(e.args[0]!)),
  dot_start: dotStart,
  dot_scaled: dotScaled,
  byte_mask: byteMask,
  byte_pairs: bytePairs,
  bytes_lo: widened(false),
  bytes_hi: widened(true),
  dot_shorts: dotShorts,
  zip_lo: zipped(0),
  zip_hi: zipped(4),
  pack_shorts: (c, e) => c.module.i16x8.narrow_i32x4_s(c.expr(e.args[0]!), c.expr(e.args[1]!)),
  madd,
  rsqrt,
  not: unary((m, v, from) => (from === 'bool' ? m.i32.eqz(v) : m.v128.not(v))),
  select: (c, e) => {
    const [condition, yes, no] = e.args.map((a) => c.expr(a)) as [Ref, Ref, Ref]
    return isVector(e.type) ? c.module.v128.bitselect(yes, no, condition) : c.module.select(condition, yes, no)
  },
  to_f32: unary((m, v) => m.f32.convert_s.i32(v)),
  to_f32x4: unary((m, v, from, c) => (from === 'i32x4' ? m.f32x4.convert_i32x4_s(v) : m.v128.and(v, c.vector(1, true)))),
  to_i32: unary((m, v, from) => (from === 'f32' ? m.i32.trunc_s_sat.f32(v) : v)),
  to_i32x4: unary((m, v, from) => (from === 'f32x4' ? m.i32x4.trunc_sat_f32x4_s(v) : m.i32x4.neg(v))),
  bits_f32: unary((m, v) => m.f32.reinterpret(v)),
  bits_i32: unary((m, v) => m.i32.reinterpret(v)),
  bits_f32x4: unary((_, v) => v),
  bits_i32x4: unary((_, v) => v),
  pack_bytes: unary((m, v, _, c) => m.i32x4.extract_lane(m.i8x16.shuffle(v, c.vector(0), lowBytes), 0)),
}

/** The ops whose sequence depends on the type of the argument. */
const integerOnly: Partial<Record<LoopOp, Sequence>> = {
  min: pick('lt_s'),
  max: pick('gt_s'),
  neg: unary((m, v) => m.i32.sub(m.i32.const(0), v)),
}

/** The expression of one op. */
export function emitOp(c: Context, e: Op): Ref {
  const first = e.args[0]!.type
  const special = sequences[e.op] ?? (first === 'i32' ? integerOnly[e.op] : undefined)
  if (special) return special(c, e)
  const low = signedLow(c, e)
  if (low !== undefined) return low
  if (isMathOp(e.op))
    return c.math(
      e.op,
      e.type,
      e.args.map((a) => c.expr(a)),
    )
  const space = isVector(first) && bitwise.has(e.op) ? 'v128' : first.replace('bool', 'i32')
  const name = direct[e.op]?.[first.startsWith('f32') ? 1 : 0]
  const method = (c.module as unknown as Methods)[space]?.[isVector(first) ? (vectorNames[e.op] ?? name!) : name!]
  if (!method) throw new Error(`internal: no WebAssembly for ${e.op} on ${first}`)
  return method(...e.args.map((a) => c.expr(a)))
}
