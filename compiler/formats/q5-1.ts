// q5_1: 32 values of 5 bits with an f16 scale and an f16 minimum (24 bytes; 192 for 8 rows in r8); value = q * d + m.

import { fiveBits } from './five-bits.ts'
import { lineBlocks } from './small-blocks.ts'

export const q5_1 = lineBlocks('q5_1', fiveBits)
