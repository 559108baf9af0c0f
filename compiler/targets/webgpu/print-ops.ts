// One row per loop op: its WGSL text. Arguments come printed; `call` names a library function and records its use. Binary
// operators are always in parentheses, since WGSL refuses to mix some of them without.

import type { LoopExpr, LoopOp } from '../../schedule/loops.ts'
import type { MathOp } from '../../schedule/math-loops.ts'
import type { LibraryName } from './library.ts'
import { intLiteral, wgslTypes } from './literals.ts'

/** What a row sees of one operation. */
export interface OpText {
  readonly args: readonly string[]
  readonly node: LoopExpr & { readonly kind: 'op' }
  /** '_4' for four lanes (by the first argument), else '_1'. */
  readonly width: '_1' | '_4'
  call(name: LibraryName, ...args: readonly string[]): string
  /** A call of the op as math-loops.ts defines it. */
  math(op: MathOp): string
}

type Row = (op: OpText) => string

const infix =
  (sign: string): Row =>
  ({ args: [a, b] }) =>
    `(${a} ${sign} ${b})`
const builtin =
  (name: string): Row =>
  ({ args }) =>
    `${name}(${args.join(', ')})`
const library =
  <Name extends string>(name: Name & (`${Name}_1` extends LibraryName ? Name : never)): Row =>
  ({ args, width, call }) =>
    call(`${name}${width}` as LibraryName, ...args)
const reduction =
  (name: LibraryName): Row =>
  ({ args, call }) =>
    call(name, ...args)
const convert: Row = ({ args, node }) => `${wgslTypes[node.type]}(${args.join(', ')})`
const reinterpret: Row = ({ args, node }) => `bitcast<${wgslTypes[node.type]}>(${args[0]})`
const lane: Row = ({ args, node }) => `${args[0]}[${(node.args[1] as LoopExpr & { kind: 'const' }).value}]`

const unsigned = (width: string): string => (width === '_4' ? 'vec4<u32>' : 'u32')

/** Counts are taken modulo 32, as everywhere; WGSL refuses larger constants. */
function shiftCount({ node, args, width }: OpText): string {
  const by = node.args[1]!
  const count = by.kind === 'const' ? `${by.value & 31}u` : `(bitcast<u32>(${args[1]}) & 31u)`
  return width === '_4' ? `vec4<u32>(${count})` : count
}

const half =
  (high: boolean): Row =>
  ({ args, width, call }) => {
    const U = unsigned(width)
    const word = `bitcast<${U}>(${args[0]})`
    return call(`half${width}`, high ? `(${word} >> ${U}(16u))` : word)
  }

const math =
  (op: MathOp): Row =>
  (text) =>
    text.math(op)

/** Parts of a dot are its i32 sums. A byte of 7 bits is the same with and without a sign. */
const dotBytes = library('dot4')

export const printOps: Readonly<Record<LoopOp, Row>> = {
  add: infix('+'),
  sub: infix('-'),
  mul: infix('*'),
  div: infix('/'),
  rem: infix('%'),
  min: builtin('min'),
  max: builtin('max'),
  and: infix('&'),
  or: infix('|'),
  xor: infix('^'),
  not: ({ args: [a] }) => `(!${a})`,
  shl: (op) => `(${op.args[0]} << ${shiftCount(op)})`,
  shr_s: (op) => `(${op.args[0]} >> ${shiftCount(op)})`,
  shr_u: (op) => `bitcast<${wgslTypes[op.node.type]}>(bitcast<${unsigned(op.width)}>(${op.args[0]}) >> ${shiftCount(op)})`,
  eq: infix('=='),
  ne: infix('!='),
  lt: infix('<'),
  le: infix('<='),
  gt: infix('>'),
  ge: infix('>='),
  neg: ({ args: [a] }) => `(-${a})`,
  abs: builtin('abs'),
  sqrt: builtin('sqrt'),
  rsqrt: builtin('inverseSqrt'),
  floor: builtin('floor'),
  nearest: builtin('round'),
  exp: library('exp_safe'),
  log: math('log'),
  tanh: math('tanh'),
  erf: math('erf'),
  sin: math('sin'),
  cos: math('cos'),
  pow: math('pow'),
  madd: builtin('fma'),
  select: ({ args: [condition, yes, no] }) => `select(${no}, ${yes}, ${condition})`,
  to_f32: convert,
  to_f32x4: convert,
  to_i32: convert,
  to_i32x4: convert,
  bits_f32: reinterpret,
  bits_f32x4: reinterpret,
  bits_i32: reinterpret,
  bits_i32x4: reinterpret,
  half_lo_f32: half(false),
  half_hi_f32: half(true),
  half_lo_f32x4: half(false),
  half_hi_f32x4: half(true),
  splat_f32: convert,
  splat_i32: convert,
  splat_bool: convert,
  pack_f32: convert,
  pack_i32: convert,
  lane_f32: lane,
  lane_i32: lane,
  hsum: reduction('hsum'),
  sum_halves: reduction('sum_halves'),
  sum_pairs: reduction('sum_pairs'),
  hmax: reduction('hmax'),
  hmin: reduction('hmin'),
  dot4: dotBytes,
  dot4_signed: dotBytes,
  dot_open: ({ args: [sum] }) => sum!,
  dot_part: dotBytes,
  dot_close: ({ args: [part] }) => part!,
  dot_less: ({ args: [more] }) => more!,
  dot_rest: ({ args: [less] }) => less!,
  dot_start: ({ args: [pairs] }) => `(((${pairs} << vec4<u32>(16u)) >> vec4<u32>(16u)) + (${pairs} >> vec4<u32>(16u)))`,
  dot_scaled: ({ args: [part, pairs, sum] }) => `(${sum} + ${part} * (${pairs} >> vec4<u32>(16u)))`,
  byte_mask: ({ args: [n] }) => `vec4<i32>(8i * ${n})`,
  byte_pairs: ({ args: [words, mask] }) => `(((${words} >> bitcast<vec4<u32>>(${mask})) & vec4<i32>(255i)) * vec4<i32>(16777472i))`,
  bytes_lo: ({ args: [v], call }) => call('shorts', `(${v}).xxyy`),
  bytes_hi: ({ args: [v], call }) => call('shorts', `(${v}).zzww`),
  dot_shorts: reduction('dot_shorts'),
  zip_lo: ({ args: [a, b], call }) => call('zip_shorts', `(${a}).xxyy`, `(${b}).xxyy`),
  zip_hi: ({ args: [a, b], call }) => call('zip_shorts', `(${a}).zzww`, `(${b}).zzww`),
  pack_shorts: reduction('pack_shorts'),
  pack_bytes: reduction('pack_bytes'),
}

/** `text + by` for an i32 text, without adding nothing. */
export const plus = (text: string, by: number): string =>
  by === 0 ? text : by > 0 ? `(${text} + ${by}i)` : `(${text} + ${intLiteral(by)})`
