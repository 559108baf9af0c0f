// A session: one sequence on one set of states. It knows the position, cuts long readings into calls that the entries accept,
// and offers the model's entries by name. Sessions of a model share its device; their calls queue up there.
import type { ResultArray } from './devices/device.ts'
import type { ArgumentValue, EntryArguments, PreparedCall, TensorResult } from './entry-call.ts'
import { describeResults, prepareCall } from './entry-call.ts'
import { fail } from './error-codes.ts'
import { generatePieces } from './generation.ts'
import type { GeneratedPiece, GenerateOptions, GenerationTarget } from './generation.ts'
import type { SeededSampling } from './choosers.ts'
import type { Drawing, Host, Lane } from './host.ts'
import { roomAt } from './roles.ts'
import type { ReadingEntry } from './roles.ts'
import type { SamplingNumbers, Scores } from './sampling.ts'

export interface ReadOptions {
  /** Further arguments of the entry, such as `{ src_len: 7 }`. */
  readonly args?: Readonly<Record<string, number>>
  readonly signal?: AbortSignal
}

/** Functions by entry name; `llamac compile --emit types` gives the exact type for a model. One result comes alone, several as a list. */
// biome-ignore lint/suspicious/noExplicitAny: entries of an unknown model
export type AnyEntries = Readonly<Record<string, (args: any, options?: { signal?: AbortSignal }) => Promise<any>>>

export class Session<Entries extends object = AnyEntries> {
  /** Seed of the draws: each is a function of seed and position alone. */
  readonly seed: number
  /** The model's entries: `await session.entries.score({ tokens })`. `start` defaults to the session's position. */
  readonly entries: Entries
  readonly #host: Host
  #lane: Lane
  /** Ids by position; -1 where a call skipped some. */
  #ids: number[]
  #pending: number | undefined
  #scores: Scores | undefined
  /** Results that only generating has seen: filled again at every token. */
  #own: readonly ResultArray[] | undefined
  #running = false
  #busy = false
  #disposed = false

  /** Made by Model.createSession. */
  constructor(host: Host, options: { readonly seed?: number | undefined } = {}, parent?: Session<Entries>) {
    const seed = options.seed ?? parent?.seed ?? 0
    if (!Number.isSafeInteger(seed) || seed < 0) fail('E_ARGUMENT', `seed is ${seed}; expected an integer from 0 to 2^53 - 1`)
    this.seed = seed
    this.#host = host
    this.#lane = host.open(parent && parent.#lane)
    this.#ids = parent ? [...parent.#ids] : []
    this.#pending = parent && parent.#pending
    // The parent may overwrite its own.
    this.#scores = parent && parent.#scores?.slice()
    this.entries = Object.fromEntries(
      host.manifest.entries.map(({ name }) => [
        name,
        async (args: EntryArguments = {}, callOptions?: { signal?: AbortSignal }) => {
          const results = await this.call(name, args, callOptions)
          return results.length === 1 ? results[0] : results
        },
      ]),
    ) as Entries
  }

  /** How many ids the states hold: where the next one goes. */
  get position(): number {
    return this.#ids.length
  }

  /** The ids that were read, in order. */
  get tokens(): readonly number[] {
    return this.#ids
  }

  /**
   * Reads ids from the current position on; gives the scores of the next token, [vocab]. Long lists are cut into calls.
   * Nothing runs unless all of them fit: E_CONTEXT_FULL, E_TOKEN_RANGE, E_ARGUMENT. If it fails or is aborted halfway, the
   * position is after the last call that ended.
   */
  prefill(ids: Iterable<number>, options: ReadOptions = {}): Promise<Scores> {
    return this.#exclusive(() => this.#read([...ids], options.args ?? {}, options.signal))
  }

  /** Reads one id; gives the scores of the next token, [vocab]. Errors as `prefill`. */
  decode(id: number, options: ReadOptions = {}): Promise<Scores> {
    return this.#exclusive(() => this.#read([id], options.args ?? {}, options.signal))
  }

  /** Reads ids; gives the scores after each of them, [ids, vocab]. E_ENTRY when the model has no entry for it; else as `prefill`. */
  score(ids: Iterable<number>, options: ReadOptions = {}): Promise<TensorResult> {
    return this.#exclusive(async () => {
      const reading = this.#host.roles.score ?? fail('E_ENTRY', 'the model has no entry with the role score')
      const parts: TensorResult[] = []
      for (const call of this.#plan(reading, [...ids], options.args ?? {})) {
        parts.push((await this.#run(call, reading, options.signal))[0]!)
      }
      return joinRows(parts)
    })
  }

  /**
   * Any entry by name, with every result. Sizes come from the arguments' lengths. Entries that read tokens begin at `start`, by
   * default the position, and move the position behind what they read. E_ENTRY, E_ARGUMENT, E_LIMIT, E_TOKEN_RANGE, E_CONTEXT_FULL.
   */
  call(name: string, args: EntryArguments = {}, options: { signal?: AbortSignal } = {}): Promise<TensorResult[]> {
    return this.#exclusive(() => {
      const { entries } = this.#host.manifest
      const entry =
        entries.find((e) => e.name === name) ??
        fail('E_ENTRY', `the model has no entry ${name}; it has ${entries.map((e) => e.name).join(', ')}`)
      const reading = this.#host.roles.reading.get(name)
      const values: Record<string, ArgumentValue> = { ...args }
      if (reading?.positioned) values.start ??= this.position
      return this.#run(prepareCall(entry, values), reading, options.signal)
    })
  }

  /**
   * Reads the prompt (text, or ids) and generates: an async iterator of pieces. A prompt continues what the session holds; at the
   * beginning an empty one means BOS. Leaving the loop stops the work. Errors: see generatePieces; E_BUSY when another generation
   * on this session has not ended.
   */
  async *generate(prompt: string | Iterable<number> = '', options: GenerateOptions = {}): AsyncGenerator<GeneratedPiece, void, void> {
    this.#checkFree()
    this.#busy = true
    try {
      yield* generatePieces(this.#target(), prompt, options)
    } finally {
      this.#busy = false
    }
  }

  /** A session with the same history that goes its own way; the same seed unless another is given. E_OUT_OF_MEMORY, E_BUSY. */
  fork(options: { readonly seed?: number } = {}): Session<Entries> {
    this.#checkLive()
    if (this.#running) fail('E_BUSY', 'the session is running a call: await it before fork()')
    return new Session(this.#host, options, this)
  }

  /**
   * Forgets ids: back to length `to`, or by −to ids when it is negative. Costs nothing: what lies behind the position is
   * overwritten. E_ARGUMENT when the model has no position to go back to (only rewind(0) works then).
   */
  rewind(to: number): void {
    this.#checkFree()
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
    this.#ids.length = length
    this.#pending = undefined
    this.#scores = undefined
  }

  /** Frees the states, after a call that is running. Idempotent. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#host.close(this.#lane)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #target(): GenerationTarget {
    const session = this
    return {
      tokenizer: this.#host.tokenizer,
      seed: this.seed,
      get position() {
        return session.position
      },
      get tokens() {
        return session.#ids
      },
      get pending() {
        return session.#pending
      },
      set pending(id) {
        session.#pending = id
      },
      get scores() {
        return session.#scores
      },
      room: (args) => roomAt(session.#reader(1), session.position, args),
      read: (ids, args, signal) => session.#read(ids, args, signal, true),
      get runsAhead() {
        return session.#host.runsAhead
      },
      canDraw: (how) => session.#canDraw(how),
      draw: (ids, args, how, signal) => session.#whileRunning(() => session.#draw(ids, args, how, signal)),
      drawAfter: (after, args, how, signal) => session.#whileRunning(async () => session.#drawAfter(after, args, how, signal)),
      token: (drawing) => session.#whileRunning(() => session.#token(drawing)),
      settle(drawing, token) {
        const { tokens } = session.#host.roles.reading.get(drawing.shape.entry.name)!
        drawing.call = { ...drawing.shape, inputs: { ...drawing.shape.inputs, [tokens]: Int32Array.of(token) } }
      },
    }
  }

  #canDraw(how: SamplingNumbers): boolean {
    const { prefill, decode } = this.#host.roles
    const entries = [prefill ?? decode, decode ?? prefill]
    // A step that nobody wants must be one that the next reading overwrites.
    return entries.every((e) => e && this.#host.canDraw(e.entry.name, how) && (e.positioned || !this.#host.runsAhead))
  }

  async #draw(
    ids: readonly number[],
    args: Readonly<Record<string, number>>,
    how: SeededSampling,
    signal: AbortSignal | undefined,
  ): Promise<Drawing> {
    const reading = this.#reader(ids.length)
    let drawing: Drawing | undefined
    for (const call of this.#plan(reading, ids, args)) {
      if (drawing) await this.#token(drawing)
      drawing = await this.#submit(call, reading, this.position, how, { signal })
    }
    return drawing!
  }

  async #drawAfter(
    after: Drawing,
    args: Readonly<Record<string, number>>,
    how: SeededSampling,
    signal: AbortSignal | undefined,
  ): Promise<Drawing | undefined> {
    const reading = this.#reader(1)
    const start = after.how.position
    if (roomAt(reading, start, args) < 1) return undefined
    // Any id: which it will be is not known.
    const shape = prepareCall(reading.entry, { ...args, [reading.tokens]: [0], ...(reading.positioned ? { start } : {}) })
    return this.#submit(shape, reading, start, how, { after, signal })
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
    this.#checkLive()
    this.#host.commit(drawing)
    this.#wasRead(drawing.call!, this.#host.roles.reading.get(drawing.shape.entry.name)!)
    return token
  }

  /** The entry to read `count` ids with. */
  #reader(count: number): ReadingEntry {
    const { prefill, decode } = this.#host.roles
    return (
      (count === 1 ? (decode ?? prefill) : (prefill ?? decode)) ?? fail('E_ENTRY', 'the model has no entry with the role prefill or decode')
    )
  }

  /** The calls that read `ids`, all checked. */
  #plan(reading: ReadingEntry, ids: readonly number[], args: Readonly<Record<string, number>>): PreparedCall[] {
    if (ids.length === 0) fail('E_ARGUMENT', 'there are no ids to read')
    const room = roomAt(reading, this.position, args)
    if (ids.length > room) {
      fail('E_CONTEXT_FULL', `${ids.length} ids do not fit: the session holds ${this.position}, there is room for ${room} more`)
    }
    const calls: PreparedCall[] = []
    for (let at = 0; at < ids.length; at += reading.most) {
      const values: Record<string, ArgumentValue> = { ...args, [reading.tokens]: ids.slice(at, at + reading.most) }
      if (reading.positioned) values.start = this.position + at
      calls.push(prepareCall(reading.entry, values))
    }
    return calls
  }

  /** `ours`: nobody but the session sees the scores, so that the next reading of this kind may overwrite them. */
  async #read(
    ids: readonly number[],
    args: Readonly<Record<string, number>>,
    signal: AbortSignal | undefined,
    ours = false,
  ): Promise<Scores> {
    this.#checkLive()
    const reading = this.#reader(ids.length)
    for (const call of this.#plan(reading, ids, args)) {
      const results = await this.#run(call, reading, signal, ours ? this.#own : undefined)
      if (ours) this.#own = results.map(({ values }) => values)
    }
    return this.#scores!
  }

  async #run(
    call: PreparedCall,
    reading: ReadingEntry | undefined,
    signal: AbortSignal | undefined,
    into?: readonly ResultArray[],
  ): Promise<TensorResult[]> {
    return this.#whileRunning(async () => {
      const results = describeResults(call, await this.#host.run(this.#lane, call, signal, into))
      this.#checkLive()
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
    this.#ids.length = start
    for (const id of inputs[tokens]!) this.#ids.push(id)
    this.#pending = undefined
    this.#scores = undefined
  }

  async #whileRunning<T>(work: () => Promise<T>): Promise<T> {
    this.#checkLive()
    this.#running = true
    try {
      return await work()
    } finally {
      this.#running = false
    }
  }

  /** Runs work that no other call on this session may overlap; raises errors as rejections. */
  async #exclusive<T>(work: () => Promise<T>): Promise<T> {
    this.#checkFree()
    this.#busy = true
    try {
      return await work()
    } finally {
      this.#busy = false
    }
  }

  #checkFree(): void {
    this.#checkLive()
    if (this.#busy) fail('E_BUSY', 'the session is busy: await the call, or end the generate() loop, that is under way')
  }

  #checkLive(): void {
    if (this.#disposed) fail('E_DISPOSED', 'the session was disposed')
  }
}

/** Results of consecutive calls as one: their first axes are laid end to end. */
function joinRows(parts: readonly TensorResult[]): TensorResult {
  const first = parts[0]!
  if (parts.length === 1) return first
  const length = parts.reduce((sum, { values }) => sum + values.length, 0)
  const values = first.values instanceof Float64Array ? new Float64Array(length) : new Float32Array(length)
  let at = 0
  for (const part of parts) {
    values.set(part.values, at)
    at += part.values.length
  }
  return { ...first, dims: [parts.reduce((sum, { dims }) => sum + dims[0]!, 0), ...first.dims.slice(1)], values }
}
