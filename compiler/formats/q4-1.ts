// q4_1: 32 values as unsigned nibbles with an f16 scale and an f16 minimum (20 bytes); value = nibble * d + m. Quantisation
// follows ggml's quantize_row_q4_1_ref in float32: d = (max - min) / 15, nibble = trunc((x - min)/d + 0.5), at most 15.
// r8 (160 bytes): word r = d(row r) | m(row r) << 16, r = 0..7; then one run of 4 bits (run-rows.ts).

import { f16FromNumber, f16ToNumber } from './halves.ts'
import { readFours, writeFours } from './four-bits.ts'
import { runFormat, runLength } from './run-blocks.ts'
import { run4 } from './run-rows.ts'

const plainBytes = 20
const fround = Math.fround

const nibble = (x: number, least: number, inverse: number): number => Math.min(15, fround(fround(fround(x - least) * inverse) + 0.5) | 0)

function encode(values: Float32Array, out: Uint8Array): void {
  for (let b = 0, at = 0; b < values.length; b += runLength, at += plainBytes) {
    let least = values[b]!
    let most = least
    for (let i = 1; i < runLength; i++) {
      least = Math.min(least, values[b + i]!)
      most = Math.max(most, values[b + i]!)
    }
    const d = fround(fround(most - least) / 15)
    const inverse = d === 0 ? 0 : fround(1 / d)
    const half = f16FromNumber(d)
    const minimum = f16FromNumber(least)
    out[at] = half
    out[at + 1] = half >> 8
    out[at + 2] = minimum
    out[at + 3] = minimum >> 8
    for (let i = 0; i < 16; i++) {
      out[at + 4 + i] = nibble(values[b + i]!, least, inverse) | (nibble(values[b + 16 + i]!, least, inverse) << 4)
    }
  }
}

function decode(bytes: Uint8Array, out: Float32Array): void {
  for (let b = 0, at = 0; b < out.length; b += runLength, at += plainBytes) {
    const d = f16ToNumber(bytes[at]! | (bytes[at + 1]! << 8))
    const m = f16ToNumber(bytes[at + 2]! | (bytes[at + 3]! << 8))
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 4 + i]!
      // The product is exact in f64 and a float32 too (4 + 11 bits), so one rounding to float32 remains.
      out[b + i] = (pair & 15) * d + m
      out[b + 16 + i] = (pair >> 4) * d + m
    }
  }
}

export const q4_1 = runFormat({
  name: 'q4_1',
  values: runLength,
  bytes: plainBytes,
  headBytes: 32,
  rows: run4,
  packHead(plain, at, row, out, start) {
    for (let i = 0; i < 4; i++) out[start + 4 * row + i] = plain[at + i]!
  },
  unpackHead(packed, start, row, out, at) {
    for (let i = 0; i < 4; i++) out[at + i] = packed[start + 4 * row + i]!
  },
  readRun: (plain, at, _run, into) => readFours(plain, at + 4, into),
  writeRun: (from, _run, out, at) => writeFours(from, out, at + 4),
  encode,
  decode,
})
