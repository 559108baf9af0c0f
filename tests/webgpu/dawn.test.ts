// The harness itself: the software adapter is the expected one, has the guaranteed minimum, and runs a kernel.

import { promisify } from 'node:util'
import { expect, test, vi } from 'vitest'
import { createNodeGpu } from '../../cli/webgpu-node.ts'
import { createNullGpu, createSoftwareGpu, openDevice } from '../support/dawn.ts'

test('SwiftShader, or the adapter that is named, runs a kernel and reads back', async () => {
  const gpu = await createSoftwareGpu()
  const adapter = await gpu.requestAdapter()
  expect(adapter?.info.description).toContain(process.env['LLAMAC_WEBGPU_ADAPTER'] ?? 'SwiftShader')
  const { device, errors } = await openDevice(gpu)
  expect(device.limits.maxStorageBuffersPerShaderStage).toBe(8)
  expect(device.limits.maxComputeInvocationsPerWorkgroup).toBe(256)
  const code =
    '@group(0) @binding(0) var<storage, read_write> out: array<u32>; @compute @workgroup_size(16) fn main(@builtin(local_invocation_index) i: u32) { out[i] = i * i; }'
  const pipeline = await device.createComputePipelineAsync({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code }), entryPoint: 'main' },
  })
  const buffer = device.createBuffer({ size: 64, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC })
  const copy = device.createBuffer({ size: 64, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ })
  const encoder = device.createCommandEncoder()
  const pass = encoder.beginComputePass()
  pass.setPipeline(pipeline)
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource: { buffer } }] }))
  pass.dispatchWorkgroups(1)
  pass.end()
  encoder.copyBufferToBuffer(buffer, 0, copy, 0, 64)
  device.queue.submit([encoder.finish()])
  await copy.mapAsync(GPUMapMode.READ)
  expect([...new Uint32Array(copy.getMappedRange())]).toEqual(Array.from({ length: 16 }, (_, i) => i * i))
  expect(errors).toEqual([])
  device.destroy()
})

test.skipIf(process.env['LLAMAC_WEBGPU_ADAPTER'])(
  'a driver that computes on our cores is looked at now and then; others keep their turns',
  async () => {
    await createSoftwareGpu()
    const looks = vi.fn(Function.prototype as () => void)
    // As Dawn's: native, without a name.
    const look = setImmediate(Function.prototype as () => void)
    const ours = setImmediate(looks)
    expect([look.constructor.name, ours.constructor.name]).toEqual(['Timeout', 'Immediate'])
    await promisify(setImmediate)()
    expect(looks).toHaveBeenCalledOnce()
  },
)

test('the null backend refuses a wrong module', async () => {
  const { device } = await openDevice(await createNullGpu())
  device.pushErrorScope('validation')
  device.createShaderModule({ code: 'fn f() -> i32 { return 1.5; }' })
  expect((await device.popErrorScope())?.message).toContain('abstract-float')
  device.destroy()
})

test('an adapter by a name that none has is refused with those that there are', async () => {
  await createSoftwareGpu()
  const name = process.env['LLAMAC_WEBGPU_ADAPTER'] ?? 'SwiftShader'
  vi.stubEnv('LLAMAC_WEBGPU_ADAPTER', 'no such adapter')
  await expect(createNodeGpu()).rejects.toMatchObject({
    code: 'E_NO_WEBGPU',
    message: expect.stringMatching(/no adapter's name contains 'no such adapter', which LLAMAC_WEBGPU_ADAPTER asks for; there are: /),
  })
  vi.stubEnv('LLAMAC_WEBGPU_ADAPTER', name.slice(0, -2))
  expect((await (await createNodeGpu()).requestAdapter())?.info.description).toContain(name)
  vi.unstubAllEnvs()
})
