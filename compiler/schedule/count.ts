// How many rows or groups a function has: a product of ⌈size / divisor⌉, sizes over an entry's symbols.

import * as affine from '../../dsl/affine.ts'
import type { Affine } from '../graph/types.ts'

export type Count = readonly { readonly size: Affine; readonly divisor: number }[]

/** As many as a size says. */
export const countOf = (size: Affine): Count => [{ size, divisor: 1 }]

const product = (count: Count, of: (size: Affine) => number): number =>
  count.reduce((all, { size, divisor }) => all * Math.ceil(of(size) / divisor), 1)

export const evaluateCount = (count: Count, symbols: affine.Binding): number => product(count, (size) => affine.evaluate(size, symbols))

/** The most there can be under the symbols' bounds. */
export const countMost = (count: Count, bounds: affine.Bounds): number => product(count, (size) => affine.range(size, bounds).max)
