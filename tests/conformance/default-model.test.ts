// The model that ships with the package: what it writes and how well it predicts Shakespeare. The greedy text is the same on
// every device and is kept in tests/golden; the loss on held-out text is compared with what PyTorch computed from the weights
// before they were quantised; sampled text must consist of words that there are; the tokenizer is ours.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { defaultModel } from '../../compiler/package-sources.ts'
import { nodeFiles, openCheckpoint } from '../../compiler/weights/index.ts'
import { trainBpe } from '../../compiler/weights/tokenizers/train-bpe.ts'
import type { Model } from '../../runtime/index.ts'
import { compileForTest, type Compiled } from '../support/compiled.ts'
import { dataText } from '../support/goldens.ts'
import { surprise } from '../../cli/measure/likelihood.ts'

const request = { model: 'llama', checkpoint: defaultModel().weights, quant: 'keep', maxSeq: 128 } as const
const compiled = (math: 'strict' | 'fast'): Promise<Compiled> =>
  compileForTest({ ...request, targets: math === 'strict' ? ['wasm', 'webgpu', 'reference'] : ['wasm'], math })

interface Figures {
  readonly held_out_from: number
  readonly held_out_nats_per_character: number
  readonly slice_characters: number
  readonly slice_nats_per_character: number
}
const figures = JSON.parse(readFileSync(fileURLToPath(new URL('../../models/default/figures.json', import.meta.url)), 'utf8')) as Figures
const shakespeare = dataText('text/tinyshakespeare.txt')
const training = shakespeare.slice(0, figures.held_out_from)
const heldOut = shakespeare.slice(figures.held_out_from)

test('the tokenizer is what our trainer makes of the training text', () => {
  const trained = trainBpe([training], { vocabulary: 1024, special: ['<|endoftext|>'], addBos: true })
  expect(openCheckpoint(defaultModel().weights, nodeFiles).tokenizer).toEqual(trained)
})

const prompt = 'To be, or not'

async function generate(
  model: Model,
  maxTokens: number,
  options: { temperature?: number; seed?: number; prompt?: string } = {},
): Promise<string> {
  const session = model.createSession({ seed: options.seed ?? 0 })
  let text = ''
  for await (const piece of session.generate(options.prompt ?? prompt, { maxTokens, temperature: options.temperature ?? 0 }))
    text += piece.text
  session.dispose()
  return text
}

test.each(['strict', 'fast'] as const)('greedy text on wasm, %s', async (math) => {
  await using model = await (await compiled(math)).open('wasm')
  const name = math === 'strict' ? 'default-model.txt' : 'default-model.fast.txt'
  await expect(`${prompt}${await generate(model, 250)}\n`).toMatchFileSnapshot(`../golden/${name}`)
})

test('the beginning of the greedy text on webgpu with 8-bit activations: as WebAssembly writes it with them', async () => {
  const { open } = await compileForTest({ ...request, targets: ['webgpu'], math: 'fast', activations: 'int8' })
  await using model = await open('webgpu')
  const golden = readFileSync(fileURLToPath(new URL('../golden/default-model.fast.txt', import.meta.url)), 'utf8')
  const text = `${prompt}${await generate(model, 20)}`
  expect(golden.startsWith(text), text).toBe(true)
})

// In f64, and on a software GPU: fewer tokens, because they are slow.
test.each([
  ['reference', 60],
  ['webgpu', 32],
] as const)('the beginning of the greedy text on %s', async (device, tokens) => {
  const { open } = await compiled('strict')
  await using model = await open(device)
  const golden = readFileSync(fileURLToPath(new URL('../golden/default-model.txt', import.meta.url)), 'utf8')
  const text = `${prompt}${await generate(model, tokens)}`
  expect(text.length).toBeGreaterThan(tokens)
  expect(golden.startsWith(text), text).toBe(true)
})

/** As models/default/train.py counts: windows of `context` ids that begin every half window; each id is predicted once. */
async function natsPerCharacter(model: Model, text: string, context: number): Promise<number> {
  const ids = model.tokenizer!.encode(text, { bos: true })
  const half = context / 2
  let [total, count] = [0, 0]
  for (let at = 0; at === 0 || at + half < ids.length - 1; at += half) {
    const window = ids.slice(at, at + context + 1)
    const session = model.createSession()
    const { values, dims } = await session.score(window.slice(0, -1))
    for (let i = at === 0 ? 1 : half + 1; i < window.length; i++) {
      total += surprise(values, (i - 1) * dims[1]!, dims[1]!, window[i]!)
      count++
    }
    session.dispose()
  }
  expect(count).toBe(ids.length - 1)
  return total / text.length
}

// Rounding to q8_0 costs little, and so does rounding activations in fast math; what else differs is a bug.
test.each([
  ['strict', 0.001],
  ['fast', 0.002],
] as const)('loss on held-out text, quantised, %s', async (math, most) => {
  expect(figures.held_out_nats_per_character).toBeLessThan(1.7)
  await using model = await (await compiled(math)).open('wasm')
  const loss = await natsPerCharacter(model, heldOut.slice(0, figures.slice_characters), 256)
  expect(Math.abs(loss - figures.slice_nats_per_character)).toBeLessThan(most)
})

test('nine words in ten of a sample occur in the training text', async () => {
  const words = (text: string): string[] => text.toLowerCase().match(/[a-z]+(?:'[a-z]+)*/g) ?? []
  const known = new Set(words(training))
  await using model = await (await compiled('fast')).open('wasm')
  const sampled: string[] = []
  // The last word of a sample may be cut off.
  for (let seed = 1; seed <= 5; seed++)
    sampled.push(...words(await generate(model, 200, { temperature: 0.8, seed, prompt: '' })).slice(0, -1))
  expect(sampled.length).toBeGreaterThan(300)
  const share = sampled.filter((word) => known.has(word)).length / sampled.length
  expect(share).toBeGreaterThanOrEqual(0.9)
})
