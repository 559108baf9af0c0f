// The two 16-bit floats, converted on bit patterns with round-half-to-even: IEEE binary16 and bfloat16.
// Decoding binary16 goes through a table of all 65,536 patterns. NaNs stay NaNs and are made quiet.

const floatBits = new Uint32Array(1)
const floatValue = new Float32Array(floatBits.buffer)

const halfTable = new Float32Array(65536)
for (let exponent = 0; exponent < 32; exponent++) {
  // Denormals have no hidden bit.
  const [hidden, step] = exponent === 0 ? [0, 2 ** -24] : [1024, 2 ** (exponent - 25)]
  for (let fraction = 0; fraction < 1024; fraction++) {
    const half = (exponent << 10) | fraction
    const value = exponent < 31 ? (hidden + fraction) * step : fraction ? Number.NaN : Number.POSITIVE_INFINITY
    halfTable[half] = value
    halfTable[half | 0x8000] = -value
  }
}

/** The value of a binary16 pattern. */
export const f16ToNumber = (half: number): number => halfTable[half]!

/** The float32 bit pattern with the value of a binary16 pattern; NaNs keep their bits, so that `halfBits` gives the pattern back. */
export function floatBits16(half: number): number {
  const sign = (half & 0x8000) << 16
  if ((half & 0x7c00) === 0x7c00) return sign | 0x7f800000 | ((half & 0x3ff) << 13)
  floatValue[0] = halfTable[half]!
  return floatBits[0]! | sign
}

/** The inverse of `floatBits16`. */
export const halfBits = (bits: number): number =>
  (bits & 0x7f800000) === 0x7f800000 ? ((bits >>> 16) & 0x8000) | 0x7c00 | ((bits >>> 13) & 0x3ff) : f16FromBits(bits >>> 0)

/** The binary16 pattern nearest to a float32 bit pattern, ties to even. */
export function f16FromBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  // 65520 is the middle between the largest half and the next power of two: from there on it rounds to infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  if (magnitude >= 0x38800000) {
    const rebased = magnitude - 0x38000000
    return sign | ((rebased + 0xfff + ((rebased >>> 13) & 1)) >>> 13)
  }
  if (magnitude < 0x33000000) return sign
  // A denormal half: the 24-bit significand shifted so that one unit is 2^-24.
  const significand = (magnitude & 0x7fffff) | 0x800000
  const shift = 126 - (magnitude >>> 23)
  const kept = significand >>> shift
  const rest = significand & ((1 << shift) - 1)
  const middle = 1 << (shift - 1)
  return sign | (kept + (rest > middle || (rest === middle && kept & 1) ? 1 : 0))
}

/** The binary16 pattern nearest to a float32 value. */
export function f16FromNumber(value: number): number {
  floatValue[0] = value
  return f16FromBits(floatBits[0]!)
}

/** The bfloat16 pattern nearest to a float32 bit pattern, ties to even. */
export function bf16FromBits(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16
}

/** The binary16 at byte `at`. */
export const readHalf = (bytes: Uint8Array, at: number): number => f16ToNumber(bytes[at]! | (bytes[at + 1]! << 8))

/** Writes the binary16 nearest to a number at byte `at`. */
export function writeHalf(value: number, out: Uint8Array, at: number): void {
  const half = f16FromNumber(value)
  out[at] = half
  out[at + 1] = half >> 8
}
