// A device with the sessions' states on it. Runs go through one queue. When a GPU device is lost, a new one is made and every
// session's calls are run again on it, in order: the same programs on the same values, so the states come out the same.
import type { Manifest } from './artifact/manifest.ts'
import type { Device, ResultArray, States } from './devices/device.ts'
import type { PreparedCall } from './entry-call.ts'
import { fail } from './error-codes.ts'
import { LlamacError } from './error.ts'
import { createQueue } from './queue.ts'
import { findRoles } from './roles.ts'
import type { Roles } from './roles.ts'
import type { Tokenizer } from './tokenizer/index.ts'

/** One session's states, and what was run on them if the device may be lost. */
export interface Lane {
  states: States
  calls: PreparedCall[]
}

export class Host {
  readonly manifest: Manifest
  readonly tokenizer: Tokenizer | undefined
  readonly roles: Roles
  #device: Device
  readonly #recreate: (() => Promise<Device>) | undefined
  readonly #queue = createQueue()
  readonly #lanes = new Set<Lane>()
  #disposed: Promise<void> | undefined

  /** `recreate`: makes a new device after E_DEVICE_LOST; without it the error goes to the caller. */
  constructor(manifest: Manifest, tokenizer: Tokenizer | undefined, device: Device, recreate?: () => Promise<Device>) {
    this.manifest = manifest
    this.tokenizer = tokenizer
    this.roles = findRoles(manifest)
    this.#device = device
    this.#recreate = recreate
  }

  get deviceName(): string {
    return this.#device.name
  }

  /** New states, zeroed or copied. E_OUT_OF_MEMORY, E_DISPOSED. */
  open(from?: Lane): Lane {
    this.#checkLive()
    const states = from ? this.#device.copyStates(from.states) : this.#device.createStates()
    const lane: Lane = { states, calls: from ? [...from.calls] : [] }
    this.#lanes.add(lane)
    return lane
  }

  /** Frees the states after what is already queued. */
  close(lane: Lane): void {
    if (!this.#lanes.delete(lane) || this.#disposed) return
    void this.#queue.run(() => lane.states.dispose())
  }

  /** `into`: results of before that may be filled again. E_ABORTED, E_DISPOSED, E_DEVICE, E_DEVICE_LOST. */
  run(lane: Lane, call: PreparedCall, signal?: AbortSignal, into?: readonly ResultArray[]): Promise<ResultArray[]> {
    this.#checkLive()
    return this.#queue.run(async () => {
      if (!this.#lanes.has(lane)) fail('E_DISPOSED', 'the session was disposed')
      const results = await this.#attempt(lane, call, into)
      if (this.#recreate) lane.calls.push(call)
      return results
    }, signal)
  }

  /** Waits for the work that was begun, then frees everything. Idempotent. */
  dispose(): Promise<void> {
    this.#disposed ??= this.#queue.idle().then(() => {
      for (const lane of this.#lanes) lane.states.dispose()
      this.#lanes.clear()
      this.#device.dispose()
    })
    return this.#disposed
  }

  async #attempt(lane: Lane, call: PreparedCall, into: readonly ResultArray[] | undefined): Promise<ResultArray[]> {
    try {
      return await this.#runOn(lane, call, into)
    } catch (cause) {
      if (!(cause instanceof LlamacError) || cause.code !== 'E_DEVICE_LOST' || !this.#recreate) throw cause
      await this.#replace(this.#recreate)
      return this.#runOn(lane, call)
    }
  }

  #runOn(lane: Lane, { entry, symbols, inputs }: PreparedCall, into?: readonly ResultArray[]): Promise<ResultArray[]> {
    return this.#device.run(entry.name, symbols, inputs, lane.states, into)
  }

  async #replace(recreate: () => Promise<Device>): Promise<void> {
    const lost = this.#device
    this.#device = await recreate()
    lost.dispose()
    for (const lane of this.#lanes) {
      lane.states = this.#device.createStates()
      for (const call of lane.calls) await this.#runOn(lane, call)
    }
  }

  #checkLive(): void {
    if (this.#disposed) fail('E_DISPOSED', 'the model was disposed')
  }
}
