// GPT-3, PaLM and Chinchilla, whose weights nobody has: tiny ones with random weights against programs in NumPy that were written
// from the papers (tests/golden/decoders/make.py). Sequences are longer than GPT-3's band.

import { describe, expect, test } from 'vitest'
import { load, readJson } from '../dsl/read-models.ts'
import { compileForTest } from '../support/compiled.ts'
import { expectGreedy, expectLogits, expectSameInPieces } from '../support/decoders.ts'
import { goldenSequences } from '../support/goldens.ts'
import { places, placesWith } from '../support/places.ts'

const inNode = placesWith(({ host }, name) => host === 'node' && !name.endsWith('threads'))

describe.each(['gpt3', 'palm', 'chinchilla'])('%s', (model) => {
  const folder = `tests/golden/decoders/${model}`

  test.each(inNode)('%s, %s math', async (name, math) => {
    const { open, tolerance } = places[name]
    const targets = math === 'strict' ? (['wasm', 'webgpu', 'reference'] as const) : (['wasm'] as const)
    const compiled = await compileForTest({ model, checkpoint: folder, targets, math })
    await using opened = await open(compiled)
    const sequences = goldenSequences(folder)
    await expectLogits(opened, sequences, tolerance)
    await expectGreedy(opened, sequences)
    await expectSameInPieces(opened, sequences.slice(-1))
  })
})

test("GPT-2's checkpoints have the names and shapes of GPT-3: their config is refused", () => {
  const values = readJson('hf-golden/gpt2/config.json')
  const { diagnostics } = load('gpt3').specialise({ config: { kind: 'hf', values, file: 'config.json' } })
  expect(diagnostics).toMatchObject([{ code: 'L512', severity: 'error', message: expect.stringContaining('model_type') }])
})
