// Which token a number in [0, 1) draws from weights. Without truncation it goes along the ids. With top-k, top-p and min-p it goes along
// the descending order, of which each keeps a prefix; equal weights go by id. Nothing is sorted: what they ask is "which is the first weight where
// more than so much lies at or above it", of counts or of masses, and bits of positive numbers are ordered, so it is answered some bits
// at a time. What groups of ids come to says beforehand which ids can matter, so that few are looked at. Sums are f64 in the order of ids.
import { blockIds } from './artifact/wasm-sampler.ts'
import type { SamplingNumbers } from './sampling.ts'
import type { Floats, Weighed } from './weighing.ts'

const f32 = Math.fround
type Measure = 'count' | 'mass'

/** Weights are at most 1, so their bits are below 2^30: these are read at a time, from the highest on. */
const digits = [
  { shift: 19, mask: 2047 },
  { shift: 8, mask: 2047 },
  { shift: 0, mask: 255 },
] as const

/** Looks for places in the descending order of some values. */
class Descent {
  /** Of each digit; zero between uses. */
  readonly #counts = new Int32Array(2048)
  readonly #masses = new Float64Array(2048)
  /** The places that have `value`, ascending. */
  equals = new Int32Array(0)
  /** The value that was found, how many values have it, and how many and how much are above it. */
  value = 0
  equal = 0
  above = 0
  mass = 0

  /**
   * The first of the values at `places` (of all, without) with which their count or their mass exceeds `bound`. False if there is none: then
   * the smallest.
   */
  find({ values, bits }: Floats, places: Int32Array | undefined, count: number, by: Measure, bound: number): boolean {
    if (this.equals.length < count) this.equals = new Int32Array(count)
    const { equals } = this
    this.above = 0
    this.mass = 0
    let left = count
    for (const { shift, mask } of digits) {
      const from = left === count ? places : equals
      const digit = this.#digit(values, bits, from, left, shift, mask, by === 'mass', bound)
      let kept = 0
      for (let i = 0; i < left; i++) {
        const place = from ? from[i]! : i
        if (((bits[place]! >>> shift) & mask) === digit) equals[kept++] = place
      }
      left = kept
    }
    this.value = values[equals[0]!]!
    this.equal = left
    return (by === 'mass' ? this.mass + left * this.value : this.above + left) > bound
  }

  /** The digit in which the bound is exceeded, else the lowest there is; what has higher ones is above. */
  #digit(
    values: Float32Array,
    bits: Int32Array,
    places: Int32Array | undefined,
    count: number,
    shift: number,
    mask: number,
    byMass: boolean,
    bound: number,
  ): number {
    const [counts, masses] = [this.#counts, this.#masses]
    let [lowest, highest] = [mask, 0]
    for (let i = 0; i < count; i++) {
      const place = places ? places[i]! : i
      const digit = (bits[place]! >>> shift) & mask
      if (digit < lowest) lowest = digit
      if (digit > highest) highest = digit
      counts[digit] = counts[digit]! + 1
      masses[digit] = masses[digit]! + values[place]!
    }
    let digit = highest
    for (; digit > lowest; digit--) {
      if (counts[digit] === 0) continue
      const [above, mass] = [this.above + counts[digit]!, this.mass + masses[digit]!]
      if ((byMass ? mass : above) > bound) break
      this.above = above
      this.mass = mass
    }
    counts.fill(0, lowest, highest + 1)
    masses.fill(0, lowest, highest + 1)
    return digit
  }

  /** How many of the equals, from the first on, it takes to exceed the bound; all of them at most. */
  taken(by: Measure, bound: number): number {
    const room = by === 'mass' ? (bound - this.mass) / this.value : bound - this.above
    return Math.max(1, Math.min(this.equal, Math.floor(room) + 1))
  }
}

/** What weighs nothing is no candidate. */
const something = 2 ** -149

export class Candidates {
  readonly #descent = new Descent()
  /** How many ids were collected. */
  #found = 0
  /** What is kept of them: all that are heavier than `cut`, and the first `equal` ones that weigh as much. */
  #cut = 0
  #equal = 0
  #kept = 0
  #mass = 0

  /** The id that `coin`, in [0, 1), draws; -1 where scores were not numbers. */
  draw(weighed: Weighed, how: SamplingNumbers, coin: number): number {
    const total = totalOf(weighed)
    if (Number.isNaN(total)) return -1
    return this.#truncate(weighed, total, how) ? this.#alongWeights(weighed, coin) : alongIds(weighed, coin * total)
  }

  /** The ids that may be drawn, most probable first (ascending where nothing is truncated), and the mass that they have, NaN as above. */
  kept(weighed: Weighed, how: SamplingNumbers): { readonly ids: Int32Array; readonly mass: number } {
    const { values } = weighed.weights
    const total = totalOf(weighed)
    if (Number.isNaN(total) || !this.#truncate(weighed, total, how)) return { ids: Int32Array.from(values.keys()), mass: total }
    const found = weighed.ids.slice(0, this.#found).sort((a, b) => values[b]! - values[a]! || a - b)
    return { ids: found.subarray(0, this.#kept), mass: this.#mass }
  }

  /** False where nothing is asked for. */
  #truncate(weighed: Weighed, total: number, { topK, topP, minP }: SamplingNumbers): boolean {
    const count = weighed.weights.values.length
    const [byCount, byMass, least] = [topK > 0 && topK < count, topP < 1, f32(minP)]
    if (topK === 0 && !byMass && least === 0) return false
    let floor = least
    if (byCount) floor = this.#floorOfCount(weighed, topK)
    else if (byMass) floor = Math.max(floor, floorOfMass(weighed, (1 - f32(topP)) * total))
    this.#found = weighed.collect(Math.max(floor, something))
    this.#cut = 0
    if (byCount || !byMass) this.#keep(weighed, 'count', byCount ? topK - 1 : Infinity)
    if (byMass) this.#keep(weighed, 'mass', f32(topP) * (byCount ? this.#mass : total))
    if (this.#cut < least) this.#keep(weighed, 'count', this.#heavier(weighed, least) - 1)
    return true
  }

  /** The largest of groups of ids are among the largest of all. */
  #floorOfCount({ maxima }: Weighed, most: number): number {
    return this.#descent.find(maxima, undefined, maxima.values.length, 'count', most - 1) ? this.#descent.value : 0
  }

  /** Keeps no more than it takes to exceed the bound. */
  #keep({ weights, ids }: Weighed, by: Measure, bound: number): void {
    const descent = this.#descent
    descent.find(weights, ids, this.#found, by, bound)
    const { value, above, mass } = descent
    const equal = descent.taken(by, bound)
    if (value < this.#cut || (value === this.#cut && equal > this.#equal)) return
    this.#cut = value
    this.#equal = equal
    this.#kept = above + equal
    this.#mass = mass + equal * value
  }

  #heavier({ weights: { values }, ids }: Weighed, least: number): number {
    let heavier = 0
    for (let i = 0; i < this.#found; i++) if (values[ids[i]!]! >= least) heavier++
    return heavier
  }

  #alongWeights({ weights, ids }: Weighed, coin: number): number {
    const descent = this.#descent
    const target = coin * this.#mass
    descent.find(weights, ids, this.#found, 'mass', target)
    const nth = descent.taken('mass', target)
    if (descent.value > this.#cut || (descent.value === this.#cut && nth <= this.#equal)) return descent.equals[nth - 1]!
    // Rounding left the sum below: the last one that is kept.
    descent.find(weights, ids, this.#found, 'count', this.#kept - 1)
    return descent.equals[this.#equal - 1]!
  }
}

const sumOf = (sums: Float32Array, part: number): number => sums[part]! + sums[part + 1]! + (sums[part + 2]! + sums[part + 3]!)

/**
 * A power of 2 below which weights have less than `rest` together, as far as sums and maxima of groups tell: the others of a group have what its
 * largest leaves, and less than the power each where they are below it.
 */
function floorOfMass({ weights, sums, maxima: { values } }: Weighed, rest: number): number {
  // Where each has less than an even part of it, all have.
  let [low, high] = [Math.floor(Math.log2(rest / weights.values.length)), 0]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    const power = 2 ** middle
    let below = 0
    for (let i = 0; i < sums.length; i++)
      below += values[i]! < power ? sums[i]! : Math.min(sums[i]! - values[i]!, (blockIds / 4 - 1) * power)
    if (below < rest) low = middle
    else high = middle - 1
  }
  return 2 ** low
}

/** NaN where some score was. */
function totalOf({ sums }: Weighed): number {
  let total = 0
  for (let part = 0; part < sums.length; part += 4) total += sumOf(sums, part)
  return total
}

/** The first id with which more than `target` lies; the last one that weighs something where rounding leaves none. */
function alongIds({ sums, weights: { values } }: Weighed, target: number): number {
  let [before, block, start] = [0, 0, 0]
  for (let part = 0; part < sums.length; part += 4) {
    const sum = sumOf(sums, part)
    if (sum > 0) {
      block = part / 4
      start = before
    }
    before += sum
    if (before > target) break
  }
  let last = 0
  for (let id = block * blockIds; id < Math.min((block + 1) * blockIds, values.length); id++) {
    const weight = values[id]!
    if (weight > 0) last = id
    start += weight
    if (start > target) break
  }
  return last
}
