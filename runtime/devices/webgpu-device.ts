// Runs a WebGPU program: buffers, pipelines and bind groups are made once (bind groups that hold states: once per session).
// A call is one encoder, one compute pass, one submit, one readback. A draw is a call whose results stay on the GPU: its token is read
// back through one of a few small buffers that are used again, and the next step, which finds it where it reads its id, may be
// submitted before that; then a step writes one buffer, the uniform. One call at a time is submitted (runtime/queue.ts).
import { elementCount, evaluateAffine } from '../artifact/affine.ts'
import type { EntryManifest, WebgpuProgram } from '../artifact/manifest.ts'
import { samplingWords } from '../artifact/webgpu-program.ts'
import { fail } from '../error-codes.ts'
import { type ArgumentArray, asResult, type Device, type Drawn, type DrawOptions, type ResultArray, type States } from './device.ts'
import { bufferTypes, type Dispatch, type EntryDispatches, isOfSession } from './webgpu-pipelines.ts'

// Numbers of WebGPU's flag namespaces, which only exist as globals in browsers.
export const usage = { mapRead: 1, copySrc: 4, copyDst: 8, uniform: 64, storage: 128 } as const
const mapRead = 1
const maxWorkgroups = 65535
const longestUntilLoss = 100 // ms

const roundUp = (bytes: number, to: number): number => Math.ceil(bytes / to) * to
export const bufferBytes = ({ bytes }: { readonly bytes: number }): number => Math.max(16, roundUp(bytes, 16))

class WebgpuStates implements States {
  /** By index into program.buffers. */
  readonly buffers: ReadonlyMap<number, GPUBuffer>
  /** Bind groups that hold state buffers, by dispatch. */
  readonly groups = new Map<Dispatch, GPUBindGroup>()
  /** Whether there was memory for the buffers, until it is known. */
  outOfMemory: Promise<GPUError | null> | undefined
  /** The last token that was drawn on them. */
  drawn: Drawn | undefined
  readonly #forget: (states: WebgpuStates) => void
  live = true

  constructor(buffers: ReadonlyMap<number, GPUBuffer>, outOfMemory: Promise<GPUError | null>, forget: (states: WebgpuStates) => void) {
    this.buffers = buffers
    this.outOfMemory = outOfMemory
    this.#forget = forget
  }

  dispose(): void {
    if (!this.live) return
    this.live = false
    this.groups.clear()
    for (const buffer of this.buffers.values()) buffer.destroy()
    this.#forget(this)
  }
}

type Symbols = Readonly<Record<string, number>>
type Inputs = Readonly<Record<string, ArgumentArray>>

export class WebgpuDevice implements Device {
  readonly name = 'webgpu'
  readonly runsAhead = true
  readonly #device: GPUDevice
  readonly #own: boolean
  readonly #program: WebgpuProgram
  readonly #entries: ReadonlyMap<string, EntryManifest>
  readonly #buffers: readonly (GPUBuffer | undefined)[]
  readonly #pipelines: ReadonlyMap<string, EntryDispatches>
  readonly #uniform: GPUBuffer | undefined
  /** What is written there: symbols, then the words of a draw. */
  readonly #words: Int32Array<ArrayBuffer>
  readonly #sessions = new Set<WebgpuStates>()
  /** Entries that have run once without a validation error: later runs need no error scope. */
  readonly #proven = new Set<string>()
  #staging: GPUBuffer | undefined
  /** For tokens: those that no draw is waiting for, and all. */
  readonly #freeSlots: GPUBuffer[] = []
  readonly #slots = new Set<GPUBuffer>()
  /** Whose next token lies in the argument that the sampler fills. */
  #next: WebgpuStates | undefined
  #lost: string | undefined
  #fault: string | undefined
  #disposed = false

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
    const uniform = program.buffers.findIndex(({ kind }) => kind === 'uniform')
    this.#uniform = buffers[uniform]
    this.#words = new Int32Array((this.#uniform?.size ?? 0) / 4)
    void device.lost.then(({ message }) => {
      this.#lost = message || 'no reason given'
    })
    device.addEventListener('uncapturederror', this.#note)
  }

  createStates(): States {
    this.#checkUsable()
    const buffers = new Map<number, GPUBuffer>()
    this.#device.pushErrorScope('out-of-memory')
    // Buffers are zeroed by WebGPU itself.
    for (const [index, buffer] of this.#program.buffers.entries()) {
      if (!isOfSession(buffer.kind)) continue
      const size = bufferBytes(buffer)
      buffers.set(index, this.#device.createBuffer({ label: buffer.kind, size, usage: usage.storage | usage.copySrc | usage.copyDst }))
    }
    const outOfMemory = this.#device.popErrorScope().catch(() => null) // a lost device shows at the first run
    const states = new WebgpuStates(buffers, outOfMemory, (gone) => this.#sessions.delete(gone))
    this.#sessions.add(states)
    return states
  }

  copyStates(from: States): States {
    const source = live(from)
    const states = this.createStates() as WebgpuStates
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
    const staging = await this.#stagingFor(total)
    await this.#proving(entry, () => {
      this.#next = undefined
      this.#writeSymbols(entry, symbols)
      this.#writeUniform(this.#program.sampler?.parameters ?? this.#words.byteLength)
      this.#writeInputs(entry, inputs, session)
      const encoder = this.#device.createCommandEncoder()
      this.#encode(encoder, entry, [this.#pipelines.get(entry)!.run], symbols, session)
      let at = 0
      for (const [index, { buffer, offset }] of plan.results.entries()) {
        const bytes = counts[index]! * 4
        if (bytes > 0) encoder.copyBufferToBuffer(this.#buffer(buffer, session), offset, staging, at, bytes)
        at += bytes
      }
      this.#device.queue.submit([encoder.finish()])
    })
    return this.#read(staging, total, (mapped) => {
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
    const slot = this.#freeSlots.pop() ?? (await this.#createSlot())
    await this.#proving(`${entry} and a draw`, () => {
      if (seen && how.repetitionPenalty !== 1) this.#writeSeen(seen, session)
      this.#writeSymbols(entry, symbols)
      this.#words.set(drawWords(how), sampler.parameters / 4)
      this.#writeUniform(this.#words.byteLength)
      if (given) this.#writeInputs(entry, given, session)
      const encoder = this.#device.createCommandEncoder()
      const { run, draw } = this.#pipelines.get(entry)!
      this.#encode(encoder, entry, [run, draw], symbols, session)
      encoder.copyBufferToBuffer(this.#buffer(sampler.chosen.buffer, session), sampler.chosen.offset, slot, 0, 4)
      this.#device.queue.submit([encoder.finish()])
      this.#next = session
    })
    const token = this.#read(slot, 4, (mapped) => {
      this.#freeSlots.push(slot)
      return new Int32Array(mapped, 0, 1)[0]!
    })
    token.catch(() => {}) // whoever wants it is told
    session.drawn = { token }
    return session.drawn
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#device.removeEventListener('uncapturederror', this.#note)
    for (const states of [...this.#sessions]) states.dispose()
    for (const buffer of this.#buffers) buffer?.destroy()
    for (const slot of this.#slots) slot.destroy()
    this.#staging?.destroy()
    if (this.#own) this.#device.destroy()
  }

  readonly #note = (event: Event): void => {
    this.#fault = (event as GPUUncapturedErrorEvent).error.message
  }

  /** The states, if the device lives and had memory for them. */
  async #session(states: States): Promise<WebgpuStates> {
    this.#checkUsable()
    const session = live(states)
    if (session.outOfMemory) {
      const error = await session.outOfMemory
      if (error) {
        session.dispose()
        fail('E_OUT_OF_MEMORY', `the GPU has no memory for another session: ${error.message}`)
      }
      session.outOfMemory = undefined
    }
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
    submit()
    const invalid = await this.#device.popErrorScope().catch(() => null)
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
      this.#device.queue.writeBuffer(this.#buffer(buffer, session), offset, values as ArgumentArray & ArrayBufferView<ArrayBuffer>)
    }
  }

  /** Where each id was last; later draws go on with it on the GPU. */
  #writeSeen(ids: readonly number[], session: WebgpuStates): void {
    const buffer = this.#buffer(this.#program.sampler!.seen, session)
    const places = new Int32Array(buffer.size / 4)
    // Places that a call skipped have no id.
    for (const [place, id] of ids.entries()) if (id >= 0) places[id] = place + 1
    this.#device.queue.writeBuffer(buffer, 0, places)
  }

  #encode(
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

  async #read<T>(staging: GPUBuffer, bytes: number, take: (mapped: ArrayBuffer) => T): Promise<T> {
    const size = Math.max(4, bytes)
    try {
      await staging.mapAsync(mapRead, 0, size)
    } catch (cause) {
      if (!this.#disposed) await lossOf(this.#device)
      this.#checkUsable()
      fail('E_DEVICE', `reading the results failed: ${(cause as Error).message}`, cause)
    }
    const result = take(staging.getMappedRange(0, size))
    staging.unmap()
    this.#checkUsable()
    return result
  }

  #buffer(index: number, session: WebgpuStates): GPUBuffer {
    return this.#buffers[index] ?? session.buffers.get(index)!
  }

  #group(dispatch: Dispatch, session: WebgpuStates): GPUBindGroup {
    const shared = dispatch.holdsStates ? session.groups.get(dispatch) : dispatch.group
    if (shared) return shared
    const group = this.#device.createBindGroup({
      layout: dispatch.layout,
      entries: dispatch.bindings.map(({ buffer, offset, bytes }, binding) => ({
        binding,
        resource: {
          buffer: this.#buffer(buffer, session),
          offset,
          size: Math.max(4, roundUp(bytes, bufferTypes[this.#program.buffers[buffer]!.kind] === 'uniform' ? 16 : 4)),
        },
      })),
    })
    if (dispatch.holdsStates) session.groups.set(dispatch, group)
    else dispatch.group = group
    return group
  }

  async #stagingFor(bytes: number): Promise<GPUBuffer> {
    if (this.#staging && this.#staging.size >= bytes) return this.#staging
    this.#staging?.destroy()
    this.#staging = undefined
    this.#staging = await this.#readable(Math.max(256, roundUp(bytes, 256)))
    return this.#staging
  }

  async #createSlot(): Promise<GPUBuffer> {
    const slot = await this.#readable(16)
    this.#slots.add(slot)
    return slot
  }

  async #readable(size: number): Promise<GPUBuffer> {
    this.#device.pushErrorScope('out-of-memory')
    const buffer = this.#device.createBuffer({ label: 'staging', size, usage: usage.mapRead | usage.copyDst })
    const error = await this.#device.popErrorScope().catch(() => null)
    if (!error) return buffer
    buffer.destroy()
    return fail('E_OUT_OF_MEMORY', `the GPU has no memory to read results back: ${error.message}`)
  }

  #checkUsable(): void {
    if (this.#disposed) fail('E_DISPOSED', 'the device was disposed')
    if (this.#lost !== undefined) {
      const remedy = this.#own ? '' : '; it was given: load with a GPU (navigator.gpu) and another device is made'
      fail('E_DEVICE_LOST', `the GPU device was lost: ${this.#lost}${remedy}`)
    }
    if (this.#fault !== undefined) fail('E_DEVICE', `the GPU reported an error: ${this.#fault}`)
  }
}

/** Whether it is lost: what a lost device refuses may be told before that it is lost. */
export const lossOf = (device: GPUDevice): Promise<unknown> =>
  Promise.race([device.lost, new Promise((resolve) => setTimeout(resolve, longestUntilLoss))])

/** The words that the sampler is given, as samplingWords has them. */
export function drawWords(how: DrawOptions): Int32Array<ArrayBuffer> {
  const words = new Int32Array(samplingWords.length)
  const floats = new Float32Array(words.buffer)
  const integer = (value: number): number => Math.min(value, 2 ** 31 - 1)
  const integers = {
    position: how.position,
    seed_low: how.seed,
    seed_high: Math.floor(how.seed / 2 ** 32),
    top_k: integer(how.topK),
    window: integer(how.repetitionWindow),
  }
  const reals = { temperature: how.temperature, top_p: how.topP, min_p: how.minP, penalty: how.repetitionPenalty }
  for (const [i, name] of samplingWords.entries()) {
    if (name in reals) floats[i] = reals[name as keyof typeof reals]
    else words[i] = integers[name as keyof typeof integers]
  }
  return words
}

function live(states: States): WebgpuStates {
  if (!(states instanceof WebgpuStates)) throw new Error('internal: states of another device')
  if (!states.live) fail('E_DISPOSED', 'the session was disposed')
  return states
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
