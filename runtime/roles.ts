// Which entries a session reads text with, and how: found once per model from the manifest's roles. Knows which argument takes
// the tokens, which index is the position (`start`), how many tokens a call may take, and where the context ends; cuts a reading into calls.
import type { AffineJson, EntryManifest, Manifest } from './artifact/manifest.ts'
import { type ArgumentValue, prepareCall, type PreparedCall } from './entry-call.ts'
import { fail } from './error-codes.ts'

export interface ReadingEntry {
  readonly entry: EntryManifest
  /** The argument that takes the ids. */
  readonly tokens: string
  /** Whether the entry has the index `start`: the position of the first id. */
  readonly positioned: boolean
  /** Most ids in one call; 1 for a decode entry. */
  readonly most: number
  /** The size symbol that is the number of ids; undefined when it is fixed. */
  readonly size: string | undefined
}

export interface Roles {
  readonly prefill: ReadingEntry | undefined
  readonly decode: ReadingEntry | undefined
  readonly score: ReadingEntry | undefined
  /** Every entry that reads ids, by name. */
  readonly reading: ReadonlyMap<string, ReadingEntry>
}

function readingEntry(entry: EntryManifest): ReadingEntry | undefined {
  const argument = entry.arguments.find((a) => a.kind === 'tensor' && a.dtype === 'i32' && a.dims.length === 1)
  if (argument?.kind !== 'tensor') return undefined
  const dim = argument.dims[0]!
  const size = dim.terms.length === 1 && dim.const === 0 && dim.terms[0]![1] === 1 ? dim.terms[0]![0] : undefined
  if (size === undefined && dim.terms.length > 0) return undefined
  const most = size === undefined ? dim.const : (entry.symbols.find(({ name }) => name === size)?.max ?? 1)
  const positioned = entry.arguments.some((a) => a.kind === 'index' && a.name === 'start')
  return { entry, tokens: argument.name, positioned, most, size }
}

/** The first entry of each role that has the form a session needs. */
export function findRoles(manifest: Pick<Manifest, 'entries'>): Roles {
  const reading = new Map<string, ReadingEntry>()
  for (const entry of manifest.entries) {
    if (entry.role === undefined || entry.role === 'encode') continue
    const found = readingEntry(entry)
    if (found) reading.set(entry.name, found)
  }
  const byRole = (role: EntryManifest['role']): ReadingEntry | undefined => [...reading.values()].find(({ entry }) => entry.role === role)
  return { prefill: byRole('prefill'), decode: byRole('decode'), score: byRole('score'), reading }
}

/** The entry to read `count` ids with. E_ENTRY. */
export function readerOf({ prefill, decode }: Roles, count: number): ReadingEntry {
  return (
    (count === 1 ? (decode ?? prefill) : (prefill ?? decode)) ?? fail('E_ENTRY', 'the model has no entry with the role prefill or decode')
  )
}

/** The calls that read `ids` from `position` on, all checked. E_ARGUMENT, E_CONTEXT_FULL, E_TOKEN_RANGE, E_LIMIT. */
export function planReading(
  reading: ReadingEntry,
  position: number,
  ids: readonly number[],
  args: Readonly<Record<string, number>>,
): PreparedCall[] {
  if (ids.length === 0) fail('E_ARGUMENT', 'there are no ids to read')
  const room = roomAt(reading, position, args)
  if (ids.length > room) {
    fail('E_CONTEXT_FULL', `${ids.length} ids do not fit: the session holds ${position}, there is room for ${room} more`)
  }
  const calls: PreparedCall[] = []
  for (let at = 0; at < ids.length; at += reading.most) {
    const values: Record<string, ArgumentValue> = { ...args, [reading.tokens]: ids.slice(at, at + reading.most) }
    if (reading.positioned) values.start = position + at
    calls.push(prepareCall(reading.entry, values))
  }
  return calls
}

/** Readings of one id each, with the same further arguments: the first call is checked whole, later ones where they differ. */
export class OneByOne {
  readonly reading: ReadingEntry
  readonly args: Readonly<Record<string, number>>
  /** The first position that has no room. */
  readonly end: number
  /** Ids of the vocabulary are below. */
  readonly #below: number
  #checked: PreparedCall | undefined

  constructor(reading: ReadingEntry, args: Readonly<Record<string, number>>) {
    this.reading = reading
    this.args = args
    this.end = roomAt(reading, 0, args)
    const tokens = reading.entry.arguments.find(({ name }) => name === reading.tokens)
    this.#below = Math.min((tokens?.kind === 'tensor' && tokens.below) || Infinity, 2 ** 31)
  }

  /** Errors as `planReading`. */
  call(position: number, id: number): PreparedCall {
    const { reading, args } = this
    const checked = this.#checked
    if (!checked || position >= this.end || !(Number.isInteger(id) && id >= 0 && id < this.#below)) {
      const { entry, symbols, inputs } = planReading(reading, position, [id], args)[0]!
      // Copies that engines copy fast: objects without a prototype are dictionaries.
      return (this.#checked = { entry, symbols: { ...symbols }, inputs: { ...inputs } })
    }
    const symbols = reading.positioned ? { ...checked.symbols, start: position } : checked.symbols
    const ids = new Int32Array(1)
    ids[0] = id
    return { entry: checked.entry, symbols, inputs: { ...checked.inputs, [reading.tokens]: ids } }
  }
}

/** How many ids the entry can take from `position` on, in however many calls; Infinity when nothing bounds it. */
export function roomAt({ entry, size, most }: ReadingEntry, position: number, others: Readonly<Record<string, number>>): number {
  let room = Infinity
  const start = entry.symbols.find(({ name }) => name === 'start')
  // The last id of several calls has its own start, which must not pass the symbol's bound.
  if (start) room = Math.max(0, start.max - position + 1)
  for (const { left, right } of entry.limits) {
    const weight = factor(left, 'start')
    if (weight <= 0) continue
    let rest = right - left.const - weight * position
    for (const [name, by] of left.terms) if (name !== 'start' && name !== size) rest -= by * (others[name] ?? 0)
    const perId = size === undefined ? 0 : factor(left, size)
    // start + seq ≤ ctx over several calls: what counts is the end, start + seq, of the last one.
    if (perId > 0) room = Math.min(room, Math.floor(rest / Math.max(weight, perId)))
    else room = Math.min(room, rest < 0 ? 0 : Math.floor(rest / weight) + (size === undefined ? most : 1))
  }
  return Math.max(0, room)
}

const factor = (affine: AffineJson, symbol: string): number => affine.terms.find(([name]) => name === symbol)?.[1] ?? 0
