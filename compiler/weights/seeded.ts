// Weights without a checkpoint: pseudo-random, from a seed. Value i of a weight depends on the seed, the weight's path and i
// alone, so neither the order of weights nor other weights change it. Only integer arithmetic and exact float operations: every
// engine makes the same bits. The bell curve is the sum of four uniforms (Irwin-Hall), scaled to variance 1.

import type { WeightInfo } from '../../dsl/sink.ts'
import type { BoundWeight } from './bind.ts'
import { product } from './plain-tensor.ts'

/** Mixes one 32-bit word (murmur3's finaliser). */
function mix(word: number): number {
  let x = word
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

/** FNV-1a over the path's UTF-16 units, started from the seed. */
function keyOf(path: string, seed: number): number {
  let hash = mix(seed ^ 0x811c9dc5)
  for (let i = 0; i < path.length; i++) hash = Math.imul(hash ^ path.charCodeAt(i), 0x01000193)
  return mix(hash)
}

// Four 16-bit uniforms: mean 2 * 65535, variance 4 * (65536^2 - 1) / 12.
const mean = 2 * 65535
const spread = 1 / Math.sqrt((65536 ** 2 - 1) / 3)

/** Value i of the stream: mean 0, variance 1, within ±3.47. */
function bell(key: number, i: number): number {
  const a = mix(key ^ Math.imul(i, 0x9e3779b1))
  const b = mix(a ^ Math.imul(key, 0x85ebca6b) ^ i)
  return ((a & 0xffff) + (a >>> 16) + (b & 0xffff) + (b >>> 16) - mean) * spread
}

/**
 * f32 weights for every weight with storage: matrices with variance 1 / (last axis), a `gain` of one axis 1 + 0.1 n,
 * other single axes 0.1 n.
 */
export function seededWeights(weights: readonly WeightInfo[], seed: number): ReadonlyMap<string, BoundWeight> {
  const sources = new Map<string, BoundWeight>()
  for (const { path, dims, tied } of weights) {
    if (tied !== undefined) continue
    const isGain = /(^|\.)gain$/.test(path)
    const [centre, scale] = dims.length > 1 ? [0, 1 / Math.sqrt(dims.at(-1)!)] : [isGain ? 1 : 0, 0.1]
    const read = () => {
      const key = keyOf(path, seed)
      const values = new Float32Array(product(dims))
      for (let i = 0; i < values.length; i++) values[i] = centre + scale * bell(key, i)
      return new Uint8Array(values.buffer)
    }
    sources.set(path, { path, dims, format: 'f32', read })
  }
  return sources
}
