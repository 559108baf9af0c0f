// Logits and greedy tokens of Hugging Face checkpoints, from compiled artifacts: the reference within rounding of f64, other
// places within that of f32; a prompt read at once, in chunks, or id by id leads to the same scores.

import { describe, expect, test } from 'vitest'
import { argmax } from '../../runtime/index.ts'
import { compileForTest, type CompileRequest } from '../support/compiled.ts'
import { type GoldenSequence, goldenSequences, normalisedError, worstDifference } from '../support/goldens.ts'
import { type PlaceModel, places, placesWith } from '../support/places.ts'

/** Folder and model file: these in all places and with both spellings of the config, the others on WASM. */
const whole: readonly (readonly [string, string])[] = [
  ['llama', 'llama'],
  ['llama-gqa', 'llama'],
  ['gemma', 'gemma'],
]
const onWasm: readonly (readonly [string, string])[] = [
  ['mistral', 'mistral'],
  ['mixtral', 'mixtral'],
  ['qwen2', 'qwen2'],
  ['gpt2', 'gpt2'],
  ['gpt-neo', 'gpt_neo'],
  ['openai-gpt', 'openai_gpt'],
  ['llama3-rope', 'llama3'],
]

async function expectLogits(model: PlaceModel, sequences: readonly GoldenSequence[], tolerance: number): Promise<void> {
  for (const { ids, logits } of sequences) {
    const session = model.createSession()
    const { values } = await session.score(ids)
    expect(worstDifference(values, logits), `${ids.length} ids`).toBeLessThanOrEqual(tolerance)
    session.dispose()
  }
}

async function expectGreedy(model: PlaceModel, sequences: readonly GoldenSequence[]): Promise<void> {
  for (const { ids, greedy } of sequences) {
    expect(greedy.length).toBeGreaterThan(0)
    const session = model.createSession()
    const tokens: number[] = []
    for await (const { token } of session.generate(ids, { maxTokens: greedy.length, stopTokens: [] })) tokens.push(token)
    expect(tokens).toEqual(greedy)
    session.dispose()
  }
}

/** Scores after `ids`, read in pieces of `size`. */
async function readIn(model: PlaceModel, ids: readonly number[], size: number): Promise<Float64Array> {
  const session = model.createSession()
  let scores: ArrayLike<number> = []
  for (let at = 0; at < ids.length; at += size) {
    const piece = ids.slice(at, at + size)
    scores = piece.length === 1 ? await session.decode(piece[0]!) : await session.prefill(piece)
  }
  session.dispose()
  return Float64Array.from(scores)
}

async function expectSameInPieces(model: PlaceModel, sequences: readonly GoldenSequence[]): Promise<void> {
  for (const { ids, logits, vocab } of sequences) {
    const last = logits.subarray(logits.length - vocab)
    for (const size of [ids.length, 1, 2, 5]) {
      const scores = await readIn(model, ids, size)
      expect(argmax(scores), `pieces of ${size}`).toBe(argmax(last))
      expect(normalisedError(scores, last), `pieces of ${size}`).toBeLessThanOrEqual(1e-10)
    }
  }
}

describe.each(whole)('%s', (folder, file) => {
  const sequences = goldenSequences(folder)
  const request: CompileRequest = { model: file, checkpoint: `hf-golden/${folder}`, targets: ['wasm', 'webgpu', 'reference'] }

  test.each(placesWith(() => true))(
    '%s, %s math',
    async (name, math) => {
      const { open, target, tolerance } = places[name]
      await using model = await open(await compileForTest(math === 'strict' ? request : { ...request, targets: [target], math }))
      await expectLogits(model, sequences, tolerance)
      // A software GPU makes some ten calls a second: there, the longest sequence is for the logits only.
      const stepwise = target === 'webgpu' ? sequences.slice(0, 2) : sequences
      await expectGreedy(model, stepwise)
      await expectSameInPieces(model, stepwise)
    },
    900_000,
  )

  test('the config of transformers 4 gives the same artifact, byte by byte', async () => {
    const [five, four] = await Promise.all([
      compileForTest(request),
      compileForTest({ ...request, config: `hf-golden/${folder}/config.v4.json` }),
    ])
    expect([...four.files.keys()]).toEqual([...five.files.keys()])
    for (const [name, bytes] of five.files) expect(Buffer.compare(four.files.get(name)!, bytes), name).toBe(0)
  })
})

describe.each(onWasm)('%s', (folder, file) => {
  const sequences = goldenSequences(folder)

  test.each(placesWith(({ target }) => target === 'wasm'))('%s, %s math', async (name, math) => {
    const { open, tolerance } = places[name]
    await using model = await open(await compileForTest({ model: file, checkpoint: `hf-golden/${folder}`, targets: ['wasm'], math }))
    await expectLogits(model, sequences, tolerance)
    await expectGreedy(model, sequences)
  })
})
