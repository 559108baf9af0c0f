// GGUF's typed key-value section: scalars, strings and (nested) arrays. No count or length is believed before it was compared
// with the bytes that are left. Numeric arrays stay typed arrays; 64-bit integers beyond 2^53 stay BigInt.

import type { ByteSource } from './byte-source.ts'
import type { CodeAfter } from '../error-codes.ts'
import { refusal } from './refusal.ts'
import { TextList } from './text-list.ts'

export type GgufValue = number | bigint | boolean | string | GgufNumbers | readonly GgufValue[]
export type GgufNumbers = Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float32Array | Float64Array

/** Sequential reader over a source through a window, so that a header of megabytes is not one read, nor a read per field. */
export class GgufCursor {
  readonly source: ByteSource
  at = 0
  /** Both of the same bytes. */
  #bytes = new Uint8Array(0)
  #window: DataView = new DataView(this.#bytes.buffer)
  #start = 0

  constructor(source: ByteSource) {
    this.source = source
  }

  get left(): number {
    return this.source.size - this.at
  }

  refuse(kind: CodeAfter<'E_GGUF_'>, what: string, at = this.at): Error {
    return refusal(`E_GGUF_${kind}`, this.source.name, what, at)
  }

  /** Where the next `length` bytes lie in the window; the cursor moves behind them. Refuses when the file ends before. */
  #pass(length: number, what: string): number {
    if (length > this.left) throw this.refuse('TRUNCATED', `${what} needs ${length} bytes, ${this.left} are left`)
    if (this.at - this.#start + length > this.#bytes.length) {
      const { buffer, byteOffset, byteLength } = this.source.read(this.at, Math.min(Math.max(length, windowBytes), this.left))
      this.#bytes = new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength)
      this.#window = new DataView(buffer, byteOffset, byteLength)
      this.#start = this.at
    }
    const inside = this.at - this.#start
    this.at += length
    return inside
  }

  /** A view of the next `length` bytes. */
  take(length: number, what: string): DataView {
    const inside = this.#pass(length, what)
    return new DataView(this.#window.buffer, this.#window.byteOffset + inside, length)
  }

  u32(what: string): number {
    const inside = this.#pass(4, what)
    return this.#window.getUint32(inside, true)
  }

  /** A 64-bit count; one beyond 2^53 cannot be backed by bytes and is refused. */
  count(what: string): number {
    const inside = this.#pass(8, what)
    const value = this.#window.getUint32(inside + 4, true) * 2 ** 32 + this.#window.getUint32(inside, true)
    if (!Number.isSafeInteger(value))
      throw this.refuse('TOO_LARGE', `${what} is ${this.#window.getBigUint64(inside, true)}`, this.#start + inside)
    return value
  }

  #length(what: string, longest: number): number {
    const start = this.at
    const length = this.count(`${what}'s length`)
    if (length > this.left) throw this.refuse('TRUNCATED', `${what} claims ${length} bytes, ${this.left} are left`, start)
    if (length > longest) throw this.refuse('TOO_LARGE', `${what} has ${length} bytes, at most ${longest} are read`, start)
    return length
  }

  string(what: string, longest: number, strict: boolean): string {
    const start = this.at
    const bytes = this.take(this.#length(what, longest), what)
    try {
      return (strict ? strictText : looseText).decode(bytes)
    } catch (cause) {
      if (cause instanceof TypeError) throw this.refuse('UTF8', `${what} is not UTF-8`, start)
      throw cause
    }
  }

  /** `count` strings as `string` reads them when it is not strict. */
  strings(count: number, what: string, longest: number): string[] {
    const list = new TextList()
    for (let i = 0; i < count; i++) {
      const length = this.#length(what, longest)
      const inside = this.#pass(length, what)
      list.add(this.#bytes, inside, length)
    }
    return list.end()
  }
}

const windowBytes = 2 ** 18
const strictText = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const looseText = new TextDecoder('utf-8', { ignoreBOM: true })
const longestText = 2 ** 24
const mostItems = 2 ** 22
const deepest = 4
const stringType = 8
const arrayType = 9

interface Scalar {
  readonly bytes: number
  read(view: DataView, at: number): number | bigint | boolean
  /** Absent: an array of it becomes a plain array. */
  readonly array?: new (
    buffer: ArrayBuffer,
  ) => GgufNumbers
}

const narrow = (value: bigint): number | bigint => (BigInt.asIntN(54, value) === value ? Number(value) : value)

/** By GGUF's type number. */
const scalars: Readonly<Record<number, Scalar>> = {
  0: { bytes: 1, read: (view, at) => view.getUint8(at), array: Uint8Array },
  1: { bytes: 1, read: (view, at) => view.getInt8(at), array: Int8Array },
  2: { bytes: 2, read: (view, at) => view.getUint16(at, true), array: Uint16Array },
  3: { bytes: 2, read: (view, at) => view.getInt16(at, true), array: Int16Array },
  4: { bytes: 4, read: (view, at) => view.getUint32(at, true), array: Uint32Array },
  5: { bytes: 4, read: (view, at) => view.getInt32(at, true), array: Int32Array },
  6: { bytes: 4, read: (view, at) => view.getFloat32(at, true), array: Float32Array },
  7: { bytes: 1, read: (view, at) => view.getUint8(at) !== 0 },
  10: { bytes: 8, read: (view, at) => narrow(view.getBigUint64(at, true)) },
  11: { bytes: 8, read: (view, at) => narrow(view.getBigInt64(at, true)) },
  12: { bytes: 8, read: (view, at) => view.getFloat64(at, true), array: Float64Array },
}

/** Reads `count` pairs from the cursor. Errors: E_GGUF_*. */
export function readGgufMetadata(cursor: GgufCursor, count: number): Map<string, GgufValue> {
  if (count > cursor.left / 13) throw cursor.refuse('TRUNCATED', `${count} metadata pairs do not fit into the ${cursor.left} bytes left`)
  const values = new Map<string, GgufValue>()
  for (let i = 0; i < count; i++) {
    const start = cursor.at
    const key = cursor.string(`metadata key ${i}`, 65535, true)
    if (values.has(key)) throw cursor.refuse('DUPLICATE', `the metadata key ${JSON.stringify(key)} stands here twice`, start)
    values.set(key, readValue(cursor, cursor.u32(`the type of ${key}`), key, 0))
  }
  return values
}

function readValue(cursor: GgufCursor, type: number, key: string, depth: number): GgufValue {
  if (type === stringType) return cursor.string(key, longestText, false)
  if (type === arrayType) return readArray(cursor, key, depth)
  return readScalar(cursor, cursor.take(scalarOf(cursor, type, key).bytes, key), type, key)
}

function readScalar(cursor: GgufCursor, view: DataView, type: number, key: string, at = 0): number | bigint | boolean {
  if (type === 7 && view.getUint8(at) > 1) throw cursor.refuse('METADATA', `${key} is a bool of value ${view.getUint8(at)}`)
  return scalars[type]!.read(view, at)
}

function scalarOf(cursor: GgufCursor, type: number, key: string): Scalar {
  const scalar = scalars[type]
  if (!scalar) throw cursor.refuse('METADATA', `${key} has the unknown type ${type}`, cursor.at - 4)
  return scalar
}

function readArray(cursor: GgufCursor, key: string, depth: number): GgufValue {
  if (depth === deepest) throw cursor.refuse('METADATA', `${key} is nested too deeply`)
  const type = cursor.u32(`the item type of ${key}`)
  const start = cursor.at
  const count = cursor.count(`the length of ${key}`)
  const least = type === stringType ? 8 : type === arrayType ? 12 : scalarOf(cursor, type, key).bytes
  if (count > cursor.left / least) throw cursor.refuse('TRUNCATED', `${key} claims ${count} items, ${cursor.left} bytes are left`, start)
  if (count > mostItems) throw cursor.refuse('TOO_LARGE', `${key} has ${count} items, at most ${mostItems} are read`, start)
  // Vocabularies have a hundred thousand texts: which one is wrong is told by its place in the file.
  if (type === stringType) return cursor.strings(count, key, longestText)
  if (type === arrayType) return Array.from({ length: count }, () => readArray(cursor, key, depth + 1))
  const { bytes, array } = scalars[type]!
  const view = cursor.take(count * bytes, key)
  if (array) return new array((view.buffer as ArrayBuffer).slice(view.byteOffset, view.byteOffset + view.byteLength))
  return Array.from({ length: count }, (_, i) => readScalar(cursor, view, type, key, i * bytes))
}
