// The harness of the second implementation: it is naga that reads the shaders, within the guaranteed limits, and its errors arrive.

import { expect, test } from 'vitest'
import { openDevice } from '../support/dawn.ts'
import { createWgpu } from '../support/deno/gpu.ts'

test('wgpu on SwiftShader: its own messages, the guaranteed minimum', async () => {
  const { device, errors } = await openDevice(await createWgpu())
  expect(device.limits.maxStorageBufferBindingSize).toBe(128 * 2 ** 20)
  expect(device.limits.maxStorageBuffersPerShaderStage).toBe(8)
  expect(device.limits.maxComputeInvocationsPerWorkgroup).toBe(256)
  device.pushErrorScope('validation')
  const module = device.createShaderModule({ code: 'fn f() -> i32 { return 1.5; }' })
  expect((await device.popErrorScope())?.message).toContain('cannot convert `{AbstractFloat}` to `i32`')
  expect((await module.getCompilationInfo()).messages[0]).toMatchObject({ type: 'error', lineNum: 1 })
  expect(errors).toEqual([])
  device.createBuffer({ size: 16, usage: 0x8000_0000 })
  await expect.poll(() => errors.length).toBe(1)
  device.destroy()
  expect((await device.lost).reason).toBe('destroyed')
})
