// Whether relaxed SIMD may be trusted here, and what its dot of bytes is made of. Validation is not enough: V8 in Node 20
// miscompiles the relaxed dot product when its operands come straight from loads (wrong until tier-up). So a tiny module runs the
// instructions in a loop over known numbers, and the sums must be right. Values are chosen so that every legal behaviour gives the
// same result: the dots' second operand is 0..127, and the products of relaxed_madd are exact, fused or not.
//
// With a second operand beyond 127 the legal behaviours differ, which tells without a clock how the engine makes the 32-bit dot:
// where it has no instruction for it (x86 without VNNI) it takes pmaddubsw, which reads that operand unsigned and saturates sums
// of two products at 32767, then pmaddwd. VNNI does not saturate, ARM reads it signed.

// (func (export "dot") (param $bytes i32)  ;; "madd" is the same with f32x4.relaxed_madd, "pairs" with
//   ;; (i32x4.add (i32x4.extadd_pairwise_i16x8_s (i16x8.relaxed_dot_i8x16_i7x16_s … …)) (local.get $sum))
//   (local $at i32) (local $sum v128)
//   (loop $next
//     (local.set $sum (i32x4.relaxed_dot_i8x16_i7x16_add_s
//       (v128.load (local.get $at)) (v128.load offset=4096 (local.get $at)) (local.get $sum)))
//     (local.set $at (i32.add (local.get $at) (i32.const 16)))
//     (br_if $next (i32.lt_u (local.get $at) (local.get $bytes))))
//   (v128.store offset=8192 (i32.const 0) (local.get $sum)))
const moduleBytes =
  'AGFzbQEAAAABBQFgAX8AAwQDAAAABQMBAAEHHwQGbWVtb3J5AgADZG90AAAFcGFpcnMAAQRtYWRkAAIKpQEDNAIBfwF7A0AgAf0ABAAgAf0ABIAgIAL9kwIhAiABQRBq' +
  'IQEgASAASQ0AC0EAIAL9CwSAQAs5AgF/AXsDQCAB/QAEACAB/QAEgCD9kgL9fiAC/a4BIQIgAUEQaiEBIAEgAEkNAAtBACAC/QsEgEALNAIBfwF7A0AgAf0ABAAgAf0A' +
  'BIAgIAL9hQIhAiABQRBqIQEgASAASQ0AC0EAIAL9CwSAQAs='

const bytes = 4096
const secondOperand = 4096
const resultAt = 8192

export interface RelaxedSimd {
  /** The relaxed instructions exist and compute the right numbers. */
  readonly works: boolean
  /** A 32-bit dot is made of a 16-bit one and more, so that it pays to sum the 16-bit ones first. */
  readonly pairDots: boolean
}

let answer: Promise<RelaxedSimd> | undefined

/** Asked once per process. */
export function relaxedSimd(): Promise<RelaxedSimd> {
  answer ??= selfTest().catch(() => ({ works: false, pairDots: false }))
  return answer
}

async function selfTest(): Promise<RelaxedSimd> {
  const code = Uint8Array.from(atob(moduleBytes), (character) => character.charCodeAt(0))
  if (!WebAssembly.validate(code)) return { works: false, pairDots: false }
  const { instance } = await WebAssembly.instantiate(code)
  const { memory, dot, pairs, madd } = instance.exports as unknown as {
    memory: WebAssembly.Memory
    dot(bytes: number): void
    pairs(bytes: number): void
    madd(bytes: number): void
  }
  const { buffer } = memory
  const works = dotIsRight(buffer, dot) && dotIsRight(buffer, pairs) && maddIsRight(buffer, madd)
  return { works, pairDots: works && saturates(buffer, dot) }
}

/** Sums of two products of 127 with 255 end at 32767. */
function saturates(buffer: ArrayBuffer, dot: (bytes: number) => void): boolean {
  const lanes = 16
  new Int8Array(buffer, 0, lanes).fill(127)
  new Uint8Array(buffer, secondOperand, lanes).fill(255)
  dot(lanes)
  return new Int32Array(buffer, resultAt, 4).every((sum) => sum === 2 * 32767)
}

function dotIsRight(buffer: ArrayBuffer, dot: (bytes: number) => void): boolean {
  const a = new Int8Array(buffer, 0, bytes)
  const b = new Int8Array(buffer, secondOperand, bytes)
  const expected = [0, 0, 0, 0]
  for (let i = 0; i < bytes; i++) {
    a[i] = i % 7 === 0 ? -128 : i * 37
    b[i] = i % 5 === 0 ? 127 : (i * 59) & 127
    expected[(i >> 2) & 3]! += a[i]! * b[i]!
  }
  // Twice: code may be replaced by a better tier, or a worse one, between calls.
  for (let round = 0; round < 2; round++) {
    dot(bytes)
    const found = new Int32Array(buffer, resultAt, 4)
    if (expected.some((value, lane) => value !== found[lane])) return false
  }
  return true
}

function maddIsRight(buffer: ArrayBuffer, madd: (bytes: number) => void): boolean {
  const a = new Float32Array(buffer, 0, bytes / 4)
  const b = new Float32Array(buffer, secondOperand, bytes / 4)
  const expected = [0, 0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    a[i] = ((i * 37) % 61) - 30
    b[i] = ((i * 59) % 53) - 26
    expected[i & 3]! += a[i]! * b[i]!
  }
  for (let round = 0; round < 2; round++) {
    madd(bytes)
    const found = new Float32Array(buffer, resultAt, 4)
    if (expected.some((value, lane) => value !== found[lane])) return false
  }
  return true
}
