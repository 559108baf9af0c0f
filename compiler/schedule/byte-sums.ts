// Sums of byte products of four rows, exact, in parts that a target may keep as i16 sums of neighbours (`dot_part` in loops.ts).

import { constant, type Emitter, ops } from './build-loops.ts'
import type { LoopExpr, LoopFunction } from './loops.ts'
import { walkLoops } from './walk-loops.ts'

/** How many products of signed bytes (±127) with bytes up to `most` an i16 holds, which takes two of them at a time. */
const productsPerPart = (most: number): number => Math.floor(32767 / (2 * 127 * most))

interface Form {
  /** A word of two i16 that products begin at (`dot_start`). */
  readonly from?: LoopExpr
  /** What they are multiplied with (`dot_scaled`); asked for once, when a first part is complete. */
  scale?(): LoopExpr
}

/**
 * start + Σ of the products added, one i32 a row; with `from`, from + Σ instead; with `scale`, start + scale · (from + Σ). `most`: the
 * largest byte of the second factor, or its largest distance from the centre where `from` centres it.
 */
export class ByteSum {
  readonly #e: Emitter
  readonly #perPart: number
  #sum: LoopExpr
  #part: LoopExpr | undefined
  #taken = 0
  readonly #form: Form
  #scale: LoopExpr | undefined

  constructor(e: Emitter, start: LoopExpr, most: number, form: Form = {}) {
    this.#e = e
    this.#perPart = productsPerPart(most)
    this.#sum = start
    this.#form = form
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
    const { from, scale } = this.#form
    return from && this.#taken === 0 ? ops.dot_start(from) : ops.dot_open(scale ? constant('i32x4', 0) : this.#sum)
  }

  #close(part: LoopExpr): void {
    this.#scale ??= this.#form.scale?.()
    this.#sum = this.#e.let('sum', this.#scale ? ops.dot_scaled(part, this.#scale, this.#sum) : ops.dot_close(part, this.#sum))
    this.#part = undefined
  }
}

/** Whether a function has such sums. */
export function sumsBytes({ body }: LoopFunction): boolean {
  let found = false
  walkLoops(body, (e) => {
    found ||= e.kind === 'op' && e.op === 'dot_part'
  })
  return found
}
