// The sampler against llama.cpp's cases and a transcript of llama2.c's run.c; Philox against Random123's known answers.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { philox4x32, uniform } from '../../runtime/philox.ts'
import { argmax, createSampler, samplingNumbers } from '../../runtime/sampling.ts'
import { WeighedHere } from '../../runtime/weighing.ts'
import { toBoundary } from '../support/boundaries.ts'
import { dataText } from '../weights/data.ts'

describe('Philox4x32-10', () => {
  // Random123, kat_vectors.
  test.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const)('%j', (counter, key, expected) => {
    expect(philox4x32(counter, key)).toEqual(expected)
  })

  test('uniform: in [0, 1), a function of seed and position, about evenly spread', () => {
    const buckets = new Array<number>(10).fill(0)
    for (let position = 0; position < 10_000; position++) buckets[Math.floor(uniform(42, position) * 10)]!++
    expect(Math.min(...buckets)).toBeGreaterThan(900)
    expect(Math.max(...buckets)).toBeLessThan(1100)
    expect(uniform(1, 5)).not.toBe(uniform(2 ** 32 + 1, 5))
    expect(uniform(1, 5)).not.toBe(uniform(1, 2 ** 32 + 5))
  })
})

describe('llama.cpp test-sampling', () => {
  interface Case {
    readonly sampler: string
    readonly args: readonly [number[], number[], number]
  }
  const { cases } = JSON.parse(dataText('sampling-golden/llamacpp-test-sampling.json')) as { cases: Case[] }
  const options = { top_k: 'topK', top_p: 'topP', min_p: 'minP' } as Record<string, string>
  const own = cases.filter(({ sampler }) => sampler in options)

  test(`${own.length} cases of top_k, top_p and min_p, one of temp`, () => {
    expect(own).toHaveLength(11)
    for (const {
      sampler,
      args: [probabilities, expected, value],
    } of own) {
      const { probabilities: found } = createSampler({ temperature: 1, [options[sampler]!]: value }, 0).distribution(
        Float32Array.from(probabilities, Math.log),
      )
      // Nothing truncated: index order here, descending there.
      const sorted = [...found].sort((a, b) => b - a)
      expect(
        sorted.map((p) => p.toFixed(4)),
        JSON.stringify([sampler, value]),
      ).toEqual(expected.map((p) => p.toFixed(4)))
    }
    const [probabilities] = cases.find(({ sampler }) => sampler === 'temp')!.args
    expect([...createSampler({ temperature: 0 }, 0).distribution(Float32Array.from(probabilities)).ids]).toEqual([3])
  })
})

/** run.c's sample(), statement by statement in f32. */
function runC(logits: readonly number[], temperature: number, topp: number, coin: number): number {
  const f = Math.fround
  const n = logits.length
  const p = logits.map((x) => f(f(x) / f(temperature)))
  const max = Math.max(...p)
  let sum = 0
  for (let i = 0; i < n; i++) {
    p[i] = f(Math.exp(f(p[i]! - max)))
    sum = f(sum + p[i]!)
  }
  for (let i = 0; i < n; i++) p[i] = f(p[i]! / sum)
  if (topp <= 0 || topp >= 1) {
    let cdf = 0
    for (let i = 0; i < n; i++) {
      cdf = f(cdf + p[i]!)
      if (f(coin) < cdf) return i
    }
    return n - 1
  }
  const cutoff = f(f(1 - f(topp)) / (n - 1))
  const kept = p
    .map((prob, index) => ({ prob, index }))
    .filter(({ prob }) => prob >= cutoff)
    .sort((a, b) => b.prob - a.prob)
  if (kept.length === 0) return p.indexOf(Math.max(...p)) // run.c reads before its array here (top-p below 1/n, near-equal scores)
  let cumulative = 0
  let last = kept.length - 1
  for (let i = 0; i < kept.length; i++) {
    cumulative = f(cumulative + kept[i]!.prob)
    if (cumulative > f(topp)) {
      last = i
      break
    }
  }
  const r = f(f(coin) * cumulative)
  let cdf = 0
  for (let i = 0; i <= last; i++) {
    cdf = f(cdf + kept[i]!.prob)
    if (r < cdf) return kept[i]!.index
  }
  return kept[last]!.index
}

const logits = fc.array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: 2, maxLength: 60 })

describe('laws', () => {
  test("temperature and top-p are run.c's, but where the coin lies on a boundary", () => {
    let different = 0
    fc.assert(
      fc.property(
        // Scores that differ, do so by more than rounding.
        fc.array(
          fc.integer({ min: -1280, max: 1280 }).map((n) => n / 64),
          { minLength: 2, maxLength: 60 },
        ),
        fc.constantFrom(0.5, 0.8, 1, 1.7),
        fc.constantFrom(0.1, 0.5, 0.9, 0.95, 1),
        fc.nat(0xffffff),
        (values, temperature, topP, word) => {
          const coin = word / 0x1000000
          const scores = Float32Array.from(values)
          const options = { temperature, topP, random: () => coin }
          const [found, wanted] = [createSampler(options, 0).sample(scores, 0), runC(values, temperature, topP, coin)]
          if (found === wanted) return
          expect(toBoundary(scores, [], samplingNumbers(options), coin), `${found} is not ${wanted}`).toBeLessThan(2e-6)
          different++
        },
      ),
      { numRuns: 2000 },
    )
    expect(different).toBeLessThan(20)
  })

  test('truncation: a descending prefix, at least one, and each rule holds', () => {
    fc.assert(
      fc.property(
        logits,
        fc.nat(70),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (scores, topK, topP, minP) => {
          const all = createSampler({ temperature: 1 }, 0).distribution(Float32Array.from(scores)).probabilities
          // Nothing is dropped but what has no weight; what has nearly the same may have the same probability.
          const order = [...createSampler({ temperature: 1, topK: scores.length }, 0).distribution(Float32Array.from(scores)).ids]
          for (const [i, id] of order.slice(1).entries()) expect(all[id]!).toBeLessThanOrEqual(all[order[i]!]!)
          expect([...order].sort((a, b) => a - b)).toEqual([...all.keys()].filter((id) => all[id]! > 0))
          const { ids, probabilities } = createSampler({ temperature: 1, topK, topP, minP }, 0).distribution(Float32Array.from(scores))
          expect(ids.length).toBeGreaterThan(0)
          if (topK > 0) expect(ids.length).toBeLessThanOrEqual(topK)
          if (topK > 0 || Math.fround(topP) < 1 || Math.fround(minP) > 0) expect([...ids]).toEqual(order.slice(0, ids.length))
          for (const id of ids) expect(all[id]!).toBeGreaterThanOrEqual(Math.fround(Math.fround(minP) * all[order[0]!]!))
          expect(probabilities.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 4)
        },
      ),
      { numRuns: 1000 },
    )
  })

  test('what is kept is what sorting keeps', () => {
    const grid = fc.array(
      fc.integer({ min: -100, max: 40 }).map((n) => n / 8),
      { minLength: 1, maxLength: 600 },
    )
    const share = fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true }))
    fc.assert(
      fc.property(grid, fc.nat(650), share, share, (values, topK, topP, minP) => {
        const scores = Float32Array.from(values)
        const weighed = new WeighedHere()
        weighed.weigh(scores, scores[argmax(scores)]!, 1)
        const weights = weighed.weights.values
        const order = [...weights.keys()].sort((a, b) => weights[b]! - weights[a]! || a - b)
        let kept = topK > 0 ? order.slice(0, topK) : order
        const sum = (ids: readonly number[]): number => ids.reduce((mass, id) => mass + weights[id]!, 0)
        let clear = true
        if (Math.fround(topP) < 1) {
          const bound = Math.fround(topP) * sum(kept)
          const last = kept.findIndex((_, i) => sum(kept.slice(0, i + 1)) > bound)
          // The sums of blocks are f32.
          clear = [last, last + 1].every((n) => Math.abs(sum(kept.slice(0, n)) - bound) > 1e-5 * bound)
          if (last >= 0) kept = kept.slice(0, last + 1)
        }
        kept = kept.filter((id) => weights[id]! >= Math.fround(minP))
        const { ids } = createSampler({ temperature: 1, topK, topP, minP }, 0).distribution(scores)
        // What rounds to nothing asks for nothing.
        if (clear && (topK > 0 || Math.fround(topP) < 1 || Math.fround(minP) > 0)) expect([...ids]).toEqual(kept)
      }),
      { numRuns: 200 },
    )
  })

  test('every draw is in the distribution, and greedy is its first', () => {
    fc.assert(
      fc.property(logits, fc.nat(9), fc.double({ min: 0.01, max: 1, noNaN: true }), fc.nat(1000), (scores, topK, topP, seed) => {
        const sampler = createSampler({ temperature: 0.7, topK, topP }, seed)
        const values = Float32Array.from(scores)
        const { ids } = sampler.distribution(values)
        for (let position = 0; position < 5; position++) expect(ids).toContain(sampler.sample(values, position))
        expect(argmax(values)).toBe(scores.indexOf(Math.max(...scores)))
      }),
      { numRuns: 300 },
    )
  })

  test('a temperature near 0 is greedy', () => {
    const cold = fc.oneof(
      fc.constantFrom(9e-31, 1e-36, 1e-45, Number.MIN_VALUE),
      fc.double({ min: 0, max: 1e-30, maxExcluded: true, noNaN: true }),
    )
    fc.assert(
      fc.property(logits, cold, fc.constantFrom({}, { topK: 2 }, { topP: 0.5 }, { minP: 0.1 }), (scores, temperature, more) => {
        const given = Float32Array.from(scores)
        expect(createSampler({ temperature, ...more }, 1).sample(given, 0)).toBe(argmax(given))
        expect(samplingNumbers({ temperature }).temperature).toBe(0)
      }),
    )
    // What is not as cold divides any score that a model gives.
    expect(createSampler({ temperature: 1e-30 }, 1).sample(Float32Array.of(1, 1e8, -1e8), 0)).toBe(1)
  })

  test('the penalty makes scores of ids among the last ones smaller, whatever their sign, and each once', () => {
    fc.assert(
      fc.property(
        logits,
        fc.array(fc.nat(70), { maxLength: 90 }),
        fc.constantFrom(1.1, 1.5, 3),
        fc.constantFrom(0, 1, 5, 64, Infinity),
        (scores, seen, repetitionPenalty, window) => {
          const lately = new Set(seen.filter((_, place) => place >= seen.length - window))
          const wanted = scores.map((score, id) =>
            Math.fround(
              lately.has(id) ? (score > 0 ? score / Math.fround(repetitionPenalty) : score * Math.fround(repetitionPenalty)) : score,
            ),
          )
          const given = Float32Array.from(scores)
          const options = { repetitionPenalty, ...(window === Infinity ? { repetitionWindow: 2 ** 40 } : { repetitionWindow: window }) }
          for (const temperature of [0, 1]) {
            const got = createSampler({ ...options, temperature }, 0).distribution(given, seen)
            expect(got).toEqual(createSampler({ temperature }, 0).distribution(Float32Array.from(wanted)))
          }
          expect(given).toEqual(Float32Array.from(scores))
        },
      ),
      { numRuns: 300 },
    )
  })

  test('bad options and scores that are not numbers are refused', () => {
    for (const options of [
      { temperature: -1 },
      { topK: 1.5 },
      { topP: 2 },
      { minP: NaN },
      { repetitionPenalty: 0 },
      { repetitionWindow: -1 },
    ])
      expect(() => createSampler(options, 0)).toThrow(/expected/)
    for (const bad of [Float32Array.of(NaN, NaN), Float32Array.of(1, Infinity), Float32Array.of()]) {
      expect(() => createSampler({}, 0).sample(bad, 0)).toThrow(/finite/)
      expect(() => createSampler({ temperature: 1 }, 0).sample(bad, 0)).toThrow(/finite/)
    }
  })
})
