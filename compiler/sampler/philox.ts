// Philox4x32-10 in the loop IR (runtime/philox.ts has the source): 32-bit products by their 16-bit parts, since the IR, like
// WGSL, has no product of 64 bits.

import { constant, type Emitter, i32, ops } from '../schedule/build-loops.ts'
import type { LoopExpr } from '../schedule/loops.ts'

const multipliers = [0xd2511f53, 0xcd9e8d57] as const
const weyl = [0x9e3779b9, 0xbb67ae85] as const
const rounds = 10

/** Upper word of an unsigned product. */
function highProduct(e: Emitter, a: number, b: LoopExpr): LoopExpr {
  const [high, low] = [a >>> 16, a & 0xffff]
  const upper = e.value('upper', ops.shr_u(b, 16))
  const lower = e.value('lower', ops.and(b, 0xffff))
  const [cross, other] = [e.value('cross', ops.mul(upper, low)), e.value('cross', ops.mul(lower, high))]
  const carry = ops.add(ops.add(ops.shr_u(ops.mul(lower, low), 16), ops.and(cross, 0xffff)), ops.and(other, 0xffff))
  return ops.add(ops.add(ops.mul(upper, high), ops.shr_u(carry, 16)), ops.add(ops.shr_u(cross, 16), ops.shr_u(other, 16)))
}

/** The number in [0, 1) that a position below 2^31 has under a seed of two words, exact in f32. */
export function uniform(e: Emitter, seed: readonly [low: LoopExpr, high: LoopExpr], position: LoopExpr): LoopExpr {
  const counter = [position, i32(0), i32(0), i32(0)].map((word) => e.let('counter', word)) as [LoopExpr, LoopExpr, LoopExpr, LoopExpr]
  const key = seed.map((word) => e.let('key', word))
  e.loop('round', 0, rounds, 1, () => {
    const [c0, c1, c2, c3] = counter
    const high = [highProduct(e, multipliers[0], c0), highProduct(e, multipliers[1], c2)].map((value) => e.value('high', value))
    const low = [ops.mul(c0, multipliers[0]), ops.mul(c2, multipliers[1])].map((value) => e.value('low', value))
    e.set(c0, ops.xor(ops.xor(high[1]!, c1), key[0]!))
    e.set(c1, low[1]!)
    e.set(c2, ops.xor(ops.xor(high[0]!, c3), key[1]!))
    e.set(c3, low[0]!)
    for (const [i, step] of weyl.entries()) e.set(key[i]!, ops.add(key[i]!, i32(step)))
  })
  return e.value('coin', ops.mul(ops.to_f32(ops.shr_u(counter[0], 8)), constant('f32', 2 ** -24)))
}
