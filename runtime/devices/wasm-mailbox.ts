// What the threads of a team tell each other: a worker's place at its start, then calls by way of words in the shared memory.
// Host (wasm-team.ts) and workers (wasm-worker.ts) agree on it here.

/** Words of the mailbox; the symbols follow, the message of a failed member fills the second half. */
export const mailbox = { words: 128, entry: 0, statesBase: 1, arrived: 2, symbols: 3, text: 64 } as const
/**
 * Loads of a spin, half a nanosecond each or somewhat more, before an idle thread sleeps: after a call of its own (longer than from one token to the next, since
 * waking costs both threads 40 µs), and when it is roused for one of others.
 */
export const idleSpins = { member: 1_000_000, roused: 100_000_000 } as const
/** Of what `threads.idle` gives: how many threads the call is for. */
export const membersOf = (call: number): number => call & 255
/** In place of an entry's number: the team is dissolved. */
export const stop = -1

/** What a worker is told at its start. */
export interface Membership {
  readonly module: WebAssembly.Module
  readonly memory: WebAssembly.Memory
  readonly thread: number
  /** Address of the thread's own memory, as entries take it (`addressUnit`). */
  readonly own: number
  readonly mailbox: number
  /** Exports by entry number, with how many symbols each takes. */
  readonly entries: readonly { readonly export: string; readonly symbols: number }[]
  /** Post a message after each call: nobody waits inside the module. */
  readonly report: boolean
}

/** What the module of a variant with threads exports besides its entries. */
export interface TeamExports {
  'threads.init'(): void
  'threads.call'(members: number): void
  'threads.idle'(seen: number, spins: number): number
  'threads.fail'(thread: number): void
  'threads.failed'(): number
  'threads.arrived'(): number
  'threads.slept'(): number
}

export type ThreadedProgram = (...args: number[]) => void

/** The arguments of a threaded entry, in place: `args` has room for all of them. */
export function fillArguments(
  args: number[],
  statesBase: number,
  symbols: ArrayLike<number>,
  own: number,
  thread: number,
  threads: number,
  arrived: number,
): void {
  const count = args.length - 5
  args[0] = statesBase
  for (let i = 0; i < count; i++) args[1 + i] = symbols[i]!
  args[count + 1] = own
  args[count + 2] = thread
  args[count + 3] = threads
  args[count + 4] = arrived
}
