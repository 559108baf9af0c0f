// What a session has on the GPU: its own buffers, the bind groups that hold them, and the last token that was drawn on them.
import type { WebgpuProgram } from '../artifact/manifest.ts'
import { fail } from '../error-codes.ts'
import type { Drawn, States } from './device.ts'
import { bufferBytes, isOfSession, usage } from './webgpu-buffers.ts'
import type { Dispatch } from './webgpu-pipelines.ts'

export class WebgpuStates implements States {
  /** By index into program.buffers. */
  readonly buffers: ReadonlyMap<number, GPUBuffer>
  /** Bind groups that hold state buffers, by dispatch. */
  readonly groups = new Map<Dispatch, GPUBindGroup>()
  /** The last token that was drawn on them. */
  drawn: Drawn | undefined
  /** Whether there was memory for the buffers, until it is known. */
  #outOfMemory: Promise<GPUError | null> | undefined
  readonly #forget: (states: WebgpuStates) => void
  #live = true

  /** `forget`: told when they are disposed. */
  constructor(device: GPUDevice, program: WebgpuProgram, forget: (states: WebgpuStates) => void) {
    const buffers = new Map<number, GPUBuffer>()
    device.pushErrorScope('out-of-memory')
    // Buffers are zeroed by WebGPU itself.
    for (const [index, buffer] of program.buffers.entries()) {
      if (!isOfSession(buffer.kind)) continue
      const size = bufferBytes(buffer)
      buffers.set(index, device.createBuffer({ label: buffer.kind, size, usage: usage.storage | usage.copySrc | usage.copyDst }))
    }
    this.#outOfMemory = device.popErrorScope().catch(() => null) // a lost device shows at the first run
    this.buffers = buffers
    this.#forget = forget
  }

  /** E_DISPOSED. */
  static live(states: States): WebgpuStates {
    if (!(states instanceof WebgpuStates)) throw new Error('internal: states of another device')
    if (!states.#live) fail('E_DISPOSED', 'the session was disposed')
    return states
  }

  /** E_OUT_OF_MEMORY, when there was none for them. */
  async checkMemory(): Promise<void> {
    if (!this.#outOfMemory) return
    const error = await this.#outOfMemory
    if (error) {
      this.dispose()
      fail('E_OUT_OF_MEMORY', `the GPU has no memory for another session: ${error.message}`)
    }
    this.#outOfMemory = undefined
  }

  dispose(): void {
    if (!this.#live) return
    this.#live = false
    this.groups.clear()
    for (const buffer of this.buffers.values()) buffer.destroy()
    this.#forget(this)
  }
}
