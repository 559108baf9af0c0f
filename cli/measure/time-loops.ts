// Times loop functions on WASM: "hot" calls one kernel on the same memory over and over (weights stay in the nearest caches),
// "stream" walks through enough copies of one operand that every byte comes from RAM. Best of several rounds, because
// neighbours on the machine only ever slow a round down; warmed up until V8 has replaced its first code.

import { performance } from 'node:perf_hooks'
import { type LoopFunction, partsOf } from '../../compiler/schedule/loops.ts'
import type { EmitOptions } from '../../compiler/targets/wasm/functions.ts'
import { buildModule } from '../../compiler/targets/wasm/module.ts'
import type { Address, Step } from '../../compiler/targets/wasm/program.ts'

export interface Bench {
  readonly name: string
  readonly fn: LoopFunction
  /** Words of each operand (scratch: as declared) and what fills them. */
  readonly operands: readonly { readonly words: number; readonly fill?: (words: Int32Array) => void }[]
  /** The operand that streams (weights), if the case has one. */
  readonly streamed?: number
  readonly symbols?: Readonly<Record<string, number>>
  /** Multiply-adds of one call. */
  readonly macs: number
  /** Throws if the results in memory are wrong. */
  check?(operand: (index: number) => Int32Array): void
}

export interface Timing {
  readonly name: string
  readonly microseconds: number
  /** Multiply-adds and bytes of the streamed operand, in 1e9 per second. */
  readonly hot: number
  readonly stream?: number
  readonly streamBytes?: number
}

const streamBytes = 256 * 2 ** 20
const firstAddress = 1024
const align = (bytes: number) => Math.ceil(bytes / 64) * 64

/** A case in memory: `hot` runs the kernel once, `stream` once on every copy of the streamed operand. */
export interface PreparedCase {
  readonly module: WebAssembly.Module
  readonly memory: WebAssembly.Memory
  /** What both exports are called with. */
  readonly args: readonly number[]
  readonly copies: number
  /** Bytes of the streamed operand. */
  readonly streamedBytes: number
  words(operand: number): Int32Array
  /** Bytes of each operand, all copies of the streamed one included. */
  readonly regions: readonly { readonly address: number; readonly bytes: number }[]
}

export function prepareCase(bench: Bench, options: EmitOptions): PreparedCase {
  const { fn, operands, streamed } = bench
  const sizes = fn.operands.map((o, i) => (o.memory.kind === 'scratch' ? o.memory.words : operands[i]!.words) * 4)
  const copies = streamed === undefined ? 1 : Math.max(1, Math.ceil(streamBytes / sizes[streamed]!))
  const table = firstAddress
  let end = align(table + copies * 4)
  const bases = sizes.map((bytes, i) => {
    const base = end
    end = align(end + align(bytes) * (i === streamed ? copies : 1))
    return base
  })
  const stride = streamed === undefined ? 0 : align(sizes[streamed]!)
  const symbols = Object.keys(bench.symbols ?? {})
  const parts = partsOf(fn)
  const calls = (at: (i: number) => Address): Step[] =>
    parts.map(({ name }) => ({ kind: 'call', kernel: name, operands: sizes.map((_, i) => at(i)) }))
  const fixed = (i: number): Address => ({ base: 'absolute', offset: bases[i]! })
  const { binary } = buildModule(
    {
      kernels: parts,
      entries: [
        { export: 'hot', symbols, steps: calls(fixed) },
        {
          export: 'stream',
          symbols,
          steps: [
            {
              kind: 'loop',
              order: Array.from({ length: copies }, () => 0),
              groups: [calls((i) => (i === streamed ? { base: 'absolute', slot: 0 } : fixed(i)))],
              table,
              slots: 1,
            },
          ],
        },
      ],
      data:
        streamed === undefined
          ? []
          : [
              {
                address: table,
                bytes: new Uint8Array(Int32Array.from({ length: copies }, (_, i) => bases[streamed]! + i * stride).buffer),
              },
            ],
      memoryBytes: end,
      ownBase: 0,
    },
    options,
  )
  const memory = new WebAssembly.Memory({ initial: Math.ceil(end / 65536), maximum: 65536 })
  const words = (i: number) => new Int32Array(memory.buffer, bases[i]!, sizes[i]! / 4)
  for (const [i, { fill }] of operands.entries()) fill?.(words(i))
  // Every page is written: untouched ones would be read at cache speed.
  if (streamed !== undefined) {
    for (let i = 1; i < copies; i++) new Int32Array(memory.buffer, bases[streamed]! + i * stride, sizes[streamed]! / 4).set(words(streamed))
  }
  return {
    module: new WebAssembly.Module(binary),
    memory,
    args: [0, ...symbols.map((s) => bench.symbols![s]!)],
    copies,
    streamedBytes: streamed === undefined ? 0 : sizes[streamed]!,
    words,
    regions: bases.map((address, i) => ({ address, bytes: i === streamed ? stride * copies : sizes[i]! })),
  }
}

/** Compiles and times one case. */
export function measure(bench: Bench, form: EmitOptions, milliseconds = 60): Timing {
  const { module, memory, args, copies, streamedBytes, words } = prepareCase(bench, form)
  const instance = new WebAssembly.Instance(module, { env: { memory } })
  const run = (entry: string) => () => (instance.exports[entry] as (...args: readonly number[]) => void)(...args)
  const hot = best(run('hot'), milliseconds)
  bench.check?.(words)
  const timing = { name: bench.name, microseconds: hot * 1e3, hot: bench.macs / hot / 1e6 }
  if (bench.streamed === undefined) return timing
  const walk = best(run('stream'), 2 * milliseconds) / copies
  return { ...timing, stream: bench.macs / walk / 1e6, streamBytes: streamedBytes / walk / 1e6 }
}

/**
 * Shortest time of a call in milliseconds. Rounds are short, so that on a busy machine some of them lie within one time slice;
 * after the warm-up there are as many as fit into six times `milliseconds`, at least 5.
 */
function best(call: () => void, milliseconds: number): number {
  const round = 3
  let batch = 1
  for (const start = performance.now(); performance.now() - start < milliseconds; ) {
    const before = performance.now()
    for (let i = 0; i < batch; i++) call()
    if (performance.now() - before < round / 2) batch *= 2
  }
  let shortest = Infinity
  const start = performance.now()
  for (let rounds = 0; rounds < 5 || performance.now() - start < 6 * milliseconds; rounds++) {
    const before = performance.now()
    for (let i = 0; i < batch; i++) call()
    shortest = Math.min(shortest, (performance.now() - before) / batch)
  }
  return shortest
}
