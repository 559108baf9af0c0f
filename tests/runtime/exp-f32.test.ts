// The sampler's exp against Math.exp, bit for bit.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { expF32 } from '../../runtime/exp-f32.ts'

/** Counts what differs: an expectation a number would take longer than all of them. */
const differing = (from: number, to: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => from + ((to - from) * i) / count).filter((x) => !Object.is(expF32(x), Math.fround(Math.exp(x))))

test('each f32 near the ends of its range, and what is no number', () => {
  for (const x of [0, -0, -1e-45, -1e-8, -103.97207, -103.97208, -103.9721, -104.5, -105, -1e30, -Infinity, NaN, 1, 88, 1000])
    expect(expF32(x), String(x)).toBe(Math.fround(Math.exp(x)))
})

test('numbers in equal distances, f32 and not', () => {
  expect(differing(-106, 0, 1_000_000)).toEqual([])
  expect(differing(-1e-3, 0, 100_000)).toEqual([])
})

test('any f32 up to 0', () => {
  fc.assert(
    fc.property(fc.float({ max: 0, min: -110, noNaN: true }), (x) => {
      expect(expF32(x)).toBe(Math.fround(Math.exp(x)))
    }),
    { numRuns: 20_000 },
  )
})
