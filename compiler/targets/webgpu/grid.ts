// Workgroup counts: at most 65,535 per dimension. A dimension that may exceed it is folded: a factor
// `by` of it moves to an unused dimension, and the kernel reassembles its group number and leaves when it is past the end.
// Group numbers are uniform, so leaving early is legal before barriers.

import { type Affine, type Bounds, range } from '../../../dsl/affine.ts'
import { guaranteed } from './bindings.ts'

/** ⌈size / divisor⌉ */
export interface GridFactor {
  readonly size: Affine
  readonly divisor: number
}

/** A dimension's count is the product of its factors. */
export type Grid = readonly (readonly GridFactor[])[]

export interface GridFold {
  /** The dimension whose group number is `workgroup_id[dimension] + workgroup_id[spare] · num_workgroups[dimension]`. */
  readonly dimension: number
  readonly spare: number
  /** The logical count: groups from there on do nothing. */
  readonly total: readonly GridFactor[]
}

const largest = (factor: GridFactor, bounds: Bounds): number => Math.ceil(range(factor.size, bounds).max / factor.divisor)
const product = (numbers: readonly number[]): number => numbers.reduce((a, b) => a * b, 1)

/** Symbols that a grid's counts depend on. */
export const gridSymbols = (factors: readonly GridFactor[]): readonly string[] => [
  ...new Set(factors.flatMap((f) => f.size.terms.map(([name]) => name))),
]

/**
 * The grid to dispatch for all values of the symbols within `bounds`, with at most one dimension folded into a free one.
 * Throws `internal:` when no dimension is free, or when two are too large: schedules of that size must use fewer groups.
 */
export function planGrid(grid: Grid, bounds: Bounds): { readonly workgroups: Grid; readonly fold?: GridFold } {
  const counts = grid.map((factors) => product(factors.map((f) => largest(f, bounds))))
  const large = counts.flatMap((count, d) => (count > guaranteed.workgroups ? [d] : []))
  const [dimension] = large
  if (dimension === undefined) return { workgroups: grid }
  const spare = [0, 1, 2].find((d) => d >= grid.length || grid[d]!.length === 0)
  if (large.length > 1 || spare === undefined) throw new Error(`internal: workgroup counts ${counts.join(' x ')} do not fit`)
  const factors = grid[dimension]!
  const split = factors.reduce((best, f, i) => (largest(f, bounds) > largest(factors[best]!, bounds) ? i : best), 0)
  const { size, divisor } = factors[split]!
  // ⌈s / (d·by)⌉ · by ≥ ⌈s / d⌉, so nothing is missed; what is too much is cut off by `total`.
  const most = Math.floor(guaranteed.workgroups / product(factors.map((f, i) => (i === split ? 1 : largest(f, bounds)))))
  const by = Math.max(Math.ceil(counts[dimension]! / guaranteed.workgroups), Math.ceil(range(size, bounds).max / (divisor * most)))
  if (by > guaranteed.workgroups) throw new Error(`internal: ${counts[dimension]} workgroups do not fit`)
  const folded = factors.map((f, i) => (i === split ? { size, divisor: divisor * by } : f))
  const workgroups = Array.from({ length: Math.max(grid.length, spare + 1) }, (_, d): readonly GridFactor[] => {
    if (d === dimension) return folded
    return d === spare ? [{ size: { const: by, terms: [] }, divisor: 1 }] : (grid[d] ?? [])
  })
  return { workgroups, fold: { dimension, spare, total: factors } }
}
