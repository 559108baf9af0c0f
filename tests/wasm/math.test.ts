// Accuracy of the math functions against f64, with and without fused madd, scalar and vector; the vector form must agree
// with the scalar one bit for bit when nothing is fused.

import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { buffer, Emitter, load, ops, symbol } from '../../compiler/schedule/build-loops.ts'
import { erf } from '../../compiler/schedule/evaluate-ops.ts'
import type { LoopFunction } from '../../compiler/schedule/loops.ts'
import { expMost, type MathOp, mathOps } from '../../compiler/schedule/math-loops.ts'
import { compileKernel } from './run-kernel.ts'

function kernel(op: MathOp, type: 'f32' | 'f32x4'): LoopFunction {
  const e = new Emitter()
  const args = op === 'pow' ? 2 : 1
  e.loop('k', 0, symbol('n'), type === 'f32' ? 1 : 4, (k) => {
    const [x, y] = Array.from({ length: args }, (_, i) => load(type, i, k)) as [ReturnType<typeof load>, ReturnType<typeof load>]
    e.store(args, k, op === 'pow' ? ops.pow(x, y) : ops[op](x))
  })
  const operands = [...Array.from({ length: args }, (_, i) => buffer(`x${i}`, i, 'read')), buffer('out', args, 'write')]
  return { name: op, operands, symbols: ['n'], body: e.finish(), workgroup: 1, grid: [] }
}

const compiled = Object.fromEntries(
  (Object.keys(mathOps) as MathOp[]).map((op) => [
    op,
    (['f32', 'f32x4'] as const).flatMap((type) => [false, true].map((relaxed) => compileKernel(kernel(op, type), relaxed))),
  ]),
) as Record<MathOp, ReturnType<typeof compileKernel>[]>

/** Results of the scalar and vector kernels, plain and relaxed. */
function results(op: MathOp, ...args: number[][]): Float32Array[] {
  const padded = args.map((a) => Float32Array.from({ length: Math.ceil(a.length / 4) * 4 }, (_, i) => a[i] ?? 1))
  const outs = compiled[op].map((c) => {
    const out = new Float32Array(padded[0]!.length)
    c.run({ memory: [...padded, out], symbols: { n: out.length } })
    return out.subarray(0, args[0]!.length)
  })
  expect(outs[2]).toEqual(outs[0])
  return outs
}

const real = (min: number, max: number) => fc.double({ min, max, noNaN: true }).map(Math.fround)

function check(
  op: MathOp,
  args: readonly fc.Arbitrary<number>[],
  exact: (...x: number[]) => number,
  bound: (y: number, ...x: number[]) => number,
) {
  fc.assert(
    fc.property(fc.array(fc.tuple(...args), { minLength: 1, maxLength: 64 }), (points) => {
      for (const out of results(op, ...args.map((_, i) => points.map((p) => p[i] as number)))) {
        points.forEach((p, i) => {
          const want = exact(...(p as number[]))
          const error = Math.abs(out[i]! - want)
          if (!(error <= bound(want, ...(p as number[])))) throw new Error(`${op}(${p}) = ${out[i]}, not ${want}`)
        })
      }
    }),
    { numRuns: 200 },
  )
}

const ulp = (y: number) => Math.max(2 ** -149, 2 ** (Math.floor(Math.log2(Math.abs(y) || 2 ** -149)) - 23))
const smallest = 2 ** -126

describe('math functions', () => {
  test('exp: 2 ulp on [-87, 88.37], clamped outside', () => {
    check('exp', [fc.oneof(real(-87, expMost), real(-1, 1))], Math.exp, (y) => 2 * ulp(y))
    const [first] = results('exp', [-1e30, -200, 1e30, 0, 89])
    expect(Array.from(first!)).toEqual([0, 0, Math.fround(first![4]!), 1, first![4]])
    expect(Math.abs(first![4]! / Math.exp(Math.fround(expMost)) - 1)).toBeLessThan(3e-7)
  })

  test('log: 4 ulp of max(|log x|, 2^-20)', () => {
    const anyScale = fc.tuple(real(1, 2), fc.integer({ min: -140, max: 127 })).map(([m, e]) => Math.fround(m * 2 ** e))
    check(
      'log',
      [
        fc.oneof(
          anyScale,
          real(0.5, 2).filter((x) => x > 0),
        ),
      ],
      Math.log,
      (y) => 4 * ulp(Math.max(Math.abs(y), 2 ** -20)),
    )
    expect(results('log', [0, -1])[0]![0]).toBeLessThan(-1e38)
  })

  test('tanh: 3 ulp', () => {
    check('tanh', [fc.oneof(real(-12, 12), real(-1, 1))], Math.tanh, (y) => 3 * ulp(y) + smallest)
  })

  test('erf: 1e-6 relative and 2^-21 absolute', () => {
    check('erf', [fc.oneof(real(-6, 6), real(-1, 1))], erf, (y) => Math.min(1e-6 * Math.abs(y) + smallest, 2 ** -21))
  })

  test('sin and cos: 2^-22 absolute to |x| = 1e5', () => {
    for (const op of ['sin', 'cos'] as const) check(op, [fc.oneof(real(-1e5, 1e5), real(-10, 10))], Math[op], () => 2 ** -22)
  })

  test('pow: (4 + |y|)·2^-23 relative, signs and zeros', () => {
    const inside = (y: number, x: number, p: number) => {
      if (Math.abs(y) > 3.4e38) return Infinity
      return Math.abs(y) * (4 + Math.abs(p)) * 2 ** -23 + 4 * smallest + 0 * x
    }
    check('pow', [real(1e-6, 1e6), real(-6, 6)], Math.pow, inside)
    check('pow', [fc.oneof(real(-50, 50), fc.constant(0)).map((x) => (x === 0 ? 0 : x)), fc.integer({ min: 0, max: 9 })], Math.pow, inside)
    const [first] = results('pow', [0, 0, 0, -2, -2, 1e30, 1e30], [0, 2, -1, 3, -2, 2, -2])
    const top = Math.fround(3.4028234663852886e38)
    expect(Array.from(first!)).toEqual([1, 0, top, -8, 0.25, top, 0])
  })
})
