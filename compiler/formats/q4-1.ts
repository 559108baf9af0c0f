// q4_1: 32 values as unsigned nibbles with an f16 scale and an f16 minimum (20 bytes); value = nibble * d + m. Quantisation
// searches for both (search.ts) from ggml's plain ones on, m = min and d = (max - min) / 15.
// r8 (160 bytes): word r = d(row r) | m(row r) << 16, r = 0..7; then one run of 4 bits (run-rows.ts).

import { f16FromNumber, f16ToNumber } from './halves.ts'
import { readFours, writeFours } from './four-bits.ts'
import { runFormat, runLength } from './run-blocks.ts'
import { run4 } from './run-rows.ts'
import { fitHalfLine, type Line, loadRun, writeQuants } from './search.ts'

const plainBytes = 20

const quants = new Uint8Array(runLength)
const line: Line = { scale: 0, min: 0 }

function encode(values: Float32Array, out: Uint8Array, importance?: Float32Array): void {
  for (let b = 0, at = 0; b < values.length; b += runLength, at += plainBytes) {
    loadRun(values, b, runLength, importance)
    fitHalfLine(15, line)
    writeQuants(line.scale, line.min, 0, 15, quants)
    const [half, minimum] = [f16FromNumber(line.scale), f16FromNumber(line.min)]
    out[at] = half
    out[at + 1] = half >> 8
    out[at + 2] = minimum
    out[at + 3] = minimum >> 8
    writeFours(quants, out, at + 4)
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
