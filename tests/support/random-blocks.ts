// Blocks of a storage format as a file might hold them: random bytes (all quants, all scales), with halves of both signs, denormal ones
// among them.

import { type FormatName, formats } from '../../compiler/formats/index.ts'
import { f16FromNumber } from '../../compiler/formats/halves.ts'

/** Where a block's halves lie; the other formats are rounded floats. */
const halves: Partial<Record<FormatName, readonly number[]>> = {
  q8_0: [0],
  q4_0: [0],
  q4_1: [0, 2],
  q5_0: [0],
  q5_1: [0, 2],
  q4_k: [0, 2],
  q5_k: [0, 2],
  q6_k: [208],
  f16: [0],
}

/** Blocks of [rows, k], and their values. `random` gives numbers from 0 to below 1. */
export function randomBlocks(name: FormatName, rows: number, k: number, random: () => number): { bytes: Uint8Array; values: Float64Array } {
  const { values: each, bytes: size, decode, encode } = formats[name]
  const bytes = new Uint8Array(((rows * k) / each) * size).map(() => Math.floor(random() * 256))
  for (let at = 0; at < bytes.length; at += size) {
    for (const place of halves[name] ?? []) {
      const half = f16FromNumber((random() < 0.3 ? 4e-5 : 0.02) * (2 * random() - 1))
      bytes[at + place] = half
      bytes[at + place + 1] = half >> 8
    }
  }
  if (!halves[name])
    encode(
      Float32Array.from({ length: rows * k }, () => 0.1 * random() - 0.05),
      bytes,
    )
  const values = new Float32Array(rows * k)
  decode(bytes, values)
  return { bytes, values: Float64Array.from(values) }
}
