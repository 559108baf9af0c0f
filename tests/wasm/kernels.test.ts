// The emitted code computes what the evaluator computes: random functions bit for bit, with relaxed SIMD where that may not
// round differently; fused multiply-add within a tolerance; operands at any 4-byte address.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { buffer, constant, Emitter, load, ops, symbol } from '../../compiler/schedule/build-loops.ts'
import { evaluateLoops } from '../../compiler/schedule/evaluate-loops.ts'
import { printLoops } from '../../compiler/schedule/print-loops.ts'
import { loopFaults } from '../../compiler/schedule/verify-loops.ts'
import { randomLoops, randomMemory } from '../schedule/random-loops.ts'
import { compileKernel } from './run-kernel.ts'

for (const relaxed of [false, true]) {
  test(`random functions equal the evaluator, ${relaxed ? 'relaxed SIMD without madd' : 'plain SIMD'}`, () => {
    fc.assert(
      fc.property(fc.gen(), (g) => {
        const fn = randomLoops(g, !relaxed)
        expect(loopFaults(fn)).toEqual([])
        const memory = randomMemory(g)
        const copy = memory.map((m) => m.slice())
        const symbols = { n: g(fc.integer, { min: 0, max: 7 }), m: g(fc.integer, { min: 0, max: 7 }) }
        evaluateLoops(fn, { memory, symbols })
        compileKernel(fn, relaxed, g(fc.integer, { min: 0, max: 3 })).run({ memory: copy, symbols })
        // +0 makes the zeros of min and max alike.
        const plain = (words: Float32Array | Int32Array) => Array.from(words, (x) => x + 0)
        memory.forEach((words, i) => {
          const same = words.every((x, at) => x === copy[i]![at])
          if (!same)
            expect({ operand: i, words: plain(copy[i]!), fn: printLoops(fn) }).toEqual({
              operand: i,
              words: plain(words),
              fn: printLoops(fn),
            })
        })
      }),
      { numRuns: 100 },
    )
  })
}

test('sums of products with fused multiply-add stay within a tolerance', () => {
  const e = new Emitter()
  const sum = e.let('sum', constant('f32x4', 0))
  e.loop('k', 0, symbol('n'), 4, (k) => e.set(sum, ops.madd(load('f32x4', 0, k), load('f32x4', 1, k), sum)))
  e.store(2, 0, ops.hsum(sum))
  const operands = [buffer('a', 0, 'read'), buffer('b', 1, 'read'), buffer('out', 2, 'write')]
  const kernel = compileKernel({ name: 'dot', operands, symbols: ['n'], body: e.finish(), workgroup: 1, grid: [] }, true)
  const values = fc.array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: 64, maxLength: 64 })
  fc.assert(
    fc.property(values, values, (a, b) => {
      const out = new Float32Array(1)
      kernel.run({ memory: [Float32Array.from(a), Float32Array.from(b), out], symbols: { n: 64 } })
      const exact = a.reduce((total, x, i) => total + x * b[i]!, 0)
      const size = a.reduce((total, x, i) => total + Math.abs(x * b[i]!), 0)
      expect(Math.abs(out[0]! - exact)).toBeLessThanOrEqual(size * 18 * 2 ** -24 + 2 ** -140)
    }),
    { numRuns: 50 },
  )
})

test('an operand read backwards: the index before its offset is negative, the address must not be', () => {
  const e = new Emitter()
  e.loop('i', 0, symbol('n'), 1, (i) => {
    const back = e.let('back', ops.mul(i, -7))
    e.store(1, i, ops.add(load('f32', 0, ops.add(back, 9999)), load('f32', 0, ops.add(ops.sub(symbol('n'), i), 8999))))
    e.store(1, ops.add(ops.mul(i, -1), 1999), ops.lane_f32(ops.splat_f32(load('f32', 0, ops.add(ops.mul(i, -5), 9999))), 2))
  })
  const fn = {
    name: 'back',
    operands: [buffer('x', 0, 'read'), buffer('out', 1, 'write')],
    symbols: ['n'],
    body: e.finish(),
    workgroup: 1,
    grid: [],
  }
  const x = Float32Array.from({ length: 10000 }, (_, i) => i)
  const out = new Float32Array(2000)
  compileKernel(fn, false).run({ memory: [x, out], symbols: { n: 1000 } })
  const wanted = Float32Array.from(out, (_, i) => (i < 1000 ? 9999 - 7 * i + 9999 - i : 9999 - 5 * (1999 - i)))
  expect(out).toEqual(wanted)
})
