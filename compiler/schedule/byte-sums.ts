// Sums of byte products of four rows, exact, in parts that a target may keep as i16 sums of neighbours (`dot_part` in loops.ts).

import { constant, type Emitter, ops } from './build-loops.ts'
import type { LoopExpr, LoopFunction, LoopStmt } from './loops.ts'

/** How many products of signed bytes (±127) with bytes up to `most` an i16 holds, which takes two of them at a time. */
const productsPerPart = (most: number): number => Math.floor(32767 / (2 * 127 * most))

/** What a sum is of besides its products. */
interface Terms {
  /** A word of two i16 to begin with (`dot_start`), small enough for the products that follow. */
  readonly start?: LoopExpr
  /** What all is multiplied with (`dot_scaled`); told when the first part closes. */
  readonly scale?: () => LoopExpr
}

/**
 * start + Σ of the products added, one i32 a row. `most`: the largest byte of the second factor; with a start that centres it, the largest
 * distance from the centre.
 */
export class ByteSum {
  readonly #e: Emitter
  readonly #perPart: number
  #sum: LoopExpr = constant('i32x4', 0)
  #part: LoopExpr | undefined
  #taken = 0
  readonly #terms: Terms
  #scale: LoopExpr | undefined

  constructor(e: Emitter, most: number, terms: Terms = {}) {
    this.#e = e
    this.#perPart = productsPerPart(most)
    this.#terms = terms
  }

  /** Adds the products of four bytes a row: `a` signed, `b` with 7 bits. */
  add(a: LoopExpr, b: LoopExpr): void {
    const part = ops.dot_part(a, b, this.#part ?? this.#open())
    if (++this.#taken % this.#perPart === 0) this.#close(part)
    else if (this.#part) this.#e.set(this.#part, part)
    else this.#part = this.#e.let('part', part)
  }

  total(): LoopExpr {
    if (this.#part) this.#close(this.#part)
    return this.#sum
  }

  #open(): LoopExpr {
    if (this.#terms.start && this.#taken === 0) return ops.dot_start(this.#terms.start)
    return ops.dot_open(this.#terms.scale ? constant('i32x4', 0) : this.#sum)
  }

  #close(part: LoopExpr): void {
    const { scale } = this.#terms
    if (scale) this.#scale ??= this.#e.let('scale', scale())
    this.#sum = this.#e.let('sum', this.#scale ? ops.dot_scaled(part, this.#scale, this.#sum) : ops.dot_close(part, this.#sum))
    this.#part = undefined
  }
}

/** Whether a function has such sums. */
export function sumsBytes(fn: LoopFunction): boolean {
  const inExpr = (e: LoopExpr): boolean =>
    e.kind === 'op' ? e.op === 'dot_part' || e.args.some(inExpr) : e.kind === 'load' && inExpr(e.at)
  const inBody = (body: readonly LoopStmt[]): boolean =>
    body.some((s) => {
      switch (s.kind) {
        case 'let':
        case 'set':
        case 'store':
          return inExpr(s.value)
        case 'loop':
          return inBody(s.body)
        case 'if':
          return inBody(s.yes) || inBody(s.no ?? [])
        case 'barrier':
          return false
      }
    })
  return inBody(fn.body)
}
