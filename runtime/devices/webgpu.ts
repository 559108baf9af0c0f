// Makes a WebGPU device run a program: asks for it, makes the buffers, uploads the weights while the pipelines compile. No limit
// beyond WebGPU's guaranteed minimum is requested. What it then does is webgpu-device.ts.
import { checkWebgpuProgram } from '../artifact/check-manifest.ts'
import { unpackWebgpuProgram } from '../artifact/webgpu-program.ts'
import { programFor, type WebgpuProgram, type WebgpuVariant } from '../artifact/manifest.ts'
import type { Artifact, LoadOptions } from '../artifact/read.ts'
import { parseJson } from '../artifact/shape.ts'
import { fail } from '../error-codes.ts'
import { LlamacError } from '../error.ts'
import type { Device } from './device.ts'
import { bufferBytes, bufferTypes, isOfSession, placeWords, usage } from './webgpu-buffers.ts'
import { WebgpuDevice } from './webgpu-device.ts'
import { deviceFeatures, unmetFeature } from './webgpu-features.ts'
import { lossOf } from './webgpu-health.ts'
import { buildPipelines } from './webgpu-pipelines.ts'

/** Why a variant cannot run here, or undefined when it can. */
export async function webgpuUnmet(variant: WebgpuVariant, gpu: GPU | GPUDevice | undefined): Promise<string | undefined> {
  return gpu ? unmetFeature(variant.requires, gpu) : 'there is no WebGPU here'
}

/** So often in a row a device may be lost before nobody tries again. */
export const mostLosses = 3

/**
 * Uploads the weights, compiles all pipelines, and gives the device. A GPUDevice that is passed in stays the caller's; one that
 * is requested here is destroyed with the Device, and when it is lost meanwhile, another is requested. E_OUT_OF_MEMORY, E_DEVICE
 * (a shader is refused), E_DEVICE_LOST.
 */
export async function createWebgpuDevice(
  artifact: Artifact,
  variant: WebgpuVariant,
  gpu: GPU | GPUDevice,
  options: LoadOptions = {},
): Promise<Device> {
  artifact.needWeights()
  const bytes = await artifact.program(variant, options.signal)
  const whole = checkWebgpuProgram(unpackWebgpuProgram(parseJson(bytes, variant.program)), artifact.manifest)
  const program = programFor(whole, variant.requires)
  if (!('requestAdapter' in gpu)) return prepare(artifact, program, gpu, false, options)
  for (let losses = 0; ; losses++) {
    try {
      return await prepare(artifact, program, await requestDevice(gpu, variant.requires), true, options)
    } catch (cause) {
      if (!(cause instanceof LlamacError && cause.code === 'E_DEVICE_LOST') || losses >= mostLosses) throw cause
    }
  }
}

async function prepare(artifact: Artifact, program: WebgpuProgram, device: GPUDevice, own: boolean, options: LoadOptions): Promise<Device> {
  const { manifest } = artifact
  let lost: string | undefined
  void device.lost.then(({ message }) => {
    lost = message || 'no reason given'
  })
  const buffers: (GPUBuffer | undefined)[] = []
  let scopes = 2
  device.pushErrorScope('validation')
  device.pushErrorScope('out-of-memory')
  try {
    for (const buffer of program.buffers) {
      const kind = bufferTypes[buffer.kind] === 'uniform' ? usage.uniform : usage.storage | usage.copySrc
      buffers.push(
        isOfSession(buffer.kind)
          ? undefined
          : device.createBuffer({ label: buffer.kind, size: bufferBytes(buffer), usage: kind | usage.copyDst }),
      )
    }
    for (const [i, buffer] of program.buffers.entries())
      if (buffer.kind === 'places') device.queue.writeBuffer(buffers[i]!, 0, placeWords(buffer))
    const building = buildPipelines(device, program, (loaded, total) => options.onProgress?.({ type: 'pipelines', loaded, total }))
    building.catch(() => {}) // told when it is awaited
    if (manifest.tensors.length > 0) await upload(artifact, program, device, buffers, options)
    const pipelines = await building
    scopes = 0
    const [outOfMemory, invalid] = await Promise.all([device.popErrorScope(), device.popErrorScope()])
    if (outOfMemory) fail('E_OUT_OF_MEMORY', `the GPU has no memory for the model: ${outOfMemory.message}`)
    if (invalid) fail('E_DEVICE', `the GPU refuses the program: ${invalid.message}`)
    if (lost !== undefined) fail('E_DEVICE_LOST', lost)
    return new WebgpuDevice(device, own, program, manifest.entries, buffers, pipelines)
  } catch (cause) {
    for (; scopes > 0; scopes--) await device.popErrorScope().catch(() => null)
    for (const buffer of buffers) buffer?.destroy()
    // What a lost device does not do has many names.
    if (!(cause instanceof LlamacError) || cause.code === 'E_DEVICE') await lossOf(device)
    const reason = lost
    if (own) device.destroy()
    if (reason !== undefined) fail('E_DEVICE_LOST', `the GPU device was lost while the model was loaded: ${reason}`, cause)
    throw cause
  }
}

async function requestDevice(gpu: GPU, requires: readonly string[]): Promise<GPUDevice> {
  const adapter = await gpu.requestAdapter()
  if (!adapter) fail('E_NO_DEVICE', 'WebGPU has no adapter')
  return adapter.requestDevice({ requiredFeatures: deviceFeatures(requires) })
}

/** Writes each tensor range into every buffer that covers it. writeBuffer wants multiples of 4: an odd tail is padded. */
async function upload(
  artifact: Artifact,
  program: WebgpuProgram,
  device: GPUDevice,
  buffers: readonly (GPUBuffer | undefined)[],
  options: LoadOptions,
): Promise<void> {
  const targets = new Map<number, { buffer: GPUBuffer; from: number; to: number }[]>()
  for (const [index, item] of program.buffers.entries()) {
    if (item.kind !== 'tensor') continue
    const list = targets.get(item.tensor) ?? []
    list.push({ buffer: buffers[index]!, from: item.offset, to: item.offset + item.bytes })
    targets.set(item.tensor, list)
  }
  await artifact.loadTensors((tensor, offset, bytes) => {
    for (const { buffer, from, to } of targets.get(tensor) ?? []) {
      const start = Math.max(from, offset)
      const end = Math.min(to, offset + bytes.length)
      if (end <= start) continue
      const part = bytes.subarray(start - offset, end - offset)
      const even = part.length - (part.length % 4)
      if (even > 0) device.queue.writeBuffer(buffer, start - from, part, 0, even)
      if (even < part.length) {
        const tail = new Uint8Array(4)
        tail.set(part.subarray(even))
        device.queue.writeBuffer(buffer, start - from + even, tail)
      }
    }
  }, options)
}
