// From scores to a token. Scores of ids that were seen lately are made smaller by the repetition penalty. Temperature 0 is greedy;
// else f32 softmax of scores / temperature, truncation by top-k, top-p and min-p (in that order, each keeping a prefix of the
// descending order), one draw. The arithmetic is f32 in the order of
// llama2.c's run.c, so that with the same coins the same tokens come out: without truncation the CDF is walked in index
// order, with it in descending order, the coin scaled by what was kept. Equal probabilities go by index.
import type { ResultArray } from './devices/device.ts'
import { fail } from './error-codes.ts'
import { expF32 } from './exp-f32.ts'
import { uniform } from './philox.ts'

export interface SamplingOptions {
  /** 0 (the default), or nearly, takes the highest score, the first of equals. */
  readonly temperature?: number
  /** Keep the k most probable; 0 or absent: all. */
  readonly topK?: number
  /** Keep the smallest set with more than this mass (of what top-k left); 1 or absent: all; at least one is kept. */
  readonly topP?: number
  /** Drop what is less probable than minP × the most probable; 0 or absent: nothing. */
  readonly minP?: number
  /** Scores of ids among the last `repetitionWindow` are divided by this where positive, else multiplied; 1 or absent: unchanged. */
  readonly repetitionPenalty?: number
  /** How many of the ids before count as seen; 64 by default. */
  readonly repetitionWindow?: number
  /** A number in [0, 1) for the token at `position`; by default Philox of seed and position. */
  readonly random?: (position: number) => number
}

/** The options with their defaults. */
export type SamplingNumbers = Required<Omit<SamplingOptions, 'random'>>

export type Scores = ResultArray

export interface Sampler {
  /** The token for `position`. Scores: [vocab], unchanged; `seen`: the ids before, in order. E_NOT_FINITE when they are not numbers. */
  sample(scores: Scores, position: number, seen?: readonly number[]): number
  /** What `sample` draws from, most probable first (in index order when nothing is truncated), summing to 1. */
  distribution(scores: Scores, seen?: readonly number[]): { readonly ids: Int32Array; readonly probabilities: Float32Array }
}

const f32 = Math.fround

/** Index of the first maximum. */
export function argmax(scores: Scores): number {
  let best = -1
  let value = -Infinity
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i]!
    if (score > value) {
      value = score
      best = i
    }
  }
  if (best < 0 || value === Infinity) fail('E_NOT_FINITE', 'the model gave no finite score')
  return best
}

function checkOption(name: string, value: number, max: number, integer: boolean): void {
  if (!(value >= 0 && value <= max) || (integer && !Number.isInteger(value))) {
    fail('E_ARGUMENT', `${name} is ${value}; expected ${integer ? 'an integer' : 'a number'} from 0${max < Infinity ? ` to ${max}` : ''}`)
  }
}

/** Temperatures below are 0: scores of any size that differ are far apart, and what they are divided by this is still an f32. */
const coldest = 1e-30

/** E_ARGUMENT for numbers that are none or out of range. */
export function samplingNumbers(options: SamplingOptions): SamplingNumbers {
  const { temperature = 0, topK = 0, topP = 1, minP = 0, repetitionPenalty = 1, repetitionWindow = 64 } = options
  checkOption('temperature', temperature, Number.MAX_VALUE, false)
  checkOption('topK', topK, Infinity, true)
  checkOption('topP', topP, 1, false)
  checkOption('minP', minP, 1, false)
  checkOption('repetitionPenalty', repetitionPenalty, Number.MAX_VALUE, false)
  if (f32(repetitionPenalty) === 0 || f32(repetitionPenalty) === Infinity)
    fail('E_ARGUMENT', `repetitionPenalty is ${repetitionPenalty}; expected a number above 0 (1 changes nothing)`)
  checkOption('repetitionWindow', repetitionWindow, Infinity, true)
  return { temperature: temperature < coldest ? 0 : temperature, topK, topP, minP, repetitionPenalty, repetitionWindow }
}

/** `seed`: a non-negative integer below 2^53. Scratch memory is reused from call to call. */
export function createSampler(options: SamplingOptions, seed: number): Sampler {
  const { temperature, topK, topP, minP, repetitionPenalty, repetitionWindow } = samplingNumbers(options)
  const random = options.random ?? ((position: number) => uniform(seed, position))
  const truncates = topK > 0 || topP < 1 || minP > 0
  let penalised = new Float32Array(0)
  let probabilities = new Float32Array(0)

  function keep(scores: Scores): { ids: ArrayLike<number>; count: number; mass: number } {
    if (probabilities.length !== scores.length) probabilities = new Float32Array(scores.length)
    softmax(scores, temperature, probabilities)
    if (!truncates) return { ids: probabilities, count: probabilities.length, mass: 1 }
    return truncate(probabilities, topK, topP, minP)
  }

  /** The scores with those of ids that were seen made smaller. */
  function penalise(scores: Scores, seen: readonly number[]): Scores {
    if (repetitionPenalty === 1 || repetitionWindow === 0 || seen.length === 0) return scores
    if (penalised.length !== scores.length) penalised = new Float32Array(scores.length)
    penalised.set(scores)
    const by = f32(repetitionPenalty)
    for (const id of new Set(seen.slice(-repetitionWindow))) {
      const score = penalised[id]
      // Places that a call skipped have no id.
      if (score !== undefined) penalised[id] = score > 0 ? score / by : score * by
    }
    return penalised
  }

  return {
    sample(given, position, seen = []) {
      const scores = penalise(given, seen)
      if (temperature === 0) return argmax(scores)
      const { ids, count, mass } = keep(scores)
      const coin = f32(f32(random(position)) * mass)
      let sum = 0
      for (let i = 0; i < count; i++) {
        const id = truncates ? ids[i]! : i
        sum = f32(sum + probabilities[id]!)
        if (coin < sum) return id
      }
      return truncates ? ids[count - 1]! : count - 1 // rounding left the sum below the coin
    },
    distribution(given, seen = []) {
      const scores = penalise(given, seen)
      if (temperature === 0) return { ids: Int32Array.of(argmax(scores)), probabilities: Float32Array.of(1) }
      const { ids, count, mass } = keep(scores)
      const kept = Int32Array.from({ length: count }, (_, i) => (truncates ? ids[i]! : i))
      return { ids: kept, probabilities: Float32Array.from(kept, (id) => probabilities[id]! / mass) }
    },
  }
}

/** exp(s/t − max) / Σ, every step rounded to f32. */
function softmax(scores: Scores, temperature: number, out: Float32Array): void {
  const t = f32(temperature)
  let max = -Infinity
  for (let i = 0; i < out.length; i++) {
    const score = f32(f32(scores[i]!) / t)
    out[i] = score
    if (score > max) max = score
  }
  let sum = 0
  for (let i = 0; i < out.length; i++) {
    const e = expF32(f32(out[i]! - max))
    out[i] = e
    sum = f32(sum + e)
  }
  if (!(sum > 0 && sum < Infinity)) fail('E_NOT_FINITE', 'the model gave scores that are not finite numbers')
  for (let i = 0; i < out.length; i++) out[i] = out[i]! / sum
}

/** Ids that stay, most probable first, with the mass they hold. */
function truncate(p: Float32Array, topK: number, topP: number, minP: number): { ids: number[]; count: number; mass: number } {
  const before = (a: number, b: number): number => p[b]! - p[a]! || a - b
  // Only candidates are sorted. A token below (1 − topP)/(n − 1) cannot be in the smallest set with mass topP (run.c's
  // argument), one below minP × maximum is dropped anyway, and neither bound changes which prefix the others form.
  let floor = 0
  if (minP > 0) {
    let max = 0
    for (let i = 0; i < p.length; i++) if (p[i]! > max) max = p[i]!
    floor = f32(f32(minP) * max)
  }
  if (topK === 0 && topP < 1 && p.length > 1) floor = Math.max(floor, f32(f32(1 - f32(topP)) / (p.length - 1)))
  let ids = topK > 0 && topK < p.length ? largest(p, topK) : indexesAtLeast(p, topP < 1 && topK > 0 ? 0 : floor)
  if (ids.length === 0) ids = largest(p, 1)
  ids.sort(before)

  const mass = (count: number): number => {
    let sum = 0
    for (let i = 0; i < count; i++) sum = f32(sum + p[ids[i]!]!)
    return sum
  }
  let count = ids.length
  if (topP < 1) {
    const bound = topK > 0 ? f32(f32(topP) * mass(count)) : f32(topP)
    let sum = 0
    for (let i = 0; i < count; i++) {
      sum = f32(sum + p[ids[i]!]!)
      if (sum > bound) count = i + 1
    }
  }
  if (minP > 0) {
    const bound = f32(f32(minP) * p[ids[0]!]!)
    while (count > 1 && p[ids[count - 1]!]! < bound) count--
  }
  return { ids, count, mass: mass(count) }
}

function indexesAtLeast(p: Float32Array, floor: number): number[] {
  const ids: number[] = []
  for (let i = 0; i < p.length; i++) if (p[i]! >= floor) ids.push(i)
  return ids
}

/** The k largest, in no order, by a heap whose root is the worst one kept: O(n log k). Of equals the lower index stays. */
function largest(p: Float32Array, k: number): number[] {
  const heap: number[] = []
  const worse = (a: number, b: number): boolean => p[a]! < p[b]! || (p[a] === p[b] && a > b)
  const sink = (from: number): void => {
    let at = from
    for (;;) {
      const left = 2 * at + 1
      if (left >= heap.length) return
      const child = left + 1 < heap.length && worse(heap[left + 1]!, heap[left]!) ? left + 1 : left
      if (!worse(heap[child]!, heap[at]!)) return
      const id = heap[at]!
      heap[at] = heap[child]!
      heap[child] = id
      at = child
    }
  }
  for (let i = 0; i < k; i++) heap.push(i)
  for (let i = (k >> 1) - 1; i >= 0; i--) sink(i)
  // Later ids lose against equals.
  let least = p[heap[0]!]!
  for (let i = k; i < p.length; i++) {
    if (p[i]! > least) {
      heap[0] = i
      sink(0)
      least = p[heap[0]!]!
    }
  }
  return heap
}
