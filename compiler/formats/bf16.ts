// bf16: the upper half of a float32, rounded half to even. r8 layout in half-rows.ts.

import { packHalves, unpackHalves } from './half-rows.ts'
import { bf16FromBits } from './halves.ts'
import type { Format } from './types.ts'
import { bitsOf, readHalves, writeHalves } from './words.ts'

export const bf16: Format = {
  name: 'bf16',
  values: 1,
  bytes: 2,
  r8Block: { k: 1, bytes: 16 },
  encode(values, out) {
    const bits = bitsOf(values)
    writeHalves(out, (halves) => {
      for (let i = 0; i < bits.length; i++) halves[i] = bf16FromBits(bits[i]!)
    })
  },
  decode(bytes, out) {
    const halves = readHalves(bytes)
    const bits = bitsOf(out)
    for (let i = 0; i < bits.length; i++) bits[i] = halves[i]! << 16
  },
  packGroup: packHalves,
  unpackGroup: unpackHalves,
}
