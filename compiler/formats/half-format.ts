// What f16 and bf16 share: two bytes a value, the r8 layout of half-rows.ts. Each brings its conversions of bits.

import { packHalves, unpackHalves } from './half-rows.ts'
import type { Format } from './types.ts'
import { bitsOf, readHalves, writeHalves } from './words.ts'

/** `fromBits`: the half nearest to a float32's bits; `decode` fills `out` with the values of as many halves. */
export const halfFormat = (
  name: 'f16' | 'bf16',
  fromBits: (bits: number) => number,
  decode: (halves: Uint16Array, out: Float32Array) => void,
): Format => ({
  name,
  values: 1,
  bytes: 2,
  r8Block: { k: 1, bytes: 16 },
  encode(values, out) {
    const bits = bitsOf(values)
    writeHalves(out, (halves) => {
      for (let i = 0; i < bits.length; i++) halves[i] = fromBits(bits[i]!)
    })
  },
  decode: (bytes, out) => decode(readHalves(bytes), out),
  packGroup: packHalves,
  unpackGroup: unpackHalves,
})
