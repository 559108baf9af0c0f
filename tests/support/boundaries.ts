// How far a draw is from being another one: samplers that sum in other orders may differ where a coin lies within rounding of a boundary.

import { createSampler, type SamplingNumbers } from '../../runtime/sampling.ts'

/**
 * How far the nearest boundary of the cumulative distribution is from the coin, or from where top-p cuts what top-k left. A boundary
 * reaches from the sum of the probabilities to what f32 makes of it.
 */
export function toBoundary(scores: Float32Array, seen: readonly number[], how: SamplingNumbers, coin: number): number {
  const nearest = (options: SamplingNumbers, to: number): number => {
    let [sum, rounded, least] = [0, 0, to]
    for (const p of createSampler(options, 0).distribution(scores, seen).probabilities) {
      sum += p
      rounded = Math.fround(rounded + p)
      least = Math.min(least, Math.max(0, to - Math.max(sum, rounded), Math.min(sum, rounded) - to))
    }
    return least
  }
  const cut = how.topP < 1 ? nearest({ ...how, topP: 1, minP: 0, topK: how.topK || scores.length }, how.topP) : 1
  return Math.min(cut, nearest(how, coin))
}
