// What can be asked of an index as it stands, without the algebra: its parts and axes, its value at a point, its text.

import { showExpr } from './expression.ts'
import type { AxisId, Expr, Index } from './types.ts'

/** Calls `visit` on the index and every index inside it (also those inside indirect values' own indices, through `expr`). */
export function walkIndex(index: Index, visit: (part: Index) => void, expr: (value: Expr) => void): void {
  visit(index)
  if (index.kind === 'add') {
    walkIndex(index.a, visit, expr)
    walkIndex(index.b, visit, expr)
  } else if (index.kind === 'mul' || index.kind === 'div' || index.kind === 'mod') walkIndex(index.a, visit, expr)
  else if (index.kind === 'indirect') expr(index.value)
}

/** Axes of the index itself; for an indirect term those of the loads inside it. */
export function axesOfIndex(index: Index, into = new Set<AxisId>()): Set<AxisId> {
  const visit = (part: Index): void => void (part.kind === 'axis' && into.add(part.axis))
  const expr = (e: Expr): void => {
    if (e.kind === 'index') walkIndex(e.index, visit, expr)
    else if (e.kind === 'load') for (const i of e.index) walkIndex(i, visit, expr)
    else if (e.kind === 'call') for (const a of e.args) expr(a)
  }
  walkIndex(index, visit, expr)
  return into
}

export interface IndexEnvironment {
  axis(id: AxisId): number
  symbol(name: string): number
  /** Value of the i32 expression inside an indirect term. */
  value(e: Expr): number
}

/** The index at one point; indirect terms are clamped to 0 … below-1. */
export function evaluateIndex(index: Index, at: IndexEnvironment): number {
  switch (index.kind) {
    case 'const':
      return index.value
    case 'axis':
      return at.axis(index.axis)
    case 'symbol':
      return at.symbol(index.name)
    case 'add':
      return evaluateIndex(index.a, at) + evaluateIndex(index.b, at)
    case 'mul':
      return evaluateIndex(index.a, at) * index.by
    case 'div':
      return Math.floor(evaluateIndex(index.a, at) / index.by)
    case 'mod': {
      const a = evaluateIndex(index.a, at)
      return a - index.by * Math.floor(a / index.by)
    }
    case 'indirect': {
      const below = index.below.terms.reduce((sum, [name, factor]) => sum + factor * at.symbol(name), index.below.const)
      return Math.max(0, Math.min(below - 1, at.value(index.value)))
    }
  }
}

const shown = new WeakMap<Index, string>()

/** Text of an index; canonical indices are equal exactly when their texts are. */
export function showIndex(index: Index): string {
  let text = shown.get(index)
  if (text === undefined) shown.set(index, (text = printIndex(index)))
  return text
}

function printIndex(index: Index): string {
  switch (index.kind) {
    case 'const':
      return String(index.value)
    case 'axis':
      return index.axis
    case 'symbol':
      return `$${index.name}`
    case 'add':
      return index.b.kind === 'const' && index.b.value < 0
        ? `${showIndex(index.a)} - ${-index.b.value}`
        : `${showIndex(index.a)} + ${showIndex(index.b)}`
    case 'mul':
      return `${index.by}*${bracket(index.a)}`
    case 'div':
      return `${bracket(index.a)} div ${index.by}`
    case 'mod':
      return `${bracket(index.a)} mod ${index.by}`
    case 'indirect':
      return `clamp(${showExpr(index.value)})`
  }
}

const bracket = (index: Index): string =>
  index.kind === 'add' || index.kind === 'div' || index.kind === 'mod' || index.kind === 'mul' ? `(${showIndex(index)})` : showIndex(index)
