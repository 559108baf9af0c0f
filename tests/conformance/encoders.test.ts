// The models that read everything at once, against Hugging Face's numbers in every place: BERT's logits of whole texts, Marian and
// T5, whose decoders look at what their encoders left in the states. (WebGPU in Node: tests/webgpu/goldens.test.ts.)

import { describe, expect, test } from 'vitest'
import { type CompileRequest, compileForTest } from '../support/compiled.ts'
import { type GoldenSequence, goldenSequences, worstDifference } from '../support/goldens.ts'
import { type PlaceModel, type PlaceName, places, placesWith } from '../support/places.ts'

async function open(model: string, name: PlaceName, math: 'strict' | 'fast'): Promise<PlaceModel> {
  const targets = math === 'strict' ? (['wasm', 'webgpu', 'reference'] as const) : (['wasm'] as const)
  return places[name].open(await compileForTest({ model, checkpoint: `hf-golden/${model}`, targets, math }))
}

const everywhere = placesWith(({ target, host }) => target !== 'webgpu' || host === 'chromium')

test.each(everywhere)('bert: %s, %s math', async (name, math) => {
  await using model = await open('bert', name, math)
  for (const { ids, segments, logits } of goldenSequences('bert')) {
    const session = model.createSession()
    const [scores] = await session.call('score', { tokens: ids, segments: segments! })
    expect(worstDifference(scores!.values, logits), `${ids.length} ids`).toBeLessThanOrEqual(places[name].tolerance)
    session.dispose()
  }
})

async function expectTranslations(model: PlaceModel, sequences: readonly GoldenSequence[], tolerance: number): Promise<void> {
  for (const { ids, target, logits, vocab, greedy } of sequences) {
    const session = model.createSession()
    await session.call('encode', { source: ids })
    const args = { src_len: ids.length }
    const read: number[] = []
    for (const id of target!) read.push(...(await session.decode(id, { args })))
    expect(read.length).toBe(target!.length * vocab)
    expect(worstDifference(read, logits), `${ids.length} ids`).toBeLessThanOrEqual(tolerance)
    session.dispose()

    const second = model.createSession()
    await second.call('encode', { source: ids })
    const tokens: number[] = []
    const options = { args, maxTokens: greedy.length, stopTokens: [] }
    for await (const { token } of second.generate(target!.slice(0, 1), options)) tokens.push(token)
    expect(tokens).toEqual(greedy)
    second.dispose()
  }
}

test.each(everywhere)('marian: %s, %s math', async (name, math) => {
  await using model = await open('marian', name, math)
  await expectTranslations(model, goldenSequences('marian'), places[name].tolerance)
})

// The golden checkpoint has ReLU, published ones swish. These are what transformers 5.23 computes in f64 from its weights.
test.each([
  ['swish', [-0.2461363, -0.3658893, -1.5310569, 0.6739441, 0.6859027, -0.8199398]],
  ['gelu', [-0.3392528, -0.593547, -1.6318814, 0.5242403, 0.6318031, -0.8593199]],
])('marian with %s', async (act, wanted) => {
  const compiled = await compileForTest({ model: 'marian', checkpoint: 'hf-golden/marian', set: { act }, targets: ['reference'] })
  await using model = await compiled.open('reference')
  const session = model.createSession()
  await session.call('encode', { source: [3, 17, 9, 44, 80] })
  const [scores] = await session.call('prefill', { target: [111, 5, 6], start: 0, src_len: 5 })
  expect(worstDifference([...scores!.values].slice(0, 6), wanted)).toBeLessThan(1e-6)
})

/** What reads alone is the same everywhere; for T5, a place of each kind. */
const some: ReadonlySet<PlaceName> = new Set(['reference', 'wasm', 'wasm, 2 threads', 'webgpu in Chromium'])

describe.each([
  ['t5', 'tests/golden/t5/v1_0'],
  ['t5_v1_1', 'tests/golden/t5/v1_1'],
])('%s', (file, folder) => {
  const sequences = goldenSequences(folder)
  const request = (math: 'strict' | 'fast', config = `${folder}/config.json`): CompileRequest => ({
    model: file,
    checkpoint: folder,
    config,
    math,
    targets: math === 'strict' ? ['wasm', 'webgpu', 'reference'] : ['wasm'],
  })

  test.each(placesWith((_, name) => some.has(name)))('%s, %s math', async (name, math) => {
    const { tolerance, target: device } = places[name]
    await using model = await places[name].open(await compileForTest(request(math)))
    // The software GPU takes half a minute for 144 ids; the other folder's longest text reaches its last bucket as well.
    const read = device === 'webgpu' ? sequences.filter(({ ids }) => ids.length < 100) : sequences
    await expectTranslations(model, read, tolerance)
    for (const { ids, target, logits } of read) {
      const session = model.createSession()
      await session.call('encode', { source: ids })
      const [scores] = await session.call('score', { target: target!, start: 0, src_len: ids.length })
      expect(worstDifference(scores!.values, logits), `${target!.length} ids at once`).toBeLessThanOrEqual(tolerance)
      session.dispose()
    }
  })

  test('the config of transformers 4 gives the same artifact, byte by byte', async () => {
    const [five, four] = await Promise.all([
      compileForTest(request('strict')),
      compileForTest(request('strict', `${folder}/config.v4.json`)),
    ])
    for (const [name, bytes] of five.files) expect(Buffer.compare(four.files.get(name)!, bytes), name).toBe(0)
  })
})
