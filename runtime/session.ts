// A session: one sequence on one set of states, as users have it. It keeps their calls from overlapping, and offers the model's entries
// by name. Sessions of a model share its device; their calls queue up there.
import type { EntryArguments, TensorResult } from './entry-call.ts'
import { fail } from './error-codes.ts'
import { generatePieces } from './generation.ts'
import type { GeneratedPiece, GenerateOptions } from './generation.ts'
import type { Host } from './host.ts'
import type { Scores } from './sampling.ts'
import { Sequence } from './sequence.ts'

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
  readonly #sequence: Sequence
  #busy = false

  /** Made by Model.createSession. */
  constructor(host: Host, options: { readonly seed?: number | undefined } = {}, parent?: Session<Entries>) {
    const seed = options.seed ?? parent?.seed ?? 0
    if (!Number.isSafeInteger(seed) || seed < 0) fail('E_ARGUMENT', `seed is ${seed}; expected an integer from 0 to 2^53 - 1`)
    this.seed = seed
    this.#host = host
    this.#sequence = new Sequence(host, seed, parent && parent.#sequence)
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
    return this.#sequence.position
  }

  /** A copy of the ids that were read, in order. */
  get tokens(): number[] {
    return [...this.#sequence.tokens]
  }

  /**
   * Reads ids from the current position on; gives the scores of the next token, [vocab]. Long lists are cut into calls.
   * Nothing runs unless all of them fit: E_CONTEXT_FULL, E_TOKEN_RANGE, E_ARGUMENT. If it fails or is aborted halfway, the
   * position is after the last call that ended.
   */
  prefill(ids: Iterable<number>, options: ReadOptions = {}): Promise<Scores> {
    return this.#exclusive(() => this.#sequence.read([...ids], options.args ?? {}, options.signal, 'given'))
  }

  /** Reads one id; gives the scores of the next token, [vocab]. Errors as `prefill`. */
  decode(id: number, options: ReadOptions = {}): Promise<Scores> {
    return this.#exclusive(() => this.#sequence.read([id], options.args ?? {}, options.signal, 'given'))
  }

  /** Reads ids; gives the scores after each of them, [ids, vocab]. E_ENTRY when the model has no entry for it; else as `prefill`. */
  score(ids: Iterable<number>, options: ReadOptions = {}): Promise<TensorResult> {
    return this.#exclusive(() => this.#sequence.score([...ids], options.args ?? {}, options.signal))
  }

  /**
   * Any entry by name, with every result. Sizes come from the arguments' lengths. Entries that read tokens begin at `start`, by
   * default the position, and move the position behind what they read. E_ENTRY, E_ARGUMENT, E_LIMIT, E_TOKEN_RANGE, E_CONTEXT_FULL.
   */
  call(name: string, args: EntryArguments = {}, options: { signal?: AbortSignal } = {}): Promise<TensorResult[]> {
    return this.#exclusive(() => this.#sequence.call(name, args, options.signal))
  }

  /**
   * Reads the prompt (text, or ids) and generates: an async iterator of pieces. A prompt continues what the session holds; at the
   * beginning an empty one means BOS. Leaving the loop stops the work. Errors: see generatePieces; E_BUSY when another generation
   * on this session has not ended.
   */
  generate(prompt: string | Iterable<number> = '', options: GenerateOptions = {}): AsyncGenerator<GeneratedPiece, void, void> {
    return generatePieces(this.#sequence, prompt, options, () => {
      this.#checkFree()
      this.#busy = true
      return () => {
        this.#busy = false
      }
    })
  }

  /** A session with the same history that goes its own way; the same seed unless another is given. E_OUT_OF_MEMORY, E_BUSY. */
  fork(options: { readonly seed?: number } = {}): Session<Entries> {
    this.#sequence.checkLive()
    if (this.#sequence.running) fail('E_BUSY', 'the session is running a call: await it before fork()')
    return new Session(this.#host, options, this)
  }

  /**
   * Forgets ids: back to length `to`, or by −to ids when it is negative. Costs nothing: what lies behind the position is
   * overwritten. E_ARGUMENT when the model has no position to go back to (only rewind(0) works then).
   */
  rewind(to: number): void {
    this.#checkFree()
    this.#sequence.rewind(to)
  }

  /** Frees the states, after a call that is running. Idempotent. */
  dispose(): void {
    this.#sequence.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
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
    this.#sequence.checkLive()
    if (this.#busy) fail('E_BUSY', 'the session is busy: await the call, or end the generate() loop, that is under way')
  }
}
