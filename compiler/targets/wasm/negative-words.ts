// Which word indices may be negative before their constant offset is added: a tensor read backwards has `999 - 50·i`, of which
// the 999 is the offset. WebAssembly adds an immediate without wrapping, so an address that is below 0 for a moment would trap;
// there the offset has to be added as an instruction. Loop variables, symbols and loads of indices (clamped where they are used)
// count as non-negative; a local is what was last assigned to it anywhere.

import type { LoopExpr, LoopStmt } from '../../schedule/loops.ts'

export class NegativeWords {
  readonly #assigned = new Map<string, LoopExpr[]>()
  readonly #known = new Map<string, boolean>()

  constructor(body: readonly LoopStmt[]) {
    this.#visit(body)
  }

  mayBe(e: LoopExpr): boolean {
    if (e.kind === 'const') return e.value < 0
    if (e.kind === 'local') return this.#local(e.name)
    if (e.kind !== 'op') return false
    const [a, b] = e.args as [LoopExpr, LoopExpr]
    if (e.op === 'sub' || e.op === 'neg' || e.op === 'xor') return true
    // One that cannot be is enough.
    if (e.op === 'max' || e.op === 'and') return this.mayBe(a) && this.mayBe(b)
    if (e.op === 'select') return this.mayBe(b) || this.mayBe(e.args[2]!)
    return e.args.some((arg) => this.mayBe(arg))
  }

  #local(name: string): boolean {
    const known = this.#known.get(name)
    if (known !== undefined) return known
    // A local that depends on itself is taken by what else is assigned to it.
    this.#known.set(name, false)
    const result = (this.#assigned.get(name) ?? []).some((value) => this.mayBe(value))
    this.#known.set(name, result)
    return result
  }

  #visit(statements: readonly LoopStmt[]): void {
    for (const s of statements) {
      if (s.kind === 'let' || s.kind === 'set') this.#assigned.set(s.name, [...(this.#assigned.get(s.name) ?? []), s.value])
      else if (s.kind === 'loop') this.#visit(s.body)
      else if (s.kind === 'if') {
        this.#visit(s.yes)
        this.#visit(s.no ?? [])
      }
    }
  }
}
