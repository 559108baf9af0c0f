// The quants of q4_0 and q4_1: 16 bytes, byte i = q[i] | q[16+i] << 4.

import { run4 } from './run-rows.ts'
import type { PlainQuants } from './small-blocks.ts'

export const fourBits: PlainQuants = {
  bits: 4,
  bytes: 16,
  rows: run4,
  read(plain, at, quants) {
    for (let i = 0; i < 16; i++) {
      const pair = plain[at + i]!
      quants[i] = pair & 15
      quants[16 + i] = pair >> 4
    }
  },
  write(quants, out, at) {
    for (let i = 0; i < 16; i++) out[at + i] = quants[i]! | (quants[16 + i]! << 4)
  },
}
