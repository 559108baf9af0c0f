// q5_k: as q4_k with a fifth bit (176 bytes): after the head 32 bytes, bit r of byte i is the fifth bit of value i of run r; then
// the low four bits as q4_k has them. r8 (1472 bytes): the heads, then 8 runs of 5 bits (run-rows.ts).

import { decodeRuns, encodeRuns } from './k-runs.ts'
import { kHead, plainHead } from './k-scales.ts'
import { runFormat, runLength } from './run-blocks.ts'
import { run5 } from './run-rows.ts'

const lows = plainHead + 32
const runs = {
  values: 256,
  bytes: lows + 128,
  readRun(plain: Uint8Array, at: number, run: number, quants: Uint8Array): void {
    const from = at + lows + (run >> 1) * runLength
    const shift = (run & 1) * 4
    for (let i = 0; i < runLength; i++) {
      quants[i] = ((plain[from + i]! >> shift) & 15) | (((plain[at + plainHead + i]! >> run) & 1) << 4)
    }
  },
  writeRun(quants: Uint8Array, run: number, out: Uint8Array, at: number): void {
    const to = at + lows + (run >> 1) * runLength
    for (let i = 0; i < runLength; i++) {
      const [low, high] = [quants[i]! & 15, (quants[i]! >> 4) << run]
      out[to + i] = run & 1 ? out[to + i]! | (low << 4) : low
      out[at + plainHead + i] = run === 0 ? high : out[at + plainHead + i]! | high
    }
  },
}

export const q5_k = runFormat({ name: 'q5_k', ...runs, ...kHead, rows: run5, decode: decodeRuns(runs), encode: encodeRuns(runs, 31) })
