// WebGPU for tests: SwiftShader to run (or what LLAMAC_WEBGPU_ADAPTER names), the null backend to validate. Devices ask for no features
// and no limits, so whatever passes here fits WebGPU's guaranteed minimum. A missing driver is a failure, never a skip.

import { createNodeGpu, createNullGpu } from '../../cli/webgpu-node.ts'

export { createNullGpu }

/** Dawn on SwiftShader, or on the adapter that is named; rejects when it is any other. */
export const createSoftwareGpu = (): Promise<GPU> => createNodeGpu({ software: true })

/** A device with default limits; a lost device or an uncaptured error is thrown by the next `failures()` check. */
export interface TestDevice {
  readonly device: GPUDevice
  /** Messages of uncaptured errors so far. */
  readonly errors: readonly string[]
}

/** Which of the features that forms of modules require the adapter has; SwiftShader has subgroups. */
export const formFeatures = async (gpu: GPU): Promise<GPUFeatureName[]> => {
  const offered = (await gpu.requestAdapter())?.features
  return (['shader-f16', 'subgroups'] as const).filter((name) => offered?.has(name))
}

/** With all of these, and room in workgroup memory for what emulated ones exchange. */
export const openFormsDevice = async (gpu: GPU): Promise<TestDevice> =>
  openDevice(gpu, { requiredFeatures: await formFeatures(gpu), requiredLimits: { maxComputeWorkgroupStorageSize: 32768 } })

export const openDevice = async (gpu: GPU, wanted: GPUDeviceDescriptor = {}): Promise<TestDevice> => {
  const adapter = await gpu.requestAdapter()
  if (adapter === null) throw new Error('no WebGPU adapter')
  const device = await adapter.requestDevice(wanted)
  const errors: string[] = []
  device.onuncapturederror = (event) => errors.push(event.error.message)
  return { device, errors }
}
