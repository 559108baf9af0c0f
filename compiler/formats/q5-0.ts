// q5_0: 32 values of 5 bits with one f16 scale (22 bytes; 176 for 8 rows in r8); value = (q - 16) * d.

import { fiveBits } from './five-bits.ts'
import { scaleBlocks } from './small-blocks.ts'

export const q5_0 = scaleBlocks('q5_0', fiveBits)
