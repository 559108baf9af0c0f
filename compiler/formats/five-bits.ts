// The quants of q5_0 and q5_1: 4 bytes whose bit i is the fifth bit of value i, then 16 bytes, byte i = low four bits of q[i] | low four
// bits of q[16+i] << 4.

import { runLength } from './run-blocks.ts'
import { run5 } from './run-rows.ts'
import type { PlainQuants } from './small-blocks.ts'

export const fiveBits: PlainQuants = {
  bits: 5,
  bytes: 20,
  rows: run5,
  read(plain, at, quants) {
    for (let i = 0; i < runLength; i++) {
      const low = (plain[at + 4 + (i & 15)]! >> (i & 16 ? 4 : 0)) & 15
      quants[i] = low | (((plain[at + (i >> 3)]! >> (i & 7)) & 1) << 4)
    }
  },
  write(quants, out, at) {
    for (let i = 0; i < 16; i++) out[at + 4 + i] = (quants[i]! & 15) | (quants[16 + i]! << 4)
    for (let byte = 0; byte < 4; byte++) {
      let bits = 0
      for (let i = 0; i < 8; i++) bits |= (quants[8 * byte + i]! >> 4) << i
      out[at + byte] = bits
    }
  },
}
