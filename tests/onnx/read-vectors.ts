// ONNX's own test vectors as they are stored: one case a line, tensors raw and little-endian. Every value is read into f64.
// Element types that llamac lacks are held in a wider one where every value survives unchanged; the rest is refused by name.

import { readFileSync } from 'node:fs'
import type { Dtype } from '../../dsl/sink.ts'
import { dataPath } from '../support/goldens.ts'

/** What a case needs and llamac does not have: the reason in the list of cases that do not pass. */
export class Missing extends Error {}

export interface OnnxTensor {
  readonly name: string
  /** ONNX's element type, such as `int64`. */
  readonly type: string
  readonly dims: readonly number[]
  readonly data: Float64Array
}

export type AttributeValue =
  | number
  | string
  | readonly number[]
  | { readonly dims: readonly number[]; readonly dtype: string; readonly base64: string }

export interface OnnxNode {
  readonly op: string
  /** Names of values; an empty one stands for an input that is left out. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attrs?: Readonly<Record<string, AttributeValue>>
}

export interface StoredCase {
  readonly test: string
  readonly nodes: readonly OnnxNode[]
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly initializers?: readonly StoredTensor[]
  readonly sets: readonly { readonly inputs: readonly StoredTensor[]; readonly outputs: readonly StoredTensor[] }[]
}

export interface StoredTensor {
  readonly name: string
  readonly dims: readonly number[]
  readonly dtype: string
  readonly base64: string
}

/** The cases of one file of the test data. */
export const readCases = (file: string): StoredCase[] =>
  readFileSync(dataPath(`onnx-node/${file}`), 'utf8')
    .split('\n')
    .flatMap((line) => (line.trim() === '' ? [] : [JSON.parse(line) as StoredCase]))

const halfOf = (bits: number): number => {
  const [sign, exponent, mantissa] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023]
  if (exponent === 31) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15))
}

const brainOf = (bits: number): number => new Float32Array(new Int32Array([bits << 16]).buffer)[0]!

/** Values of less than a byte lie in order from the low bits up. */
const packed =
  (bits: number, signed: boolean) =>
  (bytes: Uint8Array, count: number): number[] =>
    Array.from({ length: count }, (_, i) => {
      const value = (bytes[(i * bits) >> 3]! >> ((i * bits) & 7)) & ((1 << bits) - 1)
      return signed && value >> (bits - 1) ? value - (1 << bits) : value
    })

type Decode = (bytes: Uint8Array<ArrayBuffer>, count: number) => ArrayLike<number>

const words = (bytes: Uint8Array<ArrayBuffer>): ArrayBuffer => bytes.slice().buffer

/** Each of ONNX's element types that can be held: in which of ours, the range of an integer, and how it is stored. */
export const elementTypes: Readonly<
  Record<string, { readonly dtype: Dtype; readonly range?: readonly [number, number]; readonly decode: Decode }>
> = {
  float32: { dtype: 'f32', decode: (bytes) => new Float32Array(words(bytes)) },
  float64: { dtype: 'f32', decode: (bytes) => new Float64Array(words(bytes)) },
  float16: { dtype: 'f16', decode: (bytes) => Array.from(new Uint16Array(words(bytes)), halfOf) },
  bfloat16: { dtype: 'bf16', decode: (bytes) => Array.from(new Uint16Array(words(bytes)), brainOf) },
  bool: { dtype: 'bool', range: [0, 1], decode: (bytes) => bytes },
  int64: { dtype: 'i32', range: [-(2 ** 63), 2 ** 63 - 1], decode: (bytes) => Array.from(new BigInt64Array(words(bytes)), Number) },
  int32: { dtype: 'i32', range: [-(2 ** 31), 2 ** 31 - 1], decode: (bytes) => new Int32Array(words(bytes)) },
  int16: { dtype: 'i32', range: [-32768, 32767], decode: (bytes) => new Int16Array(words(bytes)) },
  int8: { dtype: 'i8', range: [-128, 127], decode: (bytes) => new Int8Array(words(bytes)) },
  int4: { dtype: 'i8', range: [-8, 7], decode: packed(4, true) },
  int2: { dtype: 'i8', range: [-2, 1], decode: packed(2, true) },
  uint64: { dtype: 'u32', range: [0, 2 ** 64 - 1], decode: (bytes) => Array.from(new BigUint64Array(words(bytes)), Number) },
  uint32: { dtype: 'u32', range: [0, 2 ** 32 - 1], decode: (bytes) => new Uint32Array(words(bytes)) },
  uint16: { dtype: 'i32', range: [0, 65535], decode: (bytes) => new Uint16Array(words(bytes)) },
  uint8: { dtype: 'u8', range: [0, 255], decode: (bytes) => bytes },
  uint4: { dtype: 'u8', range: [0, 15], decode: packed(4, false) },
  uint2: { dtype: 'u8', range: [0, 3], decode: packed(2, false) },
}

const held: Readonly<Partial<Record<Dtype, readonly [number, number]>>> = { i32: [-(2 ** 31), 2 ** 31 - 1], u32: [0, 2 ** 32 - 1] }

/** How a type of ONNX is held. Throws Missing for those that have no place. */
export function elementType(type: string): (typeof elementTypes)[string] {
  const found = elementTypes[type]
  if (!found) throw new Missing(`element type ${type}`)
  return found
}

/** Throws Missing when the type has no place, or a value does not survive in it. */
export function readTensor({ name, dims, dtype: type, base64 }: StoredTensor): OnnxTensor {
  const { dtype, decode } = elementType(type)
  const data = Float64Array.from(
    decode(
      new Uint8Array(Buffer.from(base64, 'base64')),
      dims.reduce((a, b) => a * b, 1),
    ),
  )
  const range = held[dtype]
  if (range && data.some((value) => value < range[0] || value > range[1])) throw new Missing(`element type ${type}: values beyond ${dtype}`)
  if (type === 'float64' && data.some((value) => Number.isFinite(value) && Math.fround(value) !== value))
    throw new Missing('element type float64: values beyond f32')
  return { name, type, dims, data }
}
