// From scores to what a draw looks at: weights, e^((score − highest) / temperature), with what blocks of them come to, and which ids are
// heavy enough to matter. Here by itself, for scores that are here; a module does the same where its scores are, bit for bit
// (compiler/sampler/lanes.ts): f32, each operation rounded.
import { blockIds, powerOf2, powerTerms } from './artifact/wasm-sampler.ts'
import type { Scores } from './sampling.ts'

/** Some f32, and their bits. */
export interface Floats {
  readonly values: Float32Array
  readonly bits: Int32Array
}

export const floatsAt = (buffer: ArrayBufferLike, at: number, count: number): Floats => ({
  values: new Float32Array(buffer, at, count),
  bits: new Int32Array(buffer, at, count),
})

/** Of as many ids as the scores were. */
export interface Weighed {
  /** 0 to 1, by id; the best weighs 1. */
  readonly weights: Floats
  /** Of each block of ids, four each: of those with equal remainders by 4. */
  readonly sums: Float32Array
  readonly maxima: Floats
  /** Makes `ids` begin with those whose weights are `least` or more, ascending, and says how many they are. */
  collect(least: number): number
  readonly ids: Int32Array
}

const f32 = Math.fround
const [t0, t1, t2, t3, t4, t5] = powerTerms as [number, number, number, number, number, number]
const { least: lowest, rounder } = powerOf2
const lowestWhole = 1 - lowest
/** 2^n at n + lowestWhole. */
const powers = Float64Array.from({ length: lowestWhole + 1 }, (_, i) => 2 ** (i - lowestWhole))

/** 2^y for f32 y ≤ 0. What is exact anyway is not rounded: that is what takes time here. */
function power(y: number): number {
  if (y < lowest) return 0
  const n = f32(y + rounder) - rounder
  const r = y - n
  const sum = f32(f32(f32(f32(f32(f32(f32(f32(f32(f32(t5 * r) + t4) * r) + t3) * r) + t2) * r) + t1) * r) + t0)
  // Of NaN there is no such power.
  return sum * (powers[n + lowestWhole] ?? y)
}

/** What a difference of scores is multiplied by, to be the exponent of 2. Not 0: minus infinity stays so. */
export const rateOf = (temperature: number): number => Math.max(f32(Math.LOG2E / f32(temperature)), 2 ** -149)

const floatsHere = (count: number): Floats => floatsAt(new ArrayBuffer(4 * count), 0, count)

/** How many sums there are of so many weights. */
export const partsOf = (count: number): number => 4 * Math.ceil(count / blockIds)

/** Weights of scores, with memory of its own that is used again. */
export class WeighedHere implements Weighed {
  weights = floatsHere(0)
  sums = new Float32Array(0)
  maxima = floatsHere(0)
  ids = new Int32Array(0)

  /** `top`: the highest score. */
  weigh(scores: Scores, top: number, temperature: number): void {
    const count = scores.length
    if (this.ids.length !== count) {
      this.weights = floatsHere(count)
      this.sums = new Float32Array(partsOf(count))
      this.maxima = floatsHere(partsOf(count))
      this.ids = new Int32Array(count)
    }
    const [weights, sums, maxima] = [this.weights.values, this.sums, this.maxima.values]
    const [highest, rate] = [f32(top), rateOf(temperature)]
    for (let block = 0, part = 0; block < count; block += blockIds, part += 4) {
      const end = Math.min(block + blockIds, count)
      for (let lane = 0; lane < 4; lane++) {
        let [sum, most] = [0, 0]
        for (let id = block + lane; id < end; id += 4) {
          const weight = power(f32(f32(f32(scores[id]!) - highest) * rate))
          weights[id] = weight
          sum = f32(sum + weight)
          if (weight > most) most = weight
        }
        sums[part + lane] = sum
        maxima[part + lane] = most
      }
    }
  }

  collect(least: number): number {
    const { ids } = this
    const { values } = this.weights
    let found = 0
    for (let i = 0; i < values.length; i++) if (values[i]! >= least) ids[found++] = i
    return found
  }
}
