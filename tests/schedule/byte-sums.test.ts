// Dots of bytes in parts: the evaluator keeps the narrowest form and refuses what would not fit it; every form of WASM computes the
// same integers, and so the same floats behind them, in every format with 8-bit activations, at the extremes of both factors too.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type QuantisedName, quantisedNames } from '../../compiler/formats/types.ts'
import { formats } from '../../compiler/formats/index.ts'
import { a8, centrings } from '../../compiler/schedule/activation-blocks.ts'
import { buffer, constant, Emitter, i32, load, ops } from '../../compiler/schedule/build-loops.ts'
import { ByteSum, sumsBytes } from '../../compiler/schedule/byte-sums.ts'
import { evaluateLoops } from '../../compiler/schedule/evaluate-loops.ts'
import type { LoopFunction } from '../../compiler/schedule/loops.ts'
import { packedFormat } from '../../compiler/schedule/packed.ts'
import { loopFaults } from '../../compiler/schedule/verify-loops.ts'
import { relaxedSimd } from '../../runtime/devices/relaxed-simd.ts'
import { compileKernel } from '../wasm/run-kernel.ts'

const forms = [
  { relaxed: false, pairs: false },
  { relaxed: true, pairs: false },
  { relaxed: true, pairs: true },
] as const

const functionOf = (name: string, e: Emitter): LoopFunction => ({
  name,
  operands: [buffer('a', 0, 'read', 'i32', true), buffer('b', 1, 'read', 'i32'), buffer('out', 2, 'write')],
  symbols: [],
  body: e.finish(),
  workgroup: 1,
  grid: [],
})

/** start + Σ of `count` products of a[4i…] and b[4i…], four rows. */
function sumOf(count: number, start: number, most: number): LoopFunction {
  const e = new Emitter()
  const sum = new ByteSum(e, constant('i32x4', start), most)
  for (let i = 0; i < count; i++) sum.add(e.let('x', load('i32x4', 0, 4 * i)), load('i32x4', 1, 4 * i))
  e.store(2, 0, sum.total())
  return functionOf('sum', e)
}

// What fails is shown as it is: making hundreds of drawn bytes smaller one by one would take all memory.

/** Both ends are met often. */
const byteOf = (g: fc.GeneratorValue, least: number, most: number): number =>
  g(() => fc.oneof(fc.constantFrom(least, most), fc.integer({ min: least, max: most })))

test('random sums and those of extremes: the evaluator, and every form of WASM', () => {
  fc.assert(
    fc.property(fc.gen(), (g) => {
      const most = g(fc.constantFrom, 15, 31, 63, 127)
      const count = g(fc.integer, { min: 1, max: 12 })
      const start = g(fc.integer, { min: -1e9, max: 1e9 })
      const a = Int8Array.from({ length: 16 * count }, () => byteOf(g, -127, 127))
      const b = Int8Array.from({ length: 16 * count }, () => byteOf(g, 0, most))
      const wanted = [0, 1, 2, 3].map((row) => a.reduce((sum, x, i) => (((i >> 2) & 3) === row ? sum + x * b[i]! : sum), start))
      const fn = sumOf(count, start, most)
      expect(loopFaults(fn)).toEqual([])
      const run = (call: (memory: Int32Array[]) => void): number[] => {
        const out = new Int32Array(4)
        call([new Int32Array(a.buffer), new Int32Array(b.buffer), out])
        return Array.from(out)
      }
      expect(run((memory) => evaluateLoops(fn, { memory }))).toEqual(wanted)
      for (const { relaxed, pairs } of forms) expect(run((memory) => compileKernel(fn, relaxed, 0, pairs).run({ memory }))).toEqual(wanted)
    }),
    { numRuns: 60, endOnFailure: true },
  )
})

/** byte · (from + Σ of products), the byte being number n of the words after a's, n the last word of b. */
function scaledSumOf(count: number, most: number): LoopFunction {
  const e = new Emitter()
  e.loop('n', load('i32', 1, 4 * count), ops.add(load('i32', 1, 4 * count), 1), 1, (n) => {
    const scale = e.let('scale', ops.byte_pairs(load('i32x4', 0, 4 * count), ops.byte_mask(n)))
    const from = load('i32x4', 0, 4 * count + 4)
    const sum = new ByteSum(e, constant('i32x4', 0), most, { from, scale: () => scale })
    for (let i = 0; i < count; i++) sum.add(e.let('x', load('i32x4', 0, 4 * i)), load('i32x4', 1, 4 * i))
    e.store(2, 0, sum.total())
  })
  return functionOf('scaled', e)
}

test('sums that begin at pairs and are scaled by signed bytes: the evaluator, and every form of WASM', () => {
  fc.assert(
    fc.property(fc.gen(), fc.nat(3), (g, n) => {
      const most = g(fc.constantFrom, 15, 31, 63)
      const count = g(fc.integer, { min: 1, max: 4 })
      const a = Int8Array.from({ length: 16 * (count + 2) }, () => byteOf(g, -127, 127))
      const froms = Array.from({ length: 8 }, () => byteOf(g, -120, 120))
      new Int16Array(a.buffer, 16 * (count + 1)).set(froms)
      const b = new Int8Array(16 * count + 4).map(() => byteOf(g, 0, most))
      new Int32Array(b.buffer)[4 * count] = n
      const wanted = [0, 1, 2, 3].map((row) => {
        const products = a.subarray(0, 16 * count).reduce((sum, x, i) => (((i >> 2) & 3) === row ? sum + x * b[i]! : sum), 0)
        // No -0 where the byte is 0.
        return (256 * a[16 * count + 4 * row + n]! * (products + froms[2 * row]! + froms[2 * row + 1]!)) | 0
      })
      const fn = scaledSumOf(count, most)
      expect(loopFaults(fn)).toEqual([])
      const memory = (): Int32Array[] => [new Int32Array(a.buffer), new Int32Array(b.buffer), new Int32Array(4)]
      const told = memory()
      evaluateLoops(fn, { memory: told })
      expect(Array.from(told[2]!)).toEqual(wanted)
      for (const { relaxed, pairs } of forms) {
        const found = memory()
        compileKernel(fn, relaxed, 0, pairs).run({ memory: found })
        expect(Array.from(found[2]!)).toEqual(wanted)
      }
    }),
    { numRuns: 60, endOnFailure: true },
  )
})

test('products that i16 does not hold are refused', () => {
  const e = new Emitter()
  const part = e.let('part', ops.dot_part(load('i32x4', 0, 0), load('i32x4', 1, 0), ops.dot_open(constant('i32x4', 0))))
  e.loop('i', 1, 9, 1, () => e.set(part, ops.dot_part(load('i32x4', 0, 0), load('i32x4', 1, 0), part)))
  e.store(2, 0, ops.dot_close(part, constant('i32x4', 0)))
  const fn = functionOf('many', e)
  const with15 = (extreme: number): Int32Array[] => [new Int32Array(4).fill(extreme), new Int32Array(4).fill(0x0f0f0f0f), new Int32Array(4)]
  expect(() => evaluateLoops(fn, { memory: with15(0x7f7f7f7f) })).toThrow('too many products in one part of a dot')
  evaluateLoops(fn, { memory: with15(0x6f6f6f6f) })
})

/** One or four tokens against one block of 8 rows; out[t][row]. */
function blockOf(name: QuantisedName, tokens: number): LoopFunction {
  const e = new Emitter()
  const format = packedFormat(name)
  const step = (format.k / a8.k) * a8.words
  const sums = Array.from({ length: tokens }, () => [0, 1].map(() => e.let('acc', constant('f32x4', 0))))
  // The block in a loop: constants of vectors live in locals there, as in every kernel.
  const block = { operand: 0, at: i32(0), offset: 0 }
  e.loop('once', 0, load('i32', 1, tokens * step), 1, () =>
    format.dotBytes!(e, {
      quads: [0, 1].map((quad) => ({ block, quad: i32(quad) })),
      activations: sums.map((_, t) => ({ operand: 1, at: i32(0), offset: t * step })),
      accumulators: sums,
    }),
  )
  for (const [t, row] of sums.entries()) for (const [q, sum] of row.entries()) e.store(2, 8 * t + 4 * q, sum)
  return functionOf(name, e)
}

test.each(quantisedNames)('%s: pairs give the bits that whole dots give', (name) => {
  const { r8Block, values } = formats[name]
  const runs = values / a8.k
  for (const tokens of [1, 4]) {
    const fn = blockOf(name, tokens)
    expect(loopFaults(fn)).toEqual([])
    const compiled = forms.slice(1).map(({ relaxed, pairs }) => compileKernel(fn, relaxed, 0, pairs))
    fc.assert(
      fc.property(fc.gen(), fc.constantFrom('random', 'all ones', 'any'), (g, kind) => {
        // Every bit of every quant set, or any: scales are finite halves below 2 either way.
        const weights = new Uint8Array(r8Block.bytes).map(() => (kind === 'all ones' ? 0xff : g(fc.integer, { min: 0, max: 255 })))
        const words = new Int32Array(weights.buffer)
        const headWords = values === 256 ? 16 : 8
        for (let i = 0; i < headWords; i++) words[i]! &= 0xbbffbbff | 0
        // Scales and minima within scales have 6 bits there, but for the signed bytes of q6_k.
        if (name !== 'q6_k' && values === 256) for (let i = 16; i < 48; i++) words[i]! &= 0x3f3f3f3f
        const activations = new Int32Array(tokens * runs * a8.words + 1)
        const bytes = new Int8Array(activations.buffer)
        const floats = new Float32Array(activations.buffer)
        for (let block = 0; block < tokens * runs; block++) {
          const at = block * a8.words
          const sign = g(fc.constantFrom, -1, 1)
          const q = Array.from({ length: a8.k }, () => (kind === 'random' ? g(fc.integer, { min: -127, max: 127 }) : sign * 127))
          for (const [i, value] of q.entries()) {
            bytes[4 * at + i] = value
            bytes[4 * (at + a8.positive) + i] = Math.max(value, 0)
            bytes[4 * (at + a8.negative) + i] = Math.max(-value, 0)
          }
          floats[at + a8.scale] = 0.01 * a8.factor
          floats[at + a8.sum] = 0.01 * a8.factor * q.reduce((a, b) => a + b)
          floats[at + a8.step] = 0.01
          floats[at + a8.total] = 0.01 * q.reduce((a, b) => a + b)
          for (const [word, value] of centrings(q)) activations[at + word] = value
        }
        activations[activations.length - 1] = 1
        const results = compiled.map((kernel) => {
          const out = new Float32Array(8 * tokens)
          kernel.run({ memory: [words, activations, out] })
          return Array.from(new Int32Array(out.buffer))
        })
        expect(results[1]).toEqual(results[0])
        // Throws where a part would overflow.
        evaluateLoops(fn, { memory: [words, activations, new Float32Array(8 * tokens)] })
      }),
      { numRuns: 12, endOnFailure: true },
    )
  }
})

test('functions with such sums are told from others', () => {
  expect(sumsBytes(sumOf(1, 0, 15))).toBe(true)
  expect(sumsBytes(blockOf('q5_k', 1))).toBe(true)
  const e = new Emitter()
  e.store(2, 0, load('i32', 0, 0))
  expect(sumsBytes(functionOf('copy', e))).toBe(false)
})

test('what the engine makes dots of shows beyond 127, and the runtime sees it', async () => {
  const e = new Emitter()
  e.store(2, 0, ops.dot4(load('i32x4', 0, 0), load('i32x4', 1, 0), constant('i32x4', 0)))
  const out = new Int32Array(4)
  compileKernel(functionOf('dot', e), true).run({ memory: [new Int32Array(4).fill(0x7f7f7f7f), new Int32Array(4).fill(-1), out] })
  // pmaddubsw saturates, VNNI takes the second operand as unsigned, ARM as signed.
  const [saturated, unsigned, signed] = [2 * 32767, 4 * 127 * 255, -4 * 127]
  expect([saturated, unsigned, signed]).toContain(out[0])
  expect(await relaxedSimd()).toEqual({ works: true, pairDots: out[0] === saturated })
})
