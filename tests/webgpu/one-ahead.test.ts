// A model's tokens on WebGPU (Dawn on SwiftShader), drawn on the GPU and one step ahead of the host: those that WASM gives, at a cost a token that
// is counted, also after the device was lost while it was loaded, read its prompt or wrote.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createNodeGpu } from '../../cli/webgpu-node.ts'
import type { WebgpuProgram } from '../../runtime/artifact/manifest.ts'
import { type GenerateOptions, load, memoryFiles, type Model } from '../../runtime/index.ts'
import { type Compiled, compileForTest } from '../support/compiled.ts'
import { newWatch, type Watch, watchedGpu } from '../support/watched-gpu.ts'

let compiled: Compiled
let software: GPU
let wasm: Model
beforeAll(async () => {
  compiled = await compileForTest({
    model: 'llama',
    checkpoint: 'hf-golden/llama-gqa',
    targets: ['wasm', 'webgpu'],
    quant: 'q4_0',
    maxSeq: 4,
    entries: ['prefill', 'decode'],
  })
  software = await createNodeGpu({ software: true })
  wasm = await compiled.open('wasm')
})
afterAll(() => wasm.dispose())

const open = (watch: Watch): Promise<Model> => load(memoryFiles(compiled.files), { device: 'webgpu', gpu: watchedGpu(software, watch) })
const program = (): WebgpuProgram =>
  (compiled.compilation.contents.variants.find(({ target }) => target === 'webgpu') as { program: WebgpuProgram }).program
const prompt = [5, 9, 33, 2, 71, 8]

async function tokens(model: Model, options: GenerateOptions, seen?: () => void): Promise<number[]> {
  const session = model.createSession({ seed: 11 })
  const all: number[] = []
  for await (const { token } of session.generate(prompt, { maxTokens: 20, stopTokens: [], ...options })) {
    all.push(token)
    seen?.()
  }
  expect(session.tokens).toEqual([...prompt, ...all.slice(0, -1)])
  session.dispose()
  return all
}

test.each([
  {},
  { repetitionPenalty: 1.4, repetitionWindow: 8 },
  { temperature: 0.9 },
  { temperature: 1.1, topK: 20, topP: 0.9, minP: 0.02, repetitionPenalty: 1.2 },
])('%j', async (options) => {
  const watch = newWatch()
  const model = await open(watch)
  const steps: Record<string, number>[] = []
  const got = await tokens(model, options, () => {
    steps.push({ ...Object.fromEntries(watch.calls), bytesBack: watch.bytesBack })
    watch.reset()
  })
  expect(got).toEqual(await tokens(wasm, options))
  const { dispatches, draw } = program().entries['decode']!
  const dispatched = dispatches.length + draw!.length
  // When a token is read back depends on how fast the GPU is; how often does not.
  let back = 0
  for (const { bytesBack = 0 } of steps) back += bytesBack
  expect(back).toBe(4 * (2 + got.length - 1)) // the prompt takes two calls
  for (const { getMappedRange: _, unmap: __, bytesBack: ___, ...step } of steps.slice(2, -1)) {
    expect(step).toEqual({
      ...{ writeBuffer: 1, createCommandEncoder: 1, beginComputePass: 1, end: 1, finish: 1, submit: 1 },
      ...{ setPipeline: dispatched, setBindGroup: dispatched, dispatchWorkgroups: dispatched },
      ...{ copyBufferToBuffer: 1, mapAsync: 1 },
    })
  }
  await model.dispose()
  expect(watch.buffers.size).toBe(0)
  expect(watch.errors).toEqual([])
})

describe('a device that is lost', () => {
  const options = { temperature: 1.1, topK: 20, repetitionPenalty: 1.2 }
  test('anywhere: the same tokens', async () => {
    const calm = newWatch()
    const model = await open(calm)
    const loaded = calm.total
    const wanted = await tokens(model, options)
    const generated = calm.total - loaded
    await model.dispose()
    // At every call it is lost in tests/runtime/drawing.test.ts, on a GPU that is played.
    const places = [0.5 * loaded, loaded + 0.04 * generated, loaded + 0.6 * generated]
    for (const place of places.map(Math.floor)) {
      const watch = newWatch()
      watch.loseAt = place
      const again = await open(watch)
      expect(await tokens(again, options), `lost at call ${place}`).toEqual(wanted)
      expect(watch.devices.length).toBe(2)
      await again.dispose()
      expect(watch.buffers.size).toBe(0)
    }
  })
})
