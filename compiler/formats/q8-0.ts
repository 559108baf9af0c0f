// q8_0: 32 values as i8 with one f16 scale (34 bytes); value = q * d. Quantisation follows ggml's quantize_row_q8_0_ref
// step by step in float32: d = amax/127, q = round half away from zero of x/d, with the unrounded d.
// r8 (272 bytes): word i = d(row i) | d(row 4+i) << 16, i = 0..3; then for j = 0..7, g = 0..1 a vector whose byte 4r+i is
// q[row 4g+r][4j+i], so that a 4-lane dot with four activations splat over the lanes gives four rows at once.

import { halfPlace } from './half-rows.ts'
import { readHalf, writeHalf } from './halves.ts'
import type { Format } from './types.ts'

const block = 32
const plainBytes = 34
const packedBytes = 272
const fround = Math.fround

function encode(values: Float32Array, out: Uint8Array): void {
  for (let b = 0, at = 0; b < values.length; b += block, at += plainBytes) {
    let largest = 0
    for (let i = 0; i < block; i++) largest = Math.max(largest, Math.abs(values[b + i]!))
    const d = fround(largest / 127)
    const inverse = d === 0 ? 0 : fround(1 / d)
    writeHalf(d, out, at)
    for (let i = 0; i < block; i++) {
      const x = fround(values[b + i]! * inverse)
      out[at + 2 + i] = x < 0 ? -Math.floor(0.5 - x) : Math.floor(x + 0.5)
    }
  }
}

function decode(bytes: Uint8Array, out: Float32Array): void {
  for (let b = 0, at = 0; b < out.length; b += block, at += plainBytes) {
    const d = readHalf(bytes, at)
    for (let i = 0; i < block; i++) out[b + i] = ((bytes[at + 2 + i]! << 24) >> 24) * d
  }
}

function packGroup(plainRows: Uint8Array, K: number, out: Uint8Array): void {
  const blocks = K / block
  for (let row = 0; row < 8; row++) {
    const scaleLane = halfPlace(row)
    const first = 16 + (row >> 2) * 16 + (row & 3) * 4
    for (let b = 0; b < blocks; b++) {
      const from = (row * blocks + b) * plainBytes
      const to = b * packedBytes
      out[to + scaleLane] = plainRows[from]!
      out[to + scaleLane + 1] = plainRows[from + 1]!
      for (let k = 0; k < block; k++) out[to + first + (k >> 2) * 32 + (k & 3)] = plainRows[from + 2 + k]!
    }
  }
}

function unpackGroup(packed: Uint8Array, K: number, out: Uint8Array): void {
  const blocks = K / block
  for (let row = 0; row < 8; row++) {
    const scaleLane = halfPlace(row)
    const first = 16 + (row >> 2) * 16 + (row & 3) * 4
    for (let b = 0; b < blocks; b++) {
      const to = (row * blocks + b) * plainBytes
      const from = b * packedBytes
      out[to] = packed[from + scaleLane]!
      out[to + 1] = packed[from + scaleLane + 1]!
      for (let k = 0; k < block; k++) out[to + 2 + k] = packed[from + first + (k >> 2) * 32 + (k & 3)]!
    }
  }
}

export const q8_0: Format = {
  name: 'q8_0',
  values: block,
  bytes: plainBytes,
  r8Block: { k: block, bytes: packedBytes },
  encode,
  decode,
  packGroup,
  unpackGroup,
}
