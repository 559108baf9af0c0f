// Mean negative log-likelihood of stories260K on a text, a number from outside: every position of long sequences counts, where
// greedy texts forgive small errors.

import { expect, test } from 'vitest'
import { likelihoodOf } from '../../cli/measure/likelihood.ts'
import type { Model } from '../../runtime/index.ts'
import { compileForTest } from '../support/compiled.ts'
import { dataText } from '../support/goldens.ts'

const wanted = 1.26414
const predictions = 1802

/** The texts as the number was made: apart at <|endoftext|>, trimmed, curly quotes as ASCII. */
const texts = dataText('text/tinystories_sample.txt')
  .split('<|endoftext|>')
  .map((text) => text.trim().replace(/[‘’]/g, "'").replace(/[“”]/g, '"'))
  .filter((text) => text !== '')

async function meanOf(model: Model): Promise<number> {
  let [nats, count] = [0, 0]
  for (const text of texts) {
    const ids = model.tokenizer!.encode(text)
    expect(ids[0]).toBe(model.tokenizer!.bos)
    const found = await likelihoodOf(model, ids)
    nats += found.nats
    count += found.predictions
  }
  expect(count).toBe(predictions)
  return nats / count
}

const stories = {
  model: 'llama',
  checkpoint: 'checkpoints/stories260K.legacy.bin',
  tokenizer: 'checkpoints/tok512.bin',
  maxSeq: 512,
} as const

test.each(['wasm', 'reference', 'webgpu'] as const)(
  'of the sample on %s',
  async (device) => {
    const compiled = await compileForTest({ ...stories, targets: ['wasm', 'webgpu', 'reference'] })
    await using model = await compiled.open(device)
    expect(Math.abs((await meanOf(model)) - wanted)).toBeLessThan(0.0005)
  },
  900_000,
)

// What quantising costs, and what it leaves alone: 172 values are no whole number of blocks of 32.
test.each([
  ['q8_0', 'fast', 0.02],
  ['q8_0', 'strict', 0.02],
  ['q4_0', 'fast', 0.15],
  ['q4_0', 'strict', 0.15],
] as const)('quantised to %s, %s math', async (quant, math, allowed) => {
  const compiled = await compileForTest({ ...stories, targets: ['wasm'], quant, math })
  const { notes, contents } = compiled.compilation
  expect(notes).toEqual([
    `layers[*].mlp.down: a row has 172 values, which ${quant} cannot cut into blocks; stored as f16`,
    'layers[*].attn_norm.gain, layers[*].mlp_norm.gain, out_norm.gain: f32, as the model declares',
  ])
  const unquantised = contents.tensors
    .filter(({ format, path }) => !format.startsWith('q') && !path.startsWith('table:'))
    .map(({ path }) => path.replace(/\[\d+\]/, '[*]'))
  expect(new Set(unquantised)).toEqual(
    new Set(['layers[*].mlp.down', 'layers[*].attn_norm.gain', 'layers[*].mlp_norm.gain', 'out_norm.gain']),
  )
  await using model = await compiled.open('wasm')
  const more = (await meanOf(model)) - wanted
  expect(more).toBeLessThan(allowed)
  // The formats lose something: an equal number would mean that f32 was stored.
  expect(more).toBeGreaterThan(0.0002)
})
