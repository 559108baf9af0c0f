// q5_1: 32 values of 5 bits with an f16 scale and an f16 minimum (24 bytes); value = q * d + m. Quantisation
// searches for both (search.ts) from ggml's plain ones on, m = min and d = (max - min) / 31.
// r8 (192 bytes): word r = d(row r) | m(row r) << 16, r = 0..7; then one run of 5 bits (run-rows.ts).

import { readFives, writeFives } from './five-bits.ts'
import { f16FromNumber, f16ToNumber } from './halves.ts'
import { runFormat, runLength } from './run-blocks.ts'
import { run5 } from './run-rows.ts'
import { fitHalfLine, type Line, loadRun, writeQuants } from './search.ts'

const plainBytes = 24
const quants = new Uint8Array(runLength)

const line: Line = { scale: 0, min: 0 }

function encode(values: Float32Array, out: Uint8Array, importance?: Float32Array): void {
  for (let b = 0, at = 0; b < values.length; b += runLength, at += plainBytes) {
    loadRun(values, b, runLength, importance)
    fitHalfLine(31, line)
    writeQuants(line.scale, line.min, 0, 31, quants)
    const [half, minimum] = [f16FromNumber(line.scale), f16FromNumber(line.min)]
    out[at] = half
    out[at + 1] = half >> 8
    out[at + 2] = minimum
    out[at + 3] = minimum >> 8
    writeFives(quants, out, at + 4)
  }
}

function decode(bytes: Uint8Array, out: Float32Array): void {
  for (let b = 0, at = 0; b < out.length; b += runLength, at += plainBytes) {
    const d = f16ToNumber(bytes[at]! | (bytes[at + 1]! << 8))
    const m = f16ToNumber(bytes[at + 2]! | (bytes[at + 3]! << 8))
    readFives(bytes, at + 4, quants)
    // The product is exact in a float32 too (5 + 11 bits), so one rounding to float32 remains.
    for (let i = 0; i < runLength; i++) out[b + i] = quants[i]! * d + m
  }
}

export const q5_1 = runFormat({
  name: 'q5_1',
  values: runLength,
  bytes: plainBytes,
  headBytes: 32,
  rows: run5,
  packHead(plain, at, row, out, start) {
    for (let i = 0; i < 4; i++) out[start + 4 * row + i] = plain[at + i]!
  },
  unpackHead(packed, start, row, out, at) {
    for (let i = 0; i < 4; i++) out[at + i] = packed[start + 4 * row + i]!
  },
  readRun: (plain, at, _run, into) => readFives(plain, at + 4, into),
  writeRun: (from, _run, out, at) => writeFives(from, out, at + 4),
  encode,
  decode,
})
