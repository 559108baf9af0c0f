// Random graphs through the WebGPU target in the default and the empty pass configuration: kernels, loops, and the WGSL dispatch
// list on SwiftShader. Fewer than for WASM: a software GPU takes 10 ms to compile one of the twenty pipelines of a graph.
// Every second graph cuts its weights into bindings of 2 KiB or half a KiB.

import { expect, test } from 'vitest'
import { createSoftwareGpu, openDevice, openFormsDevice } from '../support/dawn.ts'
import { createWgpu } from '../support/deno/gpu.ts'
import { checkRandom, replay, show } from './replay.ts'
import { Pipelines } from './run-webgpu.ts'

const levels = new Set(['webgpu'] as const)
const [runs, fewer, loopRuns] = [45, 6, 180]

test('cases that failed once, and random graphs', async () => {
  const { device } = await openFormsDevice(await createSoftwareGpu())
  const pipelines = new Pipelines(device)
  await replay({ levels, pipelines, forms: true })
  const summary = await checkRandom(runs, { levels, pipelines, forms: true })
  show('WebGPU', summary)
  expect(summary.nodes.length).toBe(runs)
  expect(pipelines.count).toBeGreaterThan(runs)
  expect(summary.report.changed.get('split-weights') ?? 0).toBeGreaterThan(0)
  device.destroy()
})

test('some of them by another implementation', async () => {
  const { device } = await openDevice(await createWgpu())
  const pipelines = new Pipelines(device)
  const summary = await checkRandom(fewer, { levels, pipelines })
  show('WebGPU, wgpu', summary)
  expect(summary.nodes.length).toBe(fewer)
  expect(pipelines.count).toBeGreaterThan(fewer)
  device.destroy()
})

test('more of them as loops', async () => {
  const summary = await checkRandom(loopRuns, { levels })
  show('Loops for WebGPU', summary)
  expect(summary.report.changed.get('split-weights') ?? 0).toBeGreaterThanOrEqual(5)
  expect(summary.report.changed.get('tiles of contracts') ?? 0).toBeGreaterThanOrEqual(10)
})
