// A scalar function of a kernel's expressions as loop operations, on one value or on four lanes: what integers of each type need around
// them, division that never traps, casts, truth values that have no words of their own.

import { dtypeOf } from '../kernel/expression.ts'
import type { Expr } from '../kernel/types.ts'
import type { Dtype } from '../graph/types.ts'
import { constant, isVector as isVectorType, ops } from './build-loops.ts'
import { fromFloat, ordered, toFloat, unsigned, wrap } from './integers.ts'
import type { LoopExpr, LoopOp, LoopType } from './loops.ts'

export const elementOf = (dtype: Dtype): 'f32' | 'i32' => (dtype === 'f32' || dtype === 'f16' || dtype === 'bf16' ? 'f32' : 'i32')

export const scalarType = (dtype: Dtype): 'f32' | 'i32' | 'bool' => (dtype === 'bool' ? 'bool' : elementOf(dtype))
const isVector = (value: LoopExpr): boolean => isVectorType(value.type)

export function splat(value: LoopExpr): LoopExpr {
  if (isVector(value)) return value
  return value.type === 'f32' ? ops.splat_f32(value) : value.type === 'i32' ? ops.splat_i32(value) : ops.splat_bool(value)
}

/** Value → word to store: bool becomes 0 or 1. */
export function toWords(value: LoopExpr): LoopExpr {
  return value.type === 'bool' ? ops.to_i32(value) : value.type === 'boolx4' ? ops.to_i32x4(value) : value
}

const direct: Partial<Record<string, LoopOp>> = {
  neg: 'neg',
  exp: 'exp',
  log: 'log',
  sqrt: 'sqrt',
  rsqrt: 'rsqrt',
  sin: 'sin',
  cos: 'cos',
  tanh: 'tanh',
  erf: 'erf',
  floor: 'floor',
  not: 'not',
  add: 'add',
  sub: 'sub',
  mul: 'mul',
  pow: 'pow',
  eq: 'eq',
  ne: 'ne',
  lt: 'lt',
  le: 'le',
  gt: 'gt',
  ge: 'ge',
  and: 'and',
  or: 'or',
}

const applyOp = (name: LoopOp, ...args: LoopExpr[]): LoopExpr => (ops[name] as (...args: LoopExpr[]) => LoopExpr)(...args)

/** Four scalar results for an operation that vectors of integers do not have. */
function perLane(apply: (...args: LoopExpr[]) => LoopExpr, args: readonly LoopExpr[]): LoopExpr {
  const lanes = [0, 1, 2, 3].map((i) => apply(...args.map((arg) => ops.lane_i32(arg, constant('i32', i)))))
  return ops.pack_i32(...(lanes as [LoopExpr, LoopExpr, LoopExpr, LoopExpr]))
}

// Division as compiler/ops/scalar.ts defines it: integers truncate, x / 0 = x and x % 0 = 0 (WASM would trap, and also where the
// smallest integer is divided by -1);
// floats give 0 / 0 = 0, which is what makes a fully masked softmax row 0.

const isConst = (value: LoopExpr, test: (value: number) => boolean): boolean => value.kind === 'const' && test(value.value)
const nonZero = (value: number): boolean => value !== 0

function integerDiv(a: LoopExpr, b: LoopExpr): LoopExpr {
  if (isConst(b, (value) => value !== 0 && value !== -1)) return ops.div(a, b)
  const quotient = ops.div(a, ops.select(ops.or(ops.eq(b, 0), ops.eq(b, -1)), constant('i32', 1), b))
  return ops.select(ops.eq(b, -1), ops.neg(a), quotient)
}

function integerRem(a: LoopExpr, b: LoopExpr): LoopExpr {
  return isConst(b, nonZero) ? ops.rem(a, b) : ops.rem(a, ops.select(ops.eq(b, 0), constant('i32', 1), b))
}

function floatDiv(a: LoopExpr, b: LoopExpr): LoopExpr {
  if (isConst(a, nonZero) || isConst(b, nonZero)) return ops.div(a, b)
  const [zero, one] = [constant(a.type, 0), constant(a.type, 1)]
  return ops.div(a, ops.select(ops.and(ops.eq(a, zero), ops.eq(b, zero)), one, b))
}

/** The remainder with the sign of the dividend. */
function floatRem(a: LoopExpr, b: LoopExpr): LoopExpr {
  const quotient = ops.div(a, b)
  const whole = ops.select(ops.lt(quotient, constant(a.type, 0)), ops.neg(ops.floor(ops.neg(quotient))), ops.floor(quotient))
  return ops.sub(a, ops.mul(b, whole))
}

const compares: ReadonlySet<string> = new Set(['lt', 'le', 'gt', 'ge'])

export function applyScalarFn(expr: Extract<Expr, { kind: 'call' }>, args: readonly LoopExpr[]): LoopExpr {
  const [a, b, c] = args as [LoopExpr, LoopExpr, LoopExpr]
  const from = dtypeOf(expr.args[0]!)
  if (expr.fn === 'cast') return castTo(a, from, expr.dtype)
  if (expr.fn === 'where') return selectAny(a, b, c)
  if (compares.has(expr.fn)) return applyOp(expr.fn as LoopOp, ordered(a, from), ordered(b, from))
  if (from === 'u32' && (expr.fn === 'div' || expr.fn === 'mod')) {
    return isVector(a) ? perLane(unsigned[expr.fn], [a, b]) : unsigned[expr.fn](a, b)
  }
  if (from === 'u32' && (expr.fn === 'min' || expr.fn === 'max')) {
    return ops.select(ops.lt(ordered(a, from), ordered(b, from)), expr.fn === 'min' ? a : b, expr.fn === 'min' ? b : a)
  }
  if (from === 'u32' && expr.fn === 'abs') return a
  return expr.dtype === 'bool' ? arithmetic(expr, args) : wrap(arithmetic(expr, args), expr.dtype)
}

function arithmetic(expr: Extract<Expr, { kind: 'call' }>, args: readonly LoopExpr[]): LoopExpr {
  const [a, b] = args as [LoopExpr, LoopExpr]
  const type = a.type
  const floating = type === 'f32' || type === 'f32x4'
  const vector = isVector(a)
  switch (expr.fn) {
    case 'abs':
      return floating ? ops.abs(a) : ops.select(ops.lt(a, zeroOf(type)), ops.neg(a), a)
    case 'min':
      return floating || type === 'i32' ? ops.min(a, b) : ops.select(ops.lt(a, b), a, b)
    case 'max':
      return floating || type === 'i32' ? ops.max(a, b) : ops.select(ops.gt(a, b), a, b)
    case 'div':
      return floating ? floatDiv(a, b) : vector ? perLane(integerDiv, [a, b]) : integerDiv(a, b)
    case 'mod':
      return floating ? floatRem(a, b) : vector ? perLane(integerRem, [a, b]) : integerRem(a, b)
    case 'eq':
    case 'ne':
      if (type === 'bool' || type === 'boolx4') return applyOp(expr.fn, toWords(a), toWords(b))
      return applyOp(expr.fn, a, b)
    default: {
      const name = direct[expr.fn]
      if (!name) throw new Error(`internal: no loop operation for ${expr.fn}`)
      return applyOp(name, ...args)
    }
  }
}

const zeroOf = (type: LoopType): LoopExpr => (type === 'i32x4' ? splat(constant('i32', 0)) : constant('i32', 0))

function selectAny(condition: LoopExpr, yes: LoopExpr, no: LoopExpr): LoopExpr {
  if (yes.type === 'bool' || yes.type === 'boolx4') {
    const picked = ops.select(condition, toWords(yes), toWords(no))
    return ops.ne(picked, zeroOf(picked.type))
  }
  return ops.select(condition, yes, no)
}

function castTo(value: LoopExpr, from: Dtype, to: Dtype): LoopExpr {
  const [before, after] = [scalarType(from), scalarType(to)]
  if (after === 'bool') return before === 'bool' ? value : ops.ne(value, splatLike(value, constant(before, 0)))
  if (after === 'f32') return before === 'f32' ? value : toFloat(value, from)
  if (before === 'f32') return fromFloat(value, to)
  return wrap(before === 'bool' ? toWords(value) : value, to)
}

const splatLike = (like: LoopExpr, value: LoopExpr): LoopExpr => (isVector(like) ? splat(value) : value)
