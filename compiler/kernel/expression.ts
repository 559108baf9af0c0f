// Scalar expressions of kernels: constructors that fold constants and recognise index arithmetic, canonical text (equal text =
// equal expression), and the questions passes ask: which axes, loads and definitions occur, what does it cost.
// Only exact rewrites happen here: nothing that could change a rounding.

import { equals } from '../../dsl/affine.ts'
import type { Affine, Dtype } from '../graph/types.ts'
import { addIndex, divIndex, indexConst, indexRange, modIndex, scaleIndex, subtractIndex } from './index-map.ts'
import { axesOfIndex, showIndex, walkIndex } from './index-walk.ts'
import type { IndexScope } from './index-map.ts'
import { applyScalar } from './scalar.ts'
import type { AxisId, Expr, Index, ScalarFn } from './types.ts'

/** The largest finite f32: what an infinity becomes (WGSL has none). */
export const f32Max = 3.4028234663852886e38

const finite = (value: number): number => (value > f32Max ? f32Max : value < -f32Max ? -f32Max : value)

export const constExpr = (value: number, dtype: Dtype): Expr => ({ kind: 'const', value: finite(value), dtype })

/** The i32 value of an index. */
export const indexExpr = (index: Index): Expr => (index.kind === 'const' ? constExpr(index.value, 'i32') : { kind: 'index', index })

export const dtypeOf = (e: Expr): Dtype => (e.kind === 'index' ? 'i32' : e.dtype)

/** The expression as an index, if it is one without any load. */
export function asIndex(e: Expr): Index | undefined {
  if (e.kind === 'index') return e.index
  return e.kind === 'const' && (e.dtype === 'i32' || e.dtype === 'u32') ? indexConst(e.value) : undefined
}

/** A position below `below`: an index map where the range is proven, else a clamped indirect term. */
export function positionOf(e: Expr, below: Affine, scope: IndexScope): Index {
  const index = asIndex(e)
  if (index?.kind === 'axis' && equals(scope.extents.get(index.axis)!, below)) return index
  if (index && below.terms.length === 0) {
    const { min, max } = indexRange(index, scope)
    if (min >= 0 && max < below.const) return index
  }
  return { kind: 'indirect', value: e, below }
}

/** A call, folded where that is exact: constants, i32 arithmetic on indices, decided comparisons, trivial selections. */
export function callExpr(fn: ScalarFn, args: readonly Expr[], dtype: Dtype, scope: IndexScope): Expr {
  return (
    foldIndices(fn, args, dtype, scope) ??
    foldConstants(fn, args, dtype) ??
    foldTrivial(fn, args, dtype) ?? { kind: 'call', fn, args, dtype }
  )
}

function foldIndices(fn: ScalarFn, args: readonly Expr[], dtype: Dtype, scope: IndexScope): Expr | undefined {
  const indices = args.map(asIndex)
  const [a, b] = indices
  if (!a) return undefined
  if (fn === 'neg' && dtype === 'i32') return indexExpr(scaleIndex(a, -1, scope))
  if (!b) return undefined
  if (dtype === 'i32') {
    if (fn === 'add') return indexExpr(addIndex(a, b, scope))
    if (fn === 'sub') return indexExpr(subtractIndex(a, b, scope))
    if (fn === 'mul' && b.kind === 'const') return indexExpr(scaleIndex(a, b.value, scope))
    if (fn === 'mul' && a.kind === 'const') return indexExpr(scaleIndex(b, a.value, scope))
    // Integer division and remainder truncate: only for values that are never negative are they floor and mod.
    if ((fn === 'mod' || fn === 'div') && b.kind === 'const' && b.value > 0 && indexRange(a, scope).min >= 0) {
      return indexExpr((fn === 'mod' ? modIndex : divIndex)(a, b.value, scope))
    }
  }
  if (dtype === 'bool') {
    const { min, max } = indexRange(subtractIndex(a, b, scope), scope)
    const decided = decide[fn as keyof typeof decide]?.(min, max)
    if (decided !== undefined) return constExpr(decided ? 1 : 0, 'bool')
  }
  return undefined
}

/** A comparison of a with b from the range of a - b. */
const decide = {
  lt: (min: number, max: number) => (max < 0 ? true : min >= 0 ? false : undefined),
  le: (min: number, max: number) => (max <= 0 ? true : min > 0 ? false : undefined),
  gt: (min: number, max: number) => (min > 0 ? true : max <= 0 ? false : undefined),
  ge: (min: number, max: number) => (min >= 0 ? true : max < 0 ? false : undefined),
  eq: (min: number, max: number) => (min === 0 && max === 0 ? true : min > 0 || max < 0 ? false : undefined),
  ne: (min: number, max: number) => (min === 0 && max === 0 ? false : min > 0 || max < 0 ? true : undefined),
}

/** Integers and booleans fold always; floats only where f32 and f64 agree (a cast of a small integer). */
function foldConstants(fn: ScalarFn, args: readonly Expr[], dtype: Dtype): Expr | undefined {
  const values = args.map((a) => (a.kind === 'const' ? a.value : undefined))
  if (values.some((v) => v === undefined)) return undefined
  const numbers = values as number[]
  const exact = numbers.every((v) => Number.isInteger(v) && Math.abs(v) <= 1 << 24)
  const integral = args.every((a) => dtypeOf(a) === 'i32' || dtypeOf(a) === 'bool')
  if (fn === 'cast' ? exact : exact && integral) return constExpr(applyScalar(fn, numbers, dtype, dtypeOf(args[0]!)), dtype)
  return undefined
}

const isConst = (e: Expr | undefined, value: number): boolean => e?.kind === 'const' && e.value === value

function foldTrivial(fn: ScalarFn, args: readonly Expr[], dtype: Dtype): Expr | undefined {
  const [a, b, c] = args as [Expr, Expr?, Expr?]
  if (fn === 'cast' && dtypeOf(a) === dtype) return a
  if (fn === 'where' && a.kind === 'const') return a.value !== 0 ? b : c
  if (fn === 'where' && b === c) return b
  if (fn === 'mul' && isConst(b, 1)) return a
  if (fn === 'mul' && isConst(a, 1)) return b
  if (fn === 'mul' && isConst(b, -1)) return { kind: 'call', fn: 'neg', args: [a], dtype }
  if (fn === 'mul' && isConst(a, -1)) return { kind: 'call', fn: 'neg', args: [b!], dtype }
  if (fn === 'div' && isConst(b, 1)) return a
  if (fn === 'and') return isConst(a, 1) ? b : isConst(b, 1) ? a : isConst(a, 0) ? a : isConst(b, 0) ? b : undefined
  if (fn === 'or') return isConst(a, 0) ? b : isConst(b, 0) ? a : isConst(a, 1) ? a : isConst(b, 1) ? b : undefined
  return undefined
}

const shown = new WeakMap<Expr, string>()

/** Canonical text: definitions are `%n`, operands `@n`. */
export function showExpr(e: Expr): string {
  let text = shown.get(e)
  if (text === undefined) shown.set(e, (text = print(e)))
  return text
}

const infix: Partial<Record<ScalarFn, string>> = {
  add: '+',
  sub: '-',
  mul: '*',
  div: '/',
  mod: '%',
  eq: '==',
  ne: '!=',
  lt: '<',
  le: '<=',
  gt: '>',
  ge: '>=',
  and: 'and',
  or: 'or',
}

function print(e: Expr): string {
  if (e.kind === 'const')
    return e.value === f32Max ? 'big' : e.value === -f32Max ? '-big' : `${e.value}${e.dtype === 'f32' ? '' : `:${e.dtype}`}`
  if (e.kind === 'index') return `i32(${showIndex(e.index)})`
  if (e.kind === 'load') return `@${e.operand}[${e.index.map(showIndex).join(', ')}]`
  if (e.kind === 'value') return `%${e.definition}`
  const args = e.args.map(showExpr)
  const sign = infix[e.fn]
  if (sign) return `(${args[0]} ${sign} ${args[1]})`
  return `${e.fn === 'cast' ? e.dtype : e.fn}(${args.join(', ')})`
}

/** Direct sub-expressions, those inside indirect indices included. */
export function childrenOf(e: Expr): readonly Expr[] {
  if (e.kind === 'call') return e.args
  const inside: Expr[] = []
  const indices = e.kind === 'load' ? e.index : e.kind === 'index' ? [e.index] : []
  for (const i of indices)
    walkIndex(
      i,
      () => {},
      (value) => inside.push(value),
    )
  return inside
}

/** Visits an expression and all below it, each distinct one once. */
export function walkExpr(e: Expr, visit: (part: Expr) => void, seen = new Set<Expr>()): void {
  if (seen.has(e)) return
  seen.add(e)
  visit(e)
  for (const child of childrenOf(e)) walkExpr(child, visit, seen)
}

/** Axes the expression depends on; `freeOf` gives those of a definition. */
export function axesOfExpr(e: Expr, freeOf: (definition: number) => Iterable<AxisId>, into = new Set<AxisId>()): Set<AxisId> {
  walkExpr(e, (part) => {
    if (part.kind === 'value') for (const axis of freeOf(part.definition)) into.add(axis)
    else if (part.kind === 'load') for (const i of part.index) axesOfIndex(i, into)
    else if (part.kind === 'index') axesOfIndex(part.index, into)
  })
  return into
}

/** Rebuilds an expression; `change` may replace any part (undefined keeps it), `intern` sees what was rebuilt. Shared parts stay shared. */
export function mapExpr(
  e: Expr,
  change: (part: Expr) => Expr | undefined,
  intern: (e: Expr) => Expr = (x) => x,
  memo = new Map<Expr, Expr>(),
): Expr {
  const known = memo.get(e)
  if (known) return known
  const replaced = change(e)
  const result = replaced ?? intern(rebuild(e, (child) => mapExpr(child, change, intern, memo)))
  memo.set(e, result)
  return result
}

function rebuild(e: Expr, go: (child: Expr) => Expr): Expr {
  if (e.kind === 'call') {
    const args = e.args.map(go)
    return args.every((a, i) => a === e.args[i]) ? e : { ...e, args }
  }
  if (e.kind === 'load') {
    const index = e.index.map((i) => rebuildIndex(i, go))
    return index.every((x, i) => x === e.index[i]) ? e : { ...e, index }
  }
  if (e.kind === 'index') {
    const index = rebuildIndex(e.index, go)
    return index === e.index ? e : { kind: 'index', index }
  }
  return e
}

/** Rebuilds what stands inside the indirect terms of an index. */
export function rebuildIndex(index: Index, go: (child: Expr) => Expr): Index {
  if (index.kind === 'indirect') {
    const value = go(index.value)
    return value === index.value ? index : { ...index, value }
  }
  if (index.kind === 'add') {
    const a = rebuildIndex(index.a, go)
    const b = rebuildIndex(index.b, go)
    return a === index.a && b === index.b ? index : { kind: 'add', a, b }
  }
  if (index.kind === 'mul' || index.kind === 'div' || index.kind === 'mod') {
    const a = rebuildIndex(index.a, go)
    return a === index.a ? index : { ...index, a }
  }
  return index
}

/** Functions that cost many times an addition. */
export const expensive: ReadonlySet<ScalarFn> = new Set<ScalarFn>([
  'exp',
  'log',
  'sin',
  'cos',
  'tanh',
  'erf',
  'pow',
  'sqrt',
  'rsqrt',
  'div',
  'mod',
])
