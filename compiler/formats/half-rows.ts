// The r8 layout that f16 and bf16 share: for each k four words, word i = half of row i | half of row 4+i << 16 (16 bytes).
// One vector load then gives rows 0..3 in the low and rows 4..7 in the high halves of its lanes.

import { floatBits16, halfBits } from './halves.ts'
import { readHalves, writeHalves } from './words.ts'

export function packHalves(plainRows: Uint8Array, K: number, out: Uint8Array): void {
  const rows = readHalves(plainRows)
  writeHalves(out, (halves) => {
    for (let row = 0; row < 8; row++) {
      const lane = (row & 3) * 2 + (row >> 2)
      for (let k = 0; k < K; k++) halves[k * 8 + lane] = rows[row * K + k]!
    }
  })
}

export function unpackHalves(packed: Uint8Array, K: number, out: Uint8Array): void {
  const halves = readHalves(packed)
  writeHalves(out, (rows) => {
    for (let row = 0; row < 8; row++) {
      const lane = (row & 3) * 2 + (row >> 2)
      for (let k = 0; k < K; k++) rows[row * K + k] = halves[k * 8 + lane]!
    }
  })
}

/** Byte of a row's half among the four words that hold one half of each of 8 rows. */
export const halfPlace = (row: number): number => (row & 3) * 4 + (row >> 2) * 2

/** A half of a plain block as the four bytes of an f32, and back to its bits. */
export function packHalf(plain: Uint8Array, at: number, out: Uint8Array, to: number): void {
  const bits = floatBits16(plain[at]! | (plain[at + 1]! << 8))
  for (let i = 0; i < 4; i++) out[to + i] = bits >>> (8 * i)
}

export function unpackHalf(packed: Uint8Array, from: number, out: Uint8Array, at: number): void {
  const half = halfBits(packed[from]! | (packed[from + 1]! << 8) | (packed[from + 2]! << 16) | (packed[from + 3]! << 24))
  out[at] = half
  out[at + 1] = half >> 8
}
