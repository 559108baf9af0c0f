// The models that read everything at once, against Hugging Face's numbers in every place: BERT's logits of whole texts, and Marian,
// whose decoder looks at what its encoder left in the states. (WebGPU in Node: tests/webgpu/goldens.test.ts.)

import { expect, test } from 'vitest'
import { compileForTest } from '../support/compiled.ts'
import { goldenSequences, worstDifference } from '../support/goldens.ts'
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

test.each(everywhere)('marian: %s, %s math', async (name, math) => {
  await using model = await open('marian', name, math)
  for (const { ids, target, logits, vocab, greedy } of goldenSequences('marian')) {
    const session = model.createSession()
    await session.call('encode', { source: ids })
    const args = { src_len: ids.length }
    const read: number[] = []
    for (const id of target!) read.push(...(await session.decode(id, { args })))
    expect(read.length).toBe(target!.length * vocab)
    expect(worstDifference(read, logits), `${ids.length} ids`).toBeLessThanOrEqual(places[name].tolerance)
    session.dispose()

    const second = model.createSession()
    await second.call('encode', { source: ids })
    const tokens: number[] = []
    const options = { args, maxTokens: greedy.length, stopTokens: [] }
    for await (const { token } of second.generate(target!.slice(0, 1), options)) tokens.push(token)
    expect(tokens).toEqual(greedy)
    second.dispose()
  }
})
