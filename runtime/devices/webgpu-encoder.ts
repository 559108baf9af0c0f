// Turns dispatches into a compute pass: bind groups are made at their first use and kept (those that hold states: in the session), what has
// no work at the given sizes is left out.
import { evaluateAffine } from '../artifact/affine.ts'
import type { WebgpuProgram } from '../artifact/manifest.ts'
import { fail } from '../error-codes.ts'
import { bufferTypes, roundUp } from './webgpu-buffers.ts'
import type { Dispatch } from './webgpu-pipelines.ts'
import type { WebgpuStates } from './webgpu-states.ts'

type Symbols = Readonly<Record<string, number>>

const maxWorkgroups = 65535

export class WebgpuEncoder {
  readonly #device: GPUDevice
  readonly #program: WebgpuProgram
  readonly #buffers: readonly (GPUBuffer | undefined)[]

  /** `buffers`: those of the program that no session has for itself. */
  constructor(device: GPUDevice, program: WebgpuProgram, buffers: readonly (GPUBuffer | undefined)[]) {
    this.#device = device
    this.#program = program
    this.#buffers = buffers
  }

  buffer(index: number, session: WebgpuStates): GPUBuffer {
    return this.#buffers[index] ?? session.buffers.get(index)!
  }

  /** One compute pass over some lists. E_LIMIT when a size is more than a dispatch can have. */
  encode(
    encoder: GPUCommandEncoder,
    entry: string,
    lists: readonly (readonly Dispatch[])[],
    symbols: Symbols,
    session: WebgpuStates,
  ): void {
    const pass = encoder.beginComputePass()
    for (const list of lists) {
      for (const dispatch of list) {
        const [x, y, z] = workgroupCounts(dispatch, symbols, entry)
        if (x * y * z === 0) continue
        pass.setPipeline(dispatch.pipeline)
        pass.setBindGroup(0, this.#group(dispatch, session))
        pass.dispatchWorkgroups(x, y, z)
      }
    }
    pass.end()
  }

  #group(dispatch: Dispatch, session: WebgpuStates): GPUBindGroup {
    const shared = dispatch.holdsStates ? session.groups.get(dispatch) : dispatch.group
    if (shared) return shared
    const group = this.#device.createBindGroup({
      layout: dispatch.layout,
      entries: dispatch.bindings.map(({ buffer, offset, bytes }, binding) => ({
        binding,
        resource: {
          buffer: this.buffer(buffer, session),
          offset,
          size: Math.max(4, roundUp(bytes, bufferTypes[this.#program.buffers[buffer]!.kind] === 'uniform' ? 16 : 4)),
        },
      })),
    })
    if (dispatch.holdsStates) session.groups.set(dispatch, group)
    else dispatch.group = group
    return group
  }
}

function workgroupCounts({ workgroups }: Dispatch, symbols: Symbols, entry: string): [number, number, number] {
  const counts: [number, number, number] = [1, 1, 1]
  for (const [axis, factors] of workgroups.entries()) {
    for (const { size, divisor } of factors) counts[axis as 0 | 1 | 2] *= Math.max(0, Math.ceil(evaluateAffine(size, symbols) / divisor))
    if (counts[axis]! > maxWorkgroups)
      fail('E_LIMIT', `${entry} needs ${counts[axis]} workgroups in one dimension, WebGPU allows ${maxWorkgroups}`)
  }
  return counts
}
