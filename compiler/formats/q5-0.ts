// q5_0: 32 values of 5 bits with one f16 scale (22 bytes); value = (q - 16) * d. Quantisation searches
// for d (search.ts) from ggml's plain one on, (the value of largest magnitude, with its sign) / -16.
// r8 (176 bytes): word i = d(row i) | d(row 4+i) << 16, i = 0..3; then one run of 5 bits (run-rows.ts).

import { readFives, writeFives } from './five-bits.ts'
import { halfPlace } from './half-rows.ts'
import { f16FromNumber, f16ToNumber } from './halves.ts'
import { runFormat, runLength } from './run-blocks.ts'
import { run5 } from './run-rows.ts'
import { fitScale, halfOf, loadRun, writeQuants } from './search.ts'

const plainBytes = 22
const quants = new Uint8Array(runLength)

function encode(values: Float32Array, out: Uint8Array, importance?: Float32Array): void {
  for (let b = 0, at = 0; b < values.length; b += runLength, at += plainBytes) {
    loadRun(values, b, runLength, importance)
    const d = fitScale(-16, 15, halfOf)
    writeQuants(d, 0, -16, 15, quants)
    const half = f16FromNumber(d)
    out[at] = half
    out[at + 1] = half >> 8
    writeFives(quants, out, at + 2)
  }
}

function decode(bytes: Uint8Array, out: Float32Array): void {
  for (let b = 0, at = 0; b < out.length; b += runLength, at += plainBytes) {
    const d = f16ToNumber(bytes[at]! | (bytes[at + 1]! << 8))
    readFives(bytes, at + 2, quants)
    for (let i = 0; i < runLength; i++) out[b + i] = (quants[i]! - 16) * d
  }
}

export const q5_0 = runFormat({
  name: 'q5_0',
  values: runLength,
  bytes: plainBytes,
  headBytes: 16,
  rows: run5,
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
  readRun: (plain, at, _run, into) => readFives(plain, at + 2, into),
  writeRun: (from, _run, out, at) => writeFives(from, out, at + 2),
  encode,
  decode,
})
