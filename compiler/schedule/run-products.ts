// Products of a run of quants with 8-bit activations, summed for each row: in the order that suits how many tokens there are.

import { type Emitter, i32, ops } from './build-loops.ts'
import type { ByteSum } from './byte-sums.ts'
import type { LoopExpr } from './loops.ts'
import { type Address, half, type Quad, splatWord, words } from './packed-words.ts'
import type { Four, RunQuants } from './run-quants.ts'

/** The vectors of a share, as `Four.bytes` reads them; kept once they were read, or read at every use. */
export function vectorsOf(e: Emitter, { vectors }: RunQuants, { block, quad }: Quad, share: LoopExpr, keep = true) {
  const kept: LoopExpr[] = []
  return (v: number): LoopExpr => {
    const vector = (): LoopExpr => words(block, ops.add(half(quad), ops.mul(ops.add(ops.mul(share, vectors), v), 8)))
    return keep ? (kept[v] ??= e.let('q', vector())) : vector()
  }
}

/** Where four number `four` of the first share is in another. */
export const placeIn = ({ fourStep }: RunQuants, share: LoopExpr, four: number): LoopExpr => ops.add(ops.mul(share, 4 * fourStep), 4 * four)

/** A four of a run, and the share that it is of. */
interface Place {
  readonly share: number
  /** In the run. */
  readonly number: number
  readonly four: Four
}

/** The fours of a run, or of one half of it, in groups that read the same vectors. */
export function foursOf({ shares, fours, fourStep }: RunQuants, half?: number): (readonly Place[])[] {
  return Array.from({ length: shares }, (_, share) =>
    fours.map((group) => group.map((four): Place => ({ share, number: four.four + share * fourStep, four }))),
  )
    .flat()
    .filter(([first]) => half === undefined || first!.number >> 2 === half)
}

/** What is to be summed and what follows. */
export interface Products {
  readonly quants: RunQuants
  readonly quads: readonly Quad[]
  readonly activations: readonly Address[]
  /** One half of the run alone. */
  readonly half?: number
  /** An empty sum of a token and a quad. */
  sumOf(token: number, quad: number): ByteSum
  /** Takes the sum of a token and a quad. */
  finish(token: number, quad: number, sum: LoopExpr): void
}

/**
 * Sums of several tokens leave no registers for vectors of quants: they are read again for each four. For one token what is read of its
 * activations is kept for all quads, which take turns after each group of fours: one after the other each would wait for its own sum (q5_k
 * 28 GMAC/s, then 24, though there is less to keep in memory then).
 */
export function addProducts(e: Emitter, { quants, quads, activations, half, sumOf, finish }: Products): void {
  const keep = activations.length === 1
  const sums = activations.map((_, t) => quads.map((_, q) => sumOf(t, q)))
  const xs = activations.map((activation) => {
    const known: LoopExpr[] = []
    return (number: number): LoopExpr => (known[number] ??= e.let('x', splatWord(activation, number)))
  })
  for (const group of foursOf(quants, half)) {
    const read = quads.map((quad) => vectorsOf(e, quants, quad, i32(group[0]!.share), keep))
    const row = (q: number, { four }: Place): LoopExpr => e.let('w', four.bytes(read[q]!))
    if (keep) for (const [q, sum] of sums[0]!.entries()) for (const place of group) sum.add(xs[0]!(place.number), row(q, place))
    else
      for (const place of group) {
        const rows = quads.map((_, q) => row(q, place))
        for (const [t, x] of xs.entries()) for (const [q, w] of rows.entries()) sums[t]![q]!.add(x(place.number), w)
      }
  }
  for (const [t, row] of sums.entries()) for (const [q, sum] of row.entries()) finish(t, q, sum.total())
}
