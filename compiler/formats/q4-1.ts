// q4_1: 32 values of 4 bits with an f16 scale and an f16 minimum (20 bytes; 160 for 8 rows in r8); value = q * d + m.

import { fourBits } from './four-bits.ts'
import { lineBlocks } from './small-blocks.ts'

export const q4_1 = lineBlocks('q4_1', fourBits)
