// The head that q4_k and q5_k share: f16 d, f16 dmin, and for each of 8 runs a 6-bit scale sc and a 6-bit minimum m;
// value = d * sc * q - dmin * m. Plain (16 bytes): the halves, then 12 bytes A B C of 4 each, for j = 0..3
//   sc[j] = A[j] & 63, m[j] = B[j] & 63, sc[4+j] = C[j] & 15 | A[j] >> 6 << 4, m[4+j] = C[j] >> 4 | B[j] >> 6 << 4.
// r8 (128 bytes): word r = d(row r) | dmin(row r) << 16, r = 0..7; then the three words A, B, C of all rows, a word of rows 0..7
// after the other, with runs 0, 2, 4, 6 in the place of 0..3 and 1, 3, 5, 7 in that of 4..7: neighbouring runs then take the same
// byte, which is what a kernel walks over. The bytes stay what they were: 6 bits are not widened.
//
// Quantisation here takes each run's range and rounds; ggml searches for better steps (make_qkx2_quants).

import { f16FromNumber, f16ToNumber } from './halves.ts'
import type { RunBlocks } from './run-blocks.ts'

const runs = 8
export const plainHead = 16
export const packedHead = 128

const scales = new Uint8Array(runs)
const minima = new Uint8Array(runs)

function readScales(bytes: Uint8Array, at: number, sc: Uint8Array, m: Uint8Array): void {
  for (let j = 0; j < 4; j++) {
    const [a, b, c] = [bytes[at + j]!, bytes[at + 4 + j]!, bytes[at + 8 + j]!]
    sc[j] = a & 63
    m[j] = b & 63
    sc[4 + j] = (c & 15) | ((a >> 6) << 4)
    m[4 + j] = (c >> 4) | ((b >> 6) << 4)
  }
}

function writeScales(sc: Uint8Array, m: Uint8Array, out: Uint8Array, at: number): void {
  for (let j = 0; j < 4; j++) {
    out[at + j] = sc[j]! | ((sc[4 + j]! >> 4) << 6)
    out[at + 4 + j] = m[j]! | ((m[4 + j]! >> 4) << 6)
    out[at + 8 + j] = (sc[4 + j]! & 15) | ((m[4 + j]! & 15) << 4)
  }
}

/** Run `j` of the words' order lies where run j < 4 ? 2j : 2(j - 4) + 1 was: evens first. */
const evensFirst = (list: Uint8Array): Uint8Array => list.map((_, j) => list[j < 4 ? 2 * j : 2 * (j - 4) + 1]!)
const inOrder = (list: Uint8Array): Uint8Array => list.map((_, j) => list[(j & 1) * 4 + (j >> 1)]!)

const words = new Uint8Array(12)

export const kHead: Pick<RunBlocks, 'headBytes' | 'packHead' | 'unpackHead'> = {
  headBytes: packedHead,
  packHead(plain, at, row, out, start) {
    for (let i = 0; i < 4; i++) out[start + 4 * row + i] = plain[at + i]!
    readScales(plain, at + 4, scales, minima)
    writeScales(evensFirst(scales), evensFirst(minima), words, 0)
    for (let i = 0; i < 12; i++) out[start + 32 + (i >> 2) * 32 + 4 * row + (i & 3)] = words[i]!
  },
  unpackHead(packed, start, row, out, at) {
    for (let i = 0; i < 4; i++) out[at + i] = packed[start + 4 * row + i]!
    for (let i = 0; i < 12; i++) words[i] = packed[start + 32 + (i >> 2) * 32 + 4 * row + (i & 3)]!
    readScales(words, 0, scales, minima)
    writeScales(inOrder(scales), inOrder(minima), out, at + 4)
  },
}

/** Steps of the runs of a plain block: `steps[run]` = d * sc, `least[run]` = dmin * m. Both are exact in a float32. */
export function readSteps(plain: Uint8Array, at: number, steps: Float32Array, least: Float32Array): void {
  const d = f16ToNumber(plain[at]! | (plain[at + 1]! << 8))
  const dmin = f16ToNumber(plain[at + 2]! | (plain[at + 3]! << 8))
  readScales(plain, at + 4, scales, minima)
  for (let run = 0; run < runs; run++) {
    steps[run] = d * scales[run]!
    least[run] = dmin * minima[run]!
  }
}

/** Writes the head of a block of 256 values from `from` on, for quants up to `most`. */
export function writeHead(values: Float32Array, from: number, most: number, out: Uint8Array, at: number): void {
  const [steps, least] = [new Float32Array(runs), new Float32Array(runs)]
  for (let run = 0; run < runs; run++) {
    let [low, high] = [0, 0]
    for (let i = 0; i < 32; i++) {
      low = Math.min(low, values[from + 32 * run + i]!)
      high = Math.max(high, values[from + 32 * run + i]!)
    }
    steps[run] = (high - low) / most
    least[run] = -low
  }
  for (const [i, list] of [steps, least].entries()) {
    const half = f16FromNumber(Math.max(...list) / 63)
    out[at + 2 * i] = half
    out[at + 2 * i + 1] = half >> 8
    const unit = f16ToNumber(half)
    const into = i === 0 ? scales : minima
    for (let run = 0; run < runs; run++) into[run] = unit === 0 ? 0 : Math.min(63, Math.round(list[run]! / unit))
  }
  writeScales(scales, minima, out, at + 4)
}
