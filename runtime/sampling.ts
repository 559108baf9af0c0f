// From scores to a token. Scores of ids that were seen lately are made smaller by the repetition penalty. Temperature 0 is greedy;
// else softmax of scores / temperature, truncation by top-k, top-p and min-p (in that order, each keeping a prefix of the
// descending order), one draw: without truncation along the ids, with it in descending order, the coin scaled by what was kept. Equal
// probabilities go by index. So llama2.c's run.c does it: with the same coins the same tokens come out, but where a coin lies within rounding of a
// boundary. The order of all sums is fixed (runtime/weighing.ts), so a module that draws gives the same tokens on any number of threads.
import { Candidates } from './candidates.ts'
import type { ResultArray } from './devices/device.ts'
import { fail } from './error-codes.ts'
import { uniform } from './philox.ts'
import { WeighedHere } from './weighing.ts'

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

/** Makes the scores of ids that were seen lately smaller, in place. */
export function penalise(
  scores: Float32Array,
  seen: readonly number[],
  { repetitionPenalty, repetitionWindow }: Pick<SamplingNumbers, 'repetitionPenalty' | 'repetitionWindow'>,
): void {
  const by = f32(repetitionPenalty)
  for (const id of new Set(repetitionWindow === 0 ? [] : seen.slice(-repetitionWindow))) {
    const score = scores[id]
    // Places that a call skipped have no id.
    if (score !== undefined) scores[id] = score > 0 ? score / by : score * by
  }
}

/** `seed`: a non-negative integer below 2^53. Scratch memory is reused from call to call. */
export function createSampler(options: SamplingOptions, seed: number): Sampler {
  const how = samplingNumbers(options)
  const { temperature, repetitionPenalty } = how
  const random = options.random ?? ((position: number) => uniform(seed, position))
  let penalised = new Float32Array(0)
  const weighed = new WeighedHere()
  const candidates = new Candidates()

  /** The best one, weighed if one is drawn. */
  function prepare(given: Scores, seen: readonly number[]): number {
    let scores = given
    if (repetitionPenalty !== 1) {
      if (penalised.length !== given.length) penalised = new Float32Array(given.length)
      penalised.set(given)
      penalise(penalised, seen, how)
      scores = penalised
    }
    const best = argmax(scores)
    if (temperature > 0) weighed.weigh(scores, scores[best]!, temperature)
    return best
  }

  return {
    sample(scores, position, seen = []) {
      const best = prepare(scores, seen)
      if (temperature === 0) return best
      const id = candidates.draw(weighed, how, random(position))
      return id < 0 ? notNumbers() : id
    },
    distribution(scores, seen = []) {
      const best = prepare(scores, seen)
      if (temperature === 0) return { ids: Int32Array.of(best), probabilities: Float32Array.of(1) }
      const { ids, mass } = candidates.kept(weighed, how)
      if (Number.isNaN(mass)) notNumbers()
      return { ids, probabilities: Float32Array.from(ids, (id) => weighed.weights.values[id]! / mass) }
    },
  }
}

/** Also for devices that draw and found none. */
export const notNumbers = (): never => fail('E_NOT_FINITE', 'the model gave scores that are not finite numbers')
