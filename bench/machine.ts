// What this machine can do at best in WASM, measured with the compiler's own emission: byte dots and f32 multiply-adds without
// memory traffic, and reading memory that no cache holds.

import { buffer, constant, Emitter, load, ops, symbol } from '../compiler/schedule/build-loops.ts'
import type { LoopExpr, LoopFunction } from '../compiler/schedule/loops.ts'
import { type Bench, measure } from './measure.ts'

export interface Ceilings {
  /** 1e9 per second. */
  readonly dot: number
  readonly madd: number
  readonly readBytes: number
}

const chains = 12
const trips = 20_000

/** Independent chains hide the latency of the instruction. */
function chainsOf(name: string, type: 'i32x4' | 'f32x4', step: (acc: LoopExpr, x: LoopExpr) => LoopExpr): Bench {
  const e = new Emitter()
  const x = e.let('x', load(type, 0, 0))
  const accs = Array.from({ length: chains }, (_, i) => e.let('acc', load(type, 1, 4 * i)))
  e.loop('k', 0, symbol('n'), 1, () => {
    for (const acc of accs) e.set(acc, step(acc, x))
  })
  for (const [i, acc] of accs.entries()) e.store(1, 4 * i, acc)
  const fn: LoopFunction = {
    name, operands: [buffer('x', 0, 'read'), buffer('acc', 1, 'readwrite')], symbols: ['n'], body: e.finish(), workgroup: 1, grid: [],
  }
  return { name, fn, operands: [{ words: 4, fill: (w) => w.fill(0x01010101) }, { words: 4 * chains }], symbols: { n: trips }, macs: 0 }
}

function reader(): Bench {
  const e = new Emitter()
  const sums = Array.from({ length: 8 }, () => e.let('sum', constant('i32x4', 0)))
  const words = 2 ** 22
  e.loop('k', 0, words, 32, (k) => {
    for (const [i, sum] of sums.entries()) e.set(sum, ops.xor(sum, load('i32x4', 0, k, 4 * i)))
  })
  for (const [i, sum] of sums.entries()) e.store(1, 4 * i, sum)
  const fn: LoopFunction = { name: 'read', operands: [buffer('x', 0, 'read', 'i32'), buffer('out', 1, 'write', 'i32')], symbols: [], body: e.finish(), workgroup: 1, grid: [] }
  return { name: 'read', fn, operands: [{ words, fill: (w) => w.fill(1) }, { words: 32 }], streamed: 0, macs: 0 }
}

export function measureCeilings(relaxed: boolean): Ceilings {
  const dot = measure({ ...chainsOf('dot', 'i32x4', (acc, x) => ops.dot4(x, x, acc)), macs: chains * trips * 16 }, relaxed)
  const madd = measure({ ...chainsOf('madd', 'f32x4', (acc, x) => ops.madd(acc, x, x)), macs: chains * trips * 4 }, relaxed)
  return { dot: dot.hot, madd: madd.hot, readBytes: measure(reader(), relaxed).streamBytes! }
}
