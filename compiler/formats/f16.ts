// f16: IEEE binary16. Conversion in halves.ts.

import { halfFormat } from './half-format.ts'
import { f16FromBits, f16ToNumber } from './halves.ts'

export const f16 = halfFormat('f16', f16FromBits, (halves, out) => {
  for (let i = 0; i < out.length; i++) out[i] = f16ToNumber(halves[i]!)
})
