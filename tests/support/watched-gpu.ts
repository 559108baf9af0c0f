// A GPU whose devices are watched: every call of their API is counted, buffers and bytes read back are added up, and one call can be made to
// go wrong: the device is lost just before it, or there is no memory for the buffer that it makes.

export interface Watch {
  /** Calls by name, since `reset`. */
  readonly calls: Map<string, number>
  /** Calls since the watch began. */
  total: number
  /** Bytes that were copied to where the host reads. */
  bytesBack: number
  /** Buffers that were made and not destroyed, of devices that live. */
  readonly buffers: Set<GPUBuffer>
  readonly devices: GPUDevice[]
  /** Errors that no scope took. */
  readonly errors: string[]
  /** Before call number `total`: loses the device. */
  loseAt: number
  /** The buffer number from now on that there is no memory for. */
  failBuffer: number
  reset(): void
}

export function newWatch(): Watch {
  return {
    calls: new Map(),
    total: 0,
    bytesBack: 0,
    buffers: new Set(),
    devices: [],
    errors: [],
    loseAt: Infinity,
    failBuffer: Infinity,
    reset() {
      this.calls.clear()
      this.bytesBack = 0
    },
  }
}

type Method = (...args: never[]) => unknown

/** Puts `before` in front of methods of one object; `after` sees what they give. */
function wrap<T extends object>(
  target: T,
  names: readonly (keyof T & string)[],
  before: (name: string, args: readonly unknown[]) => void,
  after: (name: string, result: unknown) => unknown = (_, result) => result,
): T {
  for (const name of names) {
    const method = (target[name] as Method).bind(target)
    const watched = (...args: never[]): unknown => {
      before(name, args)
      return after(name, method(...args))
    }
    Object.defineProperty(target, name, { value: watched, configurable: true })
  }
  return target
}

/** A GPU that gives devices of `gpu`, watched. */
export function watchedGpu(gpu: GPU, watch: Watch): GPU {
  const requestAdapter = async (): Promise<object | null> => {
    const adapter = await gpu.requestAdapter()
    return (
      adapter && {
        features: adapter.features,
        limits: adapter.limits,
        info: adapter.info,
        requestDevice: async (descriptor?: GPUDeviceDescriptor) => watchDevice(await adapter.requestDevice(descriptor), watch),
      }
    )
  }
  return { requestAdapter } as unknown as GPU
}

function watchDevice(device: GPUDevice, watch: Watch): GPUDevice {
  watch.devices.push(device)
  const destroy = device.destroy.bind(device)
  const own = new Set<GPUBuffer>()
  const lose = (): void => {
    destroy()
    for (const buffer of own) watch.buffers.delete(buffer)
  }
  const count = (name: string): void => {
    if (watch.total++ === watch.loseAt) lose()
    watch.calls.set(name, (watch.calls.get(name) ?? 0) + 1)
  }
  const scopes: { filter: string; error?: object }[] = []

  const watchEncoder = (encoder: GPUCommandEncoder): GPUCommandEncoder =>
    wrap(encoder, ['beginComputePass', 'copyBufferToBuffer', 'finish'], count, (name, result) =>
      name === 'beginComputePass'
        ? wrap(result as GPUComputePassEncoder, ['setPipeline', 'setBindGroup', 'dispatchWorkgroups', 'end'], count)
        : result,
    )
  const watchBuffer = (buffer: GPUBuffer): GPUBuffer => {
    watch.buffers.add(buffer)
    own.add(buffer)
    return wrap(buffer, ['destroy', 'mapAsync', 'getMappedRange', 'unmap'], (name, args) => {
      count(name)
      if (name === 'destroy') watch.buffers.delete(buffer)
      if (name === 'getMappedRange') watch.bytesBack += (args[1] as number | undefined) ?? buffer.size
    })
  }
  wrap(device.queue, ['writeBuffer', 'submit'], count)
  wrap(
    device,
    ['createBindGroup', 'createBindGroupLayout', 'createPipelineLayout', 'createShaderModule', 'createComputePipelineAsync'],
    count,
  )
  wrap(device, ['createCommandEncoder'], count, (_, encoder) => watchEncoder(encoder as GPUCommandEncoder))
  wrap(device, ['createBuffer'], count, (_, made) => {
    const buffer = watchBuffer(made as GPUBuffer)
    if (watch.failBuffer-- !== 0) return buffer
    // It is as if it had not been made, and the scope that asked for it is told.
    const scope = scopes.findLast(({ filter }) => filter === 'out-of-memory')
    if (scope) scope.error ??= { message: 'there is no memory (a test says so)' }
    else watch.errors.push('out of memory')
    ;(made as GPUBuffer).destroy()
    watch.buffers.add(buffer)
    return buffer
  })
  wrap(device, ['pushErrorScope'], (name, args) => {
    count(name)
    scopes.push({ filter: args[0] as string })
  })
  wrap(device, ['popErrorScope'], count, (_, given) => {
    const scope = scopes.pop()
    return (given as Promise<GPUError | null>).then((error) => scope?.error ?? error)
  })
  Object.defineProperty(device, 'destroy', { value: lose, configurable: true })
  device.addEventListener('uncapturederror', (event) => watch.errors.push((event as GPUUncapturedErrorEvent).error.message))
  return device
}
