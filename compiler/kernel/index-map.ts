// The index algebra: quasi-affine indices over axes and entry symbols, kept in one canonical form so that equality is text
// equality. The form is Σ factor·atom + const, an atom being an axis, a symbol, or an opaque div, mod or indirect term.
// Simplification knows the range of every axis and symbol: split after merge cancels, (a·B + b) div B is a when 0 ≤ b < B,
// and B·(x div B) + x mod B is x again. Ranges are intervals, so a simplification is never made on a guess.

import type { Affine } from '../graph/types.ts'
import type { Bounds } from '../../dsl/affine.ts'
import { range as affineRange } from '../../dsl/affine.ts'
import { axesOfIndex, showIndex } from './index-walk.ts'
import type { AxisId, Expr, Index } from './types.ts'

/** What is known about axes (0 … extent-1) and entry symbols. */
export interface IndexScope {
  readonly extents: ReadonlyMap<AxisId, Affine>
  readonly symbols: Bounds
}

export interface Range {
  readonly min: number
  readonly max: number
}

interface Term {
  readonly atom: Index
  readonly factor: number
}

/** Σ factor·atom + const, atoms by their text. */
interface Linear {
  readonly const: number
  readonly terms: ReadonlyMap<string, Term>
}

export const indexConst = (value: number): Index => ({ kind: 'const', value })
export const indexAxis = (axis: AxisId): Index => ({ kind: 'axis', axis })
export const indexSymbol = (name: string): Index => ({ kind: 'symbol', name })

/** An affine size or position as an index. */
export function indexOfAffine(a: Affine): Index {
  return rawAdd(
    a.terms.reduce<Index>((sum, [name, by]) => rawAdd(sum, rawMul(indexSymbol(name), by)), indexConst(0)),
    indexConst(a.const),
  )
}

const rawAdd = (a: Index, b: Index): Index =>
  a.kind === 'const' && a.value === 0 ? b : b.kind === 'const' && b.value === 0 ? a : { kind: 'add', a, b }
const rawMul = (a: Index, by: number): Index => (by === 1 ? a : by === 0 ? indexConst(0) : { kind: 'mul', a, by })

export const addIndex = (a: Index, b: Index, scope: IndexScope): Index =>
  fromLinear(addLinear(toLinear(a, scope), toLinear(b, scope), scope))
export const scaleIndex = (a: Index, by: number, scope: IndexScope): Index => fromLinear(scaleLinear(toLinear(a, scope), by))
export const subtractIndex = (a: Index, b: Index, scope: IndexScope): Index => addIndex(a, scaleIndex(b, -1, scope), scope)
export const divIndex = (a: Index, by: number, scope: IndexScope): Index => fromLinear(divLinear(toLinear(a, scope), by, scope))
export const modIndex = (a: Index, by: number, scope: IndexScope): Index => fromLinear(modLinear(toLinear(a, scope), by, scope))

/** The canonical form of an index. */
export const simplifyIndex = (index: Index, scope: IndexScope): Index => fromLinear(toLinear(index, scope))

/** Equal for every value of the axes and symbols, as far as the canonical form can tell. */
export const sameIndex = (a: Index, b: Index): boolean => showIndex(a) === showIndex(b)

function toLinear(index: Index, scope: IndexScope): Linear {
  switch (index.kind) {
    case 'const':
      return { const: index.value, terms: new Map() }
    case 'axis':
    case 'symbol':
      return atomLinear(index)
    case 'add':
      return addLinear(toLinear(index.a, scope), toLinear(index.b, scope), scope)
    case 'mul':
      return scaleLinear(toLinear(index.a, scope), index.by)
    case 'div':
      return divLinear(toLinear(index.a, scope), index.by, scope)
    case 'mod':
      return modLinear(toLinear(index.a, scope), index.by, scope)
    case 'indirect':
      return atomLinear(index)
  }
}

const atomLinear = (atom: Index): Linear => ({ const: 0, terms: new Map([[showIndex(atom), { atom, factor: 1 }]]) })
const constLinear = (value: number): Linear => ({ const: value, terms: new Map() })

function fromLinear(l: Linear): Index {
  const keys = [...l.terms.keys()].sort()
  let sum: Index = indexConst(0)
  for (const key of keys) {
    const { atom, factor } = l.terms.get(key)!
    sum = rawAdd(sum, rawMul(atom, factor))
  }
  return rawAdd(sum, indexConst(l.const))
}

const scaleLinear = (l: Linear, by: number): Linear =>
  by === 0
    ? constLinear(0)
    : { const: l.const * by, terms: new Map([...l.terms].map(([k, t]) => [k, { atom: t.atom, factor: t.factor * by }])) }

function plainSum(a: Linear, b: Linear): Linear {
  const terms = new Map(a.terms)
  for (const [key, t] of b.terms) {
    const factor = (terms.get(key)?.factor ?? 0) + t.factor
    if (factor === 0) terms.delete(key)
    else terms.set(key, { atom: t.atom, factor })
  }
  return { const: a.const + b.const, terms }
}

const addLinear = (a: Linear, b: Linear, scope: IndexScope): Linear => rejoin(plainSum(a, b), scope)

/** f·(x mod a) + f·a·(x div a) → f·x, and f·(x mod a) + f·a·((x div a) mod b) → f·(x mod a·b). */
function rejoin(l: Linear, scope: IndexScope): Linear {
  for (const [key, { atom, factor }] of l.terms) {
    if (atom.kind !== 'mod') continue
    for (const [otherKey, other] of l.terms) {
      if (other.factor !== factor * atom.by) continue
      const isDiv = sameIndex(other.atom, divIndex(atom.a, atom.by, scope))
      const outer = other.atom.kind === 'mod' ? other.atom : undefined
      if (!isDiv && !(outer && sameIndex(outer, modIndex(divIndex(atom.a, atom.by, scope), outer.by, scope)))) continue
      const rest = new Map(l.terms)
      rest.delete(key)
      rest.delete(otherKey)
      const whole = isDiv ? toLinear(atom.a, scope) : modLinear(toLinear(atom.a, scope), atom.by * outer!.by, scope)
      return addLinear({ const: l.const, terms: rest }, scaleLinear(whole, factor), scope)
    }
  }
  return l
}

const gcd = (a: number, b: number): number => (b === 0 ? Math.abs(a) : gcd(b, a % b))

/** Terms and constant as by·quotient + rest, every factor of the rest in 0 … by-1 in absolute value. */
function divide(l: Linear, by: number): { quotient: Linear; rest: Linear } {
  const quotient = new Map<string, Term>()
  const rest = new Map<string, Term>()
  for (const [key, { atom, factor }] of l.terms) {
    const q = Math.trunc(factor / by)
    if (q !== 0) quotient.set(key, { atom, factor: q })
    if (factor - q * by !== 0) rest.set(key, { atom, factor: factor - q * by })
  }
  const q = Math.floor(l.const / by)
  return { quotient: { const: q, terms: quotient }, rest: { const: l.const - q * by, terms: rest } }
}

/** rest = g·big + small with 0 ≤ small < g, g > 1 a divisor of `by`: then small never carries into a division by `by`. */
function separate(rest: Linear, by: number, scope: IndexScope): { g: number; big: Linear; small: Linear } | undefined {
  const sorted = [...rest.terms].sort(([, x], [, y]) => Math.abs(x.factor) - Math.abs(y.factor))
  for (let count = 0; count < sorted.length; count++) {
    const g = sorted.slice(count).reduce((d, [, t]) => gcd(d, t.factor), by)
    if (g === 1) continue
    const carried = Math.floor(rest.const / g)
    const small: Linear = { const: rest.const - carried * g, terms: new Map(sorted.slice(0, count)) }
    const { min, max } = linearRange(small, scope)
    if (min < 0 || max >= g) continue
    const big = new Map(sorted.slice(count).map(([key, t]) => [key, { atom: t.atom, factor: t.factor / g }]))
    return { g, big: { const: carried, terms: big }, small }
  }
  return undefined
}

const single = (l: Linear): Index | undefined => {
  if (l.const !== 0 || l.terms.size !== 1) return undefined
  const [term] = l.terms.values()
  return term!.factor === 1 ? term!.atom : undefined
}

function divLinear(l: Linear, by: number, scope: IndexScope): Linear {
  if (by === 1) return l
  const { quotient, rest } = divide(l, by)
  const { min, max } = linearRange(rest, scope)
  if (Math.floor(min / by) === Math.floor(max / by)) return addLinear(quotient, constLinear(Math.floor(min / by)), scope)
  const parts = separate(rest, by, scope)
  if (parts) return addLinear(quotient, divLinear(parts.big, by / parts.g, scope), scope)
  const atom = single(rest)
  if (atom?.kind === 'div') return addLinear(quotient, divLinear(toLinear(atom.a, scope), atom.by * by, scope), scope)
  if (atom?.kind === 'mod' && atom.by % by === 0) {
    return addLinear(quotient, modLinear(divLinear(toLinear(atom.a, scope), by, scope), atom.by / by, scope), scope)
  }
  return addLinear(quotient, atomLinear({ kind: 'div', a: fromLinear(rest), by }), scope)
}

function modLinear(l: Linear, by: number, scope: IndexScope): Linear {
  if (by === 1) return constLinear(0)
  const { rest } = divide(l, by)
  const { min, max } = linearRange(rest, scope)
  const floor = Math.floor(min / by)
  if (floor === Math.floor(max / by)) return addLinear(rest, constLinear(-floor * by), scope)
  const parts = separate(rest, by, scope)
  if (parts) return addLinear(scaleLinear(modLinear(parts.big, by / parts.g, scope), parts.g), parts.small, scope)
  const atom = single(rest)
  if (atom?.kind === 'mod' && atom.by % by === 0) return modLinear(toLinear(atom.a, scope), by, scope)
  return atomLinear({ kind: 'mod', a: fromLinear(rest), by })
}

function linearRange(l: Linear, scope: IndexScope): Range {
  let min = l.const
  let max = l.const
  for (const { atom, factor } of l.terms.values()) {
    const r = atomRange(atom, scope)
    min += factor * (factor > 0 ? r.min : r.max)
    max += factor * (factor > 0 ? r.max : r.min)
  }
  return { min, max }
}

function atomRange(atom: Index, scope: IndexScope): Range {
  if (atom.kind === 'axis') {
    const extent = scope.extents.get(atom.axis)
    if (!extent) throw new Error(`internal: no extent for the axis ${atom.axis}`)
    return { min: 0, max: Math.max(0, affineRange(extent, scope.symbols).max - 1) }
  }
  if (atom.kind === 'symbol') return scope.symbols.get(atom.name) ?? { min: -Infinity, max: Infinity }
  if (atom.kind === 'indirect') return { min: 0, max: Math.max(0, affineRange(atom.below, scope.symbols).max - 1) }
  if (atom.kind === 'div') {
    const r = indexRange(atom.a, scope)
    return { min: Math.floor(r.min / atom.by), max: Math.floor(r.max / atom.by) }
  }
  if (atom.kind === 'mod') return { min: 0, max: atom.by - 1 }
  return indexRange(atom, scope)
}

/** Bounds that the index cannot leave (not always reached). */
export const indexRange = (index: Index, scope: IndexScope): Range => linearRange(toLinear(index, scope), scope)

/** Steps of the index per step of the axis; undefined when the axis also occurs inside a div, mod or indirect term. */
export function strideOf(index: Index, axis: AxisId, scope: IndexScope): number | undefined {
  let stride = 0
  for (const { atom, factor } of toLinear(index, scope).terms.values()) {
    if (atom.kind === 'axis') stride += atom.axis === axis ? factor : 0
    else if (axesOfIndex(atom).has(axis)) return undefined
  }
  return stride
}

/** The parts of the canonical form. */
export function linearParts(index: Index, scope: IndexScope): { const: number; terms: readonly Term[] } {
  const l = toLinear(index, scope)
  return { const: l.const, terms: [...l.terms.keys()].sort().map((key) => l.terms.get(key)!) }
}

/** Rebuilds the index with some axes replaced; `value` rewrites what stands inside indirect terms. */
export function substituteIndex(
  index: Index,
  replace: (axis: AxisId) => Index | undefined,
  value: (e: Expr) => Expr,
  scope: IndexScope,
): Index {
  const go = (i: Index): Index => {
    if (i.kind === 'axis') return replace(i.axis) ?? i
    if (i.kind === 'add') return { kind: 'add', a: go(i.a), b: go(i.b) }
    if (i.kind === 'mul' || i.kind === 'div' || i.kind === 'mod') return { ...i, a: go(i.a) }
    return i.kind === 'indirect' ? { ...i, value: value(i.value) } : i
  }
  return simplifyIndex(go(index), scope)
}
