// f32: one value, four bytes. r8: for each k the 8 rows' values side by side (32 bytes).
// Words are moved as integers, so that NaN payloads survive.

import type { Format } from './types.ts'
import { bitsOf, readWords, writeWords } from './words.ts'

export const f32: Format = {
  name: 'f32',
  values: 1,
  bytes: 4,
  r8Block: { k: 1, bytes: 32 },
  encode(values, out) {
    out.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  },
  decode(bytes, out) {
    bitsOf(out).set(readWords(bytes))
  },
  packGroup(plainRows, K, out) {
    const rows = readWords(plainRows)
    writeWords(out, (words) => {
      for (let row = 0; row < 8; row++) for (let k = 0; k < K; k++) words[k * 8 + row] = rows[row * K + k]!
    })
  },
  unpackGroup(packed, K, out) {
    const words = readWords(packed)
    writeWords(out, (rows) => {
      for (let row = 0; row < 8; row++) for (let k = 0; k < K; k++) rows[row * K + k] = words[k * 8 + row]!
    })
  },
}
