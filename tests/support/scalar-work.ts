// How much of a kernel's arithmetic its loops do one number at a time: the loops are walked with the sizes of a call, and every
// operation on floats counts as often as it runs, with its lanes. Integer arithmetic of single words is left out: it is addresses.

import { evaluateCount } from '../../compiler/schedule/count.ts'
import type { Binding } from '../../dsl/affine.ts'
import type { LoopExpr, LoopFunction, LoopStmt } from '../../compiler/schedule/loops.ts'

export interface FloatWork {
  /** Operations on single floats. */
  readonly scalar: number
  /** Lanes of operations on vectors; a dot of bytes is 16. */
  readonly vector: number
}

const integerOps: Readonly<Record<string, (a: number, b: number, c: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  shl: (a, b) => a * 2 ** b,
  shr_u: (a, b) => Math.floor(a / 2 ** b),
  shr_s: (a, b) => Math.floor(a / 2 ** b),
  and: (a, b) => a & b,
  min: (a, b) => Math.min(a, b),
  max: (a, b) => Math.max(a, b),
  div: (a, b) => Math.trunc(a / b),
  rem: (a, b) => a % b,
  lt: (a, b) => Number(a < b),
  le: (a, b) => Number(a <= b),
  gt: (a, b) => Number(a > b),
  ge: (a, b) => Number(a >= b),
  eq: (a, b) => Number(a === b),
  ne: (a, b) => Number(a !== b),
  select: (a, b, c) => (a ? b : c),
}

const isWide = (type: string): boolean => type.endsWith('x4')

/** The float work of one call of a function by one thread that does all rows. */
export function floatWork(fn: LoopFunction, symbols: Binding): FloatWork {
  let [scalar, vector] = [0, 0]
  const known = new Map<string, number>()
  const valueAt = (e: LoopExpr): number | undefined => {
    if (e.kind === 'const') return e.value
    if (e.kind === 'symbol') return symbols[e.name]
    if (e.kind === 'local') return known.get(e.name)
    if (e.kind === 'builtin') return e.name === 'to' ? evaluateCount(fn.rows!.count, symbols) : 0
    if (e.kind !== 'op' || !Object.hasOwn(integerOps, e.op)) return undefined
    const args = e.args.map(valueAt)
    return args.some((arg) => arg === undefined) ? undefined : integerOps[e.op]!(args[0]!, args[1]!, args[2]!)
  }
  const count = (e: LoopExpr, times: number): void => {
    if (e.kind === 'load') {
      count(e.at, times)
      if (isWide(e.type)) vector += 4 * times
      else if (e.type === 'f32') scalar += times
    } else if (e.kind === 'op') {
      // A load that fills a vector with one number is one instruction.
      if (e.op === 'splat_f32' && e.args[0]!.kind === 'load') {
        count(e.args[0].at, times)
        vector += 4 * times
        return
      }
      for (const arg of e.args) count(arg, times)
      if (isWide(e.type) || e.args.some(({ type }) => isWide(type))) vector += (e.op === 'dot4' ? 16 : 4) * times
      else if (e.type === 'f32' || e.args.some(({ type }) => type === 'f32')) scalar += times
    }
  }
  const walk = (list: readonly LoopStmt[], times: number): void => {
    for (const stmt of list) {
      if (stmt.kind === 'let' || stmt.kind === 'set') {
        count(stmt.value, times)
        const value = stmt.kind === 'let' ? valueAt(stmt.value) : undefined
        if (value === undefined) known.delete(stmt.name)
        else known.set(stmt.name, value)
      } else if (stmt.kind === 'store') {
        count(stmt.at, times)
        count(stmt.value, times)
      } else if (stmt.kind === 'loop') {
        const [from, to] = [valueAt(stmt.from) ?? 0, valueAt(stmt.to) ?? 1]
        known.set(stmt.variable, from)
        walk(stmt.body, times * Math.max(0, Math.ceil((to - from) / stmt.step)))
      } else if (stmt.kind === 'if') {
        count(stmt.condition, times)
        // What is not known is taken to hold: it is, in all rows but the last ones.
        if (valueAt(stmt.condition) === 0) walk(stmt.no ?? [], times)
        else walk(stmt.yes, times)
      }
    }
  }
  walk(fn.body, 1)
  return { scalar, vector }
}
