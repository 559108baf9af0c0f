// The reshape that a binding implies. Two shapes hold the same values in the same row-major order when their sizes multiply to
// the same number; it is taken for intended only when one is a refinement of the other: size-1 axes left out, one shape's list
// of cumulative products contains the other's. [8, 128, 4096] refines [1024, 4096]; [64, 32] and [32, 64] do not line up.

import type { WeightInfo } from '../../dsl/sink.ts'
import { product } from './plain-tensor.ts'

function edges(dims: readonly number[]): number[] {
  let size = 1
  return dims.filter((dim) => dim !== 1).map((dim) => (size *= dim))
}

/** True when values may be taken over without moving them. */
export function linesUp(stored: readonly number[], wanted: readonly number[]): boolean {
  if (product(stored) !== product(wanted)) return false
  const [a, b] = [edges(stored), edges(wanted)]
  const [fine, coarse] = a.length >= b.length ? [a, b] : [b, a]
  return coarse.every((edge) => fine.includes(edge))
}

/** `[kv_heads, head_dim, embed] = [32, 128, 4096] = [4096, 4096]`; the last part is the matrix nearest to a stored matrix. */
export function factorisation({ labels, dims }: WeightInfo, stored: readonly number[]): string {
  const text = `[${labels.join(', ')}] = [${dims.join(', ')}]`
  if (stored.length !== 2 || dims.length < 3) return text
  const cuts = dims.slice(1).map((_, i) => [product(dims.slice(0, i + 1)), product(dims.slice(i + 1))])
  const sharing = cuts.filter(([rows, columns]) => rows === stored[0] || columns === stored[1])
  return `${text} = ${(sharing.length > 0 ? sharing : cuts).map((cut) => `[${cut.join(', ')}]`).join(' or ')}`
}

/** How one stored size is made of the sizes around axis `at`: `1024 = 8 x 128`. Empty where it is that size itself. */
export function factors(stored: readonly number[], dims: readonly number[], at: number): string {
  let axis = 0
  for (const size of stored) {
    const first = axis
    let count = 1
    while (axis < dims.length && (count < size || dims[axis] === 1)) count *= dims[axis++]!
    if (count !== size) return ''
    if (at >= first && at < axis) return axis - first > 1 ? `${size} = ${dims.slice(first, axis).join(' x ')}: ` : ''
  }
  return ''
}
