// f16: IEEE binary16. Conversion in halves.ts, r8 layout in half-rows.ts.

import { packHalves, unpackHalves } from './half-rows.ts'
import { f16FromBits, f16ToNumber } from './halves.ts'
import type { Format } from './types.ts'
import { bitsOf, readHalves, writeHalves } from './words.ts'

export const f16: Format = {
  name: 'f16',
  values: 1,
  bytes: 2,
  r8Block: { k: 1, bytes: 16 },
  encode(values, out) {
    const bits = bitsOf(values)
    writeHalves(out, (halves) => {
      for (let i = 0; i < bits.length; i++) halves[i] = f16FromBits(bits[i]!)
    })
  },
  decode(bytes, out) {
    const halves = readHalves(bytes)
    for (let i = 0; i < out.length; i++) out[i] = f16ToNumber(halves[i]!)
  },
  packGroup: packHalves,
  unpackGroup: unpackHalves,
}
