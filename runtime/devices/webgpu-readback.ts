// Bytes from the GPU: a buffer for results that grows as they do, and slots for the tokens that draws are waiting for, each used again
// once its token was read.
import { fail } from '../error-codes.ts'
import { roundUp, usage } from './webgpu-buffers.ts'
import type { WebgpuHealth } from './webgpu-health.ts'

const mapRead = 1 // GPUMapMode.READ

export class WebgpuReadback {
  readonly #device: GPUDevice
  readonly #health: WebgpuHealth
  #results: GPUBuffer | undefined
  /** For tokens: those that no draw is waiting for, and all. */
  readonly #freeSlots: GPUBuffer[] = []
  readonly #slots = new Set<GPUBuffer>()

  constructor(device: GPUDevice, health: WebgpuHealth) {
    this.#device = device
    this.#health = health
  }

  /** The buffer for the results of one call at a time. E_OUT_OF_MEMORY. */
  async results(bytes: number): Promise<GPUBuffer> {
    if (this.#results && this.#results.size >= bytes) return this.#results
    this.#results?.destroy()
    this.#results = undefined
    this.#results = await this.#create(Math.max(256, roundUp(bytes, 256)))
    return this.#results
  }

  /** A buffer for one token, until `readSlot` or `giveBack`. E_OUT_OF_MEMORY. */
  async slot(): Promise<GPUBuffer> {
    const free = this.#freeSlots.pop()
    if (free) return free
    const slot = await this.#create(16)
    this.#slots.add(slot)
    return slot
  }

  /** A slot that no token was copied to. */
  giveBack(slot: GPUBuffer): void {
    this.#freeSlots.push(slot)
  }

  readSlot(slot: GPUBuffer): Promise<number> {
    return this.read(slot, 4, (mapped) => {
      this.giveBack(slot)
      return new Int32Array(mapped, 0, 1)[0]!
    })
  }

  /** What was copied to the buffer by what is submitted: `take` must copy. E_DEVICE, E_DEVICE_LOST, E_DISPOSED. */
  async read<T>(buffer: GPUBuffer, bytes: number, take: (mapped: ArrayBuffer) => T): Promise<T> {
    const size = Math.max(4, bytes)
    try {
      await buffer.mapAsync(mapRead, 0, size)
    } catch (cause) {
      await this.#health.checkAfterFailure()
      fail('E_DEVICE', `reading the results failed: ${(cause as Error).message}`, cause)
    }
    const result = take(buffer.getMappedRange(0, size))
    buffer.unmap()
    this.#health.check()
    return result
  }

  dispose(): void {
    for (const slot of this.#slots) slot.destroy()
    this.#results?.destroy()
  }

  async #create(size: number): Promise<GPUBuffer> {
    this.#device.pushErrorScope('out-of-memory')
    const buffer = this.#device.createBuffer({ label: 'staging', size, usage: usage.mapRead | usage.copyDst })
    const error = await this.#device.popErrorScope().catch(() => null)
    if (!error) return buffer
    buffer.destroy()
    return fail('E_OUT_OF_MEMORY', `the GPU has no memory to read results back: ${error.message}`)
  }
}
