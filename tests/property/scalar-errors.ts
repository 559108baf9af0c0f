// How far a pointwise function's result may be off: what its operands' errors become (from the function itself at the ends of the
// operands' intervals) plus the implementation's own error. Own errors are in units of u, the rounding of one operation (2^-24
// for f32), measured against what WebNN and WebGPU allow and tightened to what the loop functions promise (tests/webgpu/ops.test.ts).
// Where an error decides between two values (a comparison, floor, a cast to integers) the result is `unknown`.

import { binaryRow, unaryRow } from '../../compiler/ops/scalar.ts'
import type { BinaryOpName, UnaryOp } from '../../dsl/sink.ts'

/** An error so large that nothing is said about the value. Finite, so that it may be multiplied by 0. */
export const unknown = 1e60
export const isUnknown = (error: number): boolean => !(error < 1e50)

/** Below this f32 may flush to 0. */
const tiny = 2 ** -126

const isF32 = (x: number): boolean => Math.fround(x) === x

type Own = (value: number, x: number, u: number) => number

const relative =
  (units: number): Own =>
  (value, _, u) =>
    Math.abs(value) * units * u
const absolute =
  (units: number): Own =>
  (_, __, u) =>
    units * u

const own: Readonly<Partial<Record<UnaryOp, Own>>> = {
  exp: (value, x, u) => value * (6 + 4 * Math.abs(x)) * u,
  log: (value, _, u) => (32 + 4 * Math.abs(value)) * u,
  sqrt: relative(7),
  rsqrt: relative(7),
  sin: absolute(34),
  cos: absolute(34),
  tanh: relative(17),
  erf: absolute(16),
}

const clip = (error: number): number => (error < unknown ? error : unknown)

export function unaryError(fn: UnaryOp, x: number, e: number, value: number, u: number): number {
  if (isUnknown(e)) return unknown
  const { evaluate } = unaryRow(fn)
  const made = own[fn]?.(value, x, u) ?? 0
  if (e === 0) return made === 0 ? 0 : made + tiny
  switch (fn) {
    case 'floor':
      return Math.floor(x - e) === Math.floor(x + e) ? 0 : unknown
    case 'sin':
    case 'cos':
      return Math.min(2, e) + made
    case 'log':
    case 'rsqrt':
      if (x - e <= 0) return unknown
      break
    case 'sqrt':
      return Math.max(Math.abs(evaluate(x + e) - value), Math.abs(evaluate(Math.max(0, x - e)) - value)) + made + tiny
  }
  return clip(Math.max(Math.abs(evaluate(x + e) - value), Math.abs(evaluate(x - e) - value)) + made + tiny)
}

/** Operands a ± ea and b ± eb, floats. */
export function binaryError(fn: BinaryOpName, a: number, ea: number, b: number, eb: number, value: number, u: number): number {
  const certain = ea === 0 && eb === 0
  switch (fn) {
    case 'min':
    case 'max': {
      // The side that cannot be chosen does not count.
      const [low, high] = fn === 'min' ? [a - ea > b + eb, b - eb > a + ea] : [a + ea < b - eb, b + eb < a - ea]
      return low ? eb : high ? ea : Math.max(ea, eb)
    }
    case 'eq':
    case 'ne':
    case 'lt':
    case 'le':
    case 'gt':
    case 'ge':
      return certain || Math.abs(a - b) > ea + eb ? 0 : unknown
    case 'add':
    case 'sub':
      return certain && isF32(value) ? 0 : clip(ea + eb + u * (Math.abs(value) + ea + eb))
    case 'mul':
      return certain && isF32(value) ? 0 : clip(Math.abs(a) * eb + Math.abs(b) * ea + ea * eb + 1.01 * u * Math.abs(value) + tiny)
    case 'div': {
      if (a === 0 && b === 0 && certain) return 0
      const least = Math.abs(b) - eb
      return least <= 0 ? unknown : clip((ea + Math.abs(value) * eb) / least + 6 * u * Math.abs(value) + tiny)
    }
    case 'mod': {
      const least = Math.abs(b) - eb
      if (least <= 0) return unknown
      const low = (Math.abs(a) - ea) / (Math.abs(b) + eb)
      const high = (Math.abs(a) + ea) / least
      const quotient = Math.trunc(high * (1 + 8 * u))
      if (Math.trunc(low * (1 - 8 * u)) !== quotient || low < 0) return unknown
      return ea + quotient * eb + 2 * u * Math.abs(a) + tiny
    }
    case 'pow': {
      const { evaluate } = binaryRow(fn)
      if (a - ea <= 0) return unknown
      const made = Math.abs(value) * (32 + 16 * Math.abs(b)) * u + tiny
      const ends = [evaluate(a - ea, b - eb), evaluate(a - ea, b + eb), evaluate(a + ea, b - eb), evaluate(a + ea, b + eb)]
      return clip(Math.max(...ends.map((end) => Math.abs(end - value))) + made)
    }
    case 'and':
      return (a === 0 && ea === 0) || (b === 0 && eb === 0) ? 0 : certain ? 0 : unknown
    case 'or':
      return (a === 1 && ea === 0) || (b === 1 && eb === 0) ? 0 : certain ? 0 : unknown
  }
}

/** A float that becomes an integer or a truth value. */
export function castError(x: number, e: number, to: 'integer' | 'bool'): number {
  if (e === 0) return 0
  if (to === 'bool') return Math.abs(x) > e ? 0 : unknown
  return Math.trunc(x - e) === Math.trunc(x + e) ? 0 : unknown
}
