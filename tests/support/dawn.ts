// WebGPU for tests: SwiftShader to run, the null backend to validate. Devices ask for no features and no limits, so whatever
// passes here fits WebGPU's guaranteed minimum. A missing driver is a failure, never a skip.

import { createNodeGpu, createNullGpu } from '../../cli/webgpu-node.ts'

export { createNullGpu }

/** Dawn on SwiftShader; rejects when the adapter is any other. */
export const createSoftwareGpu = (): Promise<GPU> => createNodeGpu({ software: true })

/** A device with default limits; a lost device or an uncaptured error is thrown by the next `failures()` check. */
export interface TestDevice {
  readonly device: GPUDevice
  /** Messages of uncaptured errors so far. */
  readonly errors: readonly string[]
}

/** With subgroups, and room in workgroup memory for what emulated ones exchange. */
export const openFormsDevice = (gpu: GPU): Promise<TestDevice> =>
  openDevice(gpu, { requiredFeatures: ['subgroups'], requiredLimits: { maxComputeWorkgroupStorageSize: 32768 } })

export const openDevice = async (gpu: GPU, wanted: GPUDeviceDescriptor = {}): Promise<TestDevice> => {
  const adapter = await gpu.requestAdapter()
  if (adapter === null) throw new Error('no WebGPU adapter')
  const device = await adapter.requestDevice(wanted)
  const errors: string[] = []
  device.onuncapturederror = (event) => errors.push(event.error.message)
  return { device, errors }
}
