// Results against bounds: a value is right if it is no farther from the reference's than its own error bound. What went wrong
// is an `Failure` with the level, the configuration and the first element.

import type { Bounded } from './bounded-evaluation.ts'
import { isUnknown } from './scalar-errors.ts'

/** mismatch: a wrong number; verifier: an invariant of a level is broken; crash: anything that was thrown. */
export type FailureKind = 'mismatch' | 'verifier' | 'crash'

export class Failure extends Error {
  readonly kind: FailureKind
  readonly level: string
  readonly configuration: string

  constructor(kind: FailureKind, level: string, configuration: string, message: string) {
    super(`${kind} at ${level} with ${configuration}: ${message}`)
    this.kind = kind
    this.level = level
    this.configuration = configuration
  }
}

export interface Values {
  readonly results: readonly ArrayLike<number>[]
  readonly states: ReadonlyMap<string, ArrayLike<number>>
}

export interface BoundedValues {
  readonly results: readonly Bounded[]
  readonly states: ReadonlyMap<string, { readonly data: Float64Array; readonly error: Float64Array }>
}

/** How much of what was compared could not be judged. */
export interface Tally {
  elements: number
  unknown: number
  notFinite: number
}

function compareList(actual: ArrayLike<number>, wanted: Float64Array, error: Float64Array, what: string, tally: Tally): string | undefined {
  if (actual.length !== wanted.length) return `${what} has ${actual.length} elements, not ${wanted.length}`
  for (let i = 0; i < wanted.length; i++) {
    const [a, w] = [actual[i]!, wanted[i]!]
    tally.elements++
    if (isUnknown(error[i]!)) {
      tally.unknown++
      continue
    }
    if (!Number.isFinite(w)) {
      tally.notFinite++
      continue
    }
    if (!(Math.abs(a - w) <= error[i]!)) return `${what}, element ${i} is ${a}, not ${w} ± ${error[i]!.toPrecision(3)}`
  }
  return undefined
}

/** The first difference, or undefined. */
export function firstDifference(actual: Values, wanted: BoundedValues, tally: Tally): string | undefined {
  if (actual.results.length !== wanted.results.length) return `${actual.results.length} results, not ${wanted.results.length}`
  for (const [i, { tensor, error }] of wanted.results.entries()) {
    const difference = compareList(actual.results[i]!, tensor.data, error, `result ${i}`, tally)
    if (difference !== undefined) return difference
  }
  for (const [path, values] of actual.states) {
    const known = wanted.states.get(path)
    const data = known?.data ?? new Float64Array(values.length)
    const difference = compareList(values, data, known?.error ?? new Float64Array(data.length), `state ${path}`, tally)
    if (difference !== undefined) return difference
  }
  return undefined
}
