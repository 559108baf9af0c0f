// WebGPU's API over plain memory, for tests of what the runtime does with it: a shader's text is the name of a function that is given
// the bytes of each binding. Work is done when it is submitted; maps come later, as on a GPU. A device that is lost does nothing more and fails
// as Dawn does: maps are refused, error scopes say nothing, what is made is of no use. Without kernels it is hollow: no buffer has memory, no work
// is done, what is read are zeros, so that programs of any size can be run through the runtime. Limits are WebGPU's guaranteed minimum.

import { guaranteed } from '../../compiler/targets/webgpu/bindings.ts'

export type FakeKernel = (...bindings: Int32Array<ArrayBuffer>[]) => void

interface FakeBuffer extends GPUBuffer {
  readonly memory: ArrayBuffer
}

interface Bound {
  readonly memory: ArrayBuffer
  readonly offset: number
  readonly size: number
}

const later = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const largestBuffer = 256 * 2 ** 20

function expectWithin(limit: number, count: number, what: string): void {
  if (!(count <= limit)) throw new Error(`${count} ${what}, guaranteed are ${limit}`)
}

export function fakeGpu(kernels?: Readonly<Record<string, FakeKernel>>): GPU {
  return {
    requestAdapter: async () => ({ features: new Set(), limits: {}, info: {}, requestDevice: async () => fakeDevice(kernels) }),
  } as unknown as GPU
}

function fakeDevice(kernels: Readonly<Record<string, FakeKernel>> | undefined): GPUDevice {
  let lost = false
  let tell: (info: { reason: string; message: string }) => void = () => {}
  const gone = new Promise((resolve) => {
    tell = resolve
  })
  const createBuffer = ({ size }: GPUBufferDescriptor): FakeBuffer => {
    expectWithin(largestBuffer, size, 'bytes of a buffer')
    const memory = new ArrayBuffer(kernels ? size : 0)
    let destroyed = false
    return {
      size,
      memory,
      destroy: () => {
        destroyed = true
      },
      async mapAsync() {
        await later()
        if (lost || destroyed) throw new Error('the buffer cannot be mapped')
      },
      getMappedRange: (offset = 0, length = size - offset) => (kernels ? memory.slice(offset, offset + length) : new ArrayBuffer(length)),
      unmap: () => {},
    } as unknown as FakeBuffer
  }
  const createCommandEncoder = () => {
    const work: (() => void)[] = []
    return {
      beginComputePass() {
        let kernel = ''
        let bound: readonly Bound[] = []
        return {
          setPipeline: (pipeline: { name: string }) => {
            kernel = pipeline.name
          },
          setBindGroup: (_: number, group: readonly Bound[]) => {
            bound = group
          },
          dispatchWorkgroups: (...counts: readonly number[]) => {
            for (const count of counts) expectWithin(guaranteed.workgroups, count, 'workgroups')
            if (!kernels) return
            const [name, group] = [kernel, bound]
            work.push(() => kernels[name]!(...group.map(({ memory, offset, size }) => new Int32Array(memory, offset, size / 4))))
          },
          end: () => {},
        }
      },
      copyBufferToBuffer(from: FakeBuffer, at: number, to: FakeBuffer, place: number, bytes: number) {
        if (kernels) work.push(() => new Uint8Array(to.memory).set(new Uint8Array(from.memory, at, bytes), place))
      },
      finish: () => work,
    }
  }
  return {
    lost: gone,
    features: new Set(),
    createBuffer,
    createBindGroupLayout({ entries }: GPUBindGroupLayoutDescriptor) {
      expectWithin(guaranteed.storageBuffers, [...entries].filter(({ buffer }) => buffer?.type !== 'uniform').length, 'storage buffers')
      return {}
    },
    createPipelineLayout: () => ({}),
    createShaderModule: ({ code }: GPUShaderModuleDescriptor) => ({ name: code }),
    createComputePipelineAsync: async ({ compute }: GPUComputePipelineDescriptor) => {
      await later()
      return compute.module
    },
    createBindGroup: ({ entries }: GPUBindGroupDescriptor) =>
      [...entries].map(({ resource }) => {
        const { buffer, offset = 0, size } = resource as GPUBufferBinding
        expectWithin(guaranteed.storageBytes, size!, 'bytes of a binding')
        if (offset % guaranteed.offset !== 0 || offset + size! > buffer.size) throw new Error(`a binding of ${size} bytes at ${offset}`)
        return { memory: (buffer as FakeBuffer).memory, offset, size }
      }),
    createCommandEncoder,
    queue: {
      writeBuffer(buffer: FakeBuffer, at: number, data: ArrayBufferView, from = 0, count?: number) {
        if (lost || !kernels) return
        const unit = 'BYTES_PER_ELEMENT' in data ? (data.BYTES_PER_ELEMENT as number) : 1
        const bytes = count === undefined ? data.byteLength - from * unit : count * unit
        new Uint8Array(buffer.memory).set(new Uint8Array(data.buffer, data.byteOffset + from * unit, bytes), at)
      },
      submit(list: readonly (readonly (() => void)[])[]) {
        if (!lost) for (const work of list) for (const step of work) step()
      },
    },
    pushErrorScope: () => {},
    popErrorScope: async () => null,
    addEventListener: () => {},
    removeEventListener: () => {},
    destroy() {
      if (lost) return
      lost = true
      void later().then(() => tell({ reason: 'destroyed', message: 'a test destroyed it' }))
    },
  } as unknown as GPUDevice
}
