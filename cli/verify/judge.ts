// When numbers count as equal (docs/numerics.md): the bounds, and the comparisons of an entry's results and of one kernel's outputs.

import { isByteFormat } from '../../compiler/schedule/activation-blocks.ts'

/** Σ(a−b)² / Σb²: ggml's bound for f32 paths, and for a whole layer with 8-bit activations; between them, for caches of halves and of blocks. */
export const bounds = { f32: 1e-7, halves: 1e-4, blocks: 1e-3, bytes: 2e-3 } as const

/** Of one rounded to 8 bits or to halves: few elements may fall on the other side of a half. */
const roundedBound = 1e-5
/** No single element of a kernel's output may be off by more than this part of itself and of the usual size. */
const elementBound = 1e-3
/** What stands for infinity in masks says nothing about the usual size. */
const huge = 1e30

export interface Verdict {
  readonly fine: boolean
  /** Normalised mean square error; Infinity where something is not a number. */
  readonly error: number
  /** Flat place of the element that is off most. */
  readonly worst: number
}

function errorOf(got: ArrayLike<number>, wanted: ArrayLike<number>, from = 0, to = wanted.length): { error: number; usual: number } {
  let [off, scale, count] = [0, 0, 0]
  for (let i = from; i < to; i++) {
    const [a, b] = [got[i]!, wanted[i]!]
    if (Math.abs(b) >= huge && a === b) continue
    off += (a - b) ** 2
    scale += b * b
    count++
  }
  // Where all that is wanted is zero, any difference is infinite.
  const error = off === 0 ? 0 : off / scale
  return { error: Number.isNaN(error) ? Infinity : error, usual: Math.sqrt(scale / Math.max(1, count)) }
}

function worstOf(got: ArrayLike<number>, wanted: ArrayLike<number>): number {
  let [worst, most] = [0, -1]
  for (let i = 0; i < wanted.length; i++) {
    const off = Math.abs(got[i]! - wanted[i]!)
    if (!(off <= most)) [worst, most] = [i, Number.isNaN(off) ? Infinity : off]
  }
  return worst
}

function largest(values: ArrayLike<number>, from: number, to: number): number {
  let at = from
  for (let i = from; i < to; i++) if (values[i]! > values[at]!) at = i
  return at
}

/**
 * An entry's result with rows of `width`: every row within the bound, and with the same largest element, unless the wanted row
 * decides for it by less than the bound allows rows to differ. Integers must be equal.
 */
export function judgeResult(got: ArrayLike<number>, wanted: ArrayLike<number>, width: number, bound: number, isInteger: boolean): Verdict {
  const worst = worstOf(got, wanted)
  if (got.length !== wanted.length) return { fine: false, error: Infinity, worst: 0 }
  if (isInteger) return { fine: got[worst] === wanted[worst], error: errorOf(got, wanted).error, worst }
  let [fine, error] = [true, 0]
  for (let row = 0; row < wanted.length; row += width) {
    const end = row + width
    const { error: off, usual } = errorOf(got, wanted, row, end)
    error = Math.max(error, off)
    if (!(off <= bound)) fine = false
    const [best, chosen] = [largest(wanted, row, end), largest(got, row, end)]
    if (wanted[best]! - wanted[chosen]! > 2 * Math.sqrt(bound) * usual) fine = false
  }
  return { fine, error, worst }
}

/** One output of one kernel that was given the wanted inputs. `format`: f32, i32, f16, or a8, d8 and s8 (bytes in blocks of 32). */
export function judgeOutput(got: ArrayLike<number>, wanted: ArrayLike<number>, format: string): Verdict {
  const worst = worstOf(got, wanted)
  const { error, usual } = errorOf(got, wanted)
  if (format === 'i32') return { fine: got[worst] === wanted[worst], error, worst }
  const inBlocks = isByteFormat(format) || format === 's8'
  const bound = inBlocks || format === 'f16' ? roundedBound : bounds.f32
  if (!(error <= bound)) return { fine: false, error, worst }
  for (let i = 0; i < wanted.length; i++) {
    // Bytes may differ by one step of their block.
    const allowed = inBlocks ? (1.01 * blockMost(wanted, i)) / 127 : elementBound * (Math.abs(wanted[i]!) + usual)
    if (!(Math.abs(got[i]! - wanted[i]!) <= allowed)) return { fine: false, error, worst: i }
  }
  return { fine: true, error, worst }
}

function blockMost(values: ArrayLike<number>, at: number): number {
  const start = at - (at % 32)
  let most = 0
  for (let i = start; i < Math.min(values.length, start + 32); i++) most = Math.max(most, Math.abs(values[i]!))
  return most
}
