// Laws that need no reference: a model whose feed-forward units or heads are exchanged is the same model; positions count only by
// their differences under rotary embeddings; a matrix cut and joined again, and a prompt cut into calls, give what the whole gives.
// On the WASM device, with seeded weights; differences are those of f32 sums in another order.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileModel } from '../../compiler/compile.ts'
import { packArtifact } from '../../compiler/artifact/write.ts'
import type { BoundWeight } from '../../compiler/weights/bind.ts'
import { seededWeights } from '../../compiler/weights/seeded.ts'
import type { Numbers, SpecialisedModel } from '../../dsl/model.ts'
import { load as open, memoryFiles, type Model } from '../../runtime/index.ts'
import { load, numbered } from '../dsl/read-models.ts'
import { worstDifference } from '../support/goldens.ts'

const tolerance = 2e-5

type Weights = ReadonlyMap<string, BoundWeight>

async function openModel(model: SpecialisedModel, weights: Weights): Promise<Model> {
  const { compilation, diagnostics } = compileModel(model, { targets: ['wasm'], math: 'strict', weights, verify: true })
  expect(diagnostics).toEqual([])
  return open(memoryFiles(await packArtifact(compilation!.contents)), { device: 'wasm' })
}

/** The weight with the positions of `axis` in another order: position i holds what was at order[i]. */
function reordered(weight: BoundWeight, axis: number, order: readonly number[]): BoundWeight {
  const { dims } = weight
  const inner = dims.slice(axis + 1).reduce((product, dim) => product * dim, 1)
  const outer = dims.slice(0, axis).reduce((product, dim) => product * dim, 1)
  const read = (): Uint8Array => {
    const from = new Float32Array(weight.read().slice().buffer)
    const to = new Float32Array(from.length)
    for (let o = 0; o < outer; o++) {
      for (const [i, old] of order.entries())
        to.set(from.subarray((o * order.length + old) * inner, (o * order.length + old + 1) * inner), (o * order.length + i) * inner)
    }
    return new Uint8Array(to.buffer)
  }
  return { ...weight, read }
}

/** Every weight whose path ends so, along the named axis. */
const permuted = (weights: Weights, changes: Readonly<Record<string, readonly [axis: number, order: readonly number[]]>>): Weights =>
  new Map(
    [...weights].map(([path, weight]) => {
      const change = Object.entries(changes).find(([end]) => path.endsWith(end))?.[1]
      return [path, change ? reordered(weight, ...change) : weight]
    }),
  )

const order = (count: number): fc.Arbitrary<number[]> =>
  fc.shuffledSubarray([...Array(count).keys()], { minLength: count, maxLength: count })

const small: Numbers = { preset: 'tiny', set: { vocab: '40', embed: '32', ffn: '44', ctx: '24' }, maximum: { seq: 16 } }
const llama = numbered(load('llama'), small)
const weights = seededWeights(llama.weights, 3)
const prompt = [3, 14, 15, 9, 26, 5, 35, 8, 9, 7]

const scores = async (model: Model, ids: readonly number[] = prompt): Promise<ArrayLike<number>> =>
  (await model.createSession().score(ids)).values

async function expectSame(changed: Weights): Promise<void> {
  const [one, other] = [await openModel(llama, weights), await openModel(llama, changed)]
  expect(worstDifference(await scores(other), await scores(one))).toBeLessThan(tolerance)
  await Promise.all([one.dispose(), other.dispose()])
}

describe('llama', () => {
  test('feed-forward units in any order', async () => {
    await fc.assert(
      fc.asyncProperty(order(44), (units) =>
        expectSame(permuted(weights, { 'mlp.gate': [0, units], 'mlp.up': [0, units], 'mlp.down': [1, units] })),
      ),
      { numRuns: 4 },
    )
  })

  test('groups of heads in any order, and the heads of a group', async () => {
    await fc.assert(
      fc.asyncProperty(order(2), order(2), order(2), async (groups, first, second) => {
        const heads = groups.flatMap((group) => (group === 0 ? first : second).map((head) => 2 * group + head))
        await expectSame(
          permuted(weights, { 'attn.wq': [0, heads], 'attn.wk': [0, groups], 'attn.wv': [0, groups], 'attn.wo': [1, heads] }),
        )
      }),
      { numRuns: 4 },
    )
  })

  test('units of one matrix alone in another order change the model', async () => {
    const units = [...Array(44).keys()].reverse()
    const [one, other] = [await openModel(llama, weights), await openModel(llama, permuted(weights, { 'mlp.gate': [0, units] }))]
    expect(worstDifference(await scores(other), await scores(one))).toBeGreaterThan(1e-2)
    await Promise.all([one.dispose(), other.dispose()])
  })

  test('a prompt in any pieces is the prompt', async () => {
    const model = await openModel(llama, weights)
    const whole = await model.createSession().prefill(prompt)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 10 }), async (sizes) => {
        const session = model.createSession()
        let last: ArrayLike<number> = []
        for (let from = 0, i = 0; from < prompt.length; from += sizes[i++ % sizes.length]!) {
          const piece = prompt.slice(from, from + sizes[i % sizes.length]!)
          last = piece.length === 1 ? await session.decode(piece[0]!) : await session.prefill(piece)
        }
        expect(worstDifference(last, whole)).toBeLessThan(tolerance)
      }),
      { numRuns: 12 },
    )
    await model.dispose()
  })
})

test('rotary positions count by their differences: a ring may begin anywhere', async () => {
  const ring = numbered(load('mistral_ring'), {
    set: { vocab: '40', embed: '32', depth: '2', heads: '4', kv_heads: '2', ffn: '44', ctx: '512', window: '6' },
    maximum: { seq: 6 },
  })
  const model = await openModel(ring, seededWeights(ring.weights, 5))
  const from = async (start: number): Promise<ArrayLike<number>> => {
    const session = model.createSession()
    await session.call('score', { tokens: prompt.slice(0, 5), start })
    return (await session.call('score', { tokens: prompt.slice(5, 9), start: start + 5 }))[0]!.values
  }
  const first = await from(0)
  // Larger positions have larger angles, whose f32 tables are a little coarser.
  for (const start of [1, 6, 7, 100, 437]) expect(worstDifference(await from(start), first)).toBeLessThan(tolerance)
  await model.dispose()
})
