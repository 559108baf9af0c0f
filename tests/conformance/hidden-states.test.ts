// Hidden states, layer by layer, of every Hugging Face checkpoint: what the embedding, each layer and the last norm give, taken out
// of compiled artifacts with --tap, on the reference, WASM and WebGPU. The scores beside them must be right too: taking values
// out changes none. (Whole logits, greedy tokens and the other places: hugging-face.test.ts, encoders.test.ts.)

import { expect, test } from 'vitest'
import type { TensorResult } from '../../runtime/index.ts'
import { compileForTest } from '../support/compiled.ts'
import { type GoldenSequence, goldenHiddenStates, goldenSequences, worstDifference } from '../support/goldens.ts'
import { type PlaceSession, places } from '../support/places.ts'

interface Family {
  readonly entries: readonly string[]
  /** Where the golden file's `embed` and `final_norm` are in the model; layers follow by number. */
  readonly paths: Readonly<Record<string, string>>
  /** Entries and their results by the golden file's prefix: '' for a model with one stack of layers. */
  read(session: PlaceSession, sequence: GoldenSequence): Promise<Readonly<Record<string, readonly TensorResult[]>>>
}

const decoder: Family = {
  entries: ['score'],
  paths: { embed: 'embed_tokens', layer: 'layers', final_norm: 'out_norm' },
  read: async (session, { ids }) => ({ '': await session.call('score', { tokens: ids }) }),
}
const encoder: Family = {
  entries: ['score'],
  paths: { embed: 'embed_norm', layer: 'layers' },
  read: async (session, { ids, segments }) => ({ '': await session.call('score', { tokens: ids, segments: segments! }) }),
}
const translator: Family = {
  entries: ['encode', 'prefill'],
  paths: { 'encoder.embed': 'place', 'encoder.layer': 'encoder', 'decoder.embed': 'place', 'decoder.layer': 'decoder' },
  read: async (session, { ids, target }) => ({
    encoder: await session.call('encode', { source: ids }),
    decoder: await session.call('prefill', { target: target!, start: 0, src_len: ids.length }),
  }),
}

/** Model file, folder of its checkpoint. */
const models: readonly (readonly [string, string, Family])[] = [
  ['llama', 'llama', decoder],
  ['llama', 'llama-gqa', decoder],
  ['llama3', 'llama3-rope', decoder],
  ['gpt2', 'gpt2', decoder],
  ['openai_gpt', 'openai-gpt', decoder],
  ['mistral', 'mistral', decoder],
  ['mistral_ring', 'mistral', decoder],
  ['mixtral', 'mixtral', decoder],
  ['qwen2', 'qwen2', decoder],
  ['gemma', 'gemma', decoder],
  ['gpt_neo', 'gpt-neo', decoder],
  ['bert', 'bert', encoder],
  ['marian', 'marian', translator],
]

test.each(models)('%s.dsl on %s', async (model, folder, { entries, paths, read }) => {
  const states = goldenHiddenStates(folder)
  const sequence = goldenSequences(folder).find(({ ids }) => ids.length === 7)!
  // `decoder.layer.1` → decoder.1 in the model, told by the entry that runs the decoder.
  const wanted = [...states].map(([name, values]) => {
    const [, before = '', what, number] = /^(?:(.*)\.)?(embed|layer|final_norm)(?:\.(\d+))?$/.exec(name)!
    const path = paths[before === '' ? what! : `${before}.${what}`]!
    return {
      entry: before,
      name: number === undefined ? path : `${path}.${number}`,
      pattern: number === undefined ? path : `${path}.*`,
      values,
    }
  })
  const taps = [...new Set(wanted.map(({ pattern }) => pattern))]
  const compiled = await compileForTest({
    model,
    checkpoint: `hf-golden/${folder}`,
    targets: ['wasm', 'webgpu', 'reference'],
    maxSeq: 8,
    taps,
    entries,
  })
  for (const name of ['reference', 'wasm', 'webgpu, software'] as const) {
    const { open, tolerance } = places[name]
    await using place = await open(compiled)
    const session = place.createSession()
    const given = await read(session, sequence)
    for (const { entry, name: tap, values } of wanted) {
      const result = given[entry]!.find((each) => each.name === tap)
      expect(worstDifference(result?.values ?? [], values), `${name}: ${entry} ${tap}`).toBeLessThanOrEqual(tolerance)
    }
    // Nothing else was tapped, and the scores stand before.
    const results = Object.values(given).flat()
    expect(results.filter((each) => each.name !== undefined).length).toBe(wanted.length)
    const scores = results.find((each) => each.name === undefined)!
    expect(worstDifference(scores.values, sequence.logits.subarray(-scores.values.length)), `${name}: scores`).toBeLessThanOrEqual(
      tolerance,
    )
    session.dispose()
  }
})
