// The models' own naming tables against real checkpoints: every weight is bound, nothing is left over, in each container.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { goldenModels } from '../support/goldens.ts'
import { bindWeights, hasTensorFor, type Bound } from '../../compiler/weights/bind.ts'
import { openCheckpoint, type Checkpoint } from '../../compiler/weights/checkpoint.ts'
import { nodeFiles } from '../../compiler/weights/node-source.ts'
import { loadModel, type Numbers } from '../../dsl/index.ts'
import { dataPath } from './data.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string): string | undefined => {
  for (const folder of ['', 'dsl/']) {
    try {
      return readFileSync(root + folder + path, 'utf8')
    } catch {
      // Tried in the next folder.
    }
  }
  return undefined
}

function bindModel(name: string, checkpoint: Checkpoint): Bound & { parameters: number } {
  const { model, diagnostics } = loadModel(`models/${name}.dsl`, read)
  expect(diagnostics.filter((d) => d.severity === 'error')).toEqual([])
  const { format, arch } = checkpoint.table
  const specialised = (numbers: Numbers) => {
    const result = model!.specialise(numbers)
    expect(result.diagnostics.filter((d) => d.severity === 'error').map((d) => d.message)).toEqual([])
    const table = result.model!.checkpoint(format, arch)
    expect(table.diagnostics.filter((d) => d.severity === 'error').map((d) => d.message)).toEqual([])
    return { model: result.model!, table: table.table! }
  }
  const first = specialised({ config: checkpoint.config })
  const final = specialised({ config: checkpoint.config, hasTensorFor: hasTensorFor(first.table, checkpoint) })
  return { ...bindWeights(final.model.weights, final.table, checkpoint), parameters: final.model.parameters }
}

const others = {
  'checkpoints/stories260K.legacy.bin': 'llama',
  'checkpoints/stories260K.v1.bin': 'llama',
  'checkpoints/llama2ts.tinystories_260k_v1.bin': 'llama',
  'gguf-model/llama-2-tiny-random.gguf': 'llama',
  'smollm2/SmolLM2-135M-Instruct.Q4_1.gguf': 'llama',
}
const cases = [...Object.entries(goldenModels).map(([folder, model]) => [`hf-golden/${folder}`, model] as const), ...Object.entries(others)]

test.each(cases)('%s binds to %s.dsl', (path, name) => {
  const { sources, diagnostics, parameters } = bindModel(name, openCheckpoint(dataPath(path), nodeFiles))
  expect(diagnostics.map((d) => `${d.code} ${d.message} ${d.notes.join('; ')}`)).toEqual([])
  const elements = [...sources.values()].reduce((sum, { dims }) => sum + dims.reduce((a, b) => a * b, 1), 0)
  expect(elements).toBe(parameters)
})

test("BERT's first published files: gains are gamma, biases beta", () => {
  const checkpoint = openCheckpoint(dataPath('hf-golden/bert'), nodeFiles)
  const old = (name: string): string => name.replace(/LayerNorm\.weight$/, 'LayerNorm.gamma').replace(/LayerNorm\.bias$/, 'LayerNorm.beta')
  const tensors = new Map([...checkpoint.tensors].map(([name, tensor]) => [old(name), tensor]))
  expect(tensors.has('bert.embeddings.LayerNorm.gamma')).toBe(true)
  expect(bindModel('bert', { ...checkpoint, tensors }).diagnostics).toEqual([])
})

describe('SmolLM2', () => {
  test('packed q and k rows are moved without leaving q4_1', () => {
    const { sources } = bindModel('llama', openCheckpoint(dataPath('smollm2/SmolLM2-135M-Instruct.Q4_1.gguf'), nodeFiles))
    const wq = sources.get('layers[3].attn.wq')!
    expect(wq.format).toBe('q4_1')
    expect(wq.dims).toEqual([9, 64, 576])
    expect(wq.read().length).toBe((576 * 576 * 20) / 32)
  })
})
