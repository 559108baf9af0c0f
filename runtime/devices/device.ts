// What a session needs of a machine: run one entry on one session's states. Devices own weights, compiled programs and
// scratch memory; a session owns one States handle. Checks of arguments (types, ranges, limits) are done by the caller,
// so a device may trust them. `run` calls on one device must not overlap: runtime/queue.ts serialises them.

import type { SamplingNumbers } from '../sampling.ts'
import type { Soon } from '../soon.ts'
import { type ElementType, isFloatType } from '../artifact/manifest.ts'

/** One session's states (KV caches …), zeroed when created. Opaque: only the device that made it may use it. */
export interface States {
  /** Returns the memory to the device. Idempotent. */
  dispose(): void
}

export type ArgumentArray = Int32Array | Float32Array
export type ResultArray = Float32Array | Float64Array | Int32Array | Uint32Array

/** The words of a result as its type reads them; shares the memory. */
export function asResult(type: ElementType, words: Int32Array<ArrayBuffer>): ResultArray {
  if (isFloatType(type)) return new Float32Array(words.buffer, words.byteOffset, words.length)
  return type === 'u32' ? new Uint32Array(words.buffer, words.byteOffset, words.length) : words
}

/** How a token is chosen (runtime/sampling.ts says what the numbers mean). All are checked by the caller. */
export interface DrawOptions extends SamplingNumbers {
  readonly seed: number
  /** Place of the token that is to be chosen: the draw is Philox of seed and position. */
  readonly position: number
}

/** A token that was asked for. */
export interface Drawn {
  /** -1 when the scores are not finite numbers. E_DEVICE, E_DEVICE_LOST, E_DISPOSED. */
  readonly token: Soon<number>
}

export interface Device {
  /** 'wasm', 'webgpu', 'reference', … : shown to users. */
  readonly name: string

  createStates(): States

  /** A new handle with the same contents: Session.fork(). */
  copyStates(from: States): States

  /**
   * Runs `entry`. `symbols` holds every size and index of the entry (`{ seq: 3, start: 0 }`), `inputs` its tensor arguments
   * row-major. Returns the results in the entry's order, row-major, as fresh arrays that the caller owns. `into`: results of an
   * earlier run that nobody needs any more; a device may fill them again instead.
   */
  run(
    entry: string,
    symbols: Readonly<Record<string, number>>,
    inputs: Readonly<Record<string, ArgumentArray>>,
    states: States,
    into?: readonly ResultArray[],
  ): Promise<ResultArray[]>

  /** Whether the next token can be chosen where the scores are, after this entry. Absent: never. */
  canDraw?(entry: string): boolean

  /**
   * Runs `entry` as `run` does, keeps its results, and chooses a token from the first of them. Resolves once the work is submitted: its
   * token comes later, and where `runsAhead` further draws may follow before. `inputs` is absent where the entry reads one id and that
   * is the token drawn last on these states. `seen`: the ids up to the last that is read, for a repetition penalty, with the
   * first draw and whenever they are not those of the draws before. Errors as `run`.
   */
  draw?(
    entry: string,
    symbols: Readonly<Record<string, number>>,
    inputs: Readonly<Record<string, ArgumentArray>> | undefined,
    states: States,
    how: DrawOptions,
    seen?: readonly number[],
  ): Soon<Drawn>

  /** A step may be submitted before the token that it reads is known. */
  readonly runsAhead?: boolean

  /** Releases everything, the sessions' states included. Idempotent. */
  dispose(): void
}
