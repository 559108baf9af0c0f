// Whether relaxed SIMD may be trusted here. Validation is not enough: V8 in Node 20 miscompiles the relaxed dot product when
// its operands come straight from loads (wrong until tier-up). So a tiny module runs both instructions in a loop over known
// numbers, and the sums must be right. Values are chosen so that every legal behaviour gives the same result: the dot's second
// operand is 0..127, and the products of relaxed_madd are exact, fused or not.

// (func (export "dot") (param $bytes i32)  ;; "madd" is the same with f32x4.relaxed_madd
//   (local $at i32) (local $sum v128)
//   (loop $next
//     (local.set $sum (i32x4.relaxed_dot_i8x16_i7x16_add_s
//       (v128.load (local.get $at)) (v128.load offset=4096 (local.get $at)) (local.get $sum)))
//     (local.set $at (i32.add (local.get $at) (i32.const 16)))
//     (br_if $next (i32.lt_u (local.get $at) (local.get $bytes))))
//   (v128.store offset=8192 (i32.const 0) (local.get $sum)))
const moduleBytes =
  'AGFzbQEAAAABBQFgAX8AAwMCAAAFAwEAAQcXAwZtZW1vcnkCAANkb3QAAARtYWRkAAEKawI0AgF/AXsDQCAB/QAEACAB/QAEgCAgAv2TAiECIAFBEGohASAB' +
  'IABJDQALQQAgAv0LBIBACzQCAX8BewNAIAH9AAQAIAH9AASAICAC/YUCIQIgAUEQaiEBIAEgAEkNAAtBACAC/QsEgEAL'

const bytes = 4096
const secondOperand = 4096
const resultAt = 8192

let answer: Promise<boolean> | undefined

/** True when both relaxed instructions exist and compute the right numbers. Asked once per process. */
export function relaxedSimdWorks(): Promise<boolean> {
  answer ??= selfTest().catch(() => false)
  return answer
}

async function selfTest(): Promise<boolean> {
  const code = Uint8Array.from(atob(moduleBytes), (character) => character.charCodeAt(0))
  if (!WebAssembly.validate(code)) return false
  const { instance } = await WebAssembly.instantiate(code)
  const { memory, dot, madd } = instance.exports as unknown as {
    memory: WebAssembly.Memory
    dot(bytes: number): void
    madd(bytes: number): void
  }
  return dotIsRight(memory.buffer, dot) && maddIsRight(memory.buffer, madd)
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
