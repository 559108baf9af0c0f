// Runs a WebGPU program: buffers, pipelines and bind groups are made once (bind groups that hold states: once per session).
// A call is: write symbols and arguments, one encoder, one compute pass, one submit, one readback through a staging buffer
// that is used again. No limit beyond WebGPU's guaranteed minimum is requested. One call at a time (runtime/queue.ts).
import { elementCount, evaluateAffine } from '../artifact/affine.ts'
import { checkWebgpuProgram } from '../artifact/check-manifest.ts'
import { unpackWebgpuProgram } from '../artifact/webgpu-program.ts'
import { type EntryManifest, placesStride, type WebgpuProgram, type WebgpuVariant } from '../artifact/manifest.ts'
import type { Artifact, LoadOptions } from '../artifact/read.ts'
import { parseJson } from '../artifact/shape.ts'
import { fail } from '../error-codes.ts'
import { type ArgumentArray, asResult, type Device, type ResultArray, type States } from './device.ts'
import { buildPipelines } from './webgpu-pipelines.ts'
import type { Dispatch } from './webgpu-pipelines.ts'

// Numbers of WebGPU's flag namespaces, which only exist as globals in browsers.
const usage = { mapRead: 1, copySrc: 4, copyDst: 8, uniform: 64, storage: 128 } as const
const mapRead = 1
const maxWorkgroups = 65535

const roundUp = (bytes: number, to: number): number => Math.ceil(bytes / to) * to

/** Features that a variant may require, as WebGPU names them. */
const offeredFeatures: ReadonlySet<string> = new Set(['shader-f16', 'subgroups'])

/** Why a variant cannot run here, or undefined when it can. */
export async function webgpuUnmet(variant: WebgpuVariant, gpu: GPU | GPUDevice | undefined): Promise<string | undefined> {
  if (!gpu) return 'there is no WebGPU here'
  const unknown = variant.requires.find((name) => !offeredFeatures.has(name))
  if (unknown) return `the runtime does not offer ${unknown}`
  const features = 'requestAdapter' in gpu ? (await gpu.requestAdapter())?.features : gpu.features
  if (!features) return 'WebGPU has no adapter'
  const missing = variant.requires.find((name) => !features.has(name))
  return missing && `the adapter lacks ${missing}`
}

/**
 * Uploads the weights, compiles all pipelines, and gives the device. A GPUDevice that is passed in stays the caller's; one that
 * is requested here is destroyed with the Device. E_OUT_OF_MEMORY, E_DEVICE (a shader is refused), E_DEVICE_LOST.
 */
export async function createWebgpuDevice(
  artifact: Artifact,
  variant: WebgpuVariant,
  gpu: GPU | GPUDevice,
  options: LoadOptions = {},
): Promise<Device> {
  const { manifest } = artifact
  artifact.needWeights()
  const bytes = await artifact.program(variant, options.signal)
  const program = checkWebgpuProgram(unpackWebgpuProgram(parseJson(bytes, variant.program)), manifest)
  const own = 'requestAdapter' in gpu
  const device = own ? await requestDevice(gpu, variant.requires) : gpu
  const buffers: (GPUBuffer | undefined)[] = []
  let scopes = 2
  device.pushErrorScope('validation')
  device.pushErrorScope('out-of-memory')
  try {
    for (const buffer of program.buffers) {
      const kind = buffer.kind === 'uniform' || buffer.kind === 'places' ? usage.uniform : usage.storage | usage.copySrc
      buffers.push(
        buffer.kind === 'state'
          ? undefined
          : device.createBuffer({
              label: buffer.kind,
              size: Math.max(16, roundUp(buffer.bytes, 16)),
              usage: kind | usage.copyDst,
            }),
      )
    }
    for (const [i, buffer] of program.buffers.entries())
      if (buffer.kind === 'places') device.queue.writeBuffer(buffers[i]!, 0, placeWords(buffer))
    if (manifest.tensors.length > 0) await upload(artifact, program, device, buffers, options)
    const pipelines = await buildPipelines(device, program)
    scopes = 0
    const [outOfMemory, invalid] = await Promise.all([device.popErrorScope(), device.popErrorScope()])
    if (outOfMemory) fail('E_OUT_OF_MEMORY', `the GPU has no memory for the model: ${outOfMemory.message}`)
    if (invalid) fail('E_DEVICE', `the GPU refuses the program: ${invalid.message}`)
    return new WebgpuDevice(device, own, program, manifest.entries, buffers, pipelines)
  } catch (cause) {
    for (; scopes > 0; scopes--) await device.popErrorScope().catch(() => null)
    for (const buffer of buffers) buffer?.destroy()
    if (own) device.destroy()
    throw cause
  }
}

/** The contents of a buffer of places. */
export function placeWords({ bytes, rows }: Extract<WebgpuProgram['buffers'][number], { kind: 'places' }>): Int32Array<ArrayBuffer> {
  const words = new Int32Array(bytes / 4)
  for (const [i, row] of rows.entries()) words.set(row, (i * placesStride) / 4)
  return words
}

async function requestDevice(gpu: GPU, requires: readonly string[]): Promise<GPUDevice> {
  const adapter = await gpu.requestAdapter()
  if (!adapter) fail('E_NO_DEVICE', 'WebGPU has no adapter')
  return adapter.requestDevice({ requiredFeatures: requires as GPUFeatureName[] })
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

class WebgpuStates implements States {
  /** By index into program.buffers. */
  readonly buffers: ReadonlyMap<number, GPUBuffer>
  /** Bind groups that hold state buffers, by dispatch. */
  readonly groups = new Map<Dispatch, GPUBindGroup>()
  readonly #forget: (states: WebgpuStates) => void
  live = true

  constructor(buffers: ReadonlyMap<number, GPUBuffer>, forget: (states: WebgpuStates) => void) {
    this.buffers = buffers
    this.#forget = forget
  }

  dispose(): void {
    if (!this.live) return
    this.live = false
    this.groups.clear()
    for (const buffer of this.buffers.values()) buffer.destroy()
    this.#forget(this)
  }
}

class WebgpuDevice implements Device {
  readonly name = 'webgpu'
  readonly #device: GPUDevice
  readonly #own: boolean
  readonly #program: WebgpuProgram
  readonly #entries: ReadonlyMap<string, EntryManifest>
  readonly #buffers: readonly (GPUBuffer | undefined)[]
  readonly #pipelines: ReadonlyMap<string, readonly Dispatch[]>
  readonly #uniforms: readonly number[]
  readonly #sessions = new Set<WebgpuStates>()
  /** Entries that have run once without a validation error: later runs need no error scope. */
  readonly #proven = new Set<string>()
  #staging: GPUBuffer | undefined
  #symbols = new Int32Array(0)
  #lost: string | undefined
  #fault: string | undefined
  #disposed = false

  constructor(
    device: GPUDevice,
    own: boolean,
    program: WebgpuProgram,
    entries: readonly EntryManifest[],
    buffers: readonly (GPUBuffer | undefined)[],
    pipelines: ReadonlyMap<string, readonly Dispatch[]>,
  ) {
    this.#device = device
    this.#own = own
    this.#program = program
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]))
    this.#buffers = buffers
    this.#pipelines = pipelines
    this.#uniforms = program.buffers.flatMap(({ kind }, index) => (kind === 'uniform' ? [index] : []))
    this.#symbols = new Int32Array(Math.max(0, ...this.#uniforms.map((index) => roundUp(program.buffers[index]!.bytes, 16) / 4)))
    void device.lost.then(({ message }) => {
      this.#lost = message || 'no reason given'
    })
    device.addEventListener('uncapturederror', this.#note)
  }

  createStates(): States {
    this.#checkUsable()
    const buffers = new Map<number, GPUBuffer>()
    // Buffers are zeroed by WebGPU itself. Running out of memory shows at the first run, as an invalid buffer.
    for (const [index, buffer] of this.#program.buffers.entries()) {
      if (buffer.kind !== 'state') continue
      buffers.set(
        index,
        this.#device.createBuffer({
          label: 'state',
          size: Math.max(16, roundUp(buffer.bytes, 16)),
          usage: usage.storage | usage.copySrc | usage.copyDst,
        }),
      )
    }
    const states = new WebgpuStates(buffers, (gone) => this.#sessions.delete(gone))
    this.#sessions.add(states)
    return states
  }

  copyStates(from: States): States {
    const source = live(from)
    const states = this.createStates() as WebgpuStates
    const encoder = this.#device.createCommandEncoder()
    for (const [index, buffer] of source.buffers) encoder.copyBufferToBuffer(buffer, 0, states.buffers.get(index)!, 0, buffer.size)
    this.#device.queue.submit([encoder.finish()])
    return states
  }

  async run(
    entry: string,
    symbols: Readonly<Record<string, number>>,
    inputs: Readonly<Record<string, ArgumentArray>>,
    states: States,
  ): Promise<ResultArray[]> {
    this.#checkUsable()
    const session = live(states)
    const manifest = this.#entries.get(entry) ?? fail('E_ENTRY', `the model has no entry ${entry}`)
    const plan = this.#program.entries[entry]!
    const proven = this.#proven.has(entry)
    if (!proven) this.#device.pushErrorScope('validation')

    const { queue } = this.#device
    this.#symbols.fill(0)
    for (const [index, name] of plan.symbols.entries()) this.#symbols[index] = symbols[name]!
    for (const index of this.#uniforms)
      queue.writeBuffer(this.#buffers[index]!, 0, this.#symbols, 0, roundUp(this.#program.buffers[index]!.bytes, 16) / 4)
    for (const name in plan.arguments) {
      const { buffer, offset } = plan.arguments[name]!
      const values = inputs[name]
      if (!values) throw new Error(`internal: no value for the argument ${name}`)
      queue.writeBuffer(this.#buffer(buffer, session), offset, values as ArgumentArray & ArrayBufferView<ArrayBuffer>)
    }

    const encoder = this.#device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    for (const dispatch of this.#pipelines.get(entry)!) {
      const [x, y, z] = workgroupCounts(dispatch, symbols, entry)
      if (x * y * z === 0) continue
      pass.setPipeline(dispatch.pipeline)
      pass.setBindGroup(0, this.#group(dispatch, session))
      pass.dispatchWorkgroups(x, y, z)
    }
    pass.end()
    const counts = manifest.results.map(({ dims }) => elementCount(dims, symbols))
    const total = counts.reduce((sum, count) => sum + count * 4, 0)
    const staging = this.#stagingFor(total)
    let at = 0
    for (const [index, { buffer, offset }] of plan.results.entries()) {
      const bytes = counts[index]! * 4
      if (bytes > 0) encoder.copyBufferToBuffer(this.#buffer(buffer, session), offset, staging, at, bytes)
      at += bytes
    }
    queue.submit([encoder.finish()])

    if (!proven) {
      const invalid = await this.#device.popErrorScope().catch(() => null)
      if (invalid) fail('E_DEVICE', `the GPU refuses ${entry}: ${invalid.message}`)
      this.#proven.add(entry)
    }
    return this.#read(staging, total, manifest, counts)
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#device.removeEventListener('uncapturederror', this.#note)
    for (const states of [...this.#sessions]) states.dispose()
    for (const buffer of this.#buffers) buffer?.destroy()
    this.#staging?.destroy()
    if (this.#own) this.#device.destroy()
  }

  readonly #note = (event: Event): void => {
    this.#fault = (event as GPUUncapturedErrorEvent).error.message
  }

  async #read(staging: GPUBuffer, total: number, manifest: EntryManifest, counts: readonly number[]): Promise<ResultArray[]> {
    try {
      await staging.mapAsync(mapRead, 0, Math.max(4, total))
    } catch (cause) {
      // A lost device rejects the map before or after `lost` resolves.
      await new Promise((resolve) => setTimeout(resolve))
      this.#checkUsable()
      fail('E_DEVICE', `reading the results failed: ${(cause as Error).message}`, cause)
    }
    let at = 0
    const mapped = staging.getMappedRange(0, Math.max(4, total))
    const results = manifest.results.map(({ dtype }, index) => {
      const values = asResult(dtype, new Int32Array(mapped, at, counts[index]!).slice())
      at += counts[index]! * 4
      return values
    })
    staging.unmap()
    this.#checkUsable()
    return results
  }

  #buffer(index: number, session: WebgpuStates): GPUBuffer {
    return this.#buffers[index] ?? session.buffers.get(index)!
  }

  #group(dispatch: Dispatch, session: WebgpuStates): GPUBindGroup {
    const shared = dispatch.holdsStates ? session.groups.get(dispatch) : dispatch.group
    if (shared) return shared
    const group = this.#device.createBindGroup({
      layout: dispatch.layout,
      entries: dispatch.bindings.map(({ buffer, offset, bytes }, binding) => ({
        binding,
        resource: {
          buffer: this.#buffer(buffer, session),
          offset,
          size: Math.max(4, roundUp(bytes, /^(uniform|places)$/.test(this.#program.buffers[buffer]!.kind) ? 16 : 4)),
        },
      })),
    })
    if (dispatch.holdsStates) session.groups.set(dispatch, group)
    else dispatch.group = group
    return group
  }

  #stagingFor(bytes: number): GPUBuffer {
    if (this.#staging && this.#staging.size >= bytes) return this.#staging
    this.#staging?.destroy()
    this.#staging = this.#device.createBuffer({
      label: 'staging',
      size: Math.max(256, roundUp(bytes, 256)),
      usage: usage.mapRead | usage.copyDst,
    })
    return this.#staging
  }

  #checkUsable(): void {
    if (this.#disposed) fail('E_DISPOSED', 'the device was disposed')
    if (this.#lost !== undefined) fail('E_DEVICE_LOST', `the GPU device was lost: ${this.#lost}`)
    if (this.#fault !== undefined) fail('E_DEVICE', `the GPU reported an error: ${this.#fault}`)
  }
}

function live(states: States): WebgpuStates {
  if (!(states instanceof WebgpuStates)) throw new Error('internal: states of another device')
  if (!states.live) fail('E_DISPOSED', 'the session was disposed')
  return states
}

function workgroupCounts({ workgroups }: Dispatch, symbols: Readonly<Record<string, number>>, entry: string): [number, number, number] {
  const counts: [number, number, number] = [1, 1, 1]
  for (const [axis, factors] of workgroups.entries()) {
    for (const { size, divisor } of factors) counts[axis as 0 | 1 | 2] *= Math.max(0, Math.ceil(evaluateAffine(size, symbols) / divisor))
    if (counts[axis]! > maxWorkgroups)
      fail('E_LIMIT', `${entry} needs ${counts[axis]} workgroups in one dimension, WebGPU allows ${maxWorkgroups}`)
  }
  return counts
}
