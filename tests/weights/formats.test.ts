// Storage formats against independent statements of what they are: the engine's own binary16 rounding, the r8 layout written
// as a formula per value, ggml's error bounds for its quantisations, blocks with the values that ggml's own Python package gives.

import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { bf16FromBits, f16FromBits, f16ToNumber } from '../../compiler/formats/halves.ts'
import { fits, formatNames, formats, layoutBytes, type FormatName } from '../../compiler/formats/index.ts'

const bits = new Uint32Array(1)
const value = new Float32Array(bits.buffer)
const setBits = (word: number): number => {
  bits[0] = word
  return value[0]!
}
const bitsOf = (number: number): number => {
  value[0] = number
  return bits[0]!
}
const f16round = (Math as unknown as { f16round(x: number): number }).f16round

describe('halves', () => {
  test('all 65,536 binary16 patterns decode and come back', () => {
    const view = new DataView(new ArrayBuffer(2)) as DataView & { getFloat16(at: number): number }
    for (let half = 0; half < 65536; half++) {
      view.setUint16(0, half)
      const decoded = f16ToNumber(half)
      expect(Object.is(decoded, view.getFloat16(0))).toBe(true)
      const back = f16FromBits(bitsOf(decoded))
      if (Number.isNaN(decoded)) expect(Number.isNaN(f16ToNumber(back))).toBe(true)
      else expect(back).toBe(half)
    }
  })

  test('binary16 rounds to the nearest, ties to even: any float32, and the middles between all neighbours', () => {
    const agrees = (word: number) => {
      const number = setBits(word)
      return Number.isNaN(number) || Object.is(f16ToNumber(f16FromBits(word)), f16round(number))
    }
    fc.assert(fc.property(fc.nat(0xffffffff), agrees), { numRuns: 5000 })
    for (let half = 0; half < 0x7bff; half++) {
      const middle = bitsOf((f16ToNumber(half) + f16ToNumber(half + 1)) / 2)
      expect([middle - 1, middle, middle + 1].every(agrees)).toBe(true)
    }
    expect(agrees(bitsOf(65519.99)) && agrees(bitsOf(65520))).toBe(true)
  })

  test('all 65,536 bfloat16 patterns come back; rounding takes the nearer neighbour, ties to even', () => {
    for (let half = 0; half < 65536; half++) {
      const number = setBits((half << 16) >>> 0)
      if (Number.isNaN(number)) expect(Number.isNaN(setBits((bf16FromBits((half << 16) >>> 0) << 16) >>> 0))).toBe(true)
      else expect(bf16FromBits((half << 16) >>> 0)).toBe(half)
    }
    fc.assert(
      fc.property(fc.nat(0x7f7f), fc.nat(0xffff), (high, low) => {
        const up = low > 0x8000 || (low === 0x8000 && (high & 1) === 1)
        return bf16FromBits(high * 65536 + low) === high + (up ? 1 : 0)
      }),
    )
  })
})

/** Values of one r8 group, read by the layout's own formula. */
const r8Value: Record<FormatName, (at: DataView, row: number, k: number) => number> = {
  f32: (at, row, k) => at.getFloat32((k * 8 + row) * 4, true),
  f16: (at, row, k) => f16ToNumber(word(at, k * 16 + 4 * (row % 4), row > 3)),
  bf16: (at, row, k) => setBits((word(at, k * 16 + 4 * (row % 4), row > 3) << 16) >>> 0),
  q8_0: (at, row, k) => {
    const block = Math.floor(k / 32) * 272
    const [j, i] = [Math.floor((k % 32) / 4), k % 4]
    const q = at.getInt8(block + 16 + (2 * j + Math.floor(row / 4)) * 16 + 4 * (row % 4) + i)
    return q * f16ToNumber(word(at, block + 4 * (row % 4), row > 3))
  },
  q4_0: (at, row, k) => {
    const block = Math.floor(k / 32) * 144
    return (nibble(at, block + 16, row, k % 32) - 8) * f16ToNumber(word(at, block + 4 * (row % 4), row > 3))
  },
  q4_1: (at, row, k) => {
    const block = Math.floor(k / 32) * 160
    const [d, m] = [f16ToNumber(word(at, block + 4 * row, false)), f16ToNumber(word(at, block + 4 * row, true))]
    return Math.fround(nibble(at, block + 32, row, k % 32) * d + m)
  },
  q5_0: (at, row, k) => {
    const block = Math.floor(k / 32) * 176
    return (five(at, block + 16, row, k % 32) - 16) * f16ToNumber(word(at, block + 4 * (row % 4), row > 3))
  },
  q5_1: (at, row, k) => {
    const block = Math.floor(k / 32) * 192
    const [d, m] = [f16ToNumber(word(at, block + 4 * row, false)), f16ToNumber(word(at, block + 4 * row, true))]
    return Math.fround(five(at, block + 32, row, k % 32) * d + m)
  },
  q4_k: (at, row, k) => {
    const block = Math.floor(k / 256) * 1216
    const [step, least] = kStep(at, block, row, Math.floor((k % 256) / 32))
    return Math.fround(nibble(at, block + 192 + Math.floor((k % 256) / 32) * 128, row, k % 32) * step - least)
  },
  q5_k: (at, row, k) => {
    const block = Math.floor(k / 256) * 1472
    const [step, least] = kStep(at, block, row, Math.floor((k % 256) / 32))
    return Math.fround(five(at, block + 192 + Math.floor((k % 256) / 32) * 160, row, k % 32) * step - least)
  },
  q6_k: (at, row, k) => {
    const block = Math.floor(k / 256) * 1696
    const [group, i] = [Math.floor((k % 256) / 16), k % 16]
    const scale = at.getInt8(block + 32 + Math.floor(group / 4) * 32 + 4 * row + (group % 4))
    const [u, v, w] = words(at, block + 160 + group * 96, row, 3) as [number, number, number]
    const four = i < 12 ? [u, v, w][i >> 2]! : (u >>> 6) ^ (v >>> 4) ^ (w >>> 2)
    const q = (four >>> (8 * (i & 3))) & 63
    return Math.fround((q - 32) * scale * at.getFloat32(block + 4 * row, true))
  },
}
/** Step and least value of a run: bytes of the word of its pair. */
function kStep(at: DataView, block: number, row: number, run: number): [step: number, least: number] {
  const byte = (list: number): number => at.getUint8(block + 64 + (run >> 1) * 32 + 4 * row + 2 * list + (run % 2))
  return [byte(0) * at.getFloat32(block + 4 * row, true), byte(1) * at.getFloat32(block + 32 + 4 * row, true)]
}
/** A row's words of some vectors. */
const words = (at: DataView, start: number, row: number, count: number): number[] =>
  Array.from({ length: count }, (_, v) => at.getUint32(start + (2 * v + Math.floor(row / 4)) * 16 + 4 * (row % 4), true))
function five(at: DataView, start: number, row: number, k: number): number {
  const own = words(at, start, row, 5)
  const [u, v, w, x, y] = own as [number, number, number, number, number]
  const four = [...own, (u >>> 3) ^ (x >>> 6), (v >>> 3) ^ (y >>> 6), (w >>> 3) ^ (x >>> 4) ^ (y >>> 5)][Math.floor(k / 4)]!
  return (four >>> (8 * (k % 4))) & 31
}
const word = (at: DataView, offset: number, high: boolean): number => (at.getUint32(offset, true) >>> (high ? 16 : 0)) & 0xffff
function nibble(at: DataView, start: number, row: number, k: number): number {
  const [j, i] = [Math.floor((k % 16) / 4), k % 4]
  const byte = at.getUint8(start + (2 * j + Math.floor(row / 4)) * 16 + 4 * (row % 4) + i)
  return k < 16 ? byte & 15 : byte >> 4
}

describe.each(formatNames)('%s', (name) => {
  const format = formats[name]
  const blocks = fc.integer({ min: 1, max: 3 })
  const groups = blocks.chain((count) => {
    const K = count * Math.max(format.values, 4)
    return fc.record({
      K: fc.constant(K),
      values: fc.array(fc.float({ min: -8, max: 8, noNaN: true }), { minLength: 8 * K, maxLength: 8 * K }),
    })
  })

  test('the r8 layout holds each value where its formula says, and unpacks to the plain bytes', () => {
    fc.assert(
      fc.property(groups, fc.nat(3), ({ K, values }, shift) => {
        const plain = new Uint8Array(layoutBytes(name, 'plain', 8, K) + shift).subarray(shift)
        format.encode(Float32Array.from(values), plain)
        const decoded = new Float32Array(8 * K)
        format.decode(plain, decoded)
        const packed = new Uint8Array(layoutBytes(name, 'r8', 8, K) + shift).subarray(shift)
        format.packGroup(plain, K, packed)
        const at = new DataView(packed.buffer, packed.byteOffset)
        for (let row = 0; row < 8; row++) {
          for (let k = 0; k < K; k++) if (r8Value[name](at, row, k) !== decoded[row * K + k]) return false
        }
        const back = new Uint8Array(plain.length + 1).subarray(1)
        format.unpackGroup(packed, K, back)
        return Buffer.compare(back, plain) === 0
      }),
      { numRuns: format.values > 32 ? 5 : 40 },
    )
  })

  test('packed random bytes come back bit for bit', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: format.bytes * 8, maxLength: format.bytes * 8 }), (plain) => {
        const packed = new Uint8Array(layoutBytes(name, 'r8', 8, format.values))
        const back = new Uint8Array(plain.length)
        format.packGroup(plain, format.values, packed)
        format.unpackGroup(packed, format.values, back)
        return Buffer.compare(back, plain) === 0
      }),
      { numRuns: format.values > 32 ? 20 : 100 },
    )
  })
})

interface Golden {
  readonly formats: Readonly<Record<string, { readonly bytes: string; readonly values: readonly number[] }>>
}
const golden = JSON.parse(readFileSync(new URL('ggml-blocks.json', import.meta.url), 'utf8')) as Golden

test('every block format has blocks with values of another implementation', () => {
  expect(Object.keys(golden.formats).sort()).toEqual(formatNames.filter((name) => formats[name].values > 1).sort())
})

test.each(Object.entries(golden.formats))("%s: values to the last bit as ggml's Python package has them", (name, { bytes, values }) => {
  const decoded = new Float32Array(values.length)
  formats[name as FormatName].decode(Uint8Array.from(Buffer.from(bytes, 'hex')), decoded)
  expect(decoded).toEqual(Float32Array.from(values))
})

describe('quantisation', () => {
  /** The largest error of one value, in units of the block's step: half a step, and the clipped end of q4_0's odd range. */
  const worst: Partial<Record<FormatName, (block: Float32Array) => number>> = {
    q8_0: (block) => (Math.max(...block.map(Math.abs)) / 127) * 0.5,
    q4_0: (block) => Math.max(...block.map(Math.abs)) / 8,
    q4_1: (block) => ((Math.max(...block) - Math.min(...block)) / 15) * 0.5,
    q5_0: (block) => Math.max(...block.map(Math.abs)) / 16,
    q5_1: (block) => ((Math.max(...block) - Math.min(...block)) / 31) * 0.5,
  }

  test.each(Object.keys(worst) as FormatName[])('%s stays within its step, also with the scale rounded to f16', (name) => {
    const { encode, decode, bytes } = formats[name]
    fc.assert(
      fc.property(fc.array(fc.float({ min: -100, max: 100, noNaN: true }), { minLength: 32, maxLength: 32 }), (list) => {
        const block = Float32Array.from(list)
        const packed = new Uint8Array(bytes)
        const back = new Float32Array(32)
        encode(block, packed)
        decode(packed, back)
        const largest = Math.max(...block.map(Math.abs))
        // The search may give up one value for the others: together they are no worse than 32 values a step's rounding off.
        const many = name === 'q8_0' ? 1 : Math.sqrt(32)
        const bound = worst[name]!(block) * 1.001 * many + largest * 2 ** -9 + 2e-5
        return back.every((x, i) => Math.abs(x - block[i]!) <= bound)
      }),
    )
  })

  // The steps of the last three are rounded themselves, so the error of a single value has no neat bound.
  test.each([...(Object.keys(worst) as FormatName[]), 'q4_k', 'q5_k', 'q6_k'] as const)("%s passes ggml's own error test", (name) => {
    expect(cosineError(name)).toBeLessThan(0.002)
  })

  /** tests/test-quantize-fns.cpp: 0.1 + 2 cos(i), error sqrt(sum of squares) / n at most 0.002. */
  function cosineError(name: FormatName): number {
    const count = 32 * 128
    const values = Float32Array.from({ length: count }, (_, i) => 0.1 + 2 * Math.cos(i))
    const packed = new Uint8Array(layoutBytes(name, 'plain', 1, count))
    const back = new Float32Array(count)
    formats[name].encode(values, packed)
    formats[name].decode(packed, back)
    const squares = values.reduce((sum, x, i) => sum + (x - back[i]!) ** 2, 0)
    return Math.sqrt(squares) / count
  }

  test("a known block, worked out from ggml's reference by hand", () => {
    const ramp = Float32Array.from({ length: 32 }, (_, i) => i - 16)
    const q8 = new Uint8Array(34)
    formats.q8_0.encode(
      ramp.map((x) => (x * 127) / 16),
      q8,
    )
    expect([...new Int8Array(q8.buffer, 2)]).toEqual(Array.from(ramp, (x) => Math.sign(x) * Math.round((Math.abs(x) * 127) / 16)))
  })

  test('whole blocks are needed', () => {
    expect(fits('q4_0', 'r8', 48)).toBe(false)
    expect(fits('f16', 'r8', 3)).toBe(true)
    expect(layoutBytes('q4_1', 'r8', 9, 64)).toBe(2 * 2 * 160)
  })
})
