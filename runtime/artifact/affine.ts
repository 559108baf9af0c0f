// Values of the manifest's affine expressions. The runtime needs nothing else of the algebra.
import type { AffineJson } from './manifest.ts'

/** c + Σ factor·symbol. A symbol without a value is a fault of the caller, not of a user. */
export function evaluateAffine(affine: AffineJson, symbols: Readonly<Record<string, number>>): number {
  let sum = affine.const
  for (const [name, factor] of affine.terms) {
    const value = symbols[name]
    if (value === undefined) throw new Error(`internal: no value for the symbol ${name}`)
    sum += factor * value
  }
  return sum
}

/** Number of elements of a tensor with these dims; a size below zero, which only a damaged manifest gives, counts as none. */
export function elementCount(dims: readonly AffineJson[], symbols: Readonly<Record<string, number>>): number {
  let count = 1
  for (const dim of dims) count *= Math.max(0, evaluateAffine(dim, symbols))
  return count
}
