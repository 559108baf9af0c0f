// WGSL functions that kernels call, for scalars and for four lanes, written out only where used. Unpacking halves by WGSL's own
// function may flush their denormals, exp of huge arguments may be anything; the others evaluate an argument once. Other
// mathematical functions come from schedule/math-loops.ts: WGSL has no erf, its tanh is inexact near 0, its sin and cos are good
// between −π and π only, its pow takes no negative base.

import { expMost } from '../../schedule/math-loops.ts'

/** Type names of one width; F, I, U also convert and splat. */
interface Width {
  readonly F: string
  readonly I: string
  readonly U: string
  readonly suffix: '_1' | '_4'
}

const widths = {
  scalar: { F: 'f32', I: 'i32', U: 'u32', suffix: '_1' },
  vector: { F: 'vec4<f32>', I: 'vec4<i32>', U: 'vec4<u32>', suffix: '_4' },
} as const satisfies Record<string, Width>

const lanewise = {
  // Below −104 exp rounds to 0; clamped, since what a driver makes of a huge argument is not defined.
  exp_safe: ({ F }) => `(x: ${F}) -> ${F} {
  return exp(clamp(x, ${F}(-104.0), ${F}(${expMost})));
}`,
  // Bit shift and rebias for normal halves; m·2^-24 for denormal ones. `h` holds the half in its low 16 bits, above them anything.
  half: ({ F, U }) => `(h: ${U}) -> ${F} {
  let normal = bitcast<${F}>(((h & ${U}(0x7fffu)) << ${U}(13u)) + ${U}(0x38000000u));
  let small = ${F}(h & ${U}(0x3ffu)) * 5.9604644775390625e-8;
  let magnitude = select(normal, small, (h & ${U}(0x7c00u)) == ${U}(0u));
  return select(magnitude, -magnitude, (h & ${U}(0x8000u)) != ${U}(0u));
}`,
  // acc + Σ signed byte of a · signed byte of b, where a device has no packed dot products.
  dot4: ({ I, U }) => `(a: ${I}, b: ${I}, acc: ${I}) -> ${I} {
  let s = ${U}(24u);
  var sum = acc + (a >> s) * (b >> s);
  sum += ((a << ${U}(8u)) >> s) * ((b << ${U}(8u)) >> s);
  sum += ((a << ${U}(16u)) >> s) * ((b << ${U}(16u)) >> s);
  return sum + ((a << s) >> s) * ((b << s) >> s);
}`,
  keep_f32: ({ F }) => `(x: ${F}) -> ${F} {
  return x;
}`,
  keep_i32: ({ I }) => `(x: ${I}) -> ${I} {
  return x;
}`,
} satisfies Record<string, (width: Width) => string>

const single = {
  hsum: `(v: vec4<f32>) -> f32 {
  return (v.x + v.z) + (v.y + v.w);
}`,
  sum_halves: `(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(a.x, b.x, a.y, b.y) + vec4<f32>(a.z, b.z, a.w, b.w);
}`,
  sum_pairs: `(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(a.x, a.y, b.x, b.y) + vec4<f32>(a.z, a.w, b.z, b.w);
}`,
  hmax: `(v: vec4<f32>) -> f32 {
  return max(max(v.x, v.z), max(v.y, v.w));
}`,
  hmin: `(v: vec4<f32>) -> f32 {
  return min(min(v.x, v.z), min(v.y, v.w));
}`,
  // Bytes 0, 1 of the words with an even number and 2, 3 of the others, as pairs of i16.
  shorts: `(v: vec4<i32>) -> vec4<i32> {
  let w = v >> vec4<u32>(0u, 16u, 0u, 16u);
  let s = vec4<u32>(24u);
  return (((w << s) >> s) & vec4<i32>(65535)) | (((w << vec4<u32>(16u)) >> s) << vec4<u32>(16u));
}`,
  dot_shorts: `(a: vec4<i32>, b: vec4<i32>, acc: vec4<i32>) -> vec4<i32> {
  let s = vec4<u32>(16u);
  return acc + ((a << s) >> s) * ((b << s) >> s) + (a >> s) * (b >> s);
}`,
  zip_shorts: `(a: vec4<i32>, b: vec4<i32>) -> vec4<i32> {
  let w = vec4<u32>(0u, 16u, 0u, 16u);
  return ((a >> w) & vec4<i32>(65535)) | ((b >> w) << vec4<u32>(16u));
}`,
  pack_shorts: `(a: vec4<i32>, b: vec4<i32>) -> vec4<i32> {
  let most = vec4<i32>(32767);
  let low = clamp(vec4<i32>(a.x, a.z, b.x, b.z), -most - 1, most);
  let high = clamp(vec4<i32>(a.y, a.w, b.y, b.w), -most - 1, most);
  return (low & vec4<i32>(65535)) | (high << vec4<u32>(16u));
}`,
  pack_bytes: `(v: vec4<i32>) -> i32 {
  let b = v & vec4<i32>(255);
  return b.x | (b.y << 8u) | (b.z << 16u) | (b.w << 24u);
}`,
  keep_bool_1: `(x: bool) -> bool {
  return x;
}`,
  keep_bool_4: `(x: vec4<bool>) -> vec4<bool> {
  return x;
}`,
} as const

export type LibraryName = `${keyof typeof lanewise}${'_1' | '_4'}` | keyof typeof single

const texts = new Map<string, string>(Object.entries(single))
for (const [name, text] of Object.entries(lanewise)) for (const width of Object.values(widths)) texts.set(name + width.suffix, text(width))

/** How halves become f32 where not by their bits: the device's conversion is exact if it keeps denormals, which the runtime tries. */
const halfForms = {
  native: (word: string) => `f32(bitcast<vec2<f16>>(${word}).x)`,
  // The driver of tests flushes denormals, which is what the trial of a device refuses.
  emulated: (word: string) =>
    `select(quantizeToF16(unpack2x16float(${word}).x), f32(${word} & 0x3ffu) * select(5.9604644775390625e-8, -5.9604644775390625e-8, (${word} & 0x8000u) != 0u), (${word} & 0x7c00u) == 0u)`,
} as const

export type HalfForm = keyof typeof halfForms

/** Instead of texts of the same names. */
type OtherTexts = Readonly<Record<string, string>>

export const halfTexts = (form: HalfForm): OtherTexts => ({
  half_1: `(h: u32) -> f32 {\n  return ${halfForms[form]('h')};\n}`,
  half_4: `(h: vec4<u32>) -> vec4<f32> {\n  return vec4<f32>(${['x', 'y', 'z', 'w'].map((lane) => halfForms[form](`h.${lane}`)).join(', ')});\n}`,
})

const packedDot = (lane: string): string => `dot4I8Packed(bitcast<u32>(a${lane}), bitcast<u32>(b${lane}))`

/** For devices with packed dot products; the module then needs `requires packed_4x8_integer_dot_product;`. */
export const packedTexts: OtherTexts = {
  dot4_1: `(a: i32, b: i32, acc: i32) -> i32 {\n  return acc + ${packedDot('')};\n}`,
  dot4_4: `(a: vec4<i32>, b: vec4<i32>, acc: vec4<i32>) -> vec4<i32> {\n  return acc + vec4<i32>(${['.x', '.y', '.z', '.w'].map(packedDot).join(', ')});\n}`,
}

/** Source of the functions named, each once. */
export function libraryText(names: Iterable<LibraryName>, others: OtherTexts = {}): string[] {
  return [...new Set<string>(names)].sort().map((name) => `fn ${name}${others[name] ?? texts.get(name)}`)
}
