// The search for steps that all quantised formats share: which scale (and minimum) makes the weighted squares of what rounding changes
// small. After ggml's make_qx_quants (one scale, quants of both signs) and make_qkx2/3_quants (scale and minimum) in
// ggml/src/ggml-quants.c of llama.cpp: quants by a row of trial steps, for each the least-squares scale and minimum, the best kept.
// Beyond it: errors are those of the scales as they are stored, the winner's quants are rounded afresh, and the plain rounding that
// the search starts from is one of the candidates, so no block is worse than by it. From one trial to the next few quants change,
// so sums are kept as differences (`tally`), which makes trials cheap. Sums are f64 in a fixed order: the same everywhere.
//
// One run (a block, or a group of a K block) is worked on at a time, in scratch arrays of this module: `loadRun`, then a fit.

import { f16FromNumber, f16ToNumber } from './halves.ts'

const longest = 32
const x = new Float64Array(longest)
const w = new Float64Array(longest)
const wx = new Float64Array(longest)
/** How far each value is from where quants begin, as a share of the extent: quant = share · trial. */
const share = new Float64Array(longest)
const bound = new Float64Array(longest)
let count = 0
let sumW = 0
let sumX = 0

/** Trials are so many quants apart, and reach so far around the plain step. */
const stride = 0.1
const reach = 1
const trials = Math.round((2 * reach) / stride)
/** What each trial adds to Σwq, Σwq² and Σwxq. */
const more1 = new Float64Array(trials + 1)
const more2 = new Float64Array(trials + 1)
const moreX = new Float64Array(trials + 1)

/** Adding it leaves no room for a fraction: f64 then rounds to the nearest integer, ties to even. */
const toInteger = 6755399441055744

/** The value as a binary16 keeps it. */
export const halfOf = (value: number): number => f16ToNumber(f16FromNumber(value))

/** Identity, for scales that are stored in some other way later. */
export const asItIs = (value: number): number => value

/**
 * Takes `length` values from `from` on. `importance`: what a column's squared error counts, for a whole row of the matrix (rows begin
 * at multiples of its length); without it, or where it is 0 all along the run, all values count alike.
 */
export function loadRun(values: Float32Array, from: number, length: number, importance: Float32Array | undefined): void {
  const column = importance ? from % importance.length : 0
  let known = 0
  if (importance) for (let i = 0; i < length; i++) known += importance[column + i]!
  count = length
  sumW = 0
  sumX = 0
  // A column that the text never met counts next to nothing, but not nothing: values that only such columns have are kept too.
  const least = (known / length) * 1e-9
  for (let i = 0; i < length; i++) {
    const weight = known > 0 ? importance![column + i]! + least : 1
    const value = values[from + i]!
    x[i] = value
    w[i] = weight
    wx[i] = weight * value
    sumW += weight
    sumX += weight * value
  }
}

/** The quant in low … high whose place is nearest to (value − min) · inverse. */
function quantOf(value: number, min: number, inverse: number, low: number, high: number): number {
  const q = (value - min) * inverse + toInteger - toInteger
  return q < low ? low : q > high ? high : q
}

/** Σ w (x − scale·q − min)² with the nearest quants in low … high. A scale of 0: all quants are 0. */
export function errorOf(scale: number, min: number, low: number, high: number): number {
  const inverse = scale === 0 ? 0 : 1 / scale
  const length = count
  let error = 0
  for (let i = 0; i < length; i++) {
    const off = x[i]! - (quantOf(x[i]!, min, inverse, low, high) * scale + min)
    error += w[i]! * off * off
  }
  return error
}

/** Σ w (what rounding x to float32 may have changed)². */
function roundingOf(): number {
  let sum = 0
  for (let i = 0; i < count; i++) sum += wx[i]! * x[i]!
  return sum * 2 ** -48
}

/** Writes the quants that `errorOf` judges, less `low`. */
export function writeQuants(scale: number, min: number, low: number, high: number, quants: Uint8Array): void {
  const inverse = scale === 0 ? 0 : 1 / scale
  for (let i = 0; i < count; i++) quants[i] = quantOf(x[i]!, min, inverse, low, high) - low
}

/** The value of largest magnitude, with its sign. */
export function extremeOf(): number {
  let extreme = 0
  for (let i = 0; i < count; i++) if (Math.abs(x[i]!) > Math.abs(extreme)) extreme = x[i]!
  return extreme
}

/** Fills the differences of trials around `centre`: the trial t rounds share · (centre − reach + stride t) to at most `bound`. */
function tally(centre: number): void {
  more1.fill(0)
  more2.fill(0)
  moreX.fill(0)
  const length = count
  const first = centre - reach
  const last = first + stride * trials
  let base1 = 0
  let base2 = 0
  let baseX = 0
  for (let i = 0; i < length; i++) {
    const at = share[i]!
    const most = bound[i]!
    const weight = w[i]!
    const weighted = wx[i]!
    let q = at * first + toInteger - toInteger
    if (q > most) q = most
    let end = at * last + toInteger - toInteger
    if (end > most) end = most
    base1 += weight * q
    base2 += weight * q * q
    baseX += weighted * q
    for (; q < end; q++) {
      // Rounding may put a change at its border a trial too far: it is still a trial with these quants.
      const trial = Math.min(trials, Math.max(0, Math.ceil(((q + 0.5) / at - first) / stride)))
      more1[trial]! += weight
      more2[trial]! += weight * (2 * q + 1)
      moreX[trial]! += weighted
    }
  }
  more1[0]! += base1
  more2[0]! += base2
  moreX[0]! += baseX
}

/** The scale for value = scale · q with q in low … high, −low the larger of the two or the same, as `store` keeps it. */
export function fitScale(low: number, high: number, store: (scale: number) => number): number {
  const extreme = extremeOf()
  if (extreme === 0) return 0
  for (let i = 0; i < count; i++) {
    const part = x[i]! / extreme
    share[i] = Math.abs(part)
    bound[i] = part > 0 ? -low : high
    wx[i] = Math.abs(wx[i]!)
  }
  tally(-low)
  let best = 0
  let most = 0
  let q2 = 0
  let xq = 0
  for (let trial = 0; trial <= trials; trial++) {
    q2 += more2[trial]!
    xq += moreX[trial]!
    // With the scale xq/q2 the error is Σwx² less this.
    const explained = (xq * xq) / q2
    if (explained > most) {
      most = explained
      best = xq / q2
    }
  }
  const plain = store(extreme / low)
  const found = store(extreme > 0 ? -best : best)
  return errorOf(found, 0, low, high) <= errorOf(plain, 0, low, high) ? found : plain
}

export interface Line {
  scale: number
  min: number
}

/** Sets the plain rounding's line, from the least value to the largest; `held`: the least is at most 0. False where they are the same. */
export function plainLine(high: number, held: boolean, line: Line): boolean {
  let least = held && x[0]! > 0 ? 0 : x[0]!
  let most = x[0]!
  for (let i = 1; i < count; i++) {
    if (x[i]! < least) least = x[i]!
    if (x[i]! > most) most = x[i]!
  }
  line.scale = most > least ? (most - least) / high : 0
  line.min = least
  return most > least
}

/**
 * Scale and minimum for value = scale · q + min with q in 0 … high, before they are stored, from the plain line in `line` on.
 * `held`: the minimum is at most 0 (K blocks take it away).
 */
export function fitLine(high: number, held: boolean, line: Line): void {
  if (line.scale === 0) return
  const least = line.min
  const extent = line.scale * high
  for (let i = 0; i < count; i++) {
    share[i] = (x[i]! - least) / extent
    bound[i] = high
  }
  tally(high)
  let most = Number.NEGATIVE_INFINITY
  let q1 = 0
  let q2 = 0
  let xq = 0
  for (let trial = 0; trial <= trials; trial++) {
    q1 += more1[trial]!
    q2 += more2[trial]!
    xq += moreX[trial]!
    const spread = sumW * q2 - q1 * q1
    if (!(spread > 0)) continue
    let scale = (sumW * xq - sumX * q1) / spread
    let min = (q2 * sumX - q1 * xq) / spread
    if (held && min > 0) {
      min = 0
      scale = xq / q2
    }
    // At the least squares the error is Σwx² less this.
    const explained = scale * xq + min * sumX
    if (explained > most) {
      most = explained
      line.scale = scale
      line.min = min
    }
  }
}

/** The minimum that suits a scale: least squares for the quants that `scale` and `min` give. */
export function fitMin(scale: number, min: number, high: number): number {
  const inverse = scale === 0 ? 0 : 1 / scale
  const length = count
  let q1 = 0
  for (let i = 0; i < length; i++) q1 += w[i]! * quantOf(x[i]!, min, inverse, 0, high)
  return (sumX - scale * q1) / sumW
}

const found: Line = { scale: 0, min: 0 }

/** Plain and fitted line for a scale and a minimum that are stored as binary16: the best in `line`. */
export function fitHalfLine(high: number, line: Line): void {
  plainLine(high, false, found)
  const extent = found.scale * high
  line.scale = halfOf(found.scale)
  line.min = halfOf(found.min)
  if (extent === 0) return
  let best = errorOf(line.scale, line.min, 0, high)
  // Values that a float32 cannot tell from those of the plain line were made by it.
  if (best <= roundingOf()) return
  const consider = (scale: number, min: number): void => {
    const error = errorOf(scale, min, 0, high)
    if (error >= best) return
    best = error
    line.scale = scale
    line.min = min
  }
  fitLine(high, false, found)
  const scale = halfOf(found.scale)
  consider(scale, halfOf(found.min))
  consider(scale, halfOf(fitMin(scale, found.min, high)))
  // A range that leaves quants over may begin lower, where a binary16 meets the minimum better.
  const unused = high - Math.round(extent / found.scale)
  for (let less = 1; less <= unused; less++) consider(scale, halfOf(found.min - less * found.scale))
}
