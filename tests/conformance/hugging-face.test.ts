// Logits and greedy tokens of Hugging Face checkpoints, from compiled artifacts: the reference within rounding of f64, other
// places within that of f32; a prompt read at once, in chunks, or id by id leads to the same scores. On WASM, strict arithmetic
// gives the same bits in a browser as in Node (threads.test.ts has the threads of Node).

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { printGraph } from '../../compiler/graph/print.ts'
import { type Compiled, type CompileRequest, compileForTest } from '../support/compiled.ts'
import { expectGreedy, expectLogits, expectSameInPieces, readIn } from '../support/decoders.ts'
import { dataPath, type GoldenSequence, goldenSequences } from '../support/goldens.ts'
import { type PlaceModel, type PlaceName, places, placesWith } from '../support/places.ts'

/** Folder and model file: these in all places but one and with both spellings of the config. (WebGPU in Node: tests/webgpu/goldens.test.ts.) */
const whole: readonly (readonly [string, string])[] = [
  ['llama', 'llama'],
  ['llama-gqa', 'llama'],
  ['gemma', 'gemma'],
]
/** These in Node on the reference and WASM, and in Chromium in a place of each kind. */
const others: readonly (readonly [string, string])[] = [
  ['mistral', 'mistral'],
  ['mixtral', 'mixtral'],
  ['qwen2', 'qwen2'],
  ['gpt2', 'gpt2'],
  ['gpt-neo', 'gpt_neo'],
  ['openai-gpt', 'openai_gpt'],
  ['llama3-rope', 'llama3'],
]

/** A checkpoint in a second model file, once on each kind of device. */
const again: readonly (readonly [string, string])[] = [['mistral', 'mistral_ring']]
const oncePerDevice: ReadonlySet<PlaceName> = new Set(['reference', 'wasm', 'webgpu in Chromium'])

/** Of these, those whose config comes in two spellings. */
const spelledTwice = others.filter(([folder]) => existsSync(join(dataPath(`hf-golden/${folder}`), 'config.v4.json')))

/** One, two and four threads, on the page's own thread and in a worker; WebGPU. */
const someInChromium: ReadonlySet<PlaceName> = new Set([
  'wasm in Chromium',
  'wasm in Chromium, 2 threads',
  'wasm in a worker of Chromium, 4 threads',
  'webgpu in Chromium',
])

const bitsOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer => Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength)

/** Bit for bit what one thread in Node computes, by each of the entries. */
async function expectBitsOfNode(model: PlaceModel, compiled: Compiled, sequences: readonly Pick<GoldenSequence, 'ids'>[]): Promise<void> {
  await using twin = await places.wasm.open(compiled)
  for (const { ids } of sequences) {
    const [session, wanted] = [model.createSession(), twin.createSession()]
    const [scores, wantedScores] = await Promise.all([session.score(ids), wanted.score(ids)])
    expect(bitsOf(scores.values).equals(bitsOf(wantedScores.values)), `score of ${ids.length} ids`).toBe(true)
    for (const size of [1, 5]) {
      const [found, asked] = await Promise.all([readIn(model, ids, size), readIn(twin, ids, size)])
      expect(bitsOf(found).equals(bitsOf(asked)), `pieces of ${size} of ${ids.length} ids`).toBe(true)
    }
    session.dispose()
    wanted.dispose()
  }
}

async function expectGolden(folder: string, file: string, name: PlaceName, math: 'strict' | 'fast'): Promise<void> {
  const { open, target, host, tolerance } = places[name]
  const sequences = goldenSequences(folder)
  const compiled = await compileForTest(requestFor(folder, file, math))
  await using model = await open(compiled)
  await expectLogits(model, sequences, tolerance)
  await expectGreedy(model, sequences)
  await expectSameInPieces(model, sequences)
  if (target === 'wasm' && math === 'strict' && host === 'chromium') await expectBitsOfNode(model, compiled, sequences)
}

/** Every file of the artifact, byte by byte. */
async function expectSameFromEither(
  folder: string,
  request: CompileRequest,
): Promise<{ readonly five: Compiled; readonly four: Compiled }> {
  const [five, four] = await Promise.all([
    compileForTest(request),
    compileForTest({ ...request, config: `hf-golden/${folder}/config.v4.json` }),
  ])
  expect([...four.files.keys()]).toEqual([...five.files.keys()])
  for (const [name, bytes] of five.files) expect(Buffer.compare(four.files.get(name)!, bytes), name).toBe(0)
  return { five, four }
}

/** One compilation serves all places. */
const requestFor = (folder: string, model: string, math: 'strict' | 'fast'): CompileRequest => ({
  model,
  math,
  checkpoint: `hf-golden/${folder}`,
  targets: math === 'strict' ? ['wasm', 'webgpu', 'reference'] : ['wasm'],
})

describe.each(whole)('%s', (folder, file) => {
  test.each(placesWith(({ target, host }) => target !== 'webgpu' || host === 'chromium'))('%s, %s math', (name, math) =>
    expectGolden(folder, file, name, math),
  )

  test('the config of transformers 4 gives the same programs', () => expectSameFromEither(folder, requestFor(folder, file, 'strict')))
})

describe.each(others)('%s', (folder, file) => {
  test.each(placesWith(({ target, host }, name) => (host === 'node' ? target !== 'webgpu' : someInChromium.has(name))))(
    '%s, %s math',
    (name, math) => expectGolden(folder, file, name, math),
  )
})

test.each(again)('%s in %s.dsl', async (folder, file) => {
  for (const name of oncePerDevice) await expectGolden(folder, file, name, 'strict')
})

// Without targets an artifact is the numbers, the entries and the weights: with the graphs, all that programs are made from.
test.each(spelledTwice)('%s: the config of transformers 4 gives the same model', async (folder, model) => {
  const { five, four } = await expectSameFromEither(folder, { model, checkpoint: `hf-golden/${folder}`, targets: [] })
  expect(four.compilation.graphs.map(printGraph)).toEqual(five.compilation.graphs.map(printGraph))
})

test('seven checkpoints come with both spellings', () => expect(whole.length + spelledTwice.length).toBe(7))

test.each(placesWith(({ target }, name) => target === 'wasm' && someInChromium.has(name)).filter(([, math]) => math === 'strict'))(
  'quantised weights: %s, %s math gives the bits of one thread in Node',
  async (name, math) => {
    for (const quant of ['q8_0', 'q4_0', 'q4_1'] as const) {
      const compiled = await compileForTest({ model: 'llama', checkpoint: 'hf-golden/llama', targets: ['wasm'], math, quant })
      await using model = await places[name].open(compiled)
      await expectBitsOfNode(model, compiled, goldenSequences('llama'))
    }
  },
)
