// Whole loop functions: random programs and reductions in workgroup memory give what the evaluator gives, on SwiftShader and
// within WebGPU's guaranteed limits; grids beyond 65,535 workgroups reach every group once.

import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { evaluate, range } from '../../dsl/affine.ts'
import { constant, Emitter, load, ops, scratch, symbol } from '../../compiler/schedule/build-loops.ts'
import { evaluateLoops } from '../../compiler/schedule/evaluate-loops.ts'
import type { LoopExpr, LoopFunction } from '../../compiler/schedule/loops.ts'
import { printLoops } from '../../compiler/schedule/print-loops.ts'
import { loopFaults } from '../../compiler/schedule/verify-loops.ts'
import { type Grid, planGrid } from '../../compiler/targets/webgpu/grid.ts'
import { createSoftwareGpu, openDevice, type TestDevice } from '../support/dawn.ts'
import { createWgpu } from '../support/deno/gpu.ts'
import { runWgsl } from '../support/run-wgsl.ts'
import { inputWords, outputsPerInvocation, randomLoops } from './random-loops.ts'

const invocation: LoopExpr = { kind: 'builtin', type: 'i32', name: 'invocation' }
const groupX: LoopExpr = { kind: 'builtin', type: 'i32', name: 'group_x' }
const sizes = new Map([['n', { min: 0, max: 4 }]])

/** softmax of each of n rows of `width`: a workgroup a row, tree reductions over scratch, a strided pass per stage. */
function softmax(width: number, group: number): LoopFunction {
  const e = new Emitter()
  const row = ops.mul(groupX, width)
  const each = (body: (at: LoopExpr) => void) => e.loop('i', invocation, width, group, (i) => body(ops.add(row, i)))
  const reduce = (name: string, value: LoopExpr, combine: (a: LoopExpr, b: LoopExpr) => LoopExpr): LoopExpr => {
    e.store(2, invocation, value)
    e.barrier()
    for (let half = group / 2; half >= 1; half /= 2) {
      e.if(ops.lt(invocation, half), () => e.store(2, invocation, combine(load('f32', 2, invocation), load('f32', 2, invocation, half))))
      e.barrier()
    }
    const result = e.let(name, load('f32', 2, constant('i32', 0)))
    e.barrier()
    return result
  }
  const most = e.let('most', constant('f32', -1e30))
  each((at) => e.set(most, ops.max(most, load('f32', 0, at))))
  const largest = reduce('largest', most, (a, b) => ops.max(a, b))
  const sum = e.let('sum', constant('f32', 0))
  each((at) => e.set(sum, ops.add(sum, ops.exp(ops.sub(load('f32', 0, at), largest)))))
  const total = reduce('total', sum, (a, b) => ops.add(a, b))
  each((at) => e.store(1, at, ops.div(ops.exp(ops.sub(load('f32', 0, at), largest)), total)))
  return {
    name: 'softmax',
    operands: [
      { name: 'x', element: 'f32', access: 'read', memory: { kind: 'buffer', operand: 0 } },
      { name: 'y', element: 'f32', access: 'write', memory: { kind: 'buffer', operand: 1 } },
      scratch('partial', group),
    ],
    symbols: ['n'],
    body: e.finish(),
    workgroup: group,
    grid: [[{ size: { const: 0, terms: [['n', 1]] }, divisor: 1 }]],
  }
}

describe.each([
  ['Dawn', createSoftwareGpu, 40],
  ['wgpu', createWgpu, 20],
] as const)('on %s', (_, create, runs) => {
  let opened: TestDevice
  beforeAll(async () => {
    opened = await openDevice(await create())
  })
  afterAll(() => opened.device.destroy())

  test('random loop functions', async () => {
    const eighths = fc.array(
      fc.integer({ min: -400, max: 400 }).map((x) => x / 8),
      { minLength: inputWords, maxLength: inputWords },
    )
    const words = fc.array(fc.integer(), { minLength: inputWords, maxLength: inputWords })
    const program = fc.record({
      // Of longer programs SwiftShader takes minutes for one in a hundred, and nothing stops it.
      choices: fc.array(fc.nat(9999), { maxLength: 80, size: 'max' }),
      group: fc.constantFrom(1, 4, 32),
      n: fc.integer({ min: 1, max: 3 }),
      floats: eighths,
      ints: words,
      packed: words,
      state: eighths,
    })
    await fc.assert(
      fc.asyncProperty(program, async ({ choices, group, n, floats, ints, packed, state }) => {
        const fn = randomLoops(choices, group)
        expect(loopFaults(fn)).toEqual([])
        const total = 2 * n * group * outputsPerInvocation
        const inputs = [Float32Array.from(floats), Int32Array.from(ints), Int32Array.from(packed), Float32Array.from(state)]
        const make = () => [...inputs, new Float32Array(total), new Int32Array(total), undefined]
        const [wanted, got] = [make(), make()]
        evaluateLoops(fn, { memory: wanted, symbols: { n } })
        await runWgsl(opened.device, fn, { memory: got, symbols: { n } }, sizes, [undefined, 'arena', undefined, 'state'])
        for (const i of [4, 5]) {
          const at = wanted[i]!.findIndex((w, j) => w !== got[i]![j])
          if (at >= 0) expect.fail(`operand ${i}, word ${at}: ${got[i]![at]} instead of ${wanted[i]![at]}\n${printLoops(fn)}`)
        }
      }),
      { numRuns: runs, interruptAfterTimeLimit: 45_000 },
    )
    expect(opened.errors).toEqual([])
  }, 60_000)

  test('tree reductions in workgroup memory, with finite masks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 150 }),
        fc.constantFrom(16, 64, 256),
        fc.integer({ min: 1, max: 4 }),
        fc.integer(),
        async (width, group, n, seed) => {
          const fn = softmax(width, group)
          expect(loopFaults(fn)).toEqual([])
          const x = Float32Array.from({ length: n * width }, (_, i) =>
            (Math.imul(seed + i, 0x9e3779b1) >>> 24) % 5 === 0 ? -1e30 : Math.sin(seed + 3.1 * i) * 20,
          )
          const [wanted, got] = [new Float32Array(n * width), new Float32Array(n * width)]
          evaluateLoops(fn, { memory: [x, wanted, undefined], symbols: { n } })
          await runWgsl(opened.device, fn, { memory: [x, got, undefined], symbols: { n } }, sizes)
          for (const [i, w] of wanted.entries()) expect(Math.abs(got[i]! - w)).toBeLessThanOrEqual(1e-5 * w + 1e-12)
        },
      ),
      { numRuns: runs / 4 },
    )
  }, 60_000)

  test('what an invocation finds in scratch memory decides about barriers for all', async () => {
    const group = 64
    const e = new Emitter()
    e.store(2, invocation, load('i32', 0, ops.add(ops.mul(groupX, group), invocation)))
    e.barrier()
    // Another one for each invocation: the first one's counts.
    const first = e.uniform('first', load('i32', 2, invocation))
    e.if(ops.gt(first, 0), () => {
      e.store(2, invocation, ops.add(first, invocation))
      e.barrier()
      e.loop('round', 0, e.uniform('rounds', ops.and(load('i32', 2, ops.xor(invocation, 1)), 3)), 1, () => {
        const other = e.let('other', load('i32', 2, ops.xor(invocation, group - 1)))
        e.barrier()
        e.store(2, invocation, ops.add(other, load('i32', 2, invocation)))
        e.barrier()
      })
      e.store(1, ops.add(ops.mul(groupX, group), invocation), load('i32', 2, invocation))
    })
    const fn: LoopFunction = {
      name: 'decides',
      operands: [
        { name: 'x', element: 'i32', access: 'read', memory: { kind: 'buffer', operand: 0 } },
        { name: 'y', element: 'i32', access: 'write', memory: { kind: 'buffer', operand: 1 } },
        scratch('shared', group, 'i32'),
      ],
      symbols: ['n'],
      body: e.finish(),
      workgroup: group,
      grid: [[{ size: { const: 0, terms: [['n', 1]] }, divisor: 1 }]],
    }
    expect(loopFaults(fn)).toEqual([])
    const n = 4
    const x = Int32Array.from({ length: n * group }, (_, i) => ((i * 37) % 23) - (i < group ? 1 : 0))
    const [wanted, got] = [new Int32Array(n * group), new Int32Array(n * group)]
    evaluateLoops(fn, { memory: [x, wanted, undefined], symbols: { n } })
    await runWgsl(opened.device, fn, { memory: [x, got, undefined], symbols: { n } }, sizes)
    expect(wanted.subarray(0, group).every((value) => value === 0)).toBe(true)
    expect(wanted.subarray(group).some((value) => value !== 0)).toBe(true)
    expect(got).toEqual(wanted)
  })

  test('a folded grid reaches every group once and no other', async () => {
    const n = 70_003
    const fn: LoopFunction = {
      name: 'folded',
      operands: [{ name: 'count', element: 'i32', access: 'readwrite', memory: { kind: 'buffer', operand: 0 } }],
      symbols: ['n'],
      body: [{ kind: 'store', operand: 0, at: groupX, offset: 0, value: ops.add(load('i32', 0, groupX), ops.add(groupX, symbol('n'))) }],
      workgroup: 1,
      grid: [[{ size: { const: 0, terms: [['n', 2]] }, divisor: 2 }]],
    }
    const count = new Int32Array(n)
    await runWgsl(opened.device, fn, { memory: [count], symbols: { n } }, new Map([['n', { min: 1, max: 100_000 }]]))
    expect(count.every((value, i) => value === i + n)).toBe(true)
  })
})

test('planned grids stay within 65,535 and cover the asked one', () => {
  const factor = fc.record({ constant: fc.nat(3000), by: fc.integer({ min: 1, max: 300 }), divisor: fc.constantFrom(1, 4, 64, 256) })
  const symbols = fc.integer({ min: 1, max: 5000 }).chain((max) => fc.record({ max: fc.constant(max), n: fc.integer({ min: 1, max }) }))
  fc.assert(
    fc.property(fc.array(factor, { minLength: 1, maxLength: 2 }), symbols, (factors, { max, n }) => {
      const grid: Grid = [factors.map(({ constant: c, by, divisor }) => ({ size: { const: c, terms: [['n', by]] as const }, divisor }))]
      const bounds = new Map([['n', { min: 1, max }]])
      const countOf = (g: Grid, d: number) => (g[d] ?? []).reduce((p, f) => p * Math.ceil(evaluate(f.size, { n }) / f.divisor), 1)
      fc.pre(grid[0]!.reduce((p, f) => p * range(f.size, bounds).max, 1) < 2 ** 31)
      const { workgroups, fold } = planGrid(grid, bounds)
      const dims = [0, 1, 2].map((d) => countOf(workgroups, d))
      expect(Math.max(...dims)).toBeLessThanOrEqual(65535)
      expect(dims.reduce((a, b) => a * b)).toBeGreaterThanOrEqual(countOf(grid, 0))
      if (!fold) expect(workgroups).toEqual(grid)
    }),
  )
})
