// Products of 8-bit activations with quantised weights by workgroups, on the evaluator: for one token, few and tiles of many, every
// format, k that is no multiple of a tile's step, rows of several heads; and kernels that round what they make, into whole blocks.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatNames, formats } from '../../compiler/formats/index.ts'
import type { GraphBuilder } from '../../compiler/graph/builder.ts'
import type { Node } from '../../compiler/graph/types.ts'
import type { Kernel } from '../../compiler/kernel/types.ts'
import type { LoopFunction } from '../../compiler/schedule/loops.ts'
import { span } from '../support/built-model.ts'
import { argument, checkContract, plannedContract, tileOf } from '../support/planned-contract.ts'

interface Sizes {
  readonly tokens: number
  readonly heads: number
  readonly head: number
  readonly k: number
}

interface Form {
  /** Of activations [tokens, k] and weights a and b [heads, head, k], c [5, heads, head]. */
  build(b: GraphBuilder, sizes: Sizes): Node
  /** Of its sums, what its results may be off: where what is made is rounded, steps may differ by one. */
  readonly part?: number
  /** A contract rounds what it makes. */
  readonly rounds?: true
}

const product = (b: GraphBuilder, x: Node, w: Node): Node => b.dot(x, w, [[x.type.dims.length - 1, 2]], [], span)
const gated = (b: GraphBuilder, { tokens, k }: Sizes): Node => {
  const x = argument(b, 'x', tokens, k)
  return b.binary('mul', b.unary('tanh', product(b, x, b.weight('a', span)), span), product(b, x, b.weight('b', span)), span)
}

const forms: Readonly<Record<string, Form>> = {
  'one product': { build: (b, { tokens, k }) => product(b, argument(b, 'x', tokens, k), b.weight('a', span)) },
  'two of the same activations': { build: gated },
  'two with activations of their own': {
    build: (b, { tokens, k }) =>
      b.binary(
        'sub',
        product(b, argument(b, 'x', tokens, k), b.weight('a', span)),
        product(b, argument(b, 'y', tokens, k), b.weight('b', span)),
        span,
      ),
  },
  'a row of activations for each head': {
    build: (b, { tokens, heads, k }) => b.dot(argument(b, 'x', heads, tokens, k), b.weight('a', span), [[2, 2]], [[0, 0]], span),
  },
  'what is rounded where it is made': {
    // [tokens, heads, head] · [5, heads, head]
    build: (b, sizes) =>
      b.dot(
        gated(b, sizes),
        b.weight('c', span),
        [
          [1, 1],
          [2, 2],
        ],
        [],
        span,
      ),
    part: 1e-3,
    rounds: true,
  },
}

const quantised = formatNames.filter((name) => formats[name].values > 1)
const cases = fc.record({
  format: fc.constantFrom(...quantised),
  few: fc.constantFrom(1, 1, 3),
  many: fc.constantFrom(9, 17, 20),
  heads: fc.integer({ min: 1, max: 2 }),
  head: fc.constantFrom(4, 8, 12, 16, 20),
  steps: fc.integer({ min: 1, max: 3 }),
  seed: fc.nat(),
  mostThreads: fc.constantFrom(64, 64, 128),
  scratchWords: fc.constantFrom(2500, 4096),
})

const multipliesBytes = (fn: LoopFunction): boolean => JSON.stringify(fn.body).includes('"dot4_signed"')
const writesBlocks = ({ outputs, operands }: Kernel): boolean => outputs.some(({ operand }) => operands[operand]!.format === 'd8')

test.each(Object.entries(forms))('%s, of any size and format', (_, form) => {
  const found = { tiles: 0, groups: 0, rounding: 0 }
  fc.assert(
    fc.property(cases, ({ few, many, mostThreads, scratchWords, format, seed, steps, ...drawn }) => {
      const { values } = formats[format]
      for (const tokens of [few, many]) {
        // Where c multiplies what was made, a row of that is a whole number of blocks.
        const sizes = { ...drawn, tokens, head: form.rounds ? values : drawn.head, k: values > 32 ? values : values * steps }
        const { heads, head, k } = sizes
        const weights = [
          ...['a', 'b'].map((path) => ({ path, dims: [heads, head, k] })),
          ...(form.rounds ? [{ path: 'c', dims: [5, heads, head] }] : []),
        ]
        const stored = { weights, format, seed, activations: 'int8' } as const
        const made = plannedContract((b) => form.build(b, sizes), stored, { mostThreads, scratchWords })
        const contracts = made.fns.filter(multipliesBytes)
        found.tiles += contracts.filter(tileOf).length
        found.groups += contracts.filter((fn) => tileOf(fn) === undefined).length
        found.rounding += made.kernels.filter((kernel, i) => writesBlocks(kernel) && multipliesBytes(made.fns[i]!)).length
        checkContract(made, form.rounds ? k * heads * head : k, form.part)
      }
    }),
    { numRuns: 4, endOnFailure: true },
  )
  expect(found.tiles).toBeGreaterThan(0)
  expect(found.groups).toBeGreaterThan(0)
  if (form.rounds) expect(found.rounding).toBeGreaterThan(0)
})

test('what weights by columns make is rounded by those that compute the numbers of a block', () => {
  const [tokens, width, k] = [3, 64, 5]
  const form = (b: GraphBuilder): Node => {
    const made = b.dot(argument(b, 'x', tokens, k), b.weight('a', span), [[1, 0]], [], span)
    return b.dot(b.unary('tanh', made, span), b.weight('c', span), [[1, 1]], [], span)
  }
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const weights = [
        { path: 'a', dims: [k, width] },
        { path: 'c', dims: [5, width] },
      ]
      const made = plannedContract(form, { weights, format: 'q8_0', seed, activations: 'int8' }, {})
      const own = made.kernels.filter((kernel, i) => writesBlocks(kernel) && !multipliesBytes(made.fns[i]!))
      expect(own.map(({ definitions }) => definitions.some(({ over }) => over.length > 0))).toEqual([true])
      checkContract(made, k * width, 1e-3)
    }),
    { numRuns: 4 },
  )
})
