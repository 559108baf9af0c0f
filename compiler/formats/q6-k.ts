// q6_k: 256 values of 6 bits, 16 groups of 16 with an i8 scale each, and one f16 d (210 bytes); value = (q - 32) * sc * d. Plain:
// for each half n of 128 values (runs 4n .. 4n+3) the low four bits in 64 bytes, byte i = q[i] | q[64+i] << 4; then for each half
// the high two bits in 32 bytes, bits 2r, 2r+1 of byte i being those of value i of run r; then 16 scales, then d.
// r8 (1696 bytes): d of rows 0..7 as f32; for i = 0..3 the scales of groups i, 4+i, 8+i, 12+i as a word of each row (a kernel walks
// over the bytes); then 8 runs of 6 bits (run-rows.ts).
//
// Quantisation here divides by each group's largest value and rounds; ggml searches for better steps (make_qx_quants).

import { packHalf, unpackHalf } from './half-rows.ts'
import { f16FromNumber, f16ToNumber } from './halves.ts'
import { runFormat, runLength } from './run-blocks.ts'
import { run6 } from './run-rows.ts'

const values = 256
const [highAt, scalesAt, scaleAt] = [128, 192, 208]
const bytes = 210
const groups = 16
const groupLength = 16
const quants = new Uint8Array(runLength)
const signed = (byte: number): number => (byte << 24) >> 24

/** First low byte of a run, and whether its nibbles are the high ones. */
const lowAt = (run: number): number => (run >> 2) * 64 + (run & 1) * 32
const isUpper = (run: number): boolean => (run & 2) !== 0

function readRun(plain: Uint8Array, at: number, run: number, into: Uint8Array): void {
  const [low, high] = [at + lowAt(run), at + highAt + (run >> 2) * 32]
  for (let i = 0; i < runLength; i++) {
    const nibble = isUpper(run) ? plain[low + i]! >> 4 : plain[low + i]! & 15
    into[i] = nibble | (((plain[high + i]! >> (2 * (run & 3))) & 3) << 4)
  }
}

function writeRun(from: Uint8Array, run: number, out: Uint8Array, at: number): void {
  const [low, high] = [at + lowAt(run), at + highAt + (run >> 2) * 32]
  for (let i = 0; i < runLength; i++) {
    const top = (from[i]! >> 4) << (2 * (run & 3))
    out[low + i] = isUpper(run) ? out[low + i]! | (from[i]! << 4) : from[i]! & 15
    out[high + i] = (run & 3) === 0 ? top : out[high + i]! | top
  }
}

const dOf = (plain: Uint8Array, at: number): number => f16ToNumber(plain[at + scaleAt]! | (plain[at + scaleAt + 1]! << 8))

function decode(stored: Uint8Array, out: Float32Array): void {
  for (let b = 0, at = 0; b < out.length; b += values, at += bytes) {
    const d = dOf(stored, at)
    for (let run = 0; run < 8; run++) {
      readRun(stored, at, run, quants)
      for (let i = 0; i < runLength; i++) {
        // d * sc is exact (11 + 8 bits); times 6 bits it is rounded once, to float32.
        const scale = signed(stored[at + scalesAt + 2 * run + (i >> 4)]!)
        out[b + run * runLength + i] = d * scale * (quants[i]! - 32)
      }
    }
  }
}

function encode(given: Float32Array, out: Uint8Array): void {
  const steps = new Float32Array(groups)
  for (let b = 0, at = 0; b < given.length; b += values, at += bytes) {
    for (let group = 0; group < groups; group++) {
      let extreme = 0
      for (let i = 0; i < groupLength; i++) {
        const value = given[b + group * groupLength + i]!
        if (Math.abs(value) > Math.abs(extreme)) extreme = value
      }
      steps[group] = extreme / -32
    }
    const half = f16FromNumber(Math.max(...steps.map(Math.abs)) / 127)
    out[at + scaleAt] = half
    out[at + scaleAt + 1] = half >> 8
    const d = f16ToNumber(half)
    for (let group = 0; group < groups; group++) {
      out[at + scalesAt + group] = d === 0 ? 0 : Math.min(127, Math.max(-128, Math.round(steps[group]! / d)))
    }
    for (let run = 0; run < 8; run++) {
      for (let i = 0; i < runLength; i++) {
        const step = d * signed(out[at + scalesAt + 2 * run + (i >> 4)]!)
        const q = step === 0 ? 0 : Math.round(given[b + run * runLength + i]! / step)
        quants[i] = Math.min(31, Math.max(-32, q)) + 32
      }
      writeRun(quants, run, out, at)
    }
  }
}

/** Byte of group `group`'s scale in the packed words. */
const scaleByte = (group: number, row: number): number => 32 + (group & 3) * 32 + 4 * row + (group >> 2)

export const q6_k = runFormat({
  name: 'q6_k',
  values,
  bytes,
  headBytes: 32 + 128,
  rows: run6,
  packHead(plain, at, row, out, start) {
    packHalf(plain, at + scaleAt, out, start + 4 * row)
    for (let group = 0; group < groups; group++) out[start + scaleByte(group, row)] = plain[at + scalesAt + group]!
  },
  unpackHead(packed, start, row, out, at) {
    unpackHalf(packed, start + 4 * row, out, at + scaleAt)
    for (let group = 0; group < groups; group++) out[at + scalesAt + group] = packed[start + scaleByte(group, row)]!
  },
  readRun,
  writeRun,
  encode,
  decode,
})
