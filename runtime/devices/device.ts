// What a session needs of a machine: run one entry on one session's states. Devices own weights, compiled programs and
// scratch memory; a session owns one States handle. Checks of arguments (types, ranges, limits) are done by the caller,
// so a device may trust them. `run` calls on one device must not overlap: runtime/queue.ts serialises them.

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

  /** Releases everything, the sessions' states included. Idempotent. */
  dispose(): void
}
