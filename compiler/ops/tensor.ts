// Values of the reference evaluator: row-major f64 data with a dtype, and the rounding of each dtype. bf16 and f16 round
// straight from f64, half to even (not by way of f32, which would round twice). Integers wrap to their width.

import type { Dtype } from '../graph/types.ts'

export interface Tensor {
  readonly dtype: Dtype
  readonly dims: readonly number[]
  readonly data: Float64Array
}

export const f32Max = 3.4028234663852886e38

/** What `inf` means: the largest finite f32; in typed mode the largest finite value of a narrower type. */
export function largest(dtype: Dtype, mode: 'exact' | 'typed'): number {
  if (mode === 'exact' || dtype === 'f32') return f32Max
  return dtype === 'f16' ? 65504 : 3.3895313892515355e38
}

export const elements = (dims: readonly number[]): number => dims.reduce((product, size) => product * size, 1)

/** Row-major strides in elements. */
export function strides(dims: readonly number[]): number[] {
  const result = new Array<number>(dims.length).fill(1)
  for (let axis = dims.length - 2; axis >= 0; axis--) result[axis] = result[axis + 1]! * dims[axis + 1]!
  return result
}

/** Copies `data` so that axis i of the result is walked with `steps[i]`, beginning at `offset`. All index-map ops end here. */
export function walk(data: Float64Array, dims: readonly number[], steps: readonly number[], offset = 0): Float64Array {
  const total = elements(dims)
  const result = new Float64Array(total)
  if (total === 0) return result
  const rank = dims.length
  if (rank === 0) {
    result[0] = data[offset]!
    return result
  }
  const inner = dims[rank - 1]!
  const innerStep = steps[rank - 1]!
  const index = new Array<number>(rank).fill(0)
  let place = offset
  for (let out = 0; out < total; ) {
    if (innerStep === 1) {
      result.set(data.subarray(place, place + inner), out)
      out += inner
    } else if (innerStep === 0) {
      result.fill(data[place]!, out, out + inner)
      out += inner
    } else {
      for (let i = 0, from = place; i < inner; i++, from += innerStep) result[out++] = data[from]!
    }
    for (let axis = rank - 2; axis >= 0; axis--) {
      place += steps[axis]!
      if (++index[axis]! < dims[axis]!) break
      place -= steps[axis]! * dims[axis]!
      index[axis] = 0
    }
  }
  return result
}

/** Axes reordered: axis i of the result is axis order[i] of x. Shares the data if nothing moves. */
export function permute(x: Tensor, order: readonly number[]): Tensor {
  if (order.every((from, axis) => from === axis)) return x
  const steps = strides(x.dims)
  const dims = order.map((axis) => x.dims[axis]!)
  return {
    dtype: x.dtype,
    dims,
    data: walk(
      x.data,
      dims,
      order.map((axis) => steps[axis]!),
    ),
  }
}

// Adding and taking away 2^52 leaves a non-negative number below 2^51 rounded to an integer, half to even.
const roundEvenPositive = (x: number): number => x + 4503599627370496 - 4503599627370496

/** Round to an integer, halves to even. */
export const roundEven = (x: number): number =>
  Math.abs(x) < 2251799813685248 ? (x < 0 ? -roundEvenPositive(-x) : roundEvenPositive(x)) : x

function toBinary(x: number, mantissa: number, lowest: number, limit: number): number {
  const size = Math.abs(x)
  if (size === 0 || !(size < Number.POSITIVE_INFINITY)) return x
  let exponent = Math.floor(Math.log2(size))
  if (2 ** exponent > size)
    exponent-- // log2 may round up just below a power of two
  else if (2 ** (exponent + 1) <= size) exponent++
  const quantum = 2 ** (Math.max(exponent, lowest) - mantissa)
  const rounded = roundEvenPositive(size / quantum) * quantum
  const result = rounded >= limit ? Number.POSITIVE_INFINITY : rounded
  return x < 0 ? -result : result
}

/** IEEE half precision, with subnormals; 65520 and above become infinite. */
export const toF16 = (x: number): number => toBinary(x, 10, -14, 65536)
/** bfloat16: f32's exponent and 8 bits of precision. */
export const toBf16 = (x: number): number => toBinary(x, 7, -126, 2 ** 128)

/** Rounding of each dtype; integers wrap. */
export const rounding: Readonly<Record<Dtype, (x: number) => number>> = {
  f32: Math.fround,
  f16: toF16,
  bf16: toBf16,
  i32: (x) => x | 0,
  u32: (x) => x >>> 0,
  i8: (x) => (x << 24) >> 24,
  u8: (x) => x & 255,
  bool: (x) => (x === 0 ? 0 : 1),
}

/** Rounds in place and gives the same array. */
export function roundAll(data: Float64Array, dtype: Dtype): Float64Array {
  if (dtype === 'f32') {
    for (let i = 0; i < data.length; i++) data[i] = Math.fround(data[i]!)
    return data
  }
  const round = rounding[dtype]
  for (let i = 0; i < data.length; i++) data[i] = round(data[i]!)
  return data
}
