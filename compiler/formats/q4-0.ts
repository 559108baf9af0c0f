// q4_0: 32 values of 4 bits with one f16 scale (18 bytes; 144 for 8 rows in r8); value = (q - 8) * d.

import { fourBits } from './four-bits.ts'
import { scaleBlocks } from './small-blocks.ts'

export const q4_0 = scaleBlocks('q4_0', fourBits)
