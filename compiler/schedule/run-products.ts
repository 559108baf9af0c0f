// Products of a run of quants with 8-bit activations, added to sums of rows: in the order that suits how many tokens there are.

import { type Emitter, i32, ops } from './build-loops.ts'
import type { ByteSum } from './byte-sums.ts'
import type { LoopExpr } from './loops.ts'
import { type Address, half, type Quad, splatWord, words } from './packed-words.ts'
import type { RunQuants } from './run-quants.ts'

/** Vectors of a run for each quad: read at every use, or kept once they were (by constant number). */
export function vectorsOf(e: Emitter, quads: readonly Quad[], keep: boolean): ((v: LoopExpr) => LoopExpr)[] {
  return quads.map(({ block: at, quad }) => {
    const kept = new Map<number, LoopExpr>()
    return (v) => {
      const vector = words(at, ops.add(half(quad), ops.mul(v, 8)))
      if (!keep || v.kind !== 'const') return vector
      const value = kept.get(v.value) ?? e.let('q', vector)
      kept.set(v.value, value)
      return value
    }
  })
}

/**
 * Adds the products of these halves of a run to the sums of [token][quad]. Sums of several tokens leave no registers for vectors of
 * quants: they are read again for each four.
 */
export function addProducts(
  e: Emitter,
  quants: RunQuants,
  quads: readonly Quad[],
  activations: readonly Address[],
  halves: readonly (0 | 1)[],
  sums: readonly (readonly ByteSum[])[],
): void {
  if (activations.length === 1) return addInGroups(e, quants, quads, activations[0]!, halves, sums[0]!)
  const read = vectorsOf(e, quads, false)
  for (const j of quants.order.filter((j) => halves.includes((j >> 2) as 0 | 1))) {
    const rows = read.map((vector) => e.let('w', quants.bytes(i32(Math.floor(j / quants.period)), j % quants.period, vector)))
    for (const [t, activation] of activations.entries()) {
      const x = e.let('x', splatWord(activation, j))
      for (const [q, row] of rows.entries()) sums[t]![q]!.add(x, row)
    }
  }
}

/** The same for one token: what is read of its activations is kept for all quads while fours are taken from the same vectors. */
function addInGroups(
  e: Emitter,
  quants: RunQuants,
  quads: readonly Quad[],
  activation: Address,
  halves: readonly (0 | 1)[],
  sums: readonly ByteSum[],
): void {
  const groups = quads.map(({ block, quad }) => quants.groups(e, (v) => words(block, half(quad), 8 * v), halves))
  const known = new Map<number, LoopExpr>()
  const x = (four: number): LoopExpr => known.get(four) ?? known.set(four, e.let('x', splatWord(activation, four))).get(four)!
  for (;;) {
    for (const [q, group] of groups.entries()) {
      const next = group.next()
      if (next.done) return
      for (const { four, bytes } of next.value) sums[q]!.add(x(four), e.let('w', bytes))
    }
  }
}
