// node bench/attention.ts [pattern] [--positions N] [--plain]: what attention of one token reaches over caches of f32, halves and blocks of 8 bits, for
// some numbers of heads that share a key, beside this machine's ceilings. The caches of N positions (2000) stay in whatever cache of the
// machine holds them; results are checked against f64 before they are printed.

import { parseArgs } from 'node:util'
import { measureCeilings } from '../cli/measure/ceilings.ts'
import { measure } from '../cli/measure/time-loops.ts'
import { f16FromNumber, f16ToNumber } from '../compiler/formats/halves.ts'
import { compile, packageSources } from '../compiler/index.ts'
import type { LoopFunction } from '../compiler/schedule/loops.ts'
import { byteOfNumber, s8 } from '../compiler/schedule/state-blocks.ts'
import { relaxedSimd } from '../runtime/devices/relaxed-simd.ts'

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { positions: { type: 'string', default: '2000' }, plain: { type: 'boolean', default: false } },
})
const pattern = new RegExp(positionals[0] ?? '.')
const positions = Number(flags.positions)
const relaxed = !flags.plain
const pairs = relaxed && (await relaxedSimd()).pairDots

const caches = ['f32', 'f16', 'q8_0'] as const
type Cache = (typeof caches)[number]
const size = 64

const textOf = (heads: number, groups: number): string => `module probe
import std.attention { attend, causal }
config Sizes { heads: dim = ${heads}  groups: dim = ${groups}  size: dim = ${size}  room: dim = ${positions} }
model Probe uses Sizes {
  state keys:   real[room, groups, size]
  state values: real[room, groups, size]
  entry fill(k: real[n, groups, size], v: real[n, groups, size]) {
    store keys[room: 0 ..+ n] = k
    store values[room: 0 ..+ n] = v
  }
  entry one(q: real[seq = 1, heads, size], t: index, start: index) -> real[seq = 1, heads, size] {
    return attend(q, keys[room: 0 ..+ t], values[room: 0 ..+ t], mask: causal(start + iota(seq = 1), iota(room = t)))
  }
}
`

let state = 1
const random = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) | 0
  return (state >>> 8) / 2 ** 23 - 1
}

/** Random words of a cache of so many numbers, and the numbers. */
function stored(cache: Cache, count: number): { words: Int32Array; numbers: Float64Array } {
  const numbers = Float64Array.from({ length: count }, random)
  if (cache === 'f32') return { words: new Int32Array(Float32Array.from(numbers).buffer), numbers }
  if (cache === 'f16') {
    const halves = Uint16Array.from(numbers, f16FromNumber)
    return { words: new Int32Array(halves.buffer), numbers: Float64Array.from(halves, f16ToNumber) }
  }
  const bytes = new Uint8Array(count + (count / s8.k) * 2)
  const scale = f16FromNumber(1 / 127)
  new Uint16Array(bytes.buffer, count).fill(scale)
  for (const [i, x] of numbers.entries()) {
    const q = Math.round(x * 127)
    bytes[byteOfNumber(i)] = q
    numbers[i] = q * f16ToNumber(scale)
  }
  return { words: new Int32Array(bytes.buffer), numbers }
}

async function functionOf(cache: Cache, heads: number, groups: number): Promise<LoopFunction> {
  const sources = packageSources(new Map([['probe.dsl', textOf(heads, groups)]]))
  const result = await compile(sources, { entry: 'probe.dsl', seedWeights: 1, cache, math: 'fast', maximum: { n: positions } })
  if (!result.ok) throw new Error(result.diagnostics.map(({ message }) => message).join('; '))
  return [...result.compilation.results[0]!.plan!.functions.values()].find(({ name }) => name.startsWith('one'))!
}

const ceilings = measureCeilings(relaxed)
console.log(`ceilings: f32 madd ${ceilings.madd.toFixed(1)} GMAC/s, read ${ceilings.readBytes.toFixed(1)} GB/s`)
console.log(`${'heads'.padEnd(12)}${'cache'.padEnd(8)}${'us/call'.padStart(10)}${'GMAC/s'.padStart(10)}${'GB/s'.padStart(10)}`)
for (const [heads, groups] of [
  [9, 3],
  [4, 4],
  [8, 4],
  [12, 3],
  [18, 3],
] as const) {
  for (const cache of caches) {
    const name = `${heads} on ${groups}`.padEnd(12) + cache.padEnd(8)
    if (!pattern.test(name)) continue
    const fn = await functionOf(cache, heads, groups)
    const query = Float32Array.from({ length: heads * size }, random)
    const [keys, values] = [stored(cache, groups * positions * size), stored(cache, groups * positions * size)]
    const contents = [new Int32Array(query.buffer), keys.words, values.words, new Int32Array(heads * size)]
    const operands = fn.operands.map(({ memory }, i) =>
      memory.kind === 'scratch'
        ? { words: memory.words }
        : { words: contents[i]!.length, fill: (target: Int32Array) => target.set(contents[i]!) },
    )
    const check = (operand: (index: number) => Int32Array): void => {
      const words = operand(3)
      const got = new Float32Array(words.buffer, words.byteOffset, words.length)
      for (let h = 0; h < heads; h++) {
        const first = Math.floor((h * groups) / heads) * positions * size
        const at = (t: number, d: number): number => first + t * size + d
        const dots = Array.from({ length: size }, (_, d) => d)
        const weights = Array.from({ length: positions }, (_, t) =>
          Math.exp(dots.reduce((sum, d) => sum + query[h * size + d]! * keys.numbers[at(t, d)]!, 0) / Math.sqrt(size)),
        )
        const total = weights.reduce((a, b) => a + b)
        for (let d = 0; d < size; d++) {
          const wanted = weights.reduce((sum, p, t) => sum + p * values.numbers[at(t, d)]!, 0) / total
          if (!(Math.abs(got[h * size + d]! - wanted) <= 1e-5))
            throw new Error(`${name}: ${d} of head ${h} is ${got[h * size + d]!}, not ${wanted}`)
        }
      }
    }
    const macs = heads * positions * size * 2
    const t = measure({ name, fn, operands, symbols: { t: positions, start: positions - 1 }, macs, check }, { relaxed, pairs })
    const bytes = 4 * (keys.words.length + values.words.length)
    const cell = (x: number): string => x.toFixed(1).padStart(10)
    console.log(name + cell(t.microseconds) + cell(t.hot) + cell(bytes / t.microseconds / 1e3))
  }
}
