// What a WASM module and the runtime agree on about draws: names of exports (no entry can have them), and how scores are weighed. Scores lie
// below 4 GiB. Scratch memory, of the runtime's choice, is passed as session blocks are (`addressUnit`), what lies in it by offsets.

export const wasmSampler = {
  /** (scores, count) → index of the first of the highest, -1 where none is finite or one is +inf. */
  firstMaximum: 'first.maximum',
  /**
   * (scratch, scores, maxima, count, top, rate): weights in the place of scores; what blocks of them come to begins the scratch memory, and their
   * maxima are at `maxima`. top, the highest score, and rate are bits of f32. An entry to a team: with threads it takes what those take.
   */
  weigh: 'sampler.weigh',
  /** (scratch, weights, maxima, ids, count, least): at `ids`, how many have weights from `least` (bits) on, then which, ascending; room for count + 2 words. */
  collect: 'sampler.collect',
} as const

/** How many arguments of `weigh` follow the first. */
export const weighSymbols = 5

/** Ids of a block whose weights are summed together: by their remainders by 4, in order. */
export const blockIds = 128

/**
 * A weight is 2^y, y = (score − top) · rate, rate = log2(e) / temperature: 0 where y < `least`. y + `rounder` has the nearest integer n in its low bits; 2^(y − n)
 * is Σ terms · (y − n)^i, 1 at 0 and within 3e-7 (the interpolant at Chebyshev's nodes), rising throughout. Half of the instructions of an exp for any use.
 */
export const powerOf2 = { least: -125, rounder: 1.5 * 2 ** 23 } as const
export const powerTerms = [1, 0.693147182, 0.240223497, 0.0555038117, 0.00966636837, 0.00133813021].map(Math.fround)
