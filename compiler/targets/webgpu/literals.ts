// Names of types and constants in WGSL. WGSL evaluates expressions of constants when a module is made and refuses overflow,
// division by zero and non-finite results there; `keep` functions (library.ts) turn a constant into a run-time value.

import type { LoopType } from '../../schedule/loops.ts'

export const wgslTypes: Readonly<Record<LoopType, string>> = {
  i32: 'i32',
  f32: 'f32',
  bool: 'bool',
  i32x4: 'vec4<i32>',
  f32x4: 'vec4<f32>',
  boolx4: 'vec4<bool>',
}

const largest = Math.fround(3.4028234663852886e38)
const smallestNormal = 2 ** -126

/** Exact for every normal f32. Denormals become 0 (GPUs may flush them) and infinities ±f32 max. NaN is an internal fault. */
export function floatLiteral(value: number): string {
  if (Number.isNaN(value)) throw new Error('internal: NaN constant in a loop function')
  const rounded = Math.max(-largest, Math.min(largest, Math.fround(value)))
  const flushed = Math.abs(rounded) < smallestNormal ? 0 : rounded
  // The shortest decimal that names this double names an f32 exactly.
  const digits = String(Math.abs(flushed))
  const text = `${/[.e]/.test(digits) ? digits : `${digits}.0`}f`
  return flushed < 0 || Object.is(rounded, -0) ? `(-${text})` : text
}

/** i32(−2147483648) has no suffixed form, so negative numbers are written as conversions. */
export const intLiteral = (value: number): string => (value < 0 ? `i32(${value | 0})` : `${value | 0}i`)

const scalarLiterals = {
  f32: floatLiteral,
  i32: intLiteral,
  bool: (value: number): string => (value ? 'true' : 'false'),
}

export function literal(type: LoopType, value: number): string {
  const text = scalarLiterals[type.replace('x4', '') as keyof typeof scalarLiterals](value)
  return type.endsWith('x4') ? `${wgslTypes[type]}(${text})` : text
}
