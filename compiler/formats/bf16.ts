// bf16: the upper half of a float32, rounded half to even.

import { halfFormat } from './half-format.ts'
import { bf16FromBits } from './halves.ts'
import { bitsOf } from './words.ts'

export const bf16 = halfFormat('bf16', bf16FromBits, (halves, out) => {
  const bits = bitsOf(out)
  for (let i = 0; i < bits.length; i++) bits[i] = halves[i]! << 16
})
