// The models' GGUF tables: the golden checkpoints of Hugging Face, converted as llama.cpp does it, give the same weights, number for
// number, and the same numbers of the config. What GGUF says by itself (Llama 3's divisors) gives the same scores.

import { describe, expect, test } from 'vitest'
import { compileModel } from '../../compiler/compile.ts'
import { packArtifact } from '../../compiler/artifact/write.ts'
import { fitModel, type Fitted } from '../../compiler/fit.ts'
import { createReferenceDevice } from '../../compiler/targets/reference/device.ts'
import { type BoundWeight, type Checkpoint, fromBytes, nodeFiles, openCheckpoint } from '../../compiler/weights/index.ts'
import { decodeAll } from '../../compiler/weights/plain-tensor.ts'
import { load as loadArtifact, memoryFiles } from '../../runtime/index.ts'
import { load, summary } from '../dsl/read-models.ts'
import { dataPath, goldenSequences, worstDifference } from '../support/goldens.ts'
import { asLlamaCpp, type ConversionChoice } from './llama-cpp-files.ts'

const openHf = (folder: string): Checkpoint => openCheckpoint(dataPath(folder), nodeFiles)

function openGguf(folder: string, choice?: ConversionChoice): Checkpoint {
  const bytes = asLlamaCpp(openHf(folder), choice)
  return openCheckpoint('model.gguf', { open: (path) => fromBytes(bytes, path), isFolder: () => false })
}

function fitted(
  file: string,
  checkpoint: Checkpoint,
  set: Record<string, number | string> = {},
): Required<Pick<Fitted, 'model' | 'weights'>> {
  const { model, weights, diagnostics } = fitModel(load(file), { set }, { checkpoint })
  expect(summary(diagnostics)).toEqual([])
  return { model: model!, weights: weights! }
}

const cases: readonly (readonly [file: string, folder: string, choice?: ConversionChoice])[] = [
  ['llama', 'hf-golden/llama'],
  ['llama', 'hf-golden/llama-gqa'],
  ['llama3', 'hf-golden/llama3-rope'],
  ['mistral', 'hf-golden/mistral', { metadata: { 'attention.sliding_window': 8 } }],
  ['mixtral', 'hf-golden/mixtral'],
  ['mixtral', 'hf-golden/mixtral', { splitExperts: true }],
  ['qwen2', 'hf-golden/qwen2'],
  ['gemma', 'hf-golden/gemma'],
  ['gpt2', 'hf-golden/gpt2'],
  ['bert_encoder', 'hf-golden/bert'],
  ['t5', 'tests/golden/t5/v1_0'],
  ['t5_v1_1', 'tests/golden/t5/v1_1'],
]

/** Not in GGUF: how far T5's buckets reach (llama.cpp writes 128 into its program). What only GGUF has is its own. */
const unsaid: Readonly<Record<string, Record<string, number>>> = { t5_v1_1: { far: 40 } }
const onlyInOne = ['kind', 'factor', 'low', 'high', 'old_ctx', 'divisors', 'split']

test.each(cases.map(([file, folder, choice = {}]) => [file, folder, choice] as const))('%s.dsl: %s', (file, folder, choice) => {
  const hf = fitted(file, openHf(folder))
  const gguf = fitted(file, openGguf(folder, choice), unsaid[file])
  for (const [name, value] of Object.entries(hf.model.config)) {
    if (onlyInOne.includes(name)) continue
    // GGUF's fractions are f32.
    if (typeof value === 'number') expect(gguf.model.config[name], name).toBeCloseTo(value, 7)
    else expect(gguf.model.config[name], name).toEqual(value)
  }
  expect([...gguf.weights.keys()].sort()).toEqual([...hf.weights.keys()].sort())
  for (const [path, weight] of hf.weights)
    expect(furthest(gguf.weights.get(path)!, weight), path).toBe(file === 'gemma' && path.endsWith('gain') ? null : 0)
})

/** Largest difference; null where it is the rounding of adding one. */
function furthest(a: BoundWeight, b: BoundWeight): number | null {
  const [x, y] = [decodeAll(a), decodeAll(b)]
  if (x.length !== y.length) return Infinity
  const most = x.reduce((worst, value, i) => Math.max(worst, Math.abs(value - y[i]!)), 0)
  return most > 0 && most <= 2 ** -22 ? null : most
}

test("an output matrix that only the file's tensors tell of is not taken for the embedding", () => {
  const { model, weights } = fitted('qwen2', openGguf('hf-golden/qwen2'))
  expect(model.config['tie']).toBe(false)
  expect(weights.has('lm_head')).toBe(true)
})

describe("Llama 3's divisors", () => {
  async function scores(checkpoint: Checkpoint, ids: readonly number[], set: Record<string, string> = {}): Promise<ArrayLike<number>> {
    const { model, weights } = fitted('llama3', checkpoint, set)
    const { compilation } = compileModel(model, { targets: ['reference'], weights })
    const values = new Map([...weights].map(([path, weight]) => [path, { dims: weight.dims, data: Float64Array.from(decodeAll(weight)) }]))
    const device = createReferenceDevice(compilation!.graphs, { weight: (path) => values.get(path)! })
    await using loaded = await loadArtifact(memoryFiles(await packArtifact({ ...compilation!.contents, withWeights: false })), { device })
    return (await loaded.createSession().score(ids)).values
  }
  const { ids, logits } = goldenSequences('llama3-rope').at(-1)!

  test('are used instead of the config, and tell the same within their rounding to f32', async () => {
    expect(worstDifference(await scores(openGguf('hf-golden/llama3-rope'), ids), logits)).toBeLessThan(1e-6)
    // A preset says the kind as well: nothing is slowed down twice.
    expect(worstDifference(await scores(openGguf('hf-golden/llama3-rope'), ids, { kind: 'llama3' }), logits)).toBeLessThan(1e-6)
  })
})
