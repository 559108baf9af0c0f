// What the planner hands to the module builder: every kernel once, and entries as steps that call them. Addresses are bytes in
// the one memory; they are absolute, relative to the session's state block or to the thread's own memory, or, inside a loop over
// instances, read from a table with one row of pointers per instance.

import type { Affine } from '../../graph/types.ts'
import type { Share } from '../../plan/share.ts'
import type { LoopFunction } from '../../schedule/loops.ts'
import type { EmitOptions } from './functions.ts'

export type Address =
  | { readonly base: 'absolute' | 'states' | 'own'; readonly offset: number }
  /** Slot of the current instance's row in the enclosing loop's table; 'states': the entry is relative to the state block. */
  | { readonly base: 'absolute' | 'states'; readonly slot: number }

export type Step =
  /** One address per operand of the function, scratch included. `share`: how threads share it, by default thread 0 alone. */
  | {
      readonly kind: 'call'
      readonly kernel: string
      readonly operands: readonly Address[]
      readonly share?: Share
      /** 'split': rows that are worth a piece of their own; by default 1. */
      readonly least?: number
      /** It joins what the call before left. */
      readonly joins?: boolean
    }
  /** All threads meet: what any of them wrote before is seen by all after. */
  | { readonly kind: 'barrier' }
  /** Runs groups[order[i]] for every instance i. The table holds `slots` addresses a row (i32, wide: i64), rows in instance order. */
  | {
      readonly kind: 'loop'
      readonly order: readonly number[]
      readonly groups: readonly (readonly Step[])[]
      readonly table: number
      readonly slots: number
    }

export interface EntryProgram {
  /** Export name; the function takes (statesBase, ...symbols), all i32 (a wide module: statesBase in blocks of 256 bytes); with threads also what threads.ts says. */
  readonly export: string
  readonly symbols: readonly string[]
  readonly steps: readonly Step[]
}

export interface WasmProgram {
  readonly kernels: readonly LoopFunction[]
  readonly entries: readonly EntryProgram[]
  /** Data segments: loop tables. */
  readonly data: readonly { readonly address: number; readonly bytes: Uint8Array }[]
  /** Bytes of memory that exist before the first session. */
  readonly memoryBytes: number
  /** Memory beyond 4 GiB: addresses are i64, and what the runtime passes of them are blocks (address-type.ts). */
  readonly wide?: boolean
  /** Where the own memory of thread 0, or of the only one, begins. */
  readonly ownBase: number
}

/**
 * Where threads meet: byte addresses below the first operand, each on a cache line of its own. The mailbox belongs to the runtime. `taken`: two
 * sets of 64 lines, in which up to so many threads count the rows that they have taken (taken-rows.ts).
 */
export const control = {
  arrived: 64,
  sleeping: 128,
  calls: 192,
  idle: 256,
  failed: 320,
  slept: 384,
  mailbox: 512,
  taken: { at: 8192, bytes: 8192 },
  end: 16384,
} as const

export interface ModuleOptions extends EmitOptions {
  /** Import a shared memory, for threads. */
  readonly shared?: boolean
  /** Also give the text form. */
  readonly text?: boolean
}

/** Makes the module of a program. By default here, with binaryen loaded then; a command line builds in another thread. */
export type BuildProgram = (program: WasmProgram, options: ModuleOptions) => Promise<Uint8Array<ArrayBuffer>>

/** A row block never has more than this many units of up to 8 rows: V8 replaces code between calls only, so long kernels are called often. */
export const rowBlock = 64

export type { Affine }
