// What `estimate` says before anything is made against what the runtime then takes, to within 5 %: the WASM memory that is made, and the
// buffers that a WebGPU device is asked for, with one session that has run. Ten models, sized to a few megabytes.

import { afterEach, expect, test, vi } from 'vitest'
import { compiledArtifact } from '../../compiler/artifact/compiled.ts'
import { fitForCalls } from '../../compiler/call-size.ts'
import { buildGraphs, compileModel, type CompileOptions } from '../../compiler/compile.ts'
import { estimateGraphs } from '../../compiler/estimate.ts'
import type { TargetName } from '../../compiler/targets/index.ts'
import { load as loadArtifact, type Model } from '../../runtime/index.ts'
import { load } from '../dsl/read-models.ts'
import { createNullGpu } from '../support/dawn.ts'

const sizes = { embed: '256', heads: '4', ffn: '512', vocab: '2000', depth: '2' }
const decoder = { ...sizes, ctx: '256' }
const grouped = { ...decoder, kv_heads: '2' }

type Case = readonly [name: string, set: Readonly<Record<string, string>>, quant: 'none' | 'q8_0']

const models: readonly Case[] = [
  ['llama', grouped, 'q8_0'],
  ['mistral', { ...grouped, window: '64' }, 'none'],
  ['mistral_ring', { ...grouped, window: '64' }, 'none'],
  ['mixtral', { ...grouped, experts: '4' }, 'none'],
  ['qwen2', grouped, 'none'],
  ['gemma', { ...grouped, head_dim: '64' }, 'none'],
  ['gpt2', { embed: '256', heads: '4', vocab: '2000', depth: '2', ctx: '256' }, 'q8_0'],
  ['gpt_neo', decoder, 'none'],
  ['bert_encoder', decoder, 'none'],
  ['t5', sizes, 'none'],
]

afterEach(() => vi.unstubAllGlobals())

/** Every call that needs no more than its arguments, with the fewest of them. */
async function useOnce(model: Model): Promise<void> {
  const session = model.createSession()
  for (const { name, arguments: wanted, symbols } of model.manifest.entries) {
    const size = (dim: { const: number; terms: readonly (readonly [string, number])[] }): number =>
      dim.terms.reduce((sum, [symbol, factor]) => sum + factor * symbols.find((one) => one.name === symbol)!.min, dim.const)
    const args = Object.fromEntries(
      wanted.map((argument) => [
        argument.name,
        argument.kind === 'index'
          ? symbols.find((one) => one.name === argument.name)!.min
          : new Array<number>(argument.dims.map(size).reduce((a, b) => a * b, 1)).fill(0),
      ]),
    )
    await session.call(name, args)
  }
}

function compiled([name, set, quant]: Case, target: TargetName) {
  const options: CompileOptions = { targets: [target], quant }
  const { model, weights, diagnostics } = fitForCalls(load(name), { set, maximum: { seq: 32 } }, { seedWeights: 1 })
  if (!model || !weights) throw new Error(`${name}: ${diagnostics.map(({ message }) => message).join('; ')}`)
  const built = buildGraphs(model)
  const [estimate] = estimateGraphs(built.model!, built.graphs, options).targets
  const { compilation } = compileModel(model, { ...options, weights })
  return { artifact: compiledArtifact(compilation!.contents), estimate: estimate! }
}

function expectClose(taken: number, estimated: number): void {
  expect(taken / estimated).toBeGreaterThan(0.95)
  expect(taken / estimated).toBeLessThan(1.05)
}

test.each(models)('%s on wasm', async (...model) => {
  const { artifact, estimate } = compiled(model, 'wasm')
  for (const threads of model[0] === 'llama' ? [1, 2] : [1]) {
    const memories: WebAssembly.Memory[] = []
    vi.stubGlobal('WebAssembly', {
      ...Object.fromEntries(Object.getOwnPropertyNames(WebAssembly).map((key) => [key, WebAssembly[key as 'Module']])),
      Memory: class extends WebAssembly.Memory {
        constructor(descriptor: WebAssembly.MemoryDescriptor) {
          super(descriptor)
          memories.push(this)
        }
      },
    })
    await using loaded = await loadArtifact(artifact, { device: 'wasm', threads })
    vi.unstubAllGlobals()
    await useOnce(loaded)
    // The self-tests of relaxed SIMD have memories of a page.
    const taken = Math.max(...memories.map(({ buffer }) => buffer.byteLength))
    expectClose(taken, estimate.total + (threads - 1) * estimate.perThread)
  }
})

test.each(models)('%s on webgpu', async (...model) => {
  const { artifact, estimate } = compiled(model, 'webgpu')
  const adapter = await (await createNullGpu()).requestAdapter()
  const device = await adapter!.requestDevice()
  let taken = 0
  const counted = new Proxy(device, {
    get(target, name) {
      const value = Reflect.get(target, name)
      if (name !== 'createBuffer') return typeof value === 'function' ? value.bind(target) : value
      return (descriptor: GPUBufferDescriptor) => {
        taken += descriptor.size
        const buffer = device.createBuffer(descriptor)
        const destroy = buffer.destroy.bind(buffer)
        buffer.destroy = () => {
          taken -= descriptor.size
          return destroy()
        }
        return buffer
      }
    },
  })
  await using loaded = await loadArtifact(artifact, { device: 'webgpu', gpu: counted })
  await useOnce(loaded)
  expectClose(taken, estimate.total)
  device.destroy()
})
