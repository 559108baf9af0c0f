// The scalar table: one row per pointwise function, with its f64 definition, the rule for its result type, and the error that
// an f32 implementation is allowed (WebNN's conformance bounds, see docs on numerics). The kernel level and the targets use the
// same names. Rules that a target must keep, because models rely on them:
//   0 / 0 = 0 for floats, so that a fully masked softmax row is 0 (max over it is 0, its exponentials and their sum are 0);
//   integer x / 0 = x and x % 0 = 0 (WGSL's rule; WASM would trap), integer division truncates, % takes the dividend's sign;
//   integers wrap.

import type { BinaryOpName, UnaryOp } from '../../dsl/sink.ts'
import type { Dtype } from '../graph/types.ts'
import { isFloat } from './op.ts'

/** Allowed error of an f32 result: in units of the last place, or absolute. 0 ulp: exact. */
export type Bound = { readonly ulp: number } | { readonly absolute: number }

interface Row {
  /** Operand dtypes that make sense. */
  readonly on: 'number' | 'float' | 'bool' | 'any'
  /** 'same': the operands' dtype; 'bool': a truth value. */
  readonly result: 'same' | 'bool'
  readonly bound: Bound
  /** True for functions that are worth a table: slow, or less exact on some target. */
  readonly transcendental?: boolean
}

export interface UnaryRow extends Row {
  evaluate(x: number): number
}

export interface BinaryRow extends Row {
  evaluate(a: number, b: number): number
  /** For integers, if it differs. The result is wrapped afterwards. */
  integer?(a: number, b: number): number
  readonly commutes: boolean
}

const truth = (value: boolean): number => (value ? 1 : 0)
const exact: Bound = { ulp: 0 }

/**
 * erf(x) = 2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (2n+1)!! (Abramowitz & Stegun 7.1.6). All terms have one sign, so nothing cancels;
 * beyond 6 the result is ±1 in f64.
 */
export function erf(x: number): number {
  if (Number.isNaN(x)) return x
  const size = Math.abs(x)
  if (size > 6) return Math.sign(x)
  let term = size
  let sum = size
  for (let n = 1; term > sum * 1e-18; n++) {
    term *= (2 * size * size) / (2 * n + 1)
    sum += term
  }
  return Math.sign(x) * Math.min(1, (2 / Math.sqrt(Math.PI)) * Math.exp(-size * size) * sum)
}

export const unaryTable = {
  neg: { on: 'number', result: 'same', bound: exact, evaluate: (x) => -x },
  abs: { on: 'number', result: 'same', bound: exact, evaluate: Math.abs },
  exp: { on: 'float', result: 'same', bound: { ulp: 32 }, transcendental: true, evaluate: Math.exp },
  log: { on: 'float', result: 'same', bound: { absolute: 2 ** -10 }, transcendental: true, evaluate: Math.log },
  sqrt: { on: 'float', result: 'same', bound: { ulp: 1 }, evaluate: Math.sqrt },
  rsqrt: { on: 'float', result: 'same', bound: { ulp: 2 }, evaluate: (x) => 1 / Math.sqrt(x) },
  sin: { on: 'float', result: 'same', bound: { absolute: 2 ** -10 }, transcendental: true, evaluate: Math.sin },
  cos: { on: 'float', result: 'same', bound: { absolute: 2 ** -10 }, transcendental: true, evaluate: Math.cos },
  tanh: { on: 'float', result: 'same', bound: { ulp: 16 }, transcendental: true, evaluate: Math.tanh },
  erf: { on: 'float', result: 'same', bound: { absolute: 2 ** -10 }, transcendental: true, evaluate: erf },
  floor: { on: 'float', result: 'same', bound: exact, evaluate: Math.floor },
  not: { on: 'bool', result: 'bool', bound: exact, evaluate: (x) => truth(x === 0) },
} satisfies Record<UnaryOp, UnaryRow>

export const binaryTable = {
  add: { on: 'number', result: 'same', bound: { ulp: 1 }, commutes: true, evaluate: (a, b) => a + b },
  sub: { on: 'number', result: 'same', bound: { ulp: 1 }, commutes: false, evaluate: (a, b) => a - b },
  // The product of two i32 needs 62 bits; Math.imul keeps the low 32, which are the same for u32.
  mul: { on: 'number', result: 'same', bound: { ulp: 1 }, commutes: true, evaluate: (a, b) => a * b, integer: Math.imul },
  div: {
    on: 'number',
    result: 'same',
    bound: { ulp: 2 },
    commutes: false,
    evaluate: (a, b) => (a === 0 && b === 0 ? 0 : a / b),
    integer: (a, b) => (b === 0 ? a : Math.trunc(a / b)),
  },
  mod: {
    on: 'number',
    result: 'same',
    bound: { ulp: 2 },
    commutes: false,
    evaluate: (a, b) => a % b,
    integer: (a, b) => (b === 0 ? 0 : a % b),
  },
  min: { on: 'number', result: 'same', bound: exact, commutes: true, evaluate: Math.min },
  max: { on: 'number', result: 'same', bound: exact, commutes: true, evaluate: Math.max },
  pow: { on: 'float', result: 'same', bound: { ulp: 32 }, transcendental: true, commutes: false, evaluate: Math.pow },
  eq: { on: 'any', result: 'bool', bound: exact, commutes: true, evaluate: (a, b) => truth(a === b) },
  ne: { on: 'any', result: 'bool', bound: exact, commutes: true, evaluate: (a, b) => truth(a !== b) },
  lt: { on: 'number', result: 'bool', bound: exact, commutes: false, evaluate: (a, b) => truth(a < b) },
  le: { on: 'number', result: 'bool', bound: exact, commutes: false, evaluate: (a, b) => truth(a <= b) },
  gt: { on: 'number', result: 'bool', bound: exact, commutes: false, evaluate: (a, b) => truth(a > b) },
  ge: { on: 'number', result: 'bool', bound: exact, commutes: false, evaluate: (a, b) => truth(a >= b) },
  and: { on: 'bool', result: 'bool', bound: exact, commutes: true, evaluate: (a, b) => truth(a !== 0 && b !== 0) },
  or: { on: 'bool', result: 'bool', bound: exact, commutes: true, evaluate: (a, b) => truth(a !== 0 || b !== 0) },
} satisfies Record<BinaryOpName, BinaryRow>

export const unaryRow = (fn: UnaryOp): UnaryRow => unaryTable[fn]
export const binaryRow = (fn: BinaryOpName): BinaryRow => binaryTable[fn]

/** Whether a row is defined for a dtype. */
export function accepts(row: Row, dtype: Dtype): boolean {
  if (row.on === 'any') return true
  if (row.on === 'bool') return dtype === 'bool'
  return row.on === 'float' ? isFloat(dtype) : dtype !== 'bool'
}
