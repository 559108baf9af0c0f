// q4_k: 256 values as 8 runs of 32 unsigned nibbles, each run with a 6-bit scale and minimum over f16 d and dmin (144 bytes):
// the head of k-scales.ts, then 128 bytes, byte 32c+i = q[64c+i] | q[64c+32+i] << 4.
// r8 (1216 bytes): the heads, then 8 runs of 4 bits (run-rows.ts).

import { decodeRuns, encodeRuns } from './k-runs.ts'
import { kHead, plainHead } from './k-scales.ts'
import { runFormat, runLength } from './run-blocks.ts'
import { run4 } from './run-rows.ts'

const runs = {
  values: 256,
  bytes: plainHead + 128,
  readRun(plain: Uint8Array, at: number, run: number, quants: Uint8Array): void {
    const from = at + plainHead + (run >> 1) * runLength
    const shift = (run & 1) * 4
    for (let i = 0; i < runLength; i++) quants[i] = (plain[from + i]! >> shift) & 15
  },
  writeRun(quants: Uint8Array, run: number, out: Uint8Array, at: number): void {
    const to = at + plainHead + (run >> 1) * runLength
    for (let i = 0; i < runLength; i++) out[to + i] = run & 1 ? out[to + i]! | (quants[i]! << 4) : quants[i]!
  },
}

export const q4_k = runFormat({ name: 'q4_k', ...runs, ...kHead, rows: run4, decode: decodeRuns(runs), encode: encodeRuns(runs, 15) })
