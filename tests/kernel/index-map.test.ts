// Index algebra against direct evaluation, and the cancellations that fusion relies on.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { constant } from '../../dsl/affine.ts'
import {
  addIndex,
  divIndex,
  indexAxis,
  indexConst,
  indexRange,
  indexSymbol,
  modIndex,
  scaleIndex,
  simplifyIndex,
  strideOf,
  type IndexScope,
} from '../../compiler/kernel/index-map.ts'
import { evaluateIndex, showIndex } from '../../compiler/kernel/index-walk.ts'
import type { Index } from '../../compiler/kernel/types.ts'

const extents = { i: 6, j: 4, k: 8, l: 1 }
const scope: IndexScope = {
  extents: new Map(Object.entries(extents).map(([id, size]) => [id, constant(size)])),
  symbols: new Map([['start', { min: 0, max: 9 }]]),
}

const anyIndex: fc.Arbitrary<Index> = fc.letrec<{ index: Index }>((tie) => ({
  index: fc.oneof(
    { depthSize: 'medium', withCrossShrink: true },
    fc.integer({ min: -9, max: 9 }).map(indexConst),
    fc.constantFrom(...Object.keys(extents)).map(indexAxis),
    fc.constant(indexSymbol('start')),
    fc.tuple(tie('index'), tie('index')).map(([a, b]): Index => ({ kind: 'add', a, b })),
    fc.tuple(tie('index'), fc.integer({ min: -6, max: 12 })).map(([a, by]): Index => ({ kind: 'mul', a, by })),
    fc.tuple(tie('index'), fc.integer({ min: 1, max: 12 })).map(([a, by]): Index => ({ kind: 'div', a, by })),
    fc.tuple(tie('index'), fc.integer({ min: 1, max: 12 })).map(([a, by]): Index => ({ kind: 'mod', a, by })),
  ),
})).index

const anyPoint = fc.record({ i: fc.nat(5), j: fc.nat(3), k: fc.nat(7), l: fc.constant(0), start: fc.nat(9) })
const valueAt = (index: Index, point: Record<string, number>): number =>
  evaluateIndex(index, { axis: (id) => point[id]!, symbol: (name) => point[name]!, value: () => 0 }) + 0

describe('index algebra', () => {
  it('keeps values, stays in range, and is done after one step (5,000 indices)', () => {
    fc.assert(
      fc.property(anyIndex, fc.array(anyPoint, { minLength: 4, maxLength: 4 }), (index, points) => {
        const simple = simplifyIndex(index, scope)
        const { min, max } = indexRange(index, scope)
        for (const point of points) {
          const value = valueAt(index, point)
          expect(valueAt(simple, point)).toBe(value)
          expect(value).toBeGreaterThanOrEqual(min)
          expect(value).toBeLessThanOrEqual(max)
        }
        expect(showIndex(simplifyIndex(simple, scope))).toBe(showIndex(simple))
        const stride = strideOf(index, 'k', scope)
        const [point] = points
        if (stride !== undefined && point!.k < 7)
          expect(valueAt(index, { ...point, k: point!.k + 1 }) - valueAt(index, point!)).toBe(stride)
      }),
      { numRuns: 5000 },
    )
  })

  it('cancels every split of a merge', () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.entries(extents)), fc.constantFrom(...Object.entries(extents)), ([a, n], [b, m]) => {
        if (a === b) return
        const merged = addIndex(scaleIndex(indexAxis(a), m, scope), indexAxis(b), scope)
        if (n > 1 && m > 1) expect(showIndex(divIndex(merged, m, scope))).toBe(a)
        expect(valueAt(modIndex(merged, m, scope), { i: 3, j: 2, k: 5, l: 0 })).toBe({ i: 3, j: 2, k: 5, l: 0 }[b])
        const back = addIndex(scaleIndex(divIndex(indexAxis('k'), 2, scope), 2, scope), modIndex(indexAxis('k'), 2, scope), scope)
        expect(showIndex(back)).toBe('k')
      }),
    )
  })

  it('sees through merges of another grouping', () => {
    // (i, k) merged and split as (i·4, 2): the middle part of k joins i.
    const flat = addIndex(scaleIndex(indexAxis('i'), 8, scope), indexAxis('k'), scope)
    expect(showIndex(divIndex(flat, 2, scope))).toBe('4*i + k div 2')
    expect(showIndex(modIndex(flat, 2, scope))).toBe('k mod 2')
    const again = addIndex(scaleIndex(divIndex(flat, 2, scope), 2, scope), modIndex(flat, 2, scope), scope)
    expect(showIndex(again)).toBe(showIndex(flat))
    expect(showIndex(modIndex(addIndex(indexSymbol('start'), indexAxis('j'), scope), 16, scope))).toBe('$start + j')
  })
})
