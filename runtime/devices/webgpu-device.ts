// Runs a WebGPU program: buffers, pipelines and bind groups are made once (bind groups that hold states: once per session).
// A call is one encoder, one compute pass, one submit, one readback. A draw is a call whose results stay on the GPU: its token is read
// back through one of a few small buffers that are used again, and the next step, which finds it where it reads its id, may be
// submitted before that; then a step writes one buffer, the uniform. One call at a time is submitted (runtime/queue.ts).
import { elementCount } from '../artifact/affine.ts'
import type { EntryManifest, WebgpuProgram } from '../artifact/manifest.ts'
import { fail } from '../error-codes.ts'
import { type ArgumentArray, asResult, type Device, type Drawn, type DrawOptions, type ResultArray, type States } from './device.ts'
import { drawWords } from './draw-words.ts'
import { WebgpuEncoder } from './webgpu-encoder.ts'
import { WebgpuHealth } from './webgpu-health.ts'
import type { EntryDispatches } from './webgpu-pipelines.ts'
import { WebgpuReadback } from './webgpu-readback.ts'
import { WebgpuStates } from './webgpu-states.ts'

type Symbols = Readonly<Record<string, number>>
type Inputs = Readonly<Record<string, ArgumentArray>>

export class WebgpuDevice implements Device {
  readonly name = 'webgpu'
  readonly runsAhead = true
  readonly #device: GPUDevice
  readonly #program: WebgpuProgram
  readonly #entries: ReadonlyMap<string, EntryManifest>
  readonly #buffers: readonly (GPUBuffer | undefined)[]
  readonly #pipelines: ReadonlyMap<string, EntryDispatches>
  readonly #encoder: WebgpuEncoder
  readonly #readback: WebgpuReadback
  readonly #health: WebgpuHealth
  readonly #own: boolean
  readonly #uniform: GPUBuffer | undefined
  /** What is written there: symbols, then the words of a draw. */
  readonly #words: Int32Array<ArrayBuffer>
  readonly #sessions = new Set<WebgpuStates>()
  /** Entries that have run once without a validation error: later runs need no error scope. */
  readonly #proven = new Set<string>()
  /** Whose next token lies in the argument that the sampler fills. */
  #next: WebgpuStates | undefined

  constructor(
    device: GPUDevice,
    own: boolean,
    program: WebgpuProgram,
    entries: readonly EntryManifest[],
    buffers: readonly (GPUBuffer | undefined)[],
    pipelines: ReadonlyMap<string, EntryDispatches>,
  ) {
    this.#device = device
    this.#own = own
    this.#program = program
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]))
    this.#buffers = buffers
    this.#pipelines = pipelines
    this.#encoder = new WebgpuEncoder(device, program, buffers)
    this.#health = new WebgpuHealth(device, own)
    this.#readback = new WebgpuReadback(device, this.#health)
    const uniform = program.buffers.findIndex(({ kind }) => kind === 'uniform')
    this.#uniform = buffers[uniform]
    this.#words = new Int32Array((this.#uniform?.size ?? 0) / 4)
  }

  createStates(): WebgpuStates {
    this.#health.check()
    const states = new WebgpuStates(this.#device, this.#program, (gone) => this.#sessions.delete(gone))
    this.#sessions.add(states)
    return states
  }

  copyStates(from: States): States {
    const source = WebgpuStates.live(from)
    const states = this.createStates()
    const encoder = this.#device.createCommandEncoder()
    for (const [index, buffer] of source.buffers) encoder.copyBufferToBuffer(buffer, 0, states.buffers.get(index)!, 0, buffer.size)
    this.#device.queue.submit([encoder.finish()])
    return states
  }

  async run(entry: string, symbols: Symbols, inputs: Inputs, states: States): Promise<ResultArray[]> {
    const session = await this.#session(states)
    const manifest = this.#entries.get(entry) ?? fail('E_ENTRY', `the model has no entry ${entry}`)
    const plan = this.#program.entries[entry]!
    const counts = manifest.results.map(({ dims }) => elementCount(dims, symbols))
    const total = counts.reduce((sum, count) => sum + count * 4, 0)
    const staging = await this.#readback.results(total)
    await this.#proving(entry, () => {
      this.#next = undefined
      this.#writeSymbols(entry, symbols)
      this.#writeUniform(this.#program.sampler?.parameters ?? this.#words.byteLength)
      this.#writeInputs(entry, inputs, session)
      const encoder = this.#device.createCommandEncoder()
      this.#encoder.encode(encoder, entry, [this.#pipelines.get(entry)!.run], symbols, session)
      let at = 0
      for (const [index, { buffer, offset }] of plan.results.entries()) {
        const bytes = counts[index]! * 4
        if (bytes > 0) encoder.copyBufferToBuffer(this.#encoder.buffer(buffer, session), offset, staging, at, bytes)
        at += bytes
      }
      this.#device.queue.submit([encoder.finish()])
    })
    return this.#readback.read(staging, total, (mapped) => {
      let at = 0
      return manifest.results.map(({ dtype }, index) => {
        const values = asResult(dtype, new Int32Array(mapped, at, counts[index]!).slice())
        at += counts[index]! * 4
        return values
      })
    })
  }

  canDraw(entry: string): boolean {
    const { sampler, entries } = this.#program
    const feeds = sampler?.feeds
    if (!feeds || !entries[entry]?.draw) return false
    return Object.keys(entries[feeds.entry]!.arguments).length === 1
  }

  async draw(
    entry: string,
    symbols: Symbols,
    inputs: Inputs | undefined,
    states: States,
    how: DrawOptions,
    seen?: readonly number[],
  ): Promise<Drawn> {
    const session = await this.#session(states)
    const { sampler } = this.#program
    if (!sampler || !this.canDraw(entry)) throw new Error(`internal: no token can be drawn after ${entry}`)
    const given = inputs ?? (await this.#tokenLeft(entry, session))
    const slot = await this.#readback.slot()
    const submit = (): void => {
      if (seen && how.repetitionPenalty !== 1) this.#writeSeen(seen, session)
      this.#writeSymbols(entry, symbols)
      this.#words.set(drawWords(how), sampler.parameters / 4)
      this.#writeUniform(this.#words.byteLength)
      if (given) this.#writeInputs(entry, given, session)
      const encoder = this.#device.createCommandEncoder()
      const { run, draw } = this.#pipelines.get(entry)!
      this.#encoder.encode(encoder, entry, [run, draw], symbols, session)
      encoder.copyBufferToBuffer(this.#encoder.buffer(sampler.chosen.buffer, session), sampler.chosen.offset, slot, 0, 4)
      this.#device.queue.submit([encoder.finish()])
      this.#next = session
    }
    try {
      await this.#proving(`${entry} and a draw`, submit)
    } catch (cause) {
      this.#readback.giveBack(slot)
      throw cause
    }
    const token = this.#readback.readSlot(slot)
    token.catch(() => {}) // whoever wants it is told
    session.drawn = { token }
    return session.drawn
  }

  dispose(): void {
    if (!this.#health.end()) return
    for (const states of [...this.#sessions]) states.dispose()
    for (const buffer of this.#buffers) buffer?.destroy()
    this.#readback.dispose()
    if (this.#own) this.#device.destroy()
  }

  /** The states, if the device lives and had memory for them. */
  async #session(states: States): Promise<WebgpuStates> {
    this.#health.check()
    const session = WebgpuStates.live(states)
    await session.checkMemory()
    return session
  }

  /** The token that the entry is to read, where another session's call has overwritten it. */
  async #tokenLeft(entry: string, session: WebgpuStates): Promise<Inputs | undefined> {
    const { feeds } = this.#program.sampler!
    if (feeds?.entry !== entry || !session.drawn) throw new Error(`internal: nothing was drawn for ${entry}`)
    return this.#next === session ? undefined : { [feeds.argument]: Int32Array.of(Math.max(0, await session.drawn.token)) }
  }

  /** Submits; the first time what the GPU refuses is told. */
  async #proving(what: string, submit: () => void): Promise<void> {
    if (this.#proven.has(what)) return submit()
    this.#device.pushErrorScope('validation')
    let invalid: GPUError | null = null
    try {
      submit()
    } finally {
      // Also when nothing was submitted: a scope that stays open keeps later errors to itself.
      invalid = await this.#device.popErrorScope().catch(() => null)
    }
    if (invalid) fail('E_DEVICE', `the GPU refuses ${what}: ${invalid.message}`)
    this.#proven.add(what)
  }

  #writeSymbols(entry: string, symbols: Symbols): void {
    for (const [index, name] of this.#program.entries[entry]!.symbols.entries()) this.#words[index] = symbols[name]!
  }

  #writeUniform(bytes: number): void {
    if (this.#uniform) this.#device.queue.writeBuffer(this.#uniform, 0, this.#words, 0, bytes / 4)
  }

  #writeInputs(entry: string, inputs: Inputs, session: WebgpuStates): void {
    const places = this.#program.entries[entry]!.arguments
    for (const name in places) {
      const { buffer, offset } = places[name]!
      const values = inputs[name]
      if (!values) throw new Error(`internal: no value for the argument ${name}`)
      this.#device.queue.writeBuffer(this.#encoder.buffer(buffer, session), offset, values as ArgumentArray & ArrayBufferView<ArrayBuffer>)
    }
  }

  /** Where each id was last; later draws go on with it on the GPU. */
  #writeSeen(ids: readonly number[], session: WebgpuStates): void {
    const buffer = this.#encoder.buffer(this.#program.sampler!.seen, session)
    const places = new Int32Array(buffer.size / 4)
    // Places that a call skipped have no id.
    for (const [place, id] of ids.entries()) if (id >= 0) places[id] = place + 1
    this.#device.queue.writeBuffer(buffer, 0, places)
  }
}
