// Draws in a module against those of the sampler here, which defines them: the same tokens, whatever the scores, the options and the number of
// ids, and the same bits of everything on the way, also by the loop evaluator.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { collectLanes, weighLanes } from '../../compiler/sampler/lanes.ts'
import { evaluateLoops } from '../../compiler/schedule/evaluate-loops.ts'
import { verifyLoops } from '../../compiler/schedule/verify-loops.ts'
import { buildModule } from '../../compiler/targets/wasm/module.ts'
import { control } from '../../compiler/targets/wasm/program.ts'
import { threadExports } from '../../compiler/targets/wasm/threads.ts'
import { blockIds, wasmSampler } from '../../runtime/artifact/wasm-sampler.ts'
import { WasmSampler } from '../../runtime/devices/wasm-sampler.ts'
import { argmax, createSampler, samplingNumbers } from '../../runtime/sampling.ts'
import { partsOf, rateOf, WeighedHere } from '../../runtime/weighing.ts'

const most = 3001
const [scoresAt, scratchAt] = [4096 + 4, 65536]

function openSampler(wide: boolean): { readonly sampler: WasmSampler; readonly scores: Float32Array } {
  const program = { kernels: [], entries: [], data: [], memoryBytes: 65536, ownBase: 0, wide }
  const { binary } = buildModule(program, { relaxed: true })
  const memory = new WebAssembly.Memory(
    (wide ? { address: 'i64', initial: 2n, maximum: 262144n } : { initial: 2, maximum: 65536 }) as never,
  )
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(binary), { env: { memory } })
  const sampler = new WasmSampler(exports, memory, { at: scratchAt, unit: wide ? 256 : 1 }, undefined, 0)
  return { sampler, scores: new Float32Array(memory.buffer, scoresAt, most) }
}

const real = (most: number): fc.Arbitrary<number> => fc.float({ min: -most, max: most, noNaN: true })
const score = fc.oneof(
  { weight: 6, arbitrary: real(20) },
  { weight: 3, arbitrary: fc.integer({ min: -8, max: 8 }) },
  { weight: 1, arbitrary: fc.constantFrom(-Infinity, -1e30, 3.4e38, 1e-40, -0, 250) },
)
/** Whole vocabularies of few kinds of scores, so that they are made in no time. */
const vocabulary = fc
  .record({
    count: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: most }), fc.constantFrom(blockIds, 2 * blockIds + 1, 2048)),
    kinds: fc.array(score, { minLength: 1, maxLength: 40 }),
    spread: fc.constantFrom(0, 0, 1e-3, 3),
    odd: fc.option(fc.tuple(fc.nat(), fc.constantFrom(NaN, Infinity)), { freq: 20 }),
    seed: fc.nat(),
  })
  .map(({ count, kinds, spread, odd, seed }) => {
    let state = seed | 1
    const scores = Float32Array.from({ length: count }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0
      return kinds[(state >>> 8) % kinds.length]! + spread * ((state >>> 4) / 2 ** 28)
    })
    if (odd) scores[odd[0] % count] = odd[1]
    return scores
  })
const share = fc.oneof(fc.constantFrom(0, 1, 0.5, 0.9, 1e-6, 1 - 1e-7), fc.double({ min: 0, max: 1, noNaN: true }))
const options = fc.record({
  temperature: fc.constantFrom(0, 1e-30, 0.05, 0.3, 0.8, 1, 1.7, 50, 1e38, Number.MAX_VALUE),
  topK: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: most + 9 })),
  topP: fc.oneof(fc.constant(1), share),
  minP: fc.oneof(fc.constant(0), share),
  repetitionPenalty: fc.constantFrom(1, 1, 1.3, 0.7),
  repetitionWindow: fc.constantFrom(0, 3, 64),
})

const bits = (value: number): number => new Int32Array(Float32Array.of(value).buffer)[0]!

const orNone = (work: () => number): number => {
  try {
    return work()
  } catch {
    return -1
  }
}

describe.each([false, true])('64-bit addresses: %s', (wide) => {
  const { sampler, scores } = openSampler(wide)

  test('the tokens of the sampler here', async () => {
    await fc.assert(
      fc.asyncProperty(vocabulary, options, fc.array(fc.nat(most), { maxLength: 80 }), fc.nat(2 ** 40), async (given, how, seen, seed) => {
        const numbers = samplingNumbers(how)
        const here = createSampler(how, seed)
        for (let position = 0; position < 4; position++) {
          scores.fill(1e30) // what lies behind is higher
          scores.set(given)
          const token = await sampler.draw(scoresAt, given.length, { ...numbers, seed, position }, seen)
          expect(token).toBe(orNone(() => here.sample(given, position, seen)))
        }
        expect(scores.subarray(given.length).every((value) => value === Math.fround(1e30))).toBe(true)
      }),
      { numRuns: 1500 },
    )
  })
})

test('threads weigh as one does', () => {
  const program = { kernels: [], entries: [], data: [], memoryBytes: 131072, ownBase: 0 }
  const { binary } = buildModule(program, { relaxed: true, shared: true })
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 65536, shared: true })
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(binary), { env: { memory } })
  const call = (name: string, ...args: number[]): number => (exports[name] as (...args: number[]) => number)(...args)
  call(threadExports.init)
  const at = control.end
  const maxima = 4 * partsOf(most)
  fc.assert(
    fc.property(vocabulary, fc.integer({ min: 1, max: 5 }), (given, threads) => {
      fc.pre(given.some(Number.isFinite) && !given.some((value) => Number.isNaN(value) || value === Infinity))
      const top = given[argmax(given)]!
      const here = new WeighedHere()
      here.weigh(given, top, 0.7)
      new Float32Array(memory.buffer, at).fill(7)
      const scores = new Float32Array(memory.buffer, at, given.length)
      scores.set(given)
      const arrived = call(threadExports.arrived)
      // The first waits for the others, so it comes last.
      for (let thread = threads - 1; thread >= 0; thread--)
        call(wasmSampler.weigh, scratchAt, at, maxima, given.length, bits(top), bits(rateOf(0.7)), 0, thread, threads, arrived)
      expect(call(threadExports.arrived)).toBe(arrived + threads)
      const parts = partsOf(given.length)
      expect(scores).toEqual(here.weights.values)
      expect(new Float32Array(memory.buffer, scratchAt, parts)).toEqual(here.sums)
      expect(new Float32Array(memory.buffer, scratchAt + maxima, parts)).toEqual(here.maxima.values)
    }),
    { numRuns: 200 },
  )
})

test('loops, module and what is done here: the same bits', async () => {
  const { sampler, scores } = openSampler(false)
  const [weigh, collect] = [weighLanes(), collectLanes()]
  ;[weigh, collect].forEach(verifyLoops)
  const words = ({ buffer, byteOffset, length }: Float32Array): number[] => [...new Int32Array(buffer, byteOffset, length)]
  await fc.assert(
    fc.asyncProperty(vocabulary, fc.constantFrom(1e-30, 0.3, 1, 7, 1e38), share, async (given, temperature, least) => {
      // A NaN is a NaN, whatever its bits.
      fc.pre(given.some(Number.isFinite) && !given.some((value) => Number.isNaN(value) || value === Infinity))
      const top = given[argmax(given)]!
      const here = new WeighedHere()
      here.weigh(given, top, temperature)
      scores.set(given)
      await sampler.draw(scoresAt, given.length, { ...samplingNumbers({ temperature }), seed: 0, position: 0 }, undefined)
      const count = given.length
      const [weights, sums, maxima, ids] = [
        given.slice(),
        new Float32Array(partsOf(count)),
        new Float32Array(partsOf(count)),
        new Int32Array(count + 2),
      ]
      const symbols = { count, top: bits(top), rate: bits(rateOf(temperature)), least: bits(least) }
      evaluateLoops(weigh, { memory: [weights, sums, maxima], symbols })
      evaluateLoops(collect, { memory: [weights, maxima, ids], symbols })
      for (const [one, other, third] of [
        [here.weights.values, sampler.weights.values, weights],
        [here.sums, sampler.sums, sums],
        [here.maxima.values, sampler.maxima.values, maxima],
      ] as const) {
        expect(words(other)).toEqual(words(one))
        expect(words(third)).toEqual(words(one))
      }
      const found = here.collect(Math.fround(least))
      expect(sampler.collect(Math.fround(least))).toBe(found)
      expect(ids[0]).toBe(found)
      const kept = [...here.ids.subarray(0, found)]
      expect([...sampler.ids.subarray(0, found)]).toEqual(kept)
      expect([...ids.subarray(1, found + 1)]).toEqual(kept)
    }),
    { numRuns: 60 },
  )
})
