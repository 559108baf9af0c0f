// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): random numbers as a pure function of
// (key, counter). With key = seed and counter = position, a draw does not depend on what was drawn before it, so it survives
// fork, rewind and replay, and a GPU can make the same one.

const multiplier0 = 0xd2511f53
const multiplier1 = 0xcd9e8d57
const weyl0 = 0x9e3779b9
const weyl1 = 0xbb67ae85

/** Upper 32 bits of a 32×32-bit product: doubles hold 53 bits, so one factor is taken in halves. */
function highProduct(a: number, b: number): number {
  const low = (a & 0xffff) * b
  const high = (a >>> 16) * b
  return Math.floor((high + Math.floor(low / 65536)) / 65536) >>> 0
}

export type Words = readonly [number, number, number, number]

/** The block of four 32-bit words of `counter` under `key`; all words unsigned. */
export function philox4x32(counter: Words, key: readonly [number, number]): Words {
  let [c0, c1, c2, c3] = counter
  let [k0, k1] = key
  for (let round = 0; round < 10; round++) {
    const high0 = highProduct(multiplier0, c0)
    const low0 = Math.imul(multiplier0, c0) >>> 0
    const high1 = highProduct(multiplier1, c2)
    const low1 = Math.imul(multiplier1, c2) >>> 0
    c0 = (high1 ^ c1 ^ k0) >>> 0
    c1 = low1
    c2 = (high0 ^ c3 ^ k1) >>> 0
    c3 = low0
    k0 = (k0 + weyl0) >>> 0
    k1 = (k1 + weyl1) >>> 0
  }
  return [c0, c1, c2, c3]
}

/** A number in [0, 1) with 24 bits, exact in f32. `seed` and `position` are non-negative integers below 2^53. */
export function uniform(seed: number, position: number): number {
  const high = (value: number): number => Math.floor(value / 0x100000000) >>> 0
  const [word] = philox4x32([position >>> 0, high(position), 0, 0], [seed >>> 0, high(seed)])
  return (word >>> 8) / 0x1000000
}
