// Tokens that choose their weights, on the evaluator: whatever they choose (all alike, one each, nobody some, numbers that are no choice),
// however many, with weights whole or cut; and how often what they choose is read.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type FormatName, formats } from '../../compiler/formats/index.ts'
import type { GraphBuilder } from '../../compiler/graph/builder.ts'
import type { Node } from '../../compiler/graph/types.ts'
import { weightSize } from '../../compiler/passes/split-weights.ts'
import { countTraffic } from '../../compiler/schedule/count-traffic.ts'
import type { Machine } from '../../compiler/schedule/machine.ts'
import { constant } from '../../dsl/affine.ts'
import { span } from '../support/built-model.ts'
import { argument, checkContract, plannedContract, tileOf } from '../support/planned-contract.ts'

interface Sizes {
  readonly tokens: number
  readonly picks: number
  readonly experts: number
  readonly rows: number
  readonly k: number
  readonly format: FormatName
}

type Form = (b: GraphBuilder, sizes: Sizes, chosen: Node) => Node

const forms: Readonly<Record<string, Form>> = {
  'a token for all that it chooses': (b, { tokens, k }, chosen) => {
    const x = argument(b, 'x', tokens, k)
    const product = (path: string): Node => b.dot(x, b.gather(b.weight(path, span), 0, chosen, [], span), [[1, 3]], [[0, 0]], span)
    return b.binary('mul', b.unary('tanh', product('a'), span), product('b'), span)
  },
  'each choice with activations of its own': (b, { tokens, picks, k }, chosen) => {
    const each = b.dot(
      argument(b, 'x', tokens, picks, k),
      b.gather(b.weight('a', span), 0, chosen, [], span),
      [[2, 3]],
      [
        [0, 0],
        [1, 1],
      ],
      span,
    )
    return b.binary('mul', each, b.broadcast(argument(b, 'share', tokens, picks), each.type.dims, [0, 1], span), span)
  },
}

function planned(form: Form, sizes: Sizes, choices: readonly number[], seed: number, machine: Partial<Machine>) {
  const { tokens, picks, experts, rows, k, format } = sizes
  const dims = [tokens, picks].map(constant)
  const weights = ['a', 'b'].map((path) => ({ path, dims: [experts, rows, k] }))
  const given = { chosen: Int32Array.from({ length: tokens * picks }, (_, i) => choices[i % choices.length]!) }
  const built = (b: GraphBuilder): Node => form(b, sizes, b.argument('chosen', { dtype: 'i32', dims }, span))
  return plannedContract(built, { weights, format, seed }, machine, given)
}

const cases = fc
  .record({
    tokens: fc.integer({ min: 2, max: 40 }),
    picks: fc.integer({ min: 1, max: 3 }),
    experts: fc.integer({ min: 1, max: 6 }),
    groups: fc.integer({ min: 1, max: 4 }),
    format: fc.constantFrom<FormatName>('f32', 'q8_0', 'q4_0'),
    mostThreads: fc.constantFrom(64, 128),
    scratchWords: fc.constantFrom(1800, 4096),
    cut: fc.boolean(),
    seed: fc.nat(),
  })
  .chain((sizes) => {
    const any = fc.integer({ min: -1, max: sizes.experts })
    const choices = fc.oneof(
      any.map((one) => [one]),
      fc.constant(Array.from({ length: sizes.experts }, (_, i) => i)),
      fc.array(any, { minLength: sizes.tokens * sizes.picks, maxLength: sizes.tokens * sizes.picks }),
    )
    return fc.record({ sizes: fc.constant(sizes), choices })
  })

/** One that has tiles and is cut, whatever is drawn. */
const certain = {
  sizes: {
    tokens: 40,
    picks: 2,
    experts: 6,
    groups: 2,
    format: 'f32' as FormatName,
    mostThreads: 64,
    scratchWords: 4096,
    cut: true,
    seed: 1,
  },
  choices: [0, 1, 2, 3, 4, 5],
}

test.each(Object.entries(forms))('%s: any choices', (_, form) => {
  let [tiles, cuts] = [0, 0]
  fc.assert(
    fc.property(cases, ({ sizes: { groups, mostThreads, scratchWords, cut, seed, ...rest }, choices }) => {
      const sizes = { ...rest, rows: 8 * groups, k: formats[rest.format].values === 1 ? 12 : 32 }
      const whole = planned(form, sizes, choices, seed, { mostThreads, scratchWords })
      const { operands } = whole.kernels[0]!
      const perExpert = weightSize(operands.find(({ source }) => source.kind === 'weight')!).perRow
      const made = cut ? planned(form, sizes, choices, seed, { mostThreads, scratchWords, bindingBytes: 2 * perExpert }) : whole
      tiles += made.fns.filter(tileOf).length
      cuts += made.fns.length - 1
      checkContract(made, sizes.k)
    }),
    { numRuns: 12, examples: [[certain]] },
  )
  expect(tiles).toBeGreaterThan(0)
  expect(cuts).toBeGreaterThan(0)
})

const sizes: Sizes = { tokens: 64, picks: 2, experts: 8, rows: 64, k: 64, format: 'f32' }
test.each([
  ['all alike', [3]],
  ['each of them', [0, 1, 2, 3, 4, 5, 6, 7]],
  ['two of them, one seldom', [...Array<number>(127).fill(6), 2]],
])('what is chosen is read once for a tile of tokens: %s', (_, choices) => {
  const { fns, kernels, inputs } = planned(forms['each choice with activations of its own']!, sizes, choices, 1, {})
  const [fn] = fns
  const tokens = tileOf(fn!)!
  const chosen = inputs['chosen'] as Int32Array
  const counts = [...Map.groupBy(chosen, (choice) => choice).values()].map(({ length }) => length)
  const { operands } = kernels[0]!
  const memory = operands.map(({ source }) => (source.kind === 'argument' && source.name === 'chosen' ? chosen : undefined))
  const traffic = countTraffic(fn!, { symbols: {}, memory })
  const expert = sizes.rows * sizes.k * 4
  const weights = traffic[operands.findIndex(({ source }) => source.kind === 'weight')]!
  expect(weights.read).toBe(counts.length * expert)
  expect(weights.loaded).toBe(counts.reduce((sum, count) => sum + Math.ceil(count / tokens), 0) * expert)
  expect(traffic[operands.findIndex(({ source }) => source.kind === 'value')]).toMatchObject({ stored: chosen.length * sizes.rows * 4 })
})
