// LLaMAs in q4_0 at their real sizes, through the runtime, on a GPU that has no memory and does no work (support/fake-gpu.ts): what is asked of
// it for each token, counted, and what it must hold, within the guaranteed limits. What the kernels read is counted in traffic.test.ts.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { compiledArtifact } from '../../compiler/artifact/compiled.ts'
import type { ArtifactContents } from '../../compiler/artifact/contents.ts'
import { fitForCalls } from '../../compiler/call-size.ts'
import { buildGraphs, compileGraphs } from '../../compiler/compile.ts'
import { estimateGraphs } from '../../compiler/estimate.ts'
import { buildPipelines } from '../../runtime/devices/webgpu-pipelines.ts'
import { load as loadArtifact } from '../../runtime/index.ts'
import { load } from '../dsl/read-models.ts'
import { createNullGpu, openDevice } from '../support/dawn.ts'
import { fakeGpu } from '../support/fake-gpu.ts'
import { newWatch, watchedGpu } from '../support/watched-gpu.ts'

let validator: GPUDevice
beforeAll(async () => {
  validator = (await openDevice(await createNullGpu())).device
})
afterAll(() => validator.destroy())

/** With weights of zeros, which are never all in memory. */
function ofZeros(contents: ArtifactContents): ArtifactContents {
  const zeros = new Uint8Array(2 ** 24)
  const tensors = contents.tensors.map((tensor) => ({
    ...tensor,
    *pieces() {
      for (let at = 0; at < tensor.bytes; at += zeros.length) yield zeros.subarray(0, Math.min(zeros.length, tensor.bytes - at))
    },
  }))
  return { ...contents, tensors, withWeights: true }
}

// Beyond 8 dispatches a layer: the row of the embedding, the head, and further parts of what exceeds a binding or would run for too long.
test.each([
  ['7B', 32, 3],
  ['65B', 80, 5],
  ['3-8B', 32, 7],
])('%s: a token is one encoder, pass, submit and write; nothing is made; 4 bytes come back', async (preset, layers, others) => {
  const { model, diagnostics } = fitForCalls(load('llama'), { preset, maximum: { seq: 128 } }, {})
  expect(diagnostics).toEqual([])
  const options = { targets: ['webgpu'], quant: 'q4_0' } as const
  const { model: built, graphs } = buildGraphs({ ...model!, entries: model!.entries.filter(({ name }) => name !== 'score') })
  const { contents } = compileGraphs(built!, graphs, options)
  const [variant] = contents.variants
  if (variant?.target !== 'webgpu') throw new Error('no program for WebGPU')

  const watch = newWatch()
  const loaded = await loadArtifact(compiledArtifact(ofZeros(contents)), { device: 'webgpu', gpu: watchedGpu(fakeGpu(), watch) })
  const steps: Map<string, number>[] = []
  let bytesBack = 0
  const tokens = 12
  for await (const _ of loaded.createSession().generate([1, 2, 3, 4, 5], { maxTokens: tokens, stopTokens: [] })) {
    steps.push(new Map(watch.calls))
    bytesBack += watch.bytesBack
    watch.reset()
  }
  const { dispatches, draw } = variant.program.entries['decode']!
  expect(dispatches.length).toBeLessThanOrEqual(8 * layers + others)
  const dispatched = dispatches.length + draw!.length
  expect(bytesBack).toBe(4 * tokens)
  // When a token is read back depends on how fast the GPU is, and so when a second place is made for one: once.
  const readBack = ['getMappedRange', 'unmap', 'createBuffer', 'pushErrorScope', 'popErrorScope']
  const counted = steps.slice(1, -1)
  expect(counted.reduce((sum, calls) => sum + (calls.get('createBuffer') ?? 0), 0)).toBeLessThanOrEqual(1)
  for (const calls of counted) {
    for (const name of readBack) calls.delete(name)
    expect(Object.fromEntries(calls)).toEqual({
      ...{ writeBuffer: 1, createCommandEncoder: 1, beginComputePass: 1, end: 1, finish: 1, submit: 1 },
      ...{ setPipeline: dispatched, setBindGroup: dispatched, dispatchWorkgroups: dispatched },
      ...{ copyBufferToBuffer: 1, mapAsync: 1 },
    })
  }

  const held = [...watch.buffers].reduce((sum, { size }) => sum + size, 0)
  expect(held / estimateGraphs(built!, graphs, options).targets[0]!.total).toBeCloseTo(1, 3)
  await loaded.dispose()
  expect(watch.buffers.size).toBe(0)
  expect(watch.errors).toEqual([])
  // A validator that has no memory for the weights still reads the shaders.
  await buildPipelines(validator, variant.program)
})
