// What a part of a packed block is multiplied with, where invocations share k (PackedFormat.dotPart): f32, or bytes in blocks. Sums and
// totals come without the weights' scales.

import { d8 } from './activation-blocks.ts'
import { constant, type Emitter, i32, load, ops } from './build-loops.ts'
import type { LoopExpr } from './loops.ts'
import { addBytes, addRows, type Address, byteOf, fourFloats, sumOfBytes } from './packed-words.ts'

/** Σ of some fours of activations in all lanes. */
export function splatSum(fours: readonly LoopExpr[]): LoopExpr {
  let parts = fours
  while (parts.length > 1)
    parts = parts.flatMap((part, i) => (i % 2 === 0 ? [i + 1 < parts.length ? ops.add(part, parts[i + 1]!) : part] : []))
  return ops.splat_f32(ops.hsum(parts[0]!))
}

/** What parts of a block are multiplied with. */
export interface PartActivations {
  /** Of a run. */
  readonly words: number
  /** Those from a place of the run on. */
  four(run: Address, place: LoopExpr): LoopExpr
  /** Sums of products [token][quad], and of the activations alone in all lanes. `xs`: [token][four]; `fours`: quants by quad, in order. */
  multiply(
    e: Emitter,
    runs: readonly Address[],
    xs: readonly (readonly LoopExpr[])[],
    fours: readonly (() => LoopExpr[])[],
    quads: number,
  ): { readonly sums: readonly (readonly LoopExpr[])[]; readonly totals: readonly LoopExpr[] }
}

/** f32, which quants are made floats for. */
export const floatParts: PartActivations = {
  words: 32,
  four: fourFloats,
  multiply(e, _, xs, fours, quads) {
    const sums = xs.map(() => Array.from({ length: quads }, () => e.let('sum', constant('f32x4', 0))))
    for (const [f, read] of fours.entries()) {
      const packed = read()
      for (let i = 0; i < 4; i++) {
        addRows(
          e,
          sums,
          xs.map((of) => of[f]!),
          i,
          packed.map((four) => e.let('w', ops.to_f32x4(byteOf(four, i32(i))))),
        )
      }
    }
    return { sums, totals: xs.map((of) => e.let('total', splatSum(of))) }
  },
}

/** Blocks of 8 bits (d8): four products an operation, exact until they are scaled. */
export const byteParts: PartActivations = {
  words: d8.words,
  four: ({ operand, at, offset }, place) => load('i32', operand, ops.add(at, ops.shr_u(place, 2)), offset),
  multiply(e, runs, xs, fours) {
    const whole: (LoopExpr | undefined)[][] = xs.map(() => [])
    for (const [f, read] of fours.entries()) {
      addBytes(
        e,
        whole,
        xs.map((of) => of[f]!),
        read(),
      )
    }
    const steps = runs.map(({ operand, at, offset }) => e.let('ad', load('f32', operand, at, offset + d8.scale)))
    return {
      sums: whole.map((row, t) => row.map((sum) => e.let('sum', ops.mul(ops.to_f32x4(sum!), ops.splat_f32(steps[t]!))))),
      totals: xs.map((of, t) => ops.splat_f32(ops.mul(sumOfBytes(e, of), steps[t]!))),
    }
  },
}
