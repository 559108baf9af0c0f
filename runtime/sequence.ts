// What one session has read: the ids by position, the states on the device that hold them, and the scores after the last. Ids are read
// with the entries of the model's roles, in as many calls as they need, or read and drawn from where the device can. Which work
// may overlap is for session.ts.
import type { ResultArray } from './devices/device.ts'
import { describeResults, joinRows, prepareCall } from './entry-call.ts'
import type { ArgumentValue, EntryArguments, PreparedCall, TensorResult } from './entry-call.ts'
import { fail } from './error-codes.ts'
import type { GenerationTarget } from './generation.ts'
import type { SeededSampling } from './choosers.ts'
import type { Drawing, Host, Lane } from './host.ts'
import { OneByOne, planReading, readerOf } from './roles.ts'
import type { ReadingEntry } from './roles.ts'
import type { Scores } from './sampling.ts'
import { type Soon, whenThere } from './soon.ts'
import type { Tokenizer } from './tokenizer/index.ts'

type Arguments = Readonly<Record<string, number>>

export class Sequence implements GenerationTarget {
  readonly seed: number
  readonly #host: Host
  #lane: Lane
  /** Ids by position; -1 where a call skipped some. */
  #ids: number[]
  /** Sampled, and not read. */
  pending: number | undefined
  #scores: Scores | undefined
  /** Results that only generating has seen: filled again at every token. */
  #own: readonly ResultArray[] | undefined
  #single: OneByOne | undefined
  #running = false
  #disposed = false

  /** Empty, or a copy of `parent`. E_OUT_OF_MEMORY, E_DISPOSED. */
  constructor(host: Host, seed: number, parent?: Sequence) {
    this.seed = seed
    this.#host = host
    this.#lane = host.open(parent && parent.#lane)
    this.#ids = parent ? [...parent.#ids] : []
    this.pending = parent?.pending
    // The parent may overwrite its own.
    this.#scores = parent && parent.#scores?.slice()
  }

  get tokenizer(): Tokenizer | undefined {
    return this.#host.tokenizer
  }

  get position(): number {
    return this.#ids.length
  }

  get tokens(): readonly number[] {
    return this.#ids
  }

  get scores(): Scores | undefined {
    return this.#scores
  }

  get runsAhead(): boolean {
    return this.#host.runsAhead
  }

  /** Whether a call is under way. */
  get running(): boolean {
    return this.#running
  }

  room(args: Arguments): number {
    return this.#oneByOne(args).end - this.position
  }

  /** The scores of the next token. `whose`: ours are overwritten by the next reading of that kind, given ones never. */
  async read(ids: readonly number[], args: Arguments, signal: AbortSignal | undefined, whose: 'ours' | 'given' = 'ours'): Promise<Scores> {
    this.checkLive()
    const [reading, calls] = this.#plan(ids, args)
    for (const call of calls) {
      const results = await this.#run(call, reading, signal, whose === 'ours' ? this.#own : undefined)
      if (whose === 'ours') this.#own = results.map(({ values }) => values)
    }
    return this.#scores!
  }

  /** The scores after each id. */
  async score(ids: readonly number[], args: Arguments, signal: AbortSignal | undefined): Promise<TensorResult> {
    const reading = this.#host.roles.score ?? fail('E_ENTRY', 'the model has no entry with the role score')
    const parts: TensorResult[] = []
    for (const call of planReading(reading, this.position, ids, args)) parts.push((await this.#run(call, reading, signal))[0]!)
    return joinRows(parts)
  }

  /** Any entry, from `start` or the position on if it reads ids. */
  call(name: string, args: EntryArguments, signal: AbortSignal | undefined): Promise<TensorResult[]> {
    const { entries } = this.#host.manifest
    const entry =
      entries.find((e) => e.name === name) ??
      fail('E_ENTRY', `the model has no entry ${name}; it has ${entries.map((e) => e.name).join(', ')}`)
    const reading = this.#host.roles.reading.get(name)
    const values: Record<string, ArgumentValue> = { ...args }
    if (reading?.positioned) values.start ??= this.position
    return this.#run(prepareCall(entry, values), reading, signal)
  }

  /** Back to length `to`, or by −to ids. E_ARGUMENT. */
  rewind(to: number): void {
    const length = to < 0 ? this.position + to : to
    if (!Number.isInteger(to) || length < 0 || length > this.position) {
      fail('E_ARGUMENT', `rewind(${to}): the session holds ${this.position} ids`)
    }
    const { prefill, decode, score } = this.#host.roles
    if (length > 0 && length < this.position && !(prefill ?? decode ?? score)?.positioned) {
      fail('E_ARGUMENT', "the model's states are not indexed by position: only rewind(0) is possible")
    }
    if (length === 0) {
      const old = this.#lane
      this.#lane = this.#host.open()
      this.#host.close(old)
    }
    this.#cut(length)
  }

  canDraw(): boolean {
    const { prefill, decode } = this.#host.roles
    const entries = [prefill ?? decode, decode ?? prefill]
    // A step that nobody wants must be one that the next reading overwrites.
    return entries.every((e) => e && this.#host.canDraw(e.entry.name) && (e.positioned || !this.#host.runsAhead))
  }

  choose(ids: readonly number[], args: Arguments, how: SeededSampling, signal: AbortSignal | undefined): Soon<number> {
    return this.#whileRunning(() => {
      const [reading, calls] = this.#plan(ids, args)
      const after = (n: number): Soon<number> => {
        const token = this.#chooseAfter(calls[n]!, reading, how, signal)
        return n + 1 < calls.length ? whenThere(token, () => after(n + 1)) : token
      }
      return after(0)
    })
  }

  draw(ids: readonly number[], args: Arguments, how: SeededSampling, signal: AbortSignal | undefined): Promise<Drawing> {
    return this.#whileRunning(async () => {
      const [reading, calls] = this.#plan(ids, args)
      let drawing: Drawing | undefined
      for (const call of calls) {
        if (drawing) await this.#token(drawing)
        drawing = await this.#submit(call, reading, this.position, how, { signal })
      }
      return drawing!
    })
  }

  drawAfter(after: Drawing, args: Arguments, how: SeededSampling, signal: AbortSignal | undefined): Promise<Drawing | undefined> {
    return this.#whileRunning(async () => {
      const reading = readerOf(this.#host.roles, 1)
      const start = after.how.position
      if (start >= this.#oneByOne(args).end) return undefined
      // Any id: which it will be is not known.
      const shape = prepareCall(reading.entry, { ...args, [reading.tokens]: [0], ...(reading.positioned ? { start } : {}) })
      return this.#submit(shape, reading, start, how, { after, signal })
    })
  }

  token(drawing: Drawing): Promise<number> {
    return this.#whileRunning(() => this.#token(drawing))
  }

  settle(drawing: Drawing, token: number): void {
    const { shape } = drawing
    const { tokens } = this.#host.roles.reading.get(shape.entry.name)!
    drawing.call = { ...shape, inputs: { ...shape.inputs, [tokens]: Int32Array.of(token) } }
  }

  /** Frees the states, after a call that is running. Idempotent. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#host.close(this.#lane)
  }

  /** E_DISPOSED. */
  checkLive(): void {
    if (this.#disposed) fail('E_DISPOSED', 'the session was disposed')
  }

  #submit(
    call: PreparedCall,
    { tokens }: ReadingEntry,
    start: number,
    how: SeededSampling,
    options: { readonly after?: Drawing; readonly signal: AbortSignal | undefined },
  ): Promise<Drawing> {
    const seen = ({ inputs }: PreparedCall): number[] => [...this.#ids.slice(0, start), ...inputs[tokens]!]
    return this.#host.draw(this.#lane, call, { ...how, position: start + call.inputs[tokens]!.length }, seen, options)
  }

  async #token(drawing: Drawing): Promise<number> {
    const token = await this.#host.token(drawing)
    this.checkLive()
    this.#host.commit(drawing)
    this.#wasRead(drawing.call!, this.#host.roles.reading.get(drawing.shape.entry.name)!)
    return token
  }

  #chooseAfter(call: PreparedCall, reading: ReadingEntry, how: SeededSampling, signal: AbortSignal | undefined): Soon<number> {
    const ids = call.inputs[reading.tokens]!
    const seen = how.repetitionPenalty === 1 ? undefined : [...this.#ids, ...ids]
    const token = this.#host.choose(this.#lane, call, { ...how, position: this.position + ids.length }, seen, signal)
    return whenThere(token, (token) => {
      this.checkLive()
      this.#wasRead(call, reading)
      return token
    })
  }

  /** The calls that read ids from here on, all checked, and what they call. */
  #plan(ids: readonly number[], args: Arguments): [ReadingEntry, readonly PreparedCall[]] {
    if (ids.length === 1) {
      const single = this.#oneByOne(args)
      return [single.reading, [single.call(this.position, ids[0]!)]]
    }
    const reading = readerOf(this.#host.roles, ids.length)
    return [reading, planReading(reading, this.position, ids, args)]
  }

  #oneByOne(args: Arguments): OneByOne {
    if (this.#single?.args !== args) this.#single = new OneByOne(readerOf(this.#host.roles, 1), args)
    return this.#single
  }

  async #run(
    call: PreparedCall,
    reading: ReadingEntry | undefined,
    signal: AbortSignal | undefined,
    into?: readonly ResultArray[],
  ): Promise<TensorResult[]> {
    return this.#whileRunning(async () => {
      const results = describeResults(call, await this.#host.run(this.#lane, call, signal, into))
      this.checkLive()
      if (reading) {
        this.#wasRead(call, reading)
        const [scores] = results
        if (reading.entry.role !== 'score' && scores?.name === undefined) this.#scores = scores?.values
      }
      return results
    })
  }

  /** The states hold what the call read. */
  #wasRead({ symbols, inputs }: PreparedCall, { positioned, tokens }: ReadingEntry): void {
    const start = positioned ? symbols.start! : this.position
    while (this.#ids.length < start) this.#ids.push(-1)
    this.#cut(start)
    for (const id of inputs[tokens]!) this.#ids.push(id)
  }

  /** What was after `length` ids is no more. */
  #cut(length: number): void {
    this.#ids.length = length
    this.pending = undefined
    this.#scores = undefined
  }

  #whileRunning<T>(work: () => Promise<T>): Promise<T>
  #whileRunning<T>(work: () => Soon<T>): Soon<T>
  #whileRunning<T>(work: () => Soon<T>): Soon<T> {
    this.checkLive()
    const result = work()
    if (!(result instanceof Promise)) return result
    this.#running = true
    return result.finally(() => {
      this.#running = false
    })
  }
}
