// Which token a number in [0, 1) draws from weights. Without truncation it goes along the ids. With top-k, top-p and min-p it goes along
// the descending order, of which each keeps a prefix; equal weights go by id. Nothing is sorted: what they ask is "which is the first weight where
// more than so much lies at or above it", of counts or of masses, and bits of positive numbers are ordered, so it is answered some bits
// at a time. What groups of ids come to says beforehand which ids can matter, so that few are looked at. Sums are f64 in the order of ids.
import { blockIds, powerOf2 } from './artifact/wasm-sampler.ts'
import type { SamplingNumbers } from './sampling.ts'
import type { Floats, Weighed } from './weighing.ts'

const f32 = Math.fround
/** Below, a weight is 0: 2^this is below all others. */
const lowest = powerOf2.least - 1
type Measure = 'count' | 'mass'

/** Weights are at most 1, so their bits are below 2^30: these are read at a time, from the highest on. */
const digits = [
  { shift: 19, mask: 2047 },
  { shift: 8, mask: 2047 },
  { shift: 0, mask: 255 },
] as const

/** Looks for a place in the descending order of weights. */
class Descent {
  /** Of each digit: how many or how much has it; zero between uses. */
  readonly #parts = new Float64Array(2048)
  /** The weight that was found, the ids that have it, ascending, and how many these are. */
  weight = 0
  ids = new Int32Array(0)
  count = 0
  /** How many of them it takes to exceed the bound: all where nothing does. */
  taken = 0

  /** The first weight of `ids` with which their count or their mass exceeds `bound`; the lowest if there is none. All weigh something. */
  find({ values, bits }: Floats, ids: Int32Array, count: number, by: Measure, bound: number): void {
    if (this.ids.length < count) this.ids = new Int32Array(count)
    const [parts, equals, byMass] = [this.#parts, this.ids, by === 'mass']
    let [from, left, above] = [ids, count, 0]
    for (const { shift, mask } of digits) {
      let [lowest, highest]: [number, number] = [mask, 0]
      for (let i = 0; i < left; i++) {
        const id = from[i]!
        const digit = (bits[id]! >>> shift) & mask
        if (digit < lowest) lowest = digit
        if (digit > highest) highest = digit
        parts[digit] = parts[digit]! + (byMass ? values[id]! : 1)
      }
      let digit = highest
      for (; digit > lowest && above + parts[digit]! <= bound; digit--) above += parts[digit]!
      parts.fill(0, lowest, highest + 1)
      let kept = 0
      for (let i = 0; i < left; i++) {
        const id = from[i]!
        if (((bits[id]! >>> shift) & mask) === digit) equals[kept++] = id
      }
      from = equals
      left = kept
    }
    this.weight = values[equals[0]!]!
    this.count = left
    this.taken = Math.max(1, Math.min(left, Math.floor((bound - above) / (byMass ? this.weight : 1)) + 1))
  }
}

/** What weighs nothing is no candidate. */
const something = 2 ** -149

export class Candidates {
  readonly #descent = new Descent()
  /** How many of the collected ids are left, and their mass. */
  #left = 0
  #mass = 0

  /** The id that `coin`, in [0, 1), draws; -1 where scores were not numbers. */
  draw(weighed: Weighed, how: SamplingNumbers, coin: number): number {
    const total = totalOf(weighed)
    if (Number.isNaN(total)) return -1
    if (!this.#truncate(weighed, total, how)) return alongIds(weighed, coin * total)
    const { ids, taken } = this.#find(weighed, 'mass', coin * this.#mass)
    return ids[taken - 1]!
  }

  /** The ids that may be drawn, most probable first (ascending where nothing is truncated), and the mass that they have, NaN as above. */
  kept(weighed: Weighed, how: SamplingNumbers): { readonly ids: Int32Array; readonly mass: number } {
    const { values } = weighed.weights
    const total = totalOf(weighed)
    if (Number.isNaN(total) || !this.#truncate(weighed, total, how)) return { ids: Int32Array.from(values.keys()), mass: total }
    return { ids: weighed.ids.slice(0, this.#left).sort((a, b) => values[b]! - values[a]! || a - b), mass: this.#mass }
  }

  /** False where nothing is asked for. */
  #truncate(weighed: Weighed, total: number, { topK, topP, minP }: SamplingNumbers): boolean {
    const count = weighed.weights.values.length
    const [byCount, share, least] = [topK > 0 && topK < count, f32(topP), f32(minP)]
    const byMass = share < 1
    if (topK === 0 && !byMass && least === 0) return false
    let floor = least
    if (byCount) floor = floorOfCount(weighed, topK)
    else if (byMass) floor = Math.max(floor, floorOfMass(weighed, (1 - share) * total))
    this.#left = weighed.collect(Math.max(floor, something))
    if (byCount) this.#cut(weighed, 'count', topK - 1)
    if (byMass) this.#cut(weighed, 'mass', share * (byCount ? this.#mass : total))
    if (least > 0 || !(byCount || byMass)) this.#keep(weighed, least, Infinity)
    return true
  }

  #find({ weights, ids }: Weighed, by: Measure, bound: number): Descent {
    this.#descent.find(weights, ids, this.#left, by, bound)
    return this.#descent
  }

  /** Keeps no more than it takes to exceed the bound. */
  #cut(weighed: Weighed, by: Measure, bound: number): void {
    const { weight, taken } = this.#find(weighed, by, bound)
    this.#keep(weighed, weight, taken)
  }

  /** Keeps what is heavier, and the first ones that weigh as much. */
  #keep({ weights: { values }, ids }: Weighed, weight: number, equal: number): void {
    let [kept, mass, equals] = [0, 0, 0]
    for (let i = 0; i < this.#left; i++) {
      const id = ids[i]!
      const own = values[id]!
      let stays = Number(own >= weight)
      if (own === weight && ++equals > equal) stays = 0
      // No branch: one that is as often taken as not costs more than all of this.
      ids[kept] = id
      kept += stays
      mass += own * stays
    }
    this.#left = kept
    this.#mass = mass
  }
}

/** The greatest power of 2, from 2^low on, that has a property which all below have. */
function greatestPower(low: number, has: (power: number) => boolean): number {
  let high = 0
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (has(2 ** middle)) low = middle
    else high = middle - 1
  }
  return 2 ** low
}

/** A power of 2 that `most` ids reach, as far as maxima tell: the best of groups are among the best of all. */
function floorOfCount({ maxima: { values } }: Weighed, most: number): number {
  return greatestPower(lowest, (power) => {
    let reach = 0
    for (let i = 0; i < values.length; i++) if (values[i]! >= power) reach++
    return reach >= most
  })
}

/**
 * A power of 2 below which weights have less than `rest` together, as far as sums and maxima of groups tell: the others of a group have what its
 * largest leaves, and less than the power each where they are below it.
 */
function floorOfMass({ weights, sums, maxima: { values } }: Weighed, rest: number): number {
  // Where each has less than an even part of it, all have.
  return greatestPower(Math.floor(Math.log2(rest / weights.values.length)), (power) => {
    let below = 0
    for (let i = 0; i < sums.length; i++)
      below += values[i]! < power ? sums[i]! : Math.min(sums[i]! - values[i]!, (blockIds / 4 - 1) * power)
    return below < rest
  })
}

const sumOf = (sums: Float32Array, part: number): number => sums[part]! + sums[part + 1]! + (sums[part + 2]! + sums[part + 3]!)

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
