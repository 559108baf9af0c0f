// Runs a WebGPU variant as the compiler made it on a bare device: the dispatch list over one arena full of NaNs and buffers of
// their own for tensors and states. Pipelines are kept for the whole process, since equal kernels print equal WGSL.

import type { EntryInfo } from '../../dsl/model.ts'
import type { StateManifest, WebgpuProgram } from '../../runtime/artifact/manifest.ts'
import { bufferTypes, placeWords } from '../../runtime/devices/webgpu-buffers.ts'
import { type Binding, evaluate } from '../../dsl/affine.ts'

type Kind = WebgpuProgram['buffers'][number]['kind']

const poison = 0x7fc0dead
const isUniform = (kind: Kind): boolean => bufferTypes[kind] === 'uniform'

interface Pipeline {
  readonly pipeline: GPUComputePipeline
  readonly layout: GPUBindGroupLayout
}

export class Pipelines {
  readonly device: GPUDevice
  readonly #made = new Map<string, Promise<Pipeline>>()
  #errors: string[] = []

  constructor(device: GPUDevice) {
    this.device = device
    device.onuncapturederror = (event) => this.#errors.push(event.error.message)
  }

  get count(): number {
    return this.#made.size
  }

  get(wgsl: string, kinds: readonly Kind[]): Promise<Pipeline> {
    const key = `${kinds.join()}\n${wgsl}`
    const known = this.#made.get(key) ?? this.#make(wgsl, kinds)
    this.#made.set(key, known)
    return known
  }

  async #make(wgsl: string, kinds: readonly Kind[]): Promise<Pipeline> {
    const layout = this.device.createBindGroupLayout({
      entries: kinds.map((kind, binding) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type: bufferTypes[kind] } })),
    })
    const pipeline = await this.device.createComputePipelineAsync({
      layout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module: this.device.createShaderModule({ code: wgsl }), entryPoint: 'main' },
    })
    return { pipeline, layout }
  }

  expectNoErrors(): void {
    const [error] = this.#errors
    this.#errors = []
    if (error !== undefined) throw new Error(`the GPU reports: ${error}`)
  }
}

export interface GpuSession {
  call(binding: Binding, inputs: Readonly<Record<string, Float64Array>>): Promise<(Int32Array | Float32Array)[]>
  state(index: number): Promise<Int32Array>
  close(): void
}

/** A session of one entry; `tensors` are the stored bytes in order. */
export async function openWebgpu(
  pipelines: Pipelines,
  program: WebgpuProgram,
  info: EntryInfo,
  states: readonly StateManifest[],
  tensors: readonly Uint8Array[],
): Promise<GpuSession> {
  const { device } = pipelines
  const entry = program.entries[info.name]!
  const round = (bytes: number): number => Math.max(16, Math.ceil(bytes / 16) * 16)
  const made = program.buffers.map((buffer) => {
    const gpu = device.createBuffer({
      size: round(buffer.bytes),
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC | (isUniform(buffer.kind) ? GPUBufferUsage.UNIFORM : GPUBufferUsage.STORAGE),
    })
    if (buffer.kind === 'tensor') {
      const bytes = new Uint8Array(round(buffer.bytes))
      bytes.set(tensors[buffer.tensor]!.subarray(buffer.offset, buffer.offset + buffer.bytes))
      device.queue.writeBuffer(gpu, 0, bytes)
    }
    if (buffer.kind === 'places') device.queue.writeBuffer(gpu, 0, placeWords(buffer))
    return gpu
  })
  const uniform = program.buffers.findIndex(({ kind }) => kind === 'uniform')
  const arena = program.buffers.findIndex(({ kind }) => kind === 'arena')
  const dispatches = await Promise.all(
    entry.dispatches.map(async ({ module, bindings, workgroups }) => {
      const { pipeline, layout } = await pipelines.get(
        program.modules[module]!.wgsl,
        bindings.map(({ buffer }) => program.buffers[buffer]!.kind),
      )
      const group = device.createBindGroup({
        layout,
        entries: bindings.map(({ buffer, offset, bytes }, binding) => ({
          binding,
          resource: {
            buffer: made[buffer]!,
            offset,
            size: Math.max(4, isUniform(program.buffers[buffer]!.kind) ? round(bytes) : Math.ceil(bytes / 4) * 4),
          },
        })),
      })
      return { pipeline, group, workgroups }
    }),
  )
  const read = async (
    sources: readonly { readonly buffer: number; readonly offset: number; readonly words: number }[],
    encoder: GPUCommandEncoder,
  ): Promise<Int32Array[]> => {
    const total = sources.reduce((sum, { words }) => sum + words * 4, 0)
    const staging = device.createBuffer({ size: Math.max(16, total), usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ })
    let at = 0
    for (const { buffer, offset, words } of sources) {
      if (words > 0) encoder.copyBufferToBuffer(made[buffer]!, offset, staging, at, words * 4)
      at += words * 4
    }
    device.queue.submit([encoder.finish()])
    await staging.mapAsync(GPUMapMode.READ)
    const all = new Int32Array(staging.getMappedRange().slice(0))
    staging.destroy()
    pipelines.expectNoErrors()
    let from = 0
    return sources.map(({ words }) => {
      from += words
      return all.subarray(from - words, from)
    })
  }

  return {
    async call(binding, inputs) {
      device.queue.writeBuffer(made[arena]!, 0, new Int32Array(round(program.buffers[arena]!.bytes) / 4).fill(poison))
      const symbols = new Int32Array(round(program.buffers[uniform]!.bytes) / 4)
      symbols.set(entry.symbols.map((name) => binding[name]!))
      device.queue.writeBuffer(made[uniform]!, 0, symbols)
      for (const argument of info.arguments) {
        if (argument.kind !== 'tensor') continue
        const values = inputs[argument.name]!
        const { buffer, offset } = entry.arguments[argument.name]!
        if (values.length > 0)
          device.queue.writeBuffer(
            made[buffer]!,
            offset,
            argument.type.dtype === 'i32' ? Int32Array.from(values) : Float32Array.from(values),
          )
      }
      const encoder = device.createCommandEncoder()
      const pass = encoder.beginComputePass()
      for (const { pipeline, group, workgroups } of dispatches) {
        const counts = [0, 1, 2].map((d) => (workgroups[d] ?? []).reduce((n, f) => n * Math.ceil(evaluate(f.size, binding) / f.divisor), 1))
        if (counts.includes(0)) continue
        pass.setPipeline(pipeline)
        pass.setBindGroup(0, group)
        pass.dispatchWorkgroups(counts[0]!, counts[1], counts[2])
      }
      pass.end()
      const places = info.results.map(({ type }, i) => ({
        ...entry.results[i]!,
        words: type.dims.reduce((product, dim) => product * evaluate(dim, binding), 1),
      }))
      const words = await read(places, encoder)
      return info.results.map(({ type }, i) =>
        type.dtype === 'i32' || type.dtype === 'bool' ? words[i]!.slice() : new Float32Array(words[i]!.slice().buffer),
      )
    },
    async state(index) {
      const buffer = program.buffers.findIndex((each) => each.kind === 'state' && each.state === index)
      const { bytes } = states[index]!
      return (await read([{ buffer, offset: 0, words: bytes / 4 }], device.createCommandEncoder()))[0]!.slice()
    },
    close() {
      for (const buffer of made) buffer.destroy()
    },
  }
}
