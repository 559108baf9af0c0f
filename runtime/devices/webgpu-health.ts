// Whether a GPU device can still be used: not lost, not disposed, and no error that nobody asked for.
import { fail } from '../error-codes.ts'

const longestUntilLoss = 100 // ms

/** Whether it is lost: what a lost device refuses may be told before that it is lost. */
export const lossOf = (device: GPUDevice): Promise<unknown> =>
  Promise.race([device.lost, new Promise((resolve) => setTimeout(resolve, longestUntilLoss))])

export class WebgpuHealth {
  readonly #device: GPUDevice
  /** Whether the device was requested by us, and not given. */
  readonly #own: boolean
  #lost: string | undefined
  #fault: string | undefined
  #disposed = false

  constructor(device: GPUDevice, own: boolean) {
    this.#device = device
    this.#own = own
    void device.lost.then(({ message }) => {
      this.#lost = message || 'no reason given'
    })
    device.addEventListener('uncapturederror', this.#note)
  }

  /** E_DISPOSED, E_DEVICE_LOST, E_DEVICE. */
  check(): void {
    if (this.#disposed) fail('E_DISPOSED', 'the device was disposed')
    if (this.#lost !== undefined) {
      const remedy = this.#own ? '' : '; it was given: load with a GPU (navigator.gpu) and another device is made'
      fail('E_DEVICE_LOST', `the GPU device was lost: ${this.#lost}${remedy}`)
    }
    if (this.#fault !== undefined) fail('E_DEVICE', `the GPU reported an error: ${this.#fault}`)
  }

  /** As `check`, after something failed that a loss may explain. */
  async checkAfterFailure(): Promise<void> {
    if (!this.#disposed) await lossOf(this.#device)
    this.check()
  }

  /** From here on nothing may be run. False when that was so before. */
  end(): boolean {
    if (this.#disposed) return false
    this.#disposed = true
    this.#device.removeEventListener('uncapturederror', this.#note)
    return true
  }

  readonly #note = (event: Event): void => {
    this.#fault = (event as GPUUncapturedErrorEvent).error.message
  }
}
