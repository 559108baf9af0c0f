// Definitions of single primitives against independent ones: contraction and gather by index loops, half floats over all bit
// patterns, erf against known digits, and the rules that models rely on (masked rows, integer division, rounding of quantise).

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { constant } from '../../dsl/affine.ts'
import { nodeFactory } from '../../compiler/graph/nodes.ts'
import type { Dtype, Graph, Node } from '../../compiler/graph/types.ts'
import type { Mode } from '../../compiler/ops/op.ts'
import { binaryRow, erf } from '../../compiler/ops/scalar.ts'
import { toBf16, toF16 } from '../../compiler/ops/tensor.ts'
import { createReference } from '../../compiler/targets/reference/evaluate.ts'

const factory = nodeFactory()
const dims = (list: readonly number[]) => list.map(constant)
const input = (name: string, list: readonly number[], dtype: Dtype = 'f32'): Node =>
  factory.make('argument', [], { name }, { dtype, dims: dims(list) })

function evaluate(node: Node, inputs: Record<string, number[]>, mode: Mode = 'exact'): number[] {
  const graph: Graph = {
    entry: 'e',
    arguments: [],
    symbols: [],
    results: [node],
    states: new Map(),
    constants: factory.constants,
    spans: new Map(),
  }
  const reference = createReference([graph], {
    weight: () => {
      throw new Error('no weights')
    },
    mode,
  })
  return [...reference.run('e', {}, inputs).results[0]!.data]
}

const ramp = (count: number, by: number): number[] => Array.from({ length: count }, (_, i) => Math.sin(i * by + by))

describe('primitives', () => {
  it('dot contracts and batches as an index loop does', () => {
    fc.assert(
      fc.property(fc.tuple(...Array.from({ length: 4 }, () => fc.integer({ min: 1, max: 5 }))), ([b, m, n, k]) => {
        // a[m, b, k] · c[k, n, b] over k, b shared: [m, b, n]
        const node = factory.make('dot', [input('a', [m, b, k]), input('c', [k, n, b])], { contract: [[2, 0]], batch: [[1, 2]] })
        const [a, c] = [ramp(m * b * k, 1.1), ramp(k * n * b, 0.7)]
        const wanted: number[] = []
        for (let i = 0; i < m; i++)
          for (let g = 0; g < b; g++)
            for (let j = 0; j < n; j++) {
              let sum = 0
              for (let p = 0; p < k; p++) sum += a[(i * b + g) * k + p]! * c[(p * n + j) * b + g]!
              wanted.push(sum)
            }
        for (const [i, value] of evaluate(node, { a, c }).entries()) expect(value).toBeCloseTo(wanted[i]!, 12)
      }),
      { numRuns: 60 },
    )
  })

  it('gather replaces an axis, walks shared axes together and clamps', () => {
    // x[s, e, d][e: which[s, p]] = [s, p, d]
    const node = factory.make('gather', [input('x', [3, 4, 2]), input('which', [3, 2], 'i32')], { axis: 1, shared: [[0, 0]] })
    const [x, which] = [ramp(24, 1), [0, 3, 2, 1, -1, 9]]
    const wanted = which.flatMap((row, at) => {
      const from = (Math.floor(at / 2) * 4 + Math.min(3, Math.max(0, row))) * 2
      return x.slice(from, from + 2)
    })
    expect(evaluate(node, { x, which })).toEqual(wanted)
  })

  it('half floats keep all 65,536 patterns and round the midpoints to even', () => {
    const decode = (bits: number, mantissa: number, exponents: number): number => {
      const bias = (1 << (exponents - 1)) - 1
      const exponent = (bits >> mantissa) & ((1 << exponents) - 1)
      const fraction = (bits & ((1 << mantissa) - 1)) / (1 << mantissa)
      const sign = bits >> 15 ? -1 : 1
      return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias))
    }
    for (const [round, mantissa, exponents] of [
      [toF16, 10, 5],
      [toBf16, 7, 8],
    ] as const) {
      const infinite = ((1 << exponents) - 1) << mantissa
      for (let bits = 0; bits < infinite; bits++) {
        const value = decode(bits, mantissa, exponents)
        const next = bits + 1 < infinite ? decode(bits + 1, mantissa, exponents) : Number.POSITIVE_INFINITY
        if (round(value) !== value || round(-value) !== -value) expect.fail(`${bits}: ${value} becomes ${round(value)}`)
        if (next === Number.POSITIVE_INFINITY) continue
        const even = bits % 2 === 0 ? value : next
        if (round((value + next) / 2) !== even) expect.fail(`${bits}: the midpoint above ${value} becomes ${round((value + next) / 2)}`)
      }
      const most = decode(infinite - 1, mantissa, exponents)
      expect(round(most * (1 + 2 ** -(mantissa + 3)))).toBe(most)
      expect(round(most * (1 + 2 ** -mantissa))).toBe(Number.POSITIVE_INFINITY)
    }
  })

  it('erf has 15 digits', () => {
    const known: [number, number][] = [
      [0, 0],
      [0.1, 0.1124629160182849],
      [0.5, 0.5204998778130465],
      [1, 0.8427007929497149],
      [2, 0.9953222650189527],
      [3.5, 0.9999992569016276],
      [7, 1],
    ]
    for (const [x, y] of known) {
      expect(Math.abs(erf(x) - y)).toBeLessThan(1e-15)
      expect(erf(-x) + erf(x)).toBe(0)
    }
  })

  it('max over nothing or over a masked row is 0, and so is its softmax', () => {
    const row = factory.make(
      'broadcast',
      [factory.make('literal', [], { value: Number.NEGATIVE_INFINITY }, { dtype: 'f32', dims: [] })],
      { places: [] },
      { dtype: 'f32', dims: dims([3]) },
    )
    for (const mode of ['exact', 'typed'] as const) {
      const max = factory.make('reduce', [row], { fn: 'max', axes: [0] })
      expect(evaluate(max, {}, mode)).toEqual([0])
      const wide = (x: Node): Node => factory.make('broadcast', [x], { places: [] }, { dtype: 'f32', dims: dims([3]) })
      const e = factory.make('unary', [factory.make('binary', [row, wide(max)], { fn: 'sub' })], { fn: 'exp' })
      const softmax = factory.make('binary', [e, wide(factory.make('reduce', [e], { fn: 'sum', axes: [0] }))], { fn: 'div' })
      expect(evaluate(softmax, {}, mode)).toEqual([0, 0, 0])
    }
    expect(evaluate(factory.make('reduce', [input('x', [2, 0])], { fn: 'max', axes: [1] }), { x: [] })).toEqual([0, 0])
    expect(evaluate(factory.make('reduce', [input('y', [3])], { fn: 'max', axes: [0] }), { y: [-5, -2, -9] })).toEqual([-2])
  })

  it('integers wrap, divide towards zero, and never trap', () => {
    const apply = (fn: 'add' | 'mul' | 'div' | 'mod', a: number, b: number): number =>
      evaluate(factory.make('binary', [input('a', [1], 'i32'), input('b', [1], 'i32')], { fn }), { a: [a], b: [b] })[0]!
    fc.assert(
      fc.property(fc.integer(), fc.integer(), (a, b) => {
        expect(apply('add', a, b)).toBe((a + b) | 0)
        expect(apply('mul', a, b)).toBe(Number(BigInt.asIntN(32, BigInt(a) * BigInt(b))))
        expect(apply('div', a, b) === (b === 0 ? a : (a / b) | 0)).toBe(true)
        expect(apply('mod', a, b) === (b === 0 ? 0 : (a % b) | 0)).toBe(true)
      }),
      { numRuns: 200 },
    )
    expect(binaryRow('div').evaluate(0, 0)).toBe(0)
  })

  it('quantise keeps multiples of the scale and moves no value by more than half a step', () => {
    fc.assert(
      fc.property(fc.array(fc.float({ min: -100, max: 100, noNaN: true }), { minLength: 40, maxLength: 40 }), (x) => {
        const got = evaluate(factory.make('quantise', [input('q', [40])], {}), { q: x }, 'typed')
        for (const [from, to] of [
          [0, 32],
          [32, 40],
        ] as const) {
          const scale = Math.fround(Math.max(...x.slice(from, to).map(Math.abs)) / 127)
          for (let i = from; i < to; i++) {
            expect(Math.abs(got[i]! - x[i]!)).toBeLessThanOrEqual(scale * 0.5001 + 1e-30)
            if (scale > 1e-30) expect(Math.abs(got[i]! / scale - Math.round(got[i]! / scale))).toBeLessThan(1e-4)
          }
        }
        expect(evaluate(factory.make('quantise', [input('q', [40])], {}), { q: x })).toEqual(x)
      }),
      { numRuns: 60 },
    )
  })
})
