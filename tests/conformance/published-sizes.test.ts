// The largest published models for both targets, without weights. WebGPU: the programs stay small, ask for nothing beyond the
// guaranteed minimum, and every module is accepted by Dawn's validation. WASM: the module is one of layers in a loop, is valid, and
// is for reading only, since 4 GiB hold none of them; with weights that is an error.

import { describe, expect, test } from 'vitest'
import { packArtifact } from '../../compiler/artifact/write.ts'
import { fitForCalls } from '../../compiler/call-size.ts'
import { type Compilation, compileModel } from '../../compiler/compile.ts'
import { packageSources } from '../../compiler/package-sources.ts'
import { guaranteed } from '../../compiler/targets/webgpu/bindings.ts'
import type { TargetName } from '../../compiler/targets/index.ts'
import { loadModel } from '../../dsl/index.ts'
import type { SpecialisedModel } from '../../dsl/model.ts'
import { packWebgpuProgram } from '../../runtime/artifact/webgpu-program.ts'
import { load, memoryFiles } from '../../runtime/index.ts'
import { createNullGpu } from '../support/dawn.ts'

const giants = [
  ['llama', '65B'],
  ['gpt3', '175B'],
  ['palm', '540B'],
] as const

function specialise(name: string, preset: string, set: Readonly<Record<string, string>> = {}): SpecialisedModel {
  const { model } = loadModel(`models/${name}.dsl`, packageSources())
  return fitForCalls(model!, { preset, set }, {}).model!
}

function compileFor(target: TargetName, model: SpecialisedModel): { compilation: Compilation; messages: string[] } {
  const { compilation, diagnostics } = compileModel(model, { targets: [target] })
  return { compilation: compilation!, messages: diagnostics.map(({ severity, code }) => `${severity} ${code}`) }
}

describe.each([['llama', '7B'], ...giants] as const)('%s %s for WebGPU', (name, preset) => {
  test('fits the guaranteed minimum', async () => {
    const { compilation, messages } = compileFor('webgpu', specialise(name, preset))
    expect(messages).toEqual([])
    const [variant] = compilation.contents.variants
    if (variant?.target !== 'webgpu') throw new Error('no WebGPU variant')
    const { program } = variant
    // However many layers there are, and pieces of 128 MiB that a weight is cut into: 41 for each of three matrices in PaLM.
    expect(JSON.stringify(packWebgpuProgram(program)).length).toBeLessThan(500_000)
    const kindOf = (buffer: number): string => program.buffers[buffer]!.kind
    for (const { dispatches } of Object.values(program.entries)) {
      const storage = dispatches.map(({ bindings }) => bindings.filter(({ buffer }) => kindOf(buffer) !== 'uniform').length)
      expect(Math.max(...storage)).toBeLessThanOrEqual(guaranteed.storageBuffers)
      const bytes = dispatches.flatMap(({ bindings }) => bindings.map((binding) => binding.bytes))
      expect(bytes.reduce((most, one) => Math.max(most, one))).toBeLessThanOrEqual(guaranteed.storageBytes)
    }
    const adapter = await (await createNullGpu()).requestAdapter()
    const device = await adapter!.requestDevice()
    for (const { name: module, wgsl } of program.modules) {
      device.pushErrorScope('validation')
      await device.createComputePipelineAsync({ layout: 'auto', compute: { module: device.createShaderModule({ code: wgsl }) } })
      expect(await device.popErrorScope(), module).toBeNull()
    }
    device.destroy()
  })
})

describe.each(giants)('%s %s for WASM', (name, preset) => {
  const model = specialise(name, preset)

  test('is compiled for reading: small, valid, with the kernels of two layers', async () => {
    const { compilation, messages } = compileFor('wasm', model)
    expect(messages).toEqual(['warning L601'])
    const { contents } = compilation
    for (const variant of contents.variants) {
      if (variant.target !== 'wasm') throw new Error('no WASM variant')
      const program = await variant.program()
      expect(WebAssembly.validate(program)).toBe(true)
      expect(program.length).toBeLessThan(200_000)
      expect(variant.memory.statesBase).toBeGreaterThan(2 ** 32)
    }
    const shallow = compileFor('wasm', specialise(name, preset, { depth: '2' }))
    const kernels = (of: Compilation): string[] => of.results.flatMap(({ plan }) => [...plan!.functions.keys()])
    expect(kernels(compilation)).toEqual(kernels(shallow.compilation))
    // Refused for what it is, before a byte of memory is asked for.
    await expect(load(memoryFiles(await packArtifact(contents)), { device: 'wasm' })).rejects.toMatchObject({ code: 'E_NO_WEIGHTS' })
  })

  test('is refused with weights', () => {
    const { compilation, diagnostics } = compileModel(model, { targets: ['wasm'], weights: new Map() })
    expect(compilation).toBeUndefined()
    expect(diagnostics).toMatchObject([{ code: 'L601', severity: 'error' }])
  })
})

test('a call reads 128 ids, or as many as leave room beside their scores; --max-seq has the last word', () => {
  const most = (name: string, preset: string, numbers = {}): number | undefined => {
    const { model } = loadModel(`models/${name}.dsl`, packageSources())
    return fitForCalls(model!, { preset, ...numbers }, {}).maximum['seq']
  }
  expect(most('llama', '7B')).toBe(128)
  expect(most('qwen2', '7B')).toBe(128)
  expect(most('gemma', '7B')).toBe(64)
  expect(most('gemma', '7B', { maximum: { seq: 128 } })).toBe(128)
  expect(most('gemma', '7B', { set: { vocab: '2048000' } })).toBe(8)
})
