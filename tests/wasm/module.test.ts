// Whole modules: entries call kernels in order, loops over instances take addresses from tables and choose bodies by group,
// rows come in blocks, states move with statesBase. The expected memory is computed by the evaluator, kernel by kernel.

import { countOf } from '../../compiler/schedule/count.ts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { symbol as symbolAffine } from '../../dsl/affine.ts'
import { buffer, builtin, Emitter, load, ops, scratch, symbol } from '../../compiler/schedule/build-loops.ts'
import { evaluateLoops } from '../../compiler/schedule/evaluate-loops.ts'
import type { LoopFunction } from '../../compiler/schedule/loops.ts'
import { buildModule } from '../../compiler/targets/wasm/module.ts'
import { type Address, rowBlock, type Step, type WasmProgram } from '../../compiler/targets/wasm/program.ts'

/** out[i] = f(x[i], w[i % 4]) for rows i of `n`. */
function rowsKernel(name: string, f: (x: ReturnType<typeof load>, w: ReturnType<typeof load>) => ReturnType<typeof load>): LoopFunction {
  const e = new Emitter()
  e.loop('i', builtin('from'), builtin('to'), 1, (i) => e.store(2, i, f(load('i32', 0, i), load('i32', 1, ops.and(i, 3)))))
  const operands = [buffer('x', 0, 'read', 'i32'), buffer('w', 1, 'read', 'i32'), buffer('out', 2, 'write', 'i32')]
  return { name, operands, symbols: [], body: e.finish(), workgroup: 1, grid: [], rows: { count: countOf(symbolAffine('n')), unit: 1 } }
}

/** state[at] += Σ x[0…n), by way of scratch. */
function totalKernel(): LoopFunction {
  const e = new Emitter()
  e.store(2, 0, load('i32', 1, symbol('at')))
  e.loop('i', 0, symbol('n'), 1, (i) => e.store(2, 0, ops.add(load('i32', 2, 0), load('i32', 0, i))))
  e.store(1, symbol('at'), load('i32', 2, 0))
  const operands = [buffer('x', 0, 'read', 'i32'), buffer('state', 1, 'readwrite', 'i32'), scratch('sum', 1, 'i32')]
  return { name: 'total', operands, symbols: ['at', 'n'], body: e.finish(), workgroup: 1, grid: [] }
}

const kernels = [rowsKernel('add', ops.add), rowsKernel('mix', (x, w) => ops.xor(ops.mul(x, 3), w)), totalKernel()]
const most = 3 * rowBlock + 5
// Memory in bytes: x, y, scratch, weights of each instance, table, states.
const [x, y, sum, weights, table, states] = [1024, 2048, 3072, 3136, 4096, 65536] as const

const at = (offset: number): Address => ({ base: 'absolute', offset })

function program(order: readonly number[]): WasmProgram {
  const w: Address = { base: 'absolute', slot: 0 }
  const state: Address = { base: 'states', slot: 1 }
  const total: Step = { kind: 'call', kernel: 'total', operands: [at(x), state, at(sum)] }
  const groups: Step[][] = [
    [{ kind: 'call', kernel: 'add', operands: [at(x), w, at(y)] }, { kind: 'call', kernel: 'mix', operands: [at(y), w, at(x)] }, total],
    [{ kind: 'call', kernel: 'mix', operands: [at(x), w, at(x)] }, total],
    [total],
  ]
  const rows = order.flatMap((_, i) => [weights + 16 * i, 64 * i])
  const steps: Step[] = [
    { kind: 'loop', order, groups, table, slots: 2 },
    { kind: 'call', kernel: 'total', operands: [at(x), { base: 'states', offset: 2048 }, at(sum)] },
  ]
  return {
    kernels,
    entries: [{ export: 'go', symbols: ['n', 'at'], steps }],
    data: [{ address: table, bytes: new Uint8Array(Int32Array.from(rows).buffer) }],
    memoryBytes: states,
    ownBase: 0,
  }
}

/** The same by the evaluator, on one word array. */
function expected(memory: Int32Array, order: readonly number[], base: number, n: number, place: number) {
  const words = (byte: number, count: number) => memory.subarray(byte / 4, byte / 4 + count)
  const run = (name: string, ...operands: Int32Array[]) =>
    evaluateLoops(kernels.find((k) => k.name === name)!, { memory: operands, symbols: { n, at: place } })
  const total = (state: number) => run('total', words(x, most), words(base + state, 16), words(sum, 1))
  order.forEach((group, i) => {
    const w = words(weights + 16 * i, 4)
    if (group === 0) run('add', words(x, most), w, words(y, most))
    if (group < 2) run('mix', words(group === 0 ? y : x, most), w, words(x, most))
    total(64 * i)
  })
  total(2048)
}

test('entries, instance loops, groups, tables, states and row blocks', () => {
  const call = fc.record({ n: fc.integer({ min: 0, max: most }), place: fc.integer({ min: 0, max: 15 }), second: fc.boolean() })
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 8 }),
      fc.array(call, { minLength: 1, maxLength: 3 }),
      fc.infiniteStream(fc.integer()),
      (order, calls, values) => {
        const { binary } = buildModule(program(order), { relaxed: false })
        const memory = new WebAssembly.Memory({ initial: 2, maximum: 65536 })
        const words = new Int32Array(memory.buffer)
        for (let i = 0; i < 160; i++) words[x / 4 + i] = words[weights / 4 + i] = values.next().value!
        const instance = new WebAssembly.Instance(new WebAssembly.Module(binary), { env: { memory } })
        const copy = words.slice()
        for (const { n, place, second } of calls) {
          const base = states + (second ? 4096 : 0)
          ;(instance.exports.go as (...args: number[]) => void)(base, n, place)
          expected(copy, order, base, n, place)
        }
        expect(words.subarray(0, table / 4)).toEqual(copy.subarray(0, table / 4))
        expect(words.subarray(states / 4)).toEqual(copy.subarray(states / 4))
      },
    ),
    { numRuns: 60 },
  )
})

test('a shared memory, the text form, and faults of the planner', () => {
  const built = buildModule(program([0, 1]), { relaxed: true, shared: true, text: true })
  expect(built.text).toContain('(import "env" "memory" (memory $memory 1 65536 shared))')
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true })
  expect(() => new WebAssembly.Instance(new WebAssembly.Module(built.binary), { env: { memory } })).not.toThrow()
  const broken: WasmProgram = {
    ...program([]),
    entries: [{ export: 'go', symbols: [], steps: [{ kind: 'call', kernel: 'none', operands: [] }] }],
  }
  expect(() => buildModule(broken, { relaxed: false })).toThrow('internal: no kernel none')
})
