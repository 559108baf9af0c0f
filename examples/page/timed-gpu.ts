// A GPUDevice that times what the runtime does with it: every dispatch becomes a compute pass of its own, between two timestamps,
// under the name of its pipeline. All else goes to the device as it is.

import type { KernelRow } from './protocol.ts'

/** What a query set may hold at most. */
const mostQueries = 4096

interface Span {
  readonly names: readonly string[]
  readonly staging: GPUBuffer
}

export class TimedGpu {
  readonly device: GPUDevice
  readonly #real: GPUDevice
  #spans: Span[] = []

  /** `device` has the feature timestamp-query. */
  constructor(device: GPUDevice) {
    this.#real = device
    this.device = overlay(device, { createCommandEncoder: (descriptor) => this.#encoder(device.createCommandEncoder(descriptor)) })
  }

  /** Times of everything since the last call, dispatches of one pipeline together. */
  async take(): Promise<KernelRow[]> {
    const rows = new Map<string, KernelRow>()
    for (const { names, staging } of this.#spans.splice(0)) {
      await staging.mapAsync(GPUMapMode.READ)
      const times = new BigUint64Array(staging.getMappedRange())
      for (const [i, kernel] of names.entries()) {
        // A clock that was set back in between gives nonsense, which counts as nothing.
        const milliseconds = Math.max(0, Number(times[2 * i + 1]! - times[2 * i]!) / 1e6)
        const before = rows.get(kernel)
        rows.set(kernel, { kernel, launches: (before?.launches ?? 0) + 1, milliseconds: (before?.milliseconds ?? 0) + milliseconds })
      }
      staging.destroy()
    }
    return [...rows.values()]
  }

  destroy(): void {
    this.#real.destroy()
  }

  #encoder(encoder: GPUCommandEncoder): GPUCommandEncoder {
    const device = this.#real
    const names: string[] = []
    const queries = device.createQuerySet({ type: 'timestamp', count: mostQueries })
    const begin = (name: string): GPUComputePassEncoder => {
      const index = 2 * names.length
      if (index + 2 > mostQueries) return encoder.beginComputePass()
      names.push(name)
      return encoder.beginComputePass({
        timestampWrites: { querySet: queries, beginningOfPassWriteIndex: index, endOfPassWriteIndex: index + 1 },
      })
    }
    return overlay(encoder, {
      beginComputePass: () => timedPass(begin),
      finish: (descriptor) => {
        if (names.length > 0) {
          const size = 16 * names.length
          const resolved = device.createBuffer({ size, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC })
          const staging = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST })
          encoder.resolveQuerySet(queries, 0, 2 * names.length, resolved, 0)
          encoder.copyBufferToBuffer(resolved, 0, staging, 0, size)
          this.#spans.push({ names, staging })
        }
        return encoder.finish(descriptor)
      },
    })
  }
}

/** A pass that becomes one pass for each dispatch: what was set before is set again. */
function timedPass(begin: (name: string) => GPUComputePassEncoder): GPUComputePassEncoder {
  let pipeline: GPUComputePipeline | undefined
  const groups = new Map<number, readonly unknown[]>()
  return {
    setPipeline: (next: GPUComputePipeline) => void (pipeline = next),
    setBindGroup: (index: number, ...rest: unknown[]) => void groups.set(index, rest),
    dispatchWorkgroups: (x: number, y?: number, z?: number) => {
      const pass = begin(pipeline!.label)
      pass.setPipeline(pipeline!)
      for (const [index, rest] of groups) pass.setBindGroup(index, ...(rest as [GPUBindGroup]))
      pass.dispatchWorkgroups(x, y, z)
      pass.end()
    },
    end() {},
  } as unknown as GPUComputePassEncoder
}

/** `target` with some methods of its own; the platform's objects only take calls on themselves. */
function overlay<T extends object>(target: T, methods: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      if (name in methods) return methods[name as keyof T]
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
    set: (_, name, value) => Reflect.set(target, name, value),
  })
}
