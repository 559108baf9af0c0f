// exp of numbers up to 0, rounded to f32: what Math.fround(Math.exp(x)) gives, in less time, since sampling asks for it once per
// token of the vocabulary. 2^(-k/16) comes from a table and the rest, at most ln(2)/32, from a polynomial: together within 2^-42.
// Where this leaves in doubt which f32 is nearest (one in some thousands), Math.exp decides, so both agree bit for bit.

const steps = 16
const perStep = steps / Math.LN2
const stepLength = Math.LN2 / steps
/** Below, exp is less than half of the smallest f32. */
const lowest = -104.5
const powers = Float64Array.from({ length: Math.ceil(-lowest * perStep) + 2 }, (_, k) => 2 ** (-k / steps))
/** More than the error, on both sides. */
const doubt = 2 ** -38
const f32 = Math.fround

/** Any x is right, 0 and below are fast. */
export function expF32(x: number): number {
  if (!(x > lowest && x <= 0)) return f32(Math.exp(x))
  const k = Math.trunc(0.5 - x * perStep)
  const r = x + k * stepLength
  const value = powers[k]! * (1 + r * (1 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120))))))
  const above = f32(value * (1 + doubt))
  return above === f32(value * (1 - doubt)) ? above : f32(Math.exp(x))
}
