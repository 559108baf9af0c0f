// A team of threads that run the entries of a WASM program together on one shared memory: workers, and this thread too where it
// may block (Node, a worker; not a browser's main thread, which waits for a message instead). A call is written into the
// mailbox and counted; idle members wait for the count inside the module, first spinning, then asleep. The members meet inside
// the entry; the mailbox is free again when it returns. A member that traps or ends breaks the team for good: E_DEVICE.
import { addressUnit, type WasmVariant } from '../artifact/manifest.ts'
import { checkAborted, fail } from '../error-codes.ts'
import { TeamSize } from './team-size.ts'
import { fillArguments, mailbox, type Membership, stop, type TeamExports, type ThreadedProgram } from './wasm-mailbox.ts'
import { type StartedWorker, startWorker } from './workers.ts'

/** What a team can run: an export, how many symbols it takes, and which of them are sizes. */
export interface TeamProgram {
  readonly export: string
  readonly symbols: number
  readonly sizes: readonly number[]
}

/** One entry: what is called, and what its calls have taught. */
interface Callable {
  readonly program: ThreadedProgram
  /** Arguments of a call, made once, so that a call allocates nothing. */
  readonly args: number[]
  /** Which of the symbols are sizes, and what they were: calls of other sizes are not alike. */
  readonly sizes: readonly number[]
  readonly before: number[]
  readonly team: TeamSize
}

export interface TeamOptions {
  readonly threads: number
  /** Whether this thread may block and so takes part as thread 0. */
  readonly takesPart: boolean
  /** For tests: every call is for all threads. */
  readonly always?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/** Whether this thread may wait for others: a browser's main thread may not. */
export function mayBlock(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1)
    return true
  } catch {
    return false
  }
}

const decoder = new TextDecoder()

/** How many threads take part; calls of other sizes than the last one's begin anew. */
function membersFor({ sizes, before, team }: Callable, symbols: readonly number[]): number {
  for (let i = 0; i < sizes.length; i++) {
    const size = symbols[sizes[i]!]!
    if (before[i] === size) continue
    before[i] = size
    team.reset()
  }
  return team.size
}

export class Team {
  readonly threads: number
  readonly #exports: TeamExports
  readonly #words: Int32Array
  readonly #bytes: Uint8Array
  readonly #entries: readonly Callable[]
  readonly #own: number
  readonly #takesPart: boolean
  readonly #always: boolean
  #workers: StartedWorker[] = []
  /** When the last call began. */
  #started = 0
  /** Of the calls until now: arrivals, and how often threads slept. */
  #arrived = 0
  #slept = 0
  #broken: string | undefined
  #pending: { resolve(): void; reject(reason: Error): void } | undefined

  private constructor(
    instance: WebAssembly.Instance,
    memory: WebAssembly.Memory,
    variant: WasmVariant,
    entries: readonly Callable[],
    options: TeamOptions,
  ) {
    const { mailbox: at, ownBase } = variant.threads!
    this.threads = options.threads
    this.#takesPart = options.takesPart
    this.#always = options.always ?? false
    this.#exports = instance.exports as unknown as TeamExports
    this.#words = new Int32Array(memory.buffer, at, mailbox.words)
    this.#bytes = new Uint8Array(memory.buffer, at + mailbox.text * 4, (mailbox.words - mailbox.text) * 4)
    this.#own = ownBase / addressUnit(variant)
    this.#entries = entries
  }

  /**
   * Starts the workers and waits until all are ready. `own`: where the own memory of threads 1, 2, … begins, `stride` bytes each. E_DEVICE when a worker cannot be started, E_ABORTED.
   */
  static async start(
    module: WebAssembly.Module,
    instance: WebAssembly.Instance,
    memory: WebAssembly.Memory,
    variant: WasmVariant,
    programs: readonly TeamProgram[],
    own: { readonly from: number; readonly stride: number },
    options: TeamOptions,
  ): Promise<Team> {
    if (programs.some(({ symbols }) => mailbox.symbols + symbols > mailbox.text))
      throw new Error('internal: an entry has more symbols than the mailbox has words')
    const callable = programs.map(
      ({ export: name, symbols, sizes }): Callable => ({
        program: instance.exports[name] as ThreadedProgram,
        args: new Array<number>(symbols + 5).fill(0),
        sizes,
        before: sizes.map(() => -1),
        team: new TeamSize(options.threads),
      }),
    )
    const team = new Team(instance, memory, variant, callable, options)
    team.#exports['threads.init']()
    const member = (thread: number): Membership => ({
      module,
      memory,
      thread,
      entries: programs.map(({ export: name, symbols }) => ({ export: name, symbols })),
      mailbox: variant.threads!.mailbox,
      own: (thread === 0 ? variant.threads!.ownBase : own.from + (thread - 1) * own.stride) / addressUnit(variant),
      report: thread === 0,
    })
    const first = options.takesPart ? 1 : 0
    const settled = new AbortController()
    try {
      // A worker whose script never comes must not outlast the caller's patience.
      const aborted = new Promise<void>((resolve) => options.signal?.addEventListener('abort', () => resolve(), { signal: settled.signal }))
      await Promise.race([Promise.all(Array.from({ length: options.threads - first }, (_, i) => team.#start(member(first + i)))), aborted])
      checkAborted(options.signal)
    } catch (cause) {
      team.close()
      throw cause
    } finally {
      settled.abort()
    }
    for (const worker of team.#workers) worker.keepAlive(false)
    return team
  }

  /** Runs program number `entry` on the threads that its last calls speak for; `statesBase` as the module takes it (`addressUnit`). E_DEVICE. Calls must not overlap. */
  run(entry: number, name: string, statesBase: number, symbols: readonly number[]): Promise<void> | undefined {
    if (this.#broken !== undefined) fail('E_DEVICE', `the threads stopped earlier: ${this.#broken}`)
    const called = this.#entries[entry]!
    const members = this.#always ? this.threads : membersFor(called, symbols)
    const words = this.#words
    const arrived = this.#arrived
    this.#started = performance.now()
    words[mailbox.entry] = entry
    words[mailbox.statesBase] = statesBase
    words[mailbox.arrived] = arrived
    for (let i = 0; i < symbols.length; i++) words[mailbox.symbols + i] = symbols[i]!
    if (members > 1 || !this.#takesPart || called.team.rouses) this.#exports['threads.call'](members)
    if (!this.#takesPart) return this.#report(name).then(() => this.#learn(called, members))
    const { args } = called
    fillArguments(args, statesBase, symbols, this.#own, 0, members, arrived)
    try {
      called.program.apply(undefined, args)
    } catch (cause) {
      // The first to fail is the reason; whoever still waits for this thread must stop too.
      if (this.#exports['threads.failed']() === 0) this.#exports['threads.fail'](0)
      this.#fail(name, cause as Error)
    }
    this.#learn(called, members)
    return undefined
  }

  /** From the call that has ended. */
  #learn({ team }: Callable, members: number): void {
    const [arrived, slept] = [this.#arrived, this.#slept]
    this.#arrived = this.#exports['threads.arrived']()
    this.#slept = this.#exports['threads.slept']()
    team.took(performance.now() - this.#started, (this.#arrived - arrived) / members, this.#slept !== slept)
  }

  /** Ends all workers. Idempotent. */
  close(): void {
    this.#broken ??= 'the device was disposed'
    this.#words[mailbox.entry] = stop
    this.#exports['threads.call'](this.threads)
    for (const worker of this.#workers) worker.terminate()
    this.#workers = []
    this.#pending?.reject(new Error(this.#broken))
  }

  #start(membership: Membership): Promise<void> {
    return new Promise((resolve, reject) => {
      const unready = (reason: string): void => {
        try {
          fail('E_DEVICE', `a worker for thread ${membership.thread} did not start: ${reason}`)
        } catch (cause) {
          reject(cause)
        }
      }
      let ready = false
      try {
        const worker = startWorker({
          onMessage: (message) => {
            if (message === 'ready') {
              ready = true
              resolve()
            } else if (message === 'done') this.#pending?.resolve()
            else if (ready) this.#end(String(message))
            else unready(String(message))
          },
          onEnd: (reason) => {
            if (ready) this.#end(`thread ${membership.thread} stopped: ${reason}`, membership.thread)
            else unready(reason)
          },
        })
        this.#workers.push(worker)
        worker.post(membership)
      } catch (cause) {
        unready((cause as Error).message)
      }
    })
  }

  /** A worker is gone between calls, or while this thread does not take part in one. */
  #end(reason: string, thread?: number): void {
    this.#broken ??= this.#told() ?? reason
    if (thread !== undefined) this.#exports['threads.fail'](thread)
    this.#pending?.reject(new Error(reason))
  }

  async #report(name: string): Promise<void> {
    for (const worker of this.#workers) worker.keepAlive(true)
    try {
      await new Promise<void>((resolve, reject) => {
        this.#pending = { resolve, reject }
      })
    } catch (cause) {
      this.#fail(name, cause as Error)
    } finally {
      this.#pending = undefined
      for (const worker of this.#workers) worker.keepAlive(false)
    }
  }

  #fail(name: string, cause: Error): never {
    this.#broken ??= this.#told() ?? cause.message
    return fail('E_DEVICE', `the WASM program stopped in ${name}: ${this.#broken}`, cause)
  }

  /** What the first worker that failed says; those that stopped because of it may be heard earlier. */
  #told(): string | undefined {
    const message = decoder.decode(this.#bytes.slice()).replace(/\0.*$/s, '')
    return message === '' ? undefined : `thread ${this.#exports['threads.failed']() - 1}: ${message}`
  }
}
