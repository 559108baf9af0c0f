// Rows that threads take: each is computed once, whatever was taken before and in whatever order the threads come; and kernels in which
// threads may be at the same time never count in the same number. Threads at work at once: tests/runtime/threads.test.ts and tests/conformance/threads.test.ts.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { symbol as symbolAffine } from '../../dsl/affine.ts'
import { buffer, builtin, Emitter, load, ops } from '../../compiler/schedule/build-loops.ts'
import { countOf } from '../../compiler/schedule/count.ts'
import type { LoopFunction } from '../../compiler/schedule/loops.ts'
import { buildModule } from '../../compiler/targets/wasm/module.ts'
import { control, type Step, type WasmProgram } from '../../compiler/targets/wasm/program.ts'
import { TakenNumbers } from '../../compiler/targets/wasm/taken-rows.ts'

const most = 400
const [out, own] = [control.end, control.end + 4096]

/** out[i] += 1. */
function countRows(): LoopFunction {
  const e = new Emitter()
  e.loop('i', builtin('from'), builtin('to'), 1, (i) => e.store(0, i, ops.add(load('i32', 0, i), 1)))
  const operands = [buffer('out', 0, 'readwrite', 'i32')]
  return {
    name: 'count',
    operands,
    symbols: [],
    body: e.finish(),
    workgroup: 1,
    grid: [],
    rows: { count: countOf(symbolAffine('n')), unit: 1 },
  }
}

const program = (least: number, wide: boolean): WasmProgram => {
  const steps: Step[] = [{ kind: 'call', kernel: 'count', operands: [{ base: 'absolute', offset: out }], share: 'split', least }]
  return { kernels: [countRows()], entries: [{ export: 'go', symbols: ['n'], steps }], data: [], memoryBytes: 65536, ownBase: own, wide }
}

test.each([false, true])('every row that nobody took is computed once; 64-bit addresses: %s', (wide) => {
  const [pages, limit] = wide ? [1n, 262144n] : [1, 65536]
  const descriptor = { ...(wide ? { address: 'i64' } : {}), initial: pages, maximum: limit, shared: true }
  const machines = new Map(
    [1, 3, 64].map((least) => {
      const { binary } = buildModule(program(least, wide), { relaxed: false, shared: true })
      const memory = new WebAssembly.Memory(descriptor as never)
      return [least, { memory, exports: new WebAssembly.Instance(new WebAssembly.Module(binary), { env: { memory } }).exports }]
    }),
  )
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: most }),
      fc.constantFrom(...machines.keys()),
      // Of each thread's run, how much was taken from both ends before, and when the thread comes.
      fc.array(
        fc.record({ front: fc.double({ min: 0, max: 1, noNaN: true }), end: fc.double({ min: 0, max: 1, noNaN: true }), turn: fc.nat() }),
        {
          minLength: 1,
          maxLength: 7,
        },
      ),
      (n, least, runs) => {
        const { memory, exports } = machines.get(least)!
        const words = new Int32Array(memory.buffer)
        const counts = words.subarray(out / 4, out / 4 + most)
        counts.fill(0)
        const threads = runs.length
        const expected = new Array<number>(most).fill(0).fill(1, 0, n)
        for (const [t, { front, end }] of runs.entries()) {
          const [from, to] = [Math.floor((n * t) / threads), Math.floor((n * (t + 1)) / threads)]
          const [first, last] = [Math.floor(front * (to - from)), Math.floor(end * (to - from))]
          const line = (control.taken.at + 64 * t) / 4
          words[line] = first
          words[line + 1] = last
          // One thread alone looks at no numbers.
          if (threads > 1) expected.fill(0, from, Math.min(to, from + first)).fill(0, Math.max(from, to - last), to)
        }
        // The first one waits for all others at the end.
        const order = runs.map((_, t) => t).sort((a, b) => (b === 0 ? -1 : a === 0 ? 1 : runs[a]!.turn - runs[b]!.turn))
        const arrived = (exports['threads.arrived'] as () => number)()
        for (const t of order) (exports.go as (...args: number[]) => void)(0, n, own, t, threads, arrived)
        expect([...counts]).toEqual(expected)
        expect(words.subarray(control.taken.at / 4, control.end / 4).every((word) => word === 0)).toBe(true)
      },
    ),
    { numRuns: 400 },
  )
})

test('kernels between two meetings count apart, also across the instances of a loop', () => {
  const call = fc.constantFrom('split', 'split', 'one', 'barrier')
  const list = fc.array(call, { maxLength: 14 })
  const loop = fc.record({
    groups: fc.array(list, { minLength: 1, maxLength: 3 }),
    order: fc.array(fc.nat(2), { minLength: 1, maxLength: 6 }),
  })
  const step = (kind: string): Step =>
    kind === 'barrier' ? { kind } : { kind: 'call', kernel: 'k', operands: [], share: kind as 'split' | 'one' }
  fc.assert(
    fc.property(fc.array(fc.oneof(call, loop), { maxLength: 8 }), (shapes) => {
      const steps = shapes.map((shape): Step => {
        if (typeof shape === 'string') return step(shape)
        const order = shape.order.map((group) => group % shape.groups.length)
        return { kind: 'loop', order, groups: shape.groups.map((kinds) => kinds.map(step)), table: 0, slots: 0 }
      })
      const taken = new TakenNumbers()
      const numberOf = new Map<Step, number | undefined>()
      const write = (all: readonly Step[]): void => {
        for (const one of all) {
          if (one.kind === 'barrier') taken.meet()
          else if (one.kind === 'loop')
            taken.loop(
              [...new Set(one.order)].map((group) => one.groups[group]!),
              write,
            )
          else if (one.share === 'split') numberOf.set(one, taken.take())
        }
      }
      write(steps)
      let since = new Set<number>()
      const run = (all: readonly Step[]): void => {
        for (const one of all) {
          if (one.kind === 'barrier') since = new Set()
          else if (one.kind === 'loop') for (const group of one.order) run(one.groups[group]!)
          else {
            const number = numberOf.get(one)
            if (number === undefined) continue
            expect(since.has(number)).toBe(false)
            expect(number).toBeLessThan(64)
            since.add(number)
          }
        }
      }
      run(steps)
    }),
    { numRuns: 2000 },
  )
})
