// LLaMA at published sizes for WebGPU, without weights: the programs stay small, ask for nothing beyond the guaranteed minimum,
// and every module is accepted by Dawn's validation.

import { expect, test } from 'vitest'
import { compileModel } from '../../compiler/compile.ts'
import { packageSources } from '../../compiler/package-sources.ts'
import { guaranteed } from '../../compiler/targets/webgpu/bindings.ts'
import { loadModel } from '../../dsl/index.ts'
import { packWebgpuProgram } from '../../runtime/artifact/webgpu-program.ts'
import { createNullGpu } from '../support/dawn.ts'

test.each(['7B', '65B'])('%s fits the guaranteed minimum', async (preset) => {
  const { model } = loadModel('models/llama.dsl', packageSources())
  const { model: specialised } = model!.specialise({ preset, maximum: { seq: 128 } })
  const { compilation, diagnostics } = compileModel(specialised!, { targets: ['webgpu'] })
  expect(diagnostics).toEqual([])
  const [variant] = compilation!.contents.variants
  if (variant?.target !== 'webgpu') throw new Error('no WebGPU variant')
  const { program } = variant
  expect(JSON.stringify(packWebgpuProgram(program)).length).toBeLessThan(500_000)
  const kindOf = (buffer: number): string => program.buffers[buffer]!.kind
  for (const { dispatches } of Object.values(program.entries)) {
    for (const { bindings } of dispatches) {
      expect(bindings.filter(({ buffer }) => kindOf(buffer) !== 'uniform').length).toBeLessThanOrEqual(guaranteed.storageBuffers)
      for (const { bytes } of bindings) expect(bytes).toBeLessThanOrEqual(guaranteed.storageBytes)
    }
  }
  const adapter = await (await createNullGpu()).requestAdapter()
  const device = await adapter!.requestDevice()
  for (const { name, wgsl } of program.modules) {
    device.pushErrorScope('validation')
    await device.createComputePipelineAsync({ layout: 'auto', compute: { module: device.createShaderModule({ code: wgsl }) } })
    expect(await device.popErrorScope(), name).toBeNull()
  }
  device.destroy()
})
