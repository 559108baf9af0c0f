// What this machine can do at best in WASM, measured with the compiler's own emission: byte dots and f32 multiply-adds without
// memory traffic, and reading memory that no cache holds. `measureCeilings` takes this thread; `ThreadCeilings` runs any number
// of workers at once, each on memory of its own, because threads share the bandwidth and, on many machines, the arithmetic.

import { buffer, constant, Emitter, load, ops, symbol } from '../../compiler/schedule/build-loops.ts'
import type { LoopExpr, LoopFunction } from '../../compiler/schedule/loops.ts'
import { Worker } from 'node:worker_threads'
import { type Bench, measure, prepareCase } from './time-loops.ts'

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
    name,
    operands: [buffer('x', 0, 'read'), buffer('acc', 1, 'readwrite')],
    symbols: ['n'],
    body: e.finish(),
    workgroup: 1,
    grid: [],
  }
  return { name, fn, operands: [{ words: 4, fill: (w) => w.fill(0x01010101) }, { words: 4 * chains }], symbols: { n: trips }, macs: 0 }
}

/** Reads at several places far apart: read at one, memory waits for the core's requests and gives half of what it could. */
function reader(): Bench {
  const e = new Emitter()
  const sums = Array.from({ length: 8 }, () => e.let('sum', constant('i32x4', 0)))
  const [words, places] = [2 ** 22, 8]
  e.loop('k', 0, words / places, 32, (k) => {
    for (let place = 0; place < places; place++) {
      for (const [i, sum] of sums.entries()) e.set(sum, ops.xor(sum, load('i32x4', 0, k, (place * words) / places + 4 * i)))
    }
  })
  for (const [i, sum] of sums.entries()) e.store(1, 4 * i, sum)
  const fn: LoopFunction = {
    name: 'read',
    operands: [buffer('x', 0, 'read', 'i32'), buffer('out', 1, 'write', 'i32')],
    symbols: [],
    body: e.finish(),
    workgroup: 1,
    grid: [],
  }
  return { name: 'read', fn, operands: [{ words, fill: (w) => w.fill(1) }, { words: 32 }], streamed: 0, macs: 0 }
}

const dotChains = (): Bench => ({ ...chainsOf('dot', 'i32x4', (acc, x) => ops.dot4(x, x, acc)), macs: chains * trips * 16 })
const maddChains = (): Bench => ({ ...chainsOf('madd', 'f32x4', (acc, x) => ops.madd(acc, x, x)), macs: chains * trips * 4 })

export function measureCeilings(relaxed: boolean): Ceilings {
  const dot = measure(dotChains(), { relaxed })
  const madd = measure(maddChains(), { relaxed })
  return { dot: dot.hot, madd: madd.hot, readBytes: measure(reader(), { relaxed }).streamBytes! }
}

// A worker has no module of its own: the program has to run from sources and from the built package alike.
const workerText = `
const { parentPort, workerData } = require('node:worker_threads')
const cases = workerData.map(({ module, pages, regions, args, entry, work }) => {
  const memory = new WebAssembly.Memory({ initial: pages, maximum: 65536 })
  for (const { address, bytes, value } of regions) new Int32Array(memory.buffer, address, bytes / 4).fill(value)
  const call = new WebAssembly.Instance(module, { env: { memory } }).exports[entry]
  return { call: () => call(...args), work }
})
parentPort.on('message', ({ index, milliseconds }) => {
  const { call, work } = cases[index]
  const start = performance.now()
  let calls = 0, now = start
  do { call(); calls++; now = performance.now() } while (now - start < milliseconds)
  parentPort.postMessage((calls * work) / (now - start) / 1e6)
})`

const kinds = ['dot', 'madd', 'readBytes'] as const satisfies readonly (keyof Ceilings)[]

/** The ceilings of `threads` workers together. */
export class ThreadCeilings {
  readonly threads: number
  readonly #workers: readonly Worker[]

  constructor(threads: number, relaxed: boolean) {
    this.threads = threads
    this.#workers = Array.from({ length: threads }, () => {
      const cases = [dotChains(), maddChains(), reader()].map((bench) => {
        const { module, memory, args, copies, streamedBytes, regions, words } = prepareCase(bench, { relaxed })
        const streams = bench.streamed !== undefined
        // Every operand holds one value throughout, which the worker writes into each page of a memory of its own.
        const filled = regions.map((region, i) => ({ ...region, value: words(i)[0]! }))
        return {
          module,
          pages: memory.buffer.byteLength / 65536,
          regions: filled,
          args,
          entry: streams ? 'stream' : 'hot',
          work: streams ? copies * streamedBytes : bench.macs,
        }
      })
      return new Worker(workerText, { eval: true, workerData: cases })
    })
  }

  /** What all threads do together, in 1e9 per second: the best of a few spans of `milliseconds`. */
  async measure(kind: keyof Ceilings, milliseconds = 25, spans = 3): Promise<number> {
    let most = 0
    for (let span = 0; span < spans; span++) {
      const rates = await Promise.all(this.#workers.map((worker) => this.#ask(worker, kinds.indexOf(kind), milliseconds)))
      most = Math.max(
        most,
        rates.reduce((sum, rate) => sum + rate, 0),
      )
    }
    return most
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }

  #ask(worker: Worker, index: number, milliseconds: number): Promise<number> {
    return new Promise((resolve, reject) => {
      worker.once('error', reject)
      worker.once('message', (rate: number) => {
        worker.off('error', reject)
        resolve(rate)
      })
      worker.postMessage({ index, milliseconds })
    })
  }
}
