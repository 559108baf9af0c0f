// A device with the sessions' states on it. Submissions go through one queue. When a GPU device is lost, a new one is made, and a session's
// calls are run again on it, in order, when the session is next used: the same programs on the same values, so the states come
// out the same, and so do the tokens that were still to come.
import type { Manifest } from './artifact/manifest.ts'
import type { Device, Drawn, DrawOptions, ResultArray, States } from './devices/device.ts'
import { mostLosses } from './devices/webgpu.ts'
import type { PreparedCall } from './entry-call.ts'
import { fail } from './error-codes.ts'
import { LlamacError } from './error.ts'
import { createQueue } from './queue.ts'
import { findRoles } from './roles.ts'
import type { Roles } from './roles.ts'
import { type Soon, whenThere } from './soon.ts'
import type { Tokenizer } from './tokenizer/index.ts'

/** One session's states, and what was run on them if the device may be lost. */
export interface Lane {
  /** Absent until the calls have been run again. */
  states: States | undefined
  /** Where the states are. */
  device: Device
  calls: PreparedCall[]
}

/** A token that was asked for: what its step reads, and where the step was submitted. */
export interface Drawing {
  readonly lane: Lane
  readonly how: DrawOptions
  /** Its entry and symbols. */
  readonly shape: PreparedCall
  /** Absent while its one id is the token of the drawing before. */
  call: PreparedCall | undefined
  /** The ids up to the last that a call reads, for when it must be submitted anew. */
  readonly seen: (call: PreparedCall) => readonly number[]
  submitted: { readonly device: Device; readonly drawn: Drawn }
}

export class Host {
  readonly manifest: Manifest
  readonly tokenizer: Tokenizer | undefined
  readonly roles: Roles
  #device: Device
  readonly #recreate: (() => Promise<Device>) | undefined
  readonly #queue = createQueue()
  readonly #lanes = new Set<Lane>()
  readonly #awaited = new Set<Promise<unknown>>()
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

  get runsAhead(): boolean {
    return this.#device.runsAhead ?? false
  }

  canDraw(entry: string): boolean {
    return this.#device.canDraw?.(entry) ?? false
  }

  /** New states, zeroed or copied. E_OUT_OF_MEMORY, E_DISPOSED. */
  open(from?: Lane): Lane {
    this.#checkLive()
    const device = this.#device
    const lane: Lane = { states: undefined, device, calls: from ? [...from.calls] : [] }
    try {
      // What is not here yet is run again when it is needed.
      if (!from) lane.states = device.createStates()
      else if (from.device === device && from.states) lane.states = device.copyStates(from.states)
    } catch (cause) {
      if (!this.#isLoss(cause)) throw cause
    }
    this.#lanes.add(lane)
    return lane
  }

  /** Frees the states after what is already queued. */
  close(lane: Lane): void {
    if (!this.#lanes.delete(lane) || this.#disposed) return
    void this.#queue.run(() => lane.states?.dispose())
  }

  /** `into`: results of before that may be filled again. E_ABORTED, E_DISPOSED, E_DEVICE, E_DEVICE_LOST, E_OUT_OF_MEMORY. */
  async run(lane: Lane, call: PreparedCall, signal?: AbortSignal, into?: readonly ResultArray[]): Promise<ResultArray[]> {
    this.#checkLive()
    return this.#queue.run(async () => {
      const results = await this.#onDevice(lane, (device, states) => runOn(device, states, call, into))
      if (this.#recreate) lane.calls.push(call)
      return results
    }, signal)
  }

  /** Runs a reading after which the device chooses the next token (`canDraw`), -1 when the scores are not finite. `seen`: as `Device.draw` takes it. Errors as `run`. */
  choose(
    lane: Lane,
    call: PreparedCall,
    how: DrawOptions,
    seen: readonly number[] | undefined,
    signal: AbortSignal | undefined,
  ): Soon<number> {
    this.#checkLive()
    const { entry, symbols, inputs } = call
    return this.#queue.run(
      () =>
        this.#onDevice(lane, (device, states) =>
          whenThere(device.draw!(entry.name, symbols, inputs, states, how, seen), ({ token }) =>
            whenThere(token, (token) => {
              if (this.#recreate) lane.calls.push(call)
              return token
            }),
          ),
        ),
      signal,
    )
  }

  /**
   * Submits a reading after which the next token is chosen on the device (`canDraw`); its results stay there. `after`: it reads the token of
   * that drawing, whatever it will be (`runsAhead`), and not what `shape` says. Errors as `run`.
   */
  async draw(
    lane: Lane,
    shape: PreparedCall,
    how: DrawOptions,
    seen: Drawing['seen'],
    { after, signal }: { readonly after?: Drawing; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Drawing> {
    this.#checkLive()
    const drawing = { shape, how, seen, call: after ? undefined : shape }
    return this.#queue.run(async () => {
      const submitted = await this.#onDevice(lane, async (device, states) => {
        // The token is where the drawing before left it, so that must be this device.
        if (after && after.submitted.device !== device) after.submitted = await submit(after, device, states)
        return submit(drawing, device, states)
      })
      return { lane, ...drawing, submitted }
    }, signal)
  }

  /** The token of a drawing, whose call is known by now. E_DEVICE, E_DEVICE_LOST, E_DISPOSED. */
  async token(drawing: Drawing): Promise<number> {
    const token = this.#tokenOf(drawing)
    this.#awaited.add(token)
    try {
      return await token
    } finally {
      this.#awaited.delete(token)
    }
  }

  /** Notes that the call of a drawing has run: it belongs to the states now. */
  commit({ lane, call }: Drawing): void {
    if (this.#recreate) lane.calls.push(call!)
  }

  /** Waits for the work that was begun, then frees everything. Idempotent. */
  dispose(): Promise<void> {
    this.#disposed ??= this.#queue
      .idle()
      .then(() => Promise.allSettled(this.#awaited))
      .then(() => {
        for (const lane of this.#lanes) lane.states?.dispose()
        this.#lanes.clear()
        this.#device.dispose()
      })
    return this.#disposed
  }

  async #tokenOf(drawing: Drawing): Promise<number> {
    for (let losses = 0; ; losses++) {
      try {
        return await drawing.submitted.drawn.token
      } catch (cause) {
        if (!this.#isLoss(cause) || losses >= mostLosses) throw cause
        await this.#queue.run(() =>
          this.#onDevice(drawing.lane, async (device, states) => {
            if (drawing.submitted.device === device) fail('E_DEVICE_LOST', (cause as Error).message)
            drawing.submitted = await submit(drawing, device, states)
          }),
        )
      }
    }
  }

  /** Does work on the lane's states. */
  #onDevice<T>(lane: Lane, work: (device: Device, states: States) => Soon<T>): Soon<T> {
    if (!this.#lanes.has(lane)) fail('E_DISPOSED', 'the session was disposed')
    return this.#recreate || !lane.states ? this.#onSomeDevice(lane, work) : work(this.#device, lane.states)
  }

  /** When the device is lost, again on another. */
  async #onSomeDevice<T>(lane: Lane, work: (device: Device, states: States) => Soon<T>): Promise<T> {
    for (let losses = 0; ; losses++) {
      const device = this.#device
      try {
        return await work(device, await this.#statesOf(lane, device))
      } catch (cause) {
        if (!this.#isLoss(cause) || losses >= mostLosses) throw cause
        if (this.#device === device) await this.#replace(cause)
      }
    }
  }

  async #statesOf(lane: Lane, device: Device): Promise<States> {
    if (lane.device === device && lane.states) return lane.states
    const states = device.createStates()
    try {
      for (const call of lane.calls) await runOn(device, states, call)
    } catch (cause) {
      states.dispose()
      throw cause
    }
    lane.states?.dispose()
    lane.states = states
    lane.device = device
    return states
  }

  async #replace(cause: unknown): Promise<void> {
    const lost = this.#device
    try {
      this.#device = await this.#recreate!()
    } catch (why) {
      fail('E_DEVICE_LOST', `${(cause as Error).message}; no other device could be made: ${(why as Error).message}`, why)
    }
    lost.dispose()
  }

  #isLoss(cause: unknown): boolean {
    return this.#recreate !== undefined && cause instanceof LlamacError && cause.code === 'E_DEVICE_LOST'
  }

  #checkLive(): void {
    if (this.#disposed) fail('E_DISPOSED', 'the model was disposed')
  }
}

const runOn = (device: Device, states: States, { entry, symbols, inputs }: PreparedCall, into?: readonly ResultArray[]) =>
  device.run(entry.name, symbols, inputs, states, into)

async function submit(
  { shape, call, how, seen }: Pick<Drawing, 'shape' | 'call' | 'how' | 'seen'>,
  device: Device,
  states: States,
): Promise<Drawing['submitted']> {
  return {
    device,
    drawn: await device.draw!(
      shape.entry.name,
      shape.symbols,
      call?.inputs,
      states,
      how,
      call && how.repetitionPenalty !== 1 ? seen(call) : undefined,
    ),
  }
}
