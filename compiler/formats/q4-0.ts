// q4_0: 32 values as unsigned nibbles with one f16 scale (18 bytes); value = (nibble - 8) * d. Quantisation searches
// for d (search.ts) from ggml's plain one on, (the value of largest magnitude, with its sign) / -8.
// r8 (144 bytes): word i = d(row i) | d(row 4+i) << 16, i = 0..3; then one run of 4 bits (run-rows.ts).

import { readFours, writeFours } from './four-bits.ts'
import { halfPlace } from './half-rows.ts'
import { f16FromNumber, f16ToNumber } from './halves.ts'
import { runFormat, runLength } from './run-blocks.ts'
import { run4 } from './run-rows.ts'
import { fitScale, halfOf, loadRun, writeQuants } from './search.ts'

const plainBytes = 18

const quants = new Uint8Array(runLength)

function encode(values: Float32Array, out: Uint8Array, importance?: Float32Array): void {
  for (let b = 0, at = 0; b < values.length; b += runLength, at += plainBytes) {
    loadRun(values, b, runLength, importance)
    const d = fitScale(-8, 7, halfOf)
    writeQuants(d, 0, -8, 7, quants)
    const half = f16FromNumber(d)
    out[at] = half
    out[at + 1] = half >> 8
    writeFours(quants, out, at + 2)
  }
}

function decode(bytes: Uint8Array, out: Float32Array): void {
  for (let b = 0, at = 0; b < out.length; b += runLength, at += plainBytes) {
    const d = f16ToNumber(bytes[at]! | (bytes[at + 1]! << 8))
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 2 + i]!
      out[b + i] = ((pair & 15) - 8) * d
      out[b + 16 + i] = ((pair >> 4) - 8) * d
    }
  }
}

export const q4_0 = runFormat({
  name: 'q4_0',
  values: runLength,
  bytes: plainBytes,
  headBytes: 16,
  rows: run4,
  packHead(plain, at, row, out, start) {
    const to = start + halfPlace(row)
    out[to] = plain[at]!
    out[to + 1] = plain[at + 1]!
  },
  unpackHead(packed, start, row, out, at) {
    const from = start + halfPlace(row)
    out[at] = packed[from]!
    out[at + 1] = packed[from + 1]!
  },
  readRun: (plain, at, _run, into) => readFours(plain, at + 2, into),
  writeRun: (from, _run, out, at) => writeFours(from, out, at + 2),
  encode,
  decode,
})
