// Contracts in tiles, on the evaluator: any number of tokens and rows, every storage format, k of any length where the format allows, dots
// that share activations or have their own, rows of several heads, activations of several batches; and what a tile reads is counted.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { tensorBytes } from '../../compiler/artifact/contents.ts'
import { planGraphs } from '../../compiler/compile.ts'
import { type FormatName, formatNames, formats } from '../../compiler/formats/index.ts'
import type { GraphBuilder } from '../../compiler/graph/builder.ts'
import type { Node } from '../../compiler/graph/types.ts'
import { kernelsOf } from '../../compiler/kernel/weights.ts'
import { countTraffic } from '../../compiler/schedule/count-traffic.ts'
import type { LoopFunction } from '../../compiler/schedule/loops.ts'
import { type Machine, webgpuMachine } from '../../compiler/schedule/machine.ts'
import { constant } from '../../dsl/affine.ts'
import {
  type BuiltEntry,
  builtEntry,
  builtGraph,
  builtModel,
  builtReference,
  builtWeight,
  builtWeights,
  span,
} from '../support/built-model.ts'
import { runPlannedLoops } from '../support/planned-loops.ts'
import { randomBlocks } from '../support/random-blocks.ts'

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

const given = (b: GraphBuilder, name: string, ...dims: number[]): Node => b.argument(name, { dtype: 'f32', dims: dims.map(constant) }, span)
/** [tokens, heads, head] */
const product = (b: GraphBuilder, x: Node, w: Node): Node => b.dot(x, w, [[1, 2]], [], span)

const forms: Readonly<Record<string, Form>> = {
  'one product': (b, { tokens, k }) => product(b, given(b, 'x', tokens, k), b.weight('a', span)),
  'two of the same activations': (b, { tokens, k }) => {
    const x = given(b, 'x', tokens, k)
    return b.binary('mul', b.unary('tanh', product(b, x, b.weight('a', span)), span), product(b, x, b.weight('b', span)), span)
  },
  'two with activations of their own, and a residual': (b, { tokens, heads, head, k }) => {
    const both = b.binary(
      'sub',
      product(b, given(b, 'x', tokens, k), b.weight('a', span)),
      product(b, given(b, 'y', tokens, k), b.weight('b', span)),
      span,
    )
    return b.binary('add', both, given(b, 'z', tokens, heads, head), span)
  },
  'a row of activations for each head': (b, { tokens, heads, k }) =>
    // [heads, tokens, head]
    b.dot(given(b, 'x', heads, tokens, k), b.weight('a', span), [[2, 2]], [[0, 0]], span),
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

const generator = (seed: number) => {
  let state = seed | 1
  return (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return (state >>> 8) / 2 ** 24
  }
}

function planned(form: Form, sizes: Sizes, machine: Partial<Machine>) {
  const { heads, head, k, format, seed } = sizes
  const random = generator(seed)
  const weights = ['a', 'b'].map((path) => {
    const { bytes, values } = randomBlocks(format, heads * head, k, random)
    return builtWeight(path, [heads, head, k], values, { format, bytes })
  })
  const entry = builtEntry('contract', (b) => [form(b, sizes)], { weights })
  const machines = { webgpu: { ...webgpuMachine, shortestTile: 2, ...machine } }
  const options = { targets: ['webgpu'] as const, machines, quant: 'keep' as const, weights: builtWeights([entry]), verify: true }
  const made = planGraphs(builtModel([entry]), [builtGraph(entry)], options)
  const plan = made.targets[0]!.plan!
  const fns = kernelsOf(plan.entries[0]!.program.steps).map(({ name }) => plan.functions.get(name)!)
  const inputs = Object.fromEntries(
    entry.info.arguments.map((each) => {
      const size = each.kind === 'tensor' ? each.type.dims.reduce((count, dim) => count * dim.const, 1) : 1
      return [each.name, Float32Array.from({ length: size }, () => 2 * random() - 1)]
    }),
  )
  return { entry, plan, fns, inputs, tensors: made.tensors }
}

/** Tokens of a tile, or undefined for another schedule. */
const tileOf = ({ grid }: LoopFunction): number | undefined => {
  const divisor = grid[1]?.[0]?.divisor ?? 1
  return divisor >= 8 ? divisor : undefined
}

/** No product is larger than the sum of what its factors may be. */
function scaleOf({ weights }: BuiltEntry, k: number): number {
  return 2 * k * Math.max(1e-6, ...weights.map(({ data }) => data.reduce((most, value) => Math.max(most, Math.abs(value)), 0)))
}

test.each(Object.entries(forms))('%s, of any size and format', (_, form) => {
  let tiles = 0
  fc.assert(
    fc.property(cases, ({ mostThreads, scratchWords, ...sizes }) => {
      const { entry, plan, fns, inputs, tensors } = planned(form, sizes, { mostThreads, scratchWords })
      tiles += fns.filter(tileOf).length
      const words = tensors.map((tensor) => {
        const bytes = tensorBytes(tensor)
        return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
      })
      const none = (): Int32Array => expect.fail('there is none')
      const [got] = runPlannedLoops(plan, plan.entries[0]!, { tensor: (i) => words[i]!, state: none }, {}, inputs)
      const wanted = builtReference(entry).run('contract', {}, inputs).results[0]!.data
      const scale = scaleOf(entry, sizes.k)
      for (const [i, value] of wanted.entries()) expect(Math.abs(got![i]! - value), `element ${i}`).toBeLessThan(1e-6 * scale)
    }),
    { numRuns: 8 },
  )
  expect(tiles).toBeGreaterThan(0)
})

test('a tile reads its weights and its activations once', () => {
  const sizes: Sizes = { tokens: 100, heads: 1, head: 200, k: 64, format: 'f32', seed: 1 }
  const { fns, plan } = planned(forms['one product']!, sizes, {})
  const [fn] = fns as [LoopFunction]
  const tokens = tileOf(fn)!
  const [{ operands }] = kernelsOf(plan.entries[0]!.program.steps) as ReturnType<typeof kernelsOf>
  const traffic = countTraffic(fn, { symbols: {} })
  const at = (kind: string): number => operands.findIndex(({ source }) => source.kind === kind)
  const [weights, activations] = [traffic[at('weight')]!, traffic[at('argument')]!]
  const across = fn.grid[0]![0]!.size.const
  expect(weights.loaded).toBe(200 * 64 * 4 * Math.ceil(100 / tokens))
  expect(activations.loaded).toBe(100 * 64 * 4 * across)
  expect(traffic[at('value')]).toMatchObject({ stored: 100 * 200 * 4, written: 100 * 200 * 4 })
  expect(across).toBeLessThan(200 / 8)
})
