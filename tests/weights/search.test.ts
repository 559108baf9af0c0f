// Quantising with the search for steps: never worse than ggml's plain rounding, written out here by its reference functions; values
// that a format can hold come back; importance moves the error to where it counts; the same bytes whatever was encoded before.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { f16FromNumber, f16ToNumber } from '../../compiler/formats/halves.ts'
import { type FormatName, formats, layoutBytes, type QuantisedName } from '../../compiler/formats/index.ts'
import { quantisedNames } from '../../compiler/formats/types.ts'
import { newChange } from '../../compiler/weights/stored-change.ts'
import { prepareTensor } from '../../compiler/weights/prepare.ts'

const half = (x: number): number => f16ToNumber(f16FromNumber(x))
const clamp = (q: number, low: number, high: number): number => Math.min(high, Math.max(low, q))
const extreme = (x: readonly number[]): number => x.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0)

/** ggml's quantize_row_*_ref for one scale: what the values become. */
const plainScale = (low: number, high: number) => (x: readonly number[]) => {
  const d = extreme(x) / low
  return x.map((value) => (d === 0 ? 0 : clamp(Math.floor(value / d + 0.5), low, high) * half(d)))
}
const plainLine = (high: number) => (x: readonly number[]) => {
  const [least, d] = [Math.min(...x), (Math.max(...x) - Math.min(...x)) / high]
  return x.map((value) => (d === 0 ? 0 : clamp(Math.floor((value - least) / d + 0.5), 0, high)) * half(d) + half(least))
}
/** Each run's range, evenly divided; scales and minima to 6 bits of the largest. */
const plainRuns = (high: number) => (x: readonly number[]) => {
  const runs = Array.from({ length: 8 }, (_, run) => x.slice(32 * run, 32 * run + 32))
  const lines = runs.map((run) => ({ min: Math.min(0, ...run), step: (Math.max(0, ...run) - Math.min(0, ...run)) / high }))
  const [d, dmin] = [half(Math.max(...lines.map(({ step }) => step)) / 63), half(Math.max(...lines.map(({ min }) => -min)) / 63)]
  return runs.flatMap((run, i) => {
    const step = d === 0 ? 0 : d * clamp(Math.round(lines[i]!.step / d), 0, 63)
    const least = dmin === 0 ? 0 : dmin * clamp(Math.round(-lines[i]!.min / dmin), 0, 63)
    return run.map((value) => (step === 0 ? 0 : step * clamp(Math.round((value + least) / step), 0, high)) - least)
  })
}
const plain6 = (x: readonly number[]) => {
  const groups = Array.from({ length: 16 }, (_, group) => x.slice(16 * group, 16 * group + 16))
  const steps = groups.map((group) => extreme(group) / -32)
  const d = half(Math.max(...steps.map(Math.abs)) / 127)
  return groups.flatMap((group, i) => {
    const step = d === 0 ? 0 : d * clamp(Math.round(steps[i]! / d), -128, 127)
    return group.map((value) => (step === 0 ? 0 : step * clamp(Math.round(value / step), -32, 31)))
  })
}

const plain: Readonly<Record<Exclude<QuantisedName, 'q8_0'>, (x: readonly number[]) => readonly number[]>> = {
  q4_0: plainScale(-8, 7),
  q4_1: plainLine(15),
  q5_0: plainScale(-16, 15),
  q5_1: plainLine(31),
  q4_k: plainRuns(15),
  q5_k: plainRuns(31),
  q6_k: plain6,
}
const searched = Object.keys(plain) as (keyof typeof plain)[]
test('every quantised format is searched for but q8_0', () => expect([...searched, 'q8_0'].sort()).toEqual([...quantisedNames].sort()))

function roundTrip(name: FormatName, values: Float32Array, importance?: Float32Array): { bytes: Uint8Array; back: Float32Array } {
  const bytes = new Uint8Array(layoutBytes(name, 'plain', 1, values.length))
  const back = new Float32Array(values.length)
  formats[name].encode(values, bytes, importance)
  formats[name].decode(bytes, back)
  return { bytes, back }
}

/** Blocks like those of models (bells with a few large values), lopsided ones, constants and sparse ones. */
const block = (length: number): fc.Arbitrary<Float32Array> =>
  fc
    .record({
      draws: fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: length, maxLength: length }),
      power: fc.constantFrom(1, 2, 5),
      shift: fc.constantFrom(0, 0, 0.7, -2),
      keep: fc.constantFrom(1, 1, 1, 7),
      scale: fc.constantFrom(1, 0.01, 30),
    })
    .map(({ draws, power, shift, keep, scale }) =>
      Float32Array.from(draws, (draw, i) => (i % keep === 0 ? scale * (Math.sign(draw) * Math.abs(draw / 1000) ** power + shift) : 0)),
    )
const weights = (length: number): fc.Arbitrary<Float32Array | undefined> =>
  fc.option(
    fc.array(fc.constantFrom(0, 0.01, 1, 1, 3, 200), { minLength: length, maxLength: length }).map((list) => Float32Array.from(list)),
    { nil: undefined },
  )
const sized = (name: FormatName): fc.Arbitrary<[Float32Array, Float32Array | undefined]> =>
  fc.tuple(block(formats[name].values), weights(formats[name].values))

describe.each(searched)('%s', (name) => {
  const runs = { numRuns: formats[name].values > 32 ? 60 : 300 }

  test('no block is worse than by plain rounding, in the norm that was asked for', () => {
    fc.assert(
      fc.property(sized(name), ([values, importance]) => {
        const list = [...values]
        const rounded = plain[name](list)
        const { back } = roundTrip(name, values, importance)
        // A group of a K block whose columns were never met counts evenly, which no sum over the block can say.
        const seen = importance?.every((weight) => weight > 0) ? importance : undefined
        if (importance && !seen) return true
        const error = (other: ArrayLike<number>): number => list.reduce((sum, x, i) => sum + (seen?.[i] ?? 1) * (x - other[i]!) ** 2, 0)
        const size = list.reduce((sum, x, i) => sum + (seen?.[i] ?? 1) * x * x, 0)
        return error(back) <= error(rounded) * (1 + 1e-6) + size * 1e-12
      }),
      runs,
    )
  })

  test('the bytes depend on the values and their importance alone', () => {
    fc.assert(
      fc.property(sized(name), sized(name), ([values, importance], [others, between]) => {
        const { bytes } = roundTrip(name, values, importance)
        roundTrip(name, others, between)
        const twice = Float32Array.from([...values, ...values])
        const { bytes: pair } = roundTrip(name, twice, importance)
        return Buffer.compare(Buffer.concat([bytes, bytes]), pair) === 0
      }),
      runs,
    )
  })
})

/** Zeros of either sign are one value. */
const same = (a: ArrayLike<number>, b: Float32Array): boolean => b.every((x, i) => x === a[i])

test.each(['q4_0', 'q4_1', 'q5_0', 'q5_1'] as const)('what %s made by plain rounding becomes the same values again', (name) => {
  fc.assert(
    fc.property(sized(name), ([values, importance]) => {
      const stored = Float32Array.from(plain[name]([...values]))
      // Where steps are near the last bits of a float32, values do not tell the scale to a binary16's eleven bits.
      const extent = Math.max(...stored) - Math.min(...stored)
      if (extent < Math.max(...stored.map(Math.abs)) / 32) return true
      return same(stored, roundTrip(name, stored, importance).back)
    }),
    { numRuns: 300 },
  )
})

test('what came from q8_0 becomes the same values again', () => {
  fc.assert(
    fc.property(sized('q8_0'), ([values]) => {
      const { back } = roundTrip('q8_0', values)
      return same(back, roundTrip('q8_0', back).back)
    }),
    { numRuns: 300 },
  )
})

/** Stored blocks that use the ends of their ranges, as plain rounding leaves them: those that say which steps they have. */
const telling: Readonly<Record<'q4_k' | 'q5_k' | 'q6_k', (random: (n: number) => number) => Uint8Array>> = {
  q4_k: (random) => kBlock(random, 144, (out) => ends(out, 16)),
  q5_k: (random) =>
    kBlock(random, 176, (out) => {
      ends(out, 48)
      // The fifth bits follow the low ones at both ends.
      out[16] = 0x00
      out[17] = 0xff
    }),
  q6_k: (random) => {
    const out = Uint8Array.from({ length: 210 }, () => random(256))
    for (let run = 0; run < 8; run++) {
      for (const first of [0, 16]) {
        // -32, the end from which steps are found: all six bits are 0.
        const [low, high] = [(run >> 2) * 64 + (run & 1) * 32 + first, 128 + (run >> 2) * 32 + first]
        out[low]! &= run & 2 ? 0x0f : 0xf0
        out[high]! &= ~(3 << (2 * (run & 3)))
      }
    }
    out[192] = random(2) === 0 ? 0x80 : 0x7f
    ;[out[208], out[209]] = [random(256), 0x20]
    return out
  },
}
function kBlock(random: (n: number) => number, bytes: number, finish: (out: Uint8Array) => void): Uint8Array {
  const out = Uint8Array.from({ length: bytes }, () => random(256))
  ;[out[1], out[3]] = [0x20, 0x20]
  // The first run has the largest scale and minimum.
  out[4]! |= 63
  out[8]! |= 63
  finish(out)
  return out
}
/** Value 0 of each pair of runs gets the lowest quant, value 1 the highest. */
function ends(out: Uint8Array, from: number): void {
  for (let at = from; at < from + 128; at += 32) [out[at], out[at + 1]] = [0x00, 0xff]
}

test.each(Object.keys(telling) as (keyof typeof telling)[])('a block of %s that uses its ranges becomes the same values again', (name) => {
  fc.assert(
    fc.property(fc.infiniteStream(fc.nat(255)), (stream) => {
      const bytes = telling[name]((n) => stream.next().value! % n)
      const values = new Float32Array(256)
      formats[name].decode(bytes, values)
      const { back } = roundTrip(name, values)
      return same(back, values)
    }),
    { numRuns: 100 },
  )
})

test('importance: columns that count are nearer, and each expert goes by its own', () => {
  const [experts, rows, k] = [3, 5, 64]
  const values = Float32Array.from({ length: experts * rows * k }, (_, i) => Math.sin(i * 12.9898) * Math.cos(i * 0.37))
  const bound = { path: 'w', dims: [experts, rows, k], format: 'f32', read: () => new Uint8Array(values.buffer) } as const
  const importance = { columns: k, values: Float32Array.from({ length: experts * k }, (_, i) => (i % 3 === Math.floor(i / k) ? 100 : 0.1)) }
  for (const name of quantisedNames.filter((each) => formats[each].values === 32)) {
    const change = newChange('f32')
    const whole = prepareTensor(bound, { format: name, layout: 'plain', rows: experts * rows, k }, { importance, change })
    const own = Array.from({ length: experts }, (_, one) =>
      roundTrip(name, values.slice(one * rows * k, (one + 1) * rows * k), importance.values.slice(one * k, (one + 1) * k)),
    )
    expect(Buffer.compare(whole, Buffer.concat(own.map(({ bytes }) => bytes)))).toBe(0)
    const back = own.flatMap((each) => [...each.back])
    const counts = (i: number): number => importance.values[Math.floor(i / (rows * k)) * k + (i % k)]!
    const errors = (other: ArrayLike<number>): number => values.reduce((sum, x, i) => sum + counts(i) * (x - other[i]!) ** 2, 0)
    expect(change.weightedErrors / errors(back)).toBeCloseTo(1, 9)
    expect(change.errors / values.reduce((sum, x, i) => sum + (x - back[i]!) ** 2, 0)).toBeCloseTo(1, 9)
    if (name !== 'q8_0') expect(errors(back)).toBeLessThan(0.97 * errors(roundTrip(name, values).back))
  }
})
