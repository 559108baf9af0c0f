// Values of a kernel's operand to and from the 4-byte words in which devices hold them: f32, i32, halves, or activations and states in
// blocks of 8 bits.

import type { Operand } from '../../compiler/kernel/types.ts'
import { formats } from '../../compiler/formats/index.ts'
import { blockSize } from '../../compiler/ops/quantise.ts'
import { a8, type ByteBlocks, byteWords, centrings, d8, isByteFormat } from '../../compiler/schedule/activation-blocks.ts'
import { blockWords, byteOfNumber, s8 } from '../../compiler/schedule/state-blocks.ts'
import type { AffineJson } from '../../runtime/artifact/manifest.ts'

const countOf = (dims: Operand['dims']): number => dims.reduce((count, dim) => count * dim.const, 1)

/** Sizes of an operand in words; of 8-bit activations the last axis is constant and in whole blocks, of states as halves or in blocks all are. */
export function wordDims({ dims, format }: Pick<Operand, 'dims' | 'format'>): readonly AffineJson[] {
  if (format === 'f16') return [{ const: Math.ceil(countOf(dims) / 2), terms: [] }]
  if (format === 's8') return [{ const: blockWords(countOf(dims)), terms: [] }]
  if (!isByteFormat(format)) return dims
  return [...dims.slice(0, -1), { const: byteWords(format, dims.at(-1)!.const), terms: [] }]
}

export function toWords({ format }: Pick<Operand, 'format'>, values: Float64Array): Int32Array {
  if (format === 'a8') return bytesToWords(values)
  if (format === 'd8') return dotBlocksToWords(values)
  if (format === 's8') return blocksToWords(values)
  if (format === 'f16') {
    const words = new Int32Array(Math.ceil(values.length / 2))
    formats.f16.encode(Float32Array.from(values), new Uint8Array(words.buffer, 0, values.length * 2))
    return words
  }
  return format === 'i32' ? Int32Array.from(values) : new Int32Array(Float32Array.from(values).buffer)
}

export function fromWords({ format, dims }: Pick<Operand, 'format' | 'dims'>, words: Int32Array): Float64Array {
  if (format === 'a8') return bytesFromWords(words)
  if (format === 'd8') return dotBlocksFromWords(words)
  if (format === 's8') return blocksFromWords(words, countOf(dims))
  if (format === 'f16') {
    const values = new Float32Array(countOf(dims))
    formats.f16.decode(new Uint8Array(words.buffer, words.byteOffset, values.length * 2), values)
    return Float64Array.from(values)
  }
  return Float64Array.from(format === 'i32' ? words : new Float32Array(words.buffer, words.byteOffset, words.length))
}

/** A block while it is written: its first word, its step and its quants, and all memory. */
interface Block {
  readonly at: number
  readonly d: number
  readonly quants: Int8Array
  readonly words: Int32Array
  readonly bytes: Int8Array
  readonly floats: Float32Array
}

/** Blocks of values that are rounded ones already: the largest of each is ±127 steps. `rest` writes what follows the quants. */
function byteBlocksOf(format: ByteBlocks, values: Float64Array, rest: (block: Block) => void): Int32Array {
  const words = new Int32Array(byteWords(format, values.length))
  const [bytes, floats] = [new Int8Array(words.buffer), new Float32Array(words.buffer)]
  for (let from = 0; from < values.length; from += blockSize) {
    const at = byteWords(format, from)
    const part = values.subarray(from, from + blockSize)
    const d = Math.fround(part.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127)
    const quants = bytes.subarray(at * 4, at * 4 + blockSize)
    for (const [i, value] of part.entries()) quants[i] = d > 0 ? Math.round(value / d) : 0
    rest({ at, d, quants, words, bytes, floats })
  }
  return words
}

const dotBlocksToWords = (values: Float64Array): Int32Array =>
  byteBlocksOf('d8', values, ({ at, d, floats }) => {
    floats[at + d8.scale] = d
  })

function dotBlocksFromWords(words: Int32Array): Float64Array {
  const bytes = new Int8Array(words.buffer, words.byteOffset, words.length * 4)
  const floats = new Float32Array(words.buffer, words.byteOffset, words.length)
  return Float64Array.from({ length: (words.length / d8.words) * d8.k }, (_, i) => {
    const at = Math.floor(i / d8.k) * d8.words
    return bytes[at * 4 + (i % d8.k)]! * floats[at + d8.scale]!
  })
}

const bytesToWords = (values: Float64Array): Int32Array =>
  byteBlocksOf('a8', values, ({ at, d, quants, words, bytes, floats }) => {
    for (const [i, q] of quants.entries()) {
      bytes[(at + a8.positive) * 4 + i] = Math.max(q, 0)
      bytes[(at + a8.negative) * 4 + i] = Math.max(-q, 0)
    }
    const sum = quants.reduce((total, q) => total + q, 0)
    floats[at + a8.scale] = d * a8.factor
    floats[at + a8.sum] = d * sum * a8.factor
    floats[at + a8.step] = d
    floats[at + a8.total] = d * sum
    for (const [word, value] of centrings(quants)) words[at + word] = value
  })

/** The values are rounded ones already: d is the largest of a block over 127, and a half. */
function blocksToWords(values: Float64Array): Int32Array {
  const words = new Int32Array(blockWords(values.length))
  const bytes = new Int8Array(words.buffer)
  for (let from = 0; from < values.length; from += s8.k) {
    const part = values.subarray(from, from + s8.k)
    const d = part.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127
    formats.f16.encode(Float32Array.of(d), new Uint8Array(words.buffer, values.length + from / 16, 2))
    for (const [i, value] of part.entries()) bytes[byteOfNumber(from + i)] = d > 0 ? Math.round(value / d) : 0
  }
  return words
}

function blocksFromWords(words: Int32Array, count: number): Float64Array {
  const scales = new Float32Array(count / s8.k)
  formats.f16.decode(new Uint8Array(words.buffer, words.byteOffset + count, 2 * scales.length), scales)
  const bytes = new Int8Array(words.buffer, words.byteOffset, count)
  return Float64Array.from({ length: count }, (_, i) => bytes[byteOfNumber(i)]! * scales[Math.floor(i / s8.k)]!)
}

/** NaN where the planes or the sums of a block say something else than its bytes: kernels read all of them. */
function bytesFromWords(words: Int32Array): Float64Array {
  const values = new Float64Array((words.length / a8.words) * a8.k)
  const [bytes, floats] = [
    new Int8Array(words.buffer, words.byteOffset, words.length * 4),
    new Float32Array(words.buffer, words.byteOffset, words.length),
  ]
  for (let block = 0; block < words.length / a8.words; block++) {
    const at = block * a8.words
    const d = floats[at + a8.scale]! / a8.factor
    const quants = bytes.subarray(at * 4, at * 4 + a8.k)
    for (const [i, q] of quants.entries()) {
      const planes = bytes[(at + a8.positive) * 4 + i] === Math.max(q, 0) && bytes[(at + a8.negative) * 4 + i] === Math.max(-q, 0)
      values[block * a8.k + i] = planes ? q * d : Number.NaN
    }
    const sum = quants.reduce((total, q) => total + q, 0)
    const sums = [floats[at + a8.sum]! / a8.factor, floats[at + a8.total]!]
    const stored = sums.every((total) => Math.abs(total - d * sum) <= 1e-5 * d * (Math.abs(sum) + 1)) && floats[at + a8.step] === d
    if (!stored || centrings(quants).some(([word, value]) => words[at + word] !== value))
      values.fill(Number.NaN, block * a8.k, (block + 1) * a8.k)
  }
  return values
}
