// safetensors: u64 header length, a JSON header {name: {dtype, shape, data_offsets}}, then the tensors without gaps. Every rule
// of the reference reader is checked, in its order: header size, UTF-8, JSON, offsets contiguous from 0, shape x dtype = bytes,
// nothing before or after. Duplicate keys and sizes beyond 2^64 are found (JSON.parse would hide both).

import type { ByteSource } from './byte-source.ts'
import type { CodeAfter } from '../error-codes.ts'
import { refusal } from './refusal.ts'
import { bytesIn, storageTypes, storedBytes, type StoredTensor } from './stored-tensor.ts'
import { isObject, parseStrictJson, type JsonObject, type JsonValue } from './strict-json.ts'

const largestHeader = 100_000_000
const largestCount = 2n ** 64n - 1n
/** Of values and bytes: what numbers hold exactly. */
const largestSize = BigInt(Number.MAX_SAFE_INTEGER)

const dtypes: Readonly<Record<string, string>> = {
  BOOL: 'bool',
  U8: 'u8',
  I8: 'i8',
  F8_E5M2: 'f8_e5m2',
  F8_E4M3: 'f8_e4m3',
  F8_E8M0: 'f8_e8m0',
  I16: 'i16',
  U16: 'u16',
  F16: 'f16',
  BF16: 'bf16',
  I32: 'i32',
  U32: 'u32',
  F32: 'f32',
  C64: 'c64',
  F64: 'f64',
  I64: 'i64',
  U64: 'u64',
}

export interface SafetensorsFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>
  readonly metadata: Readonly<Record<string, string>>
}

interface Entry {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly bigint[]
  readonly from: bigint
  readonly to: bigint
}

/** Reads the header; the tensors' bytes stay in the source. Errors: E_SAFETENSORS_*. */
export function readSafetensors(source: ByteSource): SafetensorsFile {
  const refuse = (kind: CodeAfter<'E_SAFETENSORS_'>, what: string, offset?: number) =>
    refusal(`E_SAFETENSORS_${kind}`, source.name, what, offset)
  if (source.size < 8) throw refuse('HEADER_TOO_SMALL', `${source.size} bytes cannot hold a header`, 0)
  const prefix = source.read(0, 8)
  const declared = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true)
  if (declared > BigInt(largestHeader))
    throw refuse('HEADER_TOO_LARGE', `the header claims ${declared} bytes, at most ${largestHeader} are allowed`, 0)
  const headerBytes = Number(declared)
  const base = 8 + headerBytes
  if (base > source.size) throw refuse('HEADER_LENGTH', `the header claims ${headerBytes} bytes, the file has ${source.size - 8} more`, 0)

  const header = parseStrictJson(decodeHeader(source, headerBytes), 'E_SAFETENSORS_HEADER_JSON', `${source.name}: header`)
  if (!isObject(header)) throw refuse('HEADER_JSON', 'the header is not an object', 8)
  const entries = Object.keys(header)
    .filter((name) => name !== '__metadata__')
    .map((name) => readEntry(name, header[name]!, source.name))
    .sort((a, b) => compare(a.from, b.from) || compare(a.to, b.to))

  let end = 0n
  for (const { name, from, to } of entries) {
    if (from !== end || to < from) {
      throw refuse('OFFSET', `${JSON.stringify(name)} lies at [${from}, ${to}), expected to begin at ${end}`, base + Number(from))
    }
    end = to
  }
  for (const entry of entries) checkSize(entry, source.name, base)
  if (BigInt(base) + end !== BigInt(source.size)) {
    throw refuse('INCOMPLETE', `the tensors take ${end} bytes, the file has ${source.size - base} for them`, base)
  }

  const tensors = new Map<string, StoredTensor>()
  for (const { name, dtype, shape, from, to } of entries) {
    const [offset, length] = [base + Number(from), Number(to - from)]
    tensors.set(name, {
      name,
      format: dtypes[dtype]!,
      dims: shape.map(Number),
      file: source.name,
      ...bytesIn(source, offset, length),
    })
  }
  return { tensors, metadata: readMetadata(header['__metadata__'], source.name) }
}

function decodeHeader(source: ByteSource, length: number): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(source.read(8, length))
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause
    throw refusal('E_SAFETENSORS_HEADER_UTF8', source.name, 'the header is not UTF-8', 8)
  }
}

function readEntry(name: string, value: JsonValue, file: string): Entry {
  const refuse = (what: string) => refusal('E_SAFETENSORS_HEADER_JSON', file, `${JSON.stringify(name)} ${what}`, 8)
  if (!isObject(value)) throw refuse('is not an object')
  const { dtype, shape, data_offsets: offsets } = value as JsonObject & Record<string, JsonValue | undefined>
  if (typeof dtype !== 'string' || !Object.hasOwn(dtypes, dtype)) throw refuse(`has an unknown dtype ${String(dtype)}`)
  if (!Array.isArray(shape) || !Array.isArray(offsets) || offsets.length !== 2) throw refuse('needs a shape and two data_offsets')
  if (shape.length > 16) throw refuse(`has ${shape.length} axes`)
  const count = (item: JsonValue): bigint => {
    const whole = typeof item === 'bigint' ? item : Number.isSafeInteger(item) ? BigInt(item as number) : -1n
    if (whole < 0n || whole > largestCount) throw refuse(`has a size or offset that is no 64-bit count: ${String(item)}`)
    return whole
  }
  return { name, dtype, shape: shape.map(count), from: count(offsets[0]!), to: count(offsets[1]!) }
}

function checkSize({ name, dtype, shape, from, to }: Entry, file: string, base: number): void {
  const type = storageTypes[dtypes[dtype]!]!
  let bytes = BigInt(type.bytes)
  let values = 1n
  for (const dim of shape) {
    values *= dim
    if (values > largestSize) break
  }
  bytes *= values
  if (values > largestSize || bytes > largestSize) {
    throw refusal(
      'E_SAFETENSORS_OVERFLOW',
      file,
      `${JSON.stringify(name)} has the shape [${shape.join(', ')}], which no memory holds`,
      base + Number(from),
    )
  }
  const whole = storedBytes(type, Number(values)) !== undefined || values === 0n
  if (bytes !== to - from || !whole || shape.some((dim) => dim > BigInt(Number.MAX_SAFE_INTEGER))) {
    throw refusal(
      'E_SAFETENSORS_SHAPE',
      file,
      `${JSON.stringify(name)}: ${dtype} [${shape.join(', ')}] takes ${bytes} bytes, its data_offsets give ${to - from}`,
      base + Number(from),
    )
  }
}

function readMetadata(value: JsonValue | undefined, file: string): Record<string, string> {
  if (value === undefined || value === null) return {}
  if (!isObject(value)) throw refusal('E_SAFETENSORS_HEADER_JSON', file, '__metadata__ is not an object', 8)
  const metadata: Record<string, string> = Object.create(null)
  for (const key of Object.keys(value)) {
    const text = value[key]
    if (typeof text !== 'string') throw refusal('E_SAFETENSORS_HEADER_JSON', file, `__metadata__.${key} is not a string`, 8)
    metadata[key] = text
  }
  return metadata
}

const compare = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0)
