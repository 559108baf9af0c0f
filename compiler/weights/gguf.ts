// GGUF versions 2 and 3 (little-endian): header, metadata (gguf-metadata.ts), tensor infos, then data at an alignment. Every
// declared number is compared with the bytes that are there before anything is allocated; names are unique, tensors lie inside
// the file and do not overlap. GGUF lists a tensor's innermost axis first; dims here are row-major, outermost first.

import type { ByteSource } from './byte-source.ts'
import { GgufCursor, readGgufMetadata, type GgufValue } from './gguf-metadata.ts'
import { bytesIn, elementCount, storageTypes, storedBytes, type StoredTensor } from './stored-tensor.ts'

/** Names by ggml's type number (those that files still hold). */
const tensorTypes: Readonly<Record<number, string>> = {
  0: 'f32',
  1: 'f16',
  2: 'q4_0',
  3: 'q4_1',
  6: 'q5_0',
  7: 'q5_1',
  8: 'q8_0',
  9: 'q8_1',
  10: 'q2_k',
  11: 'q3_k',
  12: 'q4_k',
  13: 'q5_k',
  14: 'q6_k',
  15: 'q8_k',
  16: 'iq2_xxs',
  17: 'iq2_xs',
  18: 'iq3_xxs',
  19: 'iq1_s',
  20: 'iq4_nl',
  21: 'iq3_s',
  22: 'iq2_s',
  23: 'iq4_xs',
  24: 'i8',
  25: 'i16',
  26: 'i32',
  27: 'i64',
  28: 'f64',
  29: 'iq1_m',
  30: 'bf16',
  34: 'tq1_0',
  35: 'tq2_0',
  39: 'mxfp4',
}
const mostAxes = 4
const leastInfoBytes = 24

export interface GgufFile {
  readonly version: number
  readonly architecture?: string
  readonly metadata: ReadonlyMap<string, GgufValue>
  readonly tensors: ReadonlyMap<string, StoredTensor>
}

interface Info {
  readonly name: string
  readonly type: string
  readonly dims: readonly number[]
  readonly bytes: number
  readonly offset: number
  /** Where the info stands, for messages. */
  readonly at: number
}

/** "GGUF" as a little-endian word. */
export const ggufMagic = 0x46554747

/** Reads header, metadata and tensor infos; tensors' bytes stay in the source. Errors: E_GGUF_*. */
export function readGguf(source: ByteSource): GgufFile {
  const cursor = new GgufCursor(source)
  if (cursor.take(4, 'the magic').getUint32(0, true) !== ggufMagic) throw cursor.refuse('MAGIC', 'the file does not begin with GGUF', 0)
  const version = cursor.u32('the version')
  if (version !== 2 && version !== 3) throw cursor.refuse('VERSION', `version ${version} is not read here, only 2 and 3 (little-endian)`, 4)
  const tensorCount = cursor.count('the number of tensors')
  const pairCount = cursor.count('the number of metadata pairs')
  if (tensorCount > cursor.left / leastInfoBytes) {
    throw cursor.refuse('TRUNCATED', `${tensorCount} tensors do not fit into the ${cursor.left} bytes left`, 8)
  }
  const metadata = readGgufMetadata(cursor, pairCount)
  const architecture = metadata.get('general.architecture')
  if (architecture !== undefined && typeof architecture !== 'string') {
    throw cursor.refuse('METADATA', 'general.architecture is not a string')
  }
  const alignment = readAlignment(cursor, metadata)
  const infos = Array.from({ length: tensorCount }, (_, i) => readInfo(cursor, i, alignment))
  const base = Math.ceil(cursor.at / alignment) * alignment
  return { version, architecture, metadata, tensors: placeTensors(cursor, infos, base) }
}

function readAlignment(cursor: GgufCursor, metadata: ReadonlyMap<string, GgufValue>): number {
  const value = metadata.get('general.alignment') ?? 32
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > 2 ** 20 || (value & (value - 1)) !== 0) {
    throw cursor.refuse('METADATA', `general.alignment is ${String(value)}, not a power of two up to 2^20`)
  }
  return value
}

function readInfo(cursor: GgufCursor, i: number, alignment: number): Info {
  const at = cursor.at
  const name = cursor.string(`the name of tensor ${i}`, 1024, true)
  const axes = cursor.u32(`${name}'s number of axes`)
  if (axes > mostAxes) throw cursor.refuse('DIMS', `${name} has ${axes} axes, at most ${mostAxes} are allowed`, at)
  const inner = Array.from({ length: axes }, (_, axis) => cursor.count(`${name}'s size of axis ${axis}`))
  const number = cursor.u32(`${name}'s type`)
  const type = tensorTypes[number]
  if (type === undefined) throw cursor.refuse('TYPE', `${name} has the storage type ${number}, which is not known here`, cursor.at - 4)
  const offset = cursor.count(`${name}'s offset`)
  const block = storageTypes[type]!
  const count = elementCount(inner)
  const bytes = count === undefined ? undefined : storedBytes(block, count)
  if (bytes === undefined || (inner[0] ?? 1) % block.values !== 0) {
    throw cursor.refuse(
      'DIMS',
      `${name}: [${inner.join(', ')}] values of ${type} are not whole rows of ${block.values}-value blocks, or too many`,
      at,
    )
  }
  if (offset % alignment !== 0) throw cursor.refuse('OFFSET', `${name} begins at ${offset}, not a multiple of ${alignment}`, at)
  return { name, type, dims: inner.toReversed(), bytes, offset, at }
}

function placeTensors(cursor: GgufCursor, infos: readonly Info[], base: number): Map<string, StoredTensor> {
  const { source } = cursor
  const tensors = new Map<string, StoredTensor>()
  for (const { name, type, dims, bytes, offset, at } of infos) {
    if (tensors.has(name)) throw cursor.refuse('DUPLICATE', `there are two tensors ${JSON.stringify(name)}`, at)
    const start = base + offset
    if (start + bytes > source.size) {
      throw cursor.refuse('OFFSET', `${name} lies at [${start}, ${start + bytes}), the file ends at ${source.size}`, at)
    }
    tensors.set(name, { name, format: type, dims, file: source.name, ...bytesIn(source, start, bytes) })
  }
  let before: Info | undefined
  for (const info of infos.filter(({ bytes }) => bytes > 0).sort((a, b) => a.offset - b.offset)) {
    if (before && info.offset < before.offset + before.bytes) {
      throw cursor.refuse('OVERLAP', `${info.name} overlaps ${before.name}`, info.at)
    }
    before = info
  }
  return tensors
}
