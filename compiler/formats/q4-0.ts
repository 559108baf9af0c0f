// q4_0: 32 values as unsigned nibbles with one f16 scale (18 bytes); value = (nibble - 8) * d. Quantisation follows ggml's
// quantize_row_q4_0_ref in float32: d = (the value of largest magnitude, with its sign) / -8, nibble = trunc(x/d + 8.5), at most 15.
// r8 (144 bytes): word i = d(row i) | d(row 4+i) << 16, i = 0..3; then the nibbles (nibble-rows.ts).

import { halfPlace } from './half-rows.ts'
import { f16FromNumber, f16ToNumber } from './halves.ts'
import { packNibbles, unpackNibbles } from './nibble-rows.ts'
import type { Format } from './types.ts'

const block = 32
const plainBytes = 18
const packedBytes = 144
const fround = Math.fround

const nibble = (x: number, inverse: number): number => Math.min(15, fround(fround(x * inverse) + 8.5) | 0)

function encode(values: Float32Array, out: Uint8Array): void {
  for (let b = 0, at = 0; b < values.length; b += block, at += plainBytes) {
    let extreme = 0
    for (let i = 0; i < block; i++) if (Math.abs(values[b + i]!) > Math.abs(extreme)) extreme = values[b + i]!
    const d = fround(extreme / -8)
    const inverse = d === 0 ? 0 : fround(1 / d)
    const half = f16FromNumber(d)
    out[at] = half
    out[at + 1] = half >> 8
    for (let i = 0; i < 16; i++) out[at + 2 + i] = nibble(values[b + i]!, inverse) | (nibble(values[b + 16 + i]!, inverse) << 4)
  }
}

function decode(bytes: Uint8Array, out: Float32Array): void {
  for (let b = 0, at = 0; b < out.length; b += block, at += plainBytes) {
    const d = f16ToNumber(bytes[at]! | (bytes[at + 1]! << 8))
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 2 + i]!
      out[b + i] = ((pair & 15) - 8) * d
      out[b + 16 + i] = ((pair >> 4) - 8) * d
    }
  }
}

function packGroup(plainRows: Uint8Array, K: number, out: Uint8Array): void {
  const blocks = K / block
  for (let row = 0; row < 8; row++) {
    const scaleLane = halfPlace(row)
    for (let b = 0; b < blocks; b++) {
      const from = (row * blocks + b) * plainBytes
      const to = b * packedBytes
      out[to + scaleLane] = plainRows[from]!
      out[to + scaleLane + 1] = plainRows[from + 1]!
      packNibbles(plainRows, from + 2, row, out, to + 16)
    }
  }
}

function unpackGroup(packed: Uint8Array, K: number, out: Uint8Array): void {
  const blocks = K / block
  for (let row = 0; row < 8; row++) {
    const scaleLane = halfPlace(row)
    for (let b = 0; b < blocks; b++) {
      const to = (row * blocks + b) * plainBytes
      const from = b * packedBytes
      out[to] = packed[from + scaleLane]!
      out[to + 1] = packed[from + scaleLane + 1]!
      unpackNibbles(packed, from + 16, row, out, to + 2)
    }
  }
}

export const q4_0: Format = {
  name: 'q4_0',
  values: block,
  bytes: plainBytes,
  r8Block: { k: block, bytes: packedBytes },
  encode,
  decode,
  packGroup,
  unpackGroup,
}
