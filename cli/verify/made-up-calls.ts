// Calls for any model, with made-up arguments, from what its manifest says of its entries: ids below their table, floats around
// zero, sizes within bounds and limits. A session is a list of calls on one set of states. The first one calls every entry
// once, in order; then each entry that reads ids does so in several chunkings, since first tokens, long and short pieces and
// single steps take different ways through a program.

import { elementCount } from '../../runtime/artifact/affine.ts'
import type { EntryManifest, Manifest } from '../../runtime/artifact/manifest.ts'
import type { ArgumentValue, EntryArguments } from '../../runtime/entry-call.ts'
import { findRoles, type ReadingEntry, roomAt } from '../../runtime/roles.ts'

export interface MadeUpCall {
  readonly entry: string
  readonly args: EntryArguments
}

export type MadeUpSession = readonly MadeUpCall[]

/** A well-mixed 32-bit number of two others (murmur3's finaliser). */
function mixed(seed: number, place: number): number {
  let x = Math.imul(seed ^ Math.imul(place + 1, 0x9e3779b1), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

class Maker {
  readonly #manifest: Manifest
  readonly #length: number
  #seed: number

  constructor(manifest: Manifest, length: number, seed: number) {
    this.#manifest = manifest
    this.#length = length
    this.#seed = seed
  }

  sessions(): MadeUpSession[] {
    const { entries } = this.#manifest
    const sessions: MadeUpCall[][] = [[]]
    const first = sessions[0]!
    let position = 0
    for (const entry of entries) {
      const call = this.#call(entry, position, this.#length)
      if (!call) continue
      first.push(call.made)
      position += call.read
    }
    const { reading } = findRoles(this.#manifest)
    for (const reader of reading.values()) {
      if (!reader.positioned) continue
      sessions.push(this.#chunked(reader, [1, 1, 1]))
      if (reader.size !== undefined)
        sessions.push(this.#chunked(reader, [this.#length, 1, this.#length - 1]), this.#chunked(reader, [2, this.#length]))
    }
    return sessions.filter((session) => session.length > 0)
  }

  /** What fills states for entries that read them (`encode`), then one call per chunk. */
  #chunked(reader: ReadingEntry, chunks: readonly number[]): MadeUpCall[] {
    const calls = this.#manifest.entries
      .filter(({ role, name }) => role === 'encode' && name !== reader.entry.name)
      .flatMap((entry) => this.#call(entry, 0, this.#length)?.made ?? [])
    let position = 0
    for (const chunk of chunks) {
      const call = this.#call(reader.entry, position, chunk)
      if (!call) break
      calls.push(call.made)
      position += call.read
    }
    return calls
  }

  /** Undefined when nothing fits behind `position`. */
  #call(entry: EntryManifest, position: number, length: number): { readonly made: MadeUpCall; readonly read: number } | undefined {
    const reader = findRoles(this.#manifest).reading.get(entry.name)
    const others = Object.fromEntries(
      entry.symbols
        .filter(({ kind, name }) => kind === 'index' && name !== 'start')
        .map(({ name, min, max }) => [name, clamp(this.#length, min, max)]),
    )
    const room = reader?.positioned ? roomAt(reader, position, others) : Infinity
    if (room < 1) return undefined
    const binding: Record<string, number> = { ...others }
    for (const { name, kind, min, max } of entry.symbols) {
      if (kind === 'size') binding[name] = clamp(Math.min(length, room), min, max)
      else if (name === 'start') binding[name] = clamp(position, min, max)
    }
    const args: Record<string, ArgumentValue> = {}
    for (const argument of entry.arguments) {
      args[argument.name] =
        argument.kind === 'index' ? binding[argument.name]! : this.#values(argument, elementCount(argument.dims, binding))
    }
    const ids = reader ? args[reader.tokens] : undefined
    return { made: { entry: entry.name, args }, read: reader?.positioned && Array.isArray(ids) ? ids.length : 0 }
  }

  #values({ dtype, below }: Extract<EntryManifest['arguments'][number], { kind: 'tensor' }>, count: number): number[] {
    const seed = this.#seed++
    const isFloat = dtype === 'f32' || dtype === 'f16' || dtype === 'bf16'
    // Integers without a table are kinds and truth values: 0 and 1 are right for all that there is.
    return Array.from({ length: count }, (_, i) => (isFloat ? mixed(seed, i) / 2 ** 31 - 1 : mixed(seed, i) % (below ?? 2)))
  }
}

const clamp = (value: number, min: number, max: number): number => Math.max(min, Math.min(max, value))

/** `length`: ids of a long call, where the model takes as many. The same seed makes the same calls. */
export const madeUpSessions = (manifest: Manifest, length: number, seed: number): MadeUpSession[] =>
  new Maker(manifest, length, seed).sessions()
