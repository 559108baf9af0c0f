// Contracts in tiles, on the evaluator: any number of tokens and rows, every storage format, k of any length where the format allows, dots
// that share activations or have their own, rows of several heads, activations of several batches; and what a tile reads is counted.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type FormatName, formatNames, formats } from '../../compiler/formats/index.ts'
import type { GraphBuilder } from '../../compiler/graph/builder.ts'
import type { Node } from '../../compiler/graph/types.ts'
import { countTraffic } from '../../compiler/schedule/count-traffic.ts'
import type { LoopFunction } from '../../compiler/schedule/loops.ts'
import type { Machine } from '../../compiler/schedule/machine.ts'
import { span } from '../support/built-model.ts'
import { argument, checkContract, plannedContract, tileOf } from '../support/planned-contract.ts'

interface Sizes {
  readonly tokens: number
  readonly heads: number
  readonly head: number
  readonly k: number
  readonly format: FormatName
  readonly seed: number
}

/** What a kernel makes of activations x [tokens, k], others y, and weights a and b [heads, head, k]. */
type Form = (b: GraphBuilder, sizes: Sizes) => Node

/** [tokens, heads, head] */
const product = (b: GraphBuilder, x: Node, w: Node): Node => b.dot(x, w, [[1, 2]], [], span)

const forms: Readonly<Record<string, Form>> = {
  'one product': (b, { tokens, k }) => product(b, argument(b, 'x', tokens, k), b.weight('a', span)),
  'two of the same activations': (b, { tokens, k }) => {
    const x = argument(b, 'x', tokens, k)
    return b.binary('mul', b.unary('tanh', product(b, x, b.weight('a', span)), span), product(b, x, b.weight('b', span)), span)
  },
  'two with activations of their own, and a residual': (b, { tokens, heads, head, k }) => {
    const both = b.binary(
      'sub',
      product(b, argument(b, 'x', tokens, k), b.weight('a', span)),
      product(b, argument(b, 'y', tokens, k), b.weight('b', span)),
      span,
    )
    return b.binary('add', both, argument(b, 'z', tokens, heads, head), span)
  },
  'a row of activations for each head': (b, { tokens, heads, k }) =>
    // [heads, tokens, head]
    b.dot(argument(b, 'x', heads, tokens, k), b.weight('a', span), [[2, 2]], [[0, 0]], span),
}

const cases = fc
  .record({
    format: fc.constantFrom(...formatNames),
    tokens: fc.integer({ min: 2, max: 40 }),
    heads: fc.integer({ min: 1, max: 2 }),
    head: fc.integer({ min: 1, max: 20 }),
    steps: fc.integer({ min: 1, max: 3 }),
    spare: fc.integer({ min: 1, max: 16 }),
    seed: fc.nat(),
    mostThreads: fc.constantFrom(64, 64, 64, 128),
    scratchWords: fc.constantFrom(1300, 2500, 4096),
  })
  .map(({ format, steps, spare, ...rest }) => {
    const { values } = formats[format]
    // Of floats any length, else few blocks.
    const k = values === 1 ? 16 * (steps - 1) + spare : values * (values > 32 ? 1 : steps)
    return { ...rest, format, k }
  })

const planned = (form: Form, sizes: Sizes, machine: Partial<Machine>) => {
  const { heads, head, k, format, seed } = sizes
  const weights = ['a', 'b'].map((path) => ({ path, dims: [heads, head, k] }))
  return plannedContract((b) => form(b, sizes), { weights, format, seed }, machine)
}

test.each(Object.entries(forms))('%s, of any size and format', (_, form) => {
  let tiles = 0
  fc.assert(
    fc.property(cases, ({ mostThreads, scratchWords, ...sizes }) => {
      const made = planned(form, sizes, { mostThreads, scratchWords })
      tiles += made.fns.filter(tileOf).length
      checkContract(made, sizes.k)
    }),
    { numRuns: 8 },
  )
  expect(tiles).toBeGreaterThan(0)
})

test('a tile reads its weights and its activations once', () => {
  const sizes: Sizes = { tokens: 100, heads: 1, head: 200, k: 64, format: 'f32', seed: 1 }
  const { fns, kernels } = planned(forms['one product']!, sizes, {})
  const [fn] = fns as [LoopFunction]
  const tokens = tileOf(fn)!
  const { operands } = kernels[0]!
  const traffic = countTraffic(fn, { symbols: {} })
  const at = (kind: string): number => operands.findIndex(({ source }) => source.kind === kind)
  const [weights, activations] = [traffic[at('weight')]!, traffic[at('argument')]!]
  const across = fn.grid[0]![0]!.size.const
  expect(weights.loaded).toBe(200 * 64 * 4 * Math.ceil(100 / tokens))
  expect(activations.loaded).toBe(100 * 64 * 4 * across)
  expect(traffic[at('value')]).toMatchObject({ stored: 100 * 200 * 4, written: 100 * 200 * 4 })
  expect(across).toBeLessThan(200 / 8)
})

test('where workgroups are alike, loads of some of them tell those of all', () => {
  const sizes: Sizes = { tokens: 128, heads: 1, head: 1024, k: 64, format: 'q4_0', seed: 1 }
  const { fns } = planned(forms['two of the same activations']!, sizes, {})
  const [whole, some] = [undefined, 3].map((mostGroups) => countTraffic(fns[0]!, { symbols: {}, ...(mostGroups ? { mostGroups } : {}) }))
  expect(fns[0]!.grid[0]![0]!.size.const * Math.ceil(128 / tileOf(fns[0]!)!)).toBeGreaterThan(3)
  for (const [i, exact] of whole!.entries()) {
    if (exact) expect(some![i]).toEqual({ ...exact, read: 0, written: 0 })
  }
})
