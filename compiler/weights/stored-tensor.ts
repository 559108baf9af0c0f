// A tensor as a file holds it: name, storage type, row-major dims (outermost first) and its bytes on demand. Also the table of
// the storage types that occur in files: those of compiler/formats can be used, the others are only measured and named.

import { formats, formatNames } from '../formats/index.ts'
import type { ByteSource } from './byte-source.ts'

export interface StoredTensor {
  readonly name: string
  /** A name of compiler/formats, or another type's (`i64`, `q3_k`), which binding refuses. */
  readonly format: string
  /** Row-major, outermost axis first. */
  readonly dims: readonly number[]
  /** The file it lies in, for messages. */
  readonly file: string
  /** Plain row-major bytes. */
  bytes(): Uint8Array
  /** Those from `offset` on, as many as `into` takes; gives `into` back. Absent: nothing is gained by reading less than all. */
  part?(offset: number, into: Uint8Array): Uint8Array
}

/** A stored tensor's bytes in a source, from `start` on. The range was checked. */
export const bytesIn = (source: ByteSource, start: number, length: number): Required<Pick<StoredTensor, 'bytes' | 'part'>> => ({
  bytes: () => source.read(start, length),
  part: (offset, into) => source.read(start + offset, into.length, into),
})

export interface StorageType {
  /** Values and bytes of one block. */
  readonly values: number
  readonly bytes: number
}

const scalar = (bytes: number): StorageType => ({ values: 1, bytes })

/** Block sizes by name, from ggml's type traits and safetensors' dtypes. */
export const storageTypes: Readonly<Record<string, StorageType>> = {
  ...Object.fromEntries(formatNames.map((name) => [name, { values: formats[name].values, bytes: formats[name].bytes }])),
  q8_1: { values: 32, bytes: 36 },
  q2_k: { values: 256, bytes: 84 },
  q3_k: { values: 256, bytes: 110 },
  q8_k: { values: 256, bytes: 292 },
  iq1_s: { values: 256, bytes: 50 },
  iq1_m: { values: 256, bytes: 56 },
  iq2_xxs: { values: 256, bytes: 66 },
  iq2_xs: { values: 256, bytes: 74 },
  iq2_s: { values: 256, bytes: 82 },
  iq3_xxs: { values: 256, bytes: 98 },
  iq3_s: { values: 256, bytes: 110 },
  iq4_nl: { values: 32, bytes: 18 },
  iq4_xs: { values: 256, bytes: 136 },
  tq1_0: { values: 256, bytes: 54 },
  tq2_0: { values: 256, bytes: 66 },
  mxfp4: { values: 32, bytes: 17 },
  f64: scalar(8),
  i8: scalar(1),
  u8: scalar(1),
  bool: scalar(1),
  i16: scalar(2),
  u16: scalar(2),
  i32: scalar(4),
  u32: scalar(4),
  i64: scalar(8),
  u64: scalar(8),
  c64: scalar(8),
  f8_e4m3: scalar(1),
  f8_e5m2: scalar(1),
  f8_e8m0: scalar(1),
}

/** Bytes of `count` values; undefined when they are not whole blocks or too many to count exactly. */
export function storedBytes(type: StorageType, count: number): number | undefined {
  const bytes = (count / type.values) * type.bytes
  return Number.isSafeInteger(count) && Number.isSafeInteger(bytes) && count % type.values === 0 ? bytes : undefined
}

/** Product of dims, or undefined beyond 2^53 (a factor of 0 gives 0 whatever the others are). */
export function elementCount(dims: readonly number[]): number | undefined {
  if (dims.includes(0)) return 0
  let count = 1
  for (const dim of dims) {
    count *= dim
    if (!Number.isSafeInteger(count)) return undefined
  }
  return count
}
