// Walks over the statements and expressions of loop functions, and copies of them with parts exchanged.

import type { LoopExpr, LoopStmt } from './loops.ts'

/** Calls `visit` for an expression and all its parts. */
export function walkLoopExpr(e: LoopExpr, visit: (e: LoopExpr) => void): void {
  visit(e)
  if (e.kind === 'load') walkLoopExpr(e.at, visit)
  else if (e.kind === 'op') for (const arg of e.args) walkLoopExpr(arg, visit)
}

/** Calls `expr` for every expression, parts included, and `statement` for every statement, outer ones first. */
export function walkLoops(body: readonly LoopStmt[], expr: (e: LoopExpr) => void, statement?: (s: LoopStmt) => void): void {
  const parts = (e: LoopExpr): void => walkLoopExpr(e, expr)
  for (const s of body) {
    statement?.(s)
    if (s.kind === 'let' || s.kind === 'set' || s.kind === 'subgroup' || s.kind === 'uniform') parts(s.value)
    else if (s.kind === 'store') {
      parts(s.at)
      parts(s.value)
    } else if (s.kind === 'loop') {
      parts(s.from)
      parts(s.to)
      walkLoops(s.body, expr, statement)
    } else if (s.kind === 'if') {
      parts(s.condition)
      walkLoops(s.yes, expr, statement)
      walkLoops(s.no ?? [], expr, statement)
    }
  }
}

/** Whether some statement, at any depth, is such a one. */
export function hasStatement(body: readonly LoopStmt[], is: (s: LoopStmt) => boolean): boolean {
  return body.some(
    (s) =>
      is(s) ||
      (s.kind === 'loop' && hasStatement(s.body, is)) ||
      (s.kind === 'if' && (hasStatement(s.yes, is) || hasStatement(s.no ?? [], is))),
  )
}

export interface LoopChange {
  local(name: string): string
  operand(operand: number): number
  /** Instead of a builtin. */
  builtin(e: LoopExpr & { readonly kind: 'builtin' }): LoopExpr
}

/** The statements with other names, operands and builtins. */
export function changeLoops(body: readonly LoopStmt[], change: LoopChange): LoopStmt[] {
  const known = new Map<LoopExpr, LoopExpr>()
  const expr = (e: LoopExpr): LoopExpr => {
    const before = known.get(e)
    if (before) return before
    const after = changed(e)
    known.set(e, after)
    return after
  }
  const changed = (e: LoopExpr): LoopExpr => {
    switch (e.kind) {
      case 'local':
        return { ...e, name: change.local(e.name) }
      case 'builtin':
        return change.builtin(e)
      case 'load':
        return { ...e, operand: change.operand(e.operand), at: expr(e.at) }
      case 'op':
        return { ...e, args: e.args.map(expr) }
      default:
        return e
    }
  }
  const statement = (s: LoopStmt): LoopStmt => {
    switch (s.kind) {
      case 'let':
      case 'subgroup':
      case 'uniform':
      case 'set':
        return { ...s, name: change.local(s.name), value: expr(s.value) }
      case 'store':
        return { ...s, operand: change.operand(s.operand), at: expr(s.at), value: expr(s.value) }
      case 'loop':
        return { ...s, variable: change.local(s.variable), from: expr(s.from), to: expr(s.to), body: s.body.map(statement) }
      case 'if':
        return { ...s, condition: expr(s.condition), yes: s.yes.map(statement), ...(s.no ? { no: s.no.map(statement) } : {}) }
      case 'barrier':
        return s
    }
  }
  return body.map(statement)
}
