// Sizes as the checker knows them: polynomials with rational coefficients over atoms. An atom is a config field or a size
// parameter whose number is not known yet, an entry symbol (`seq`, `start`), or a quotient `(a÷b)` that does not divide out.
// Normal form: monomials keyed by their sorted atoms, zero terms removed, `(a÷b)·b` rewritten to `a`. Two sizes are the same
// exactly when their normal forms are. What grows beyond limits.ts, or beyond exact integers, throws TooLarge. Ranges and facts (`h % g == 0`) are not kept here; see check/facts.ts.

import type { Affine } from './affine.ts'
import { beyond, limits, TooLarge } from './limits.ts'

interface Rational {
  readonly num: number
  readonly den: number
}

interface Term {
  readonly atoms: readonly string[]
  readonly by: Rational
}

/** Σ by·Πatoms, sorted by key; the key of the constant term is ''. */
export interface Size {
  readonly terms: readonly Term[]
}

function gcd(a: number, b: number): number {
  let [x, y] = [Math.abs(a), Math.abs(b)]
  while (y !== 0) [x, y] = [y, x % y]
  return x
}

/** Rounded coefficients would make equal sizes differ, and unequal ones the same. */
function rational(num: number, den: number): Rational {
  if (!Number.isSafeInteger(num) || !Number.isSafeInteger(den)) throw new TooLarge('a size with a factor beyond 2^53')
  const g = gcd(num, den) || 1
  const sign = den < 0 ? -1 : 1
  return { num: (sign * num) / g, den: (sign * den) / g }
}

const key = (atoms: readonly string[]): string => atoms.join('·')

function collect(terms: readonly Term[]): Size {
  if (terms.length > limits.sizeTerms.most ** 2) throw new TooLarge(beyond('sizeTerms'))
  const sums = new Map<string, Term>()
  for (const term of terms) {
    const k = key(term.atoms)
    const old = sums.get(k)
    const by = old ? rational(old.by.num * term.by.den + term.by.num * old.by.den, old.by.den * term.by.den) : term.by
    sums.set(k, { atoms: term.atoms, by })
  }
  const kept = [...sums].filter(([, t]) => t.by.num !== 0)
  if (kept.length > limits.sizeTerms.most) throw new TooLarge(beyond('sizeTerms'))
  kept.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return { terms: kept.map(([, t]) => t) }
}

// What each quotient atom stands for, by its name; names are the canonical text, so one process-wide table cannot conflict.
const quotients = new Map<string, { readonly of: Size; readonly by: Size }>()

export const whole = (value: number): Size => (value === 0 ? { terms: [] } : { terms: [{ atoms: [], by: { num: value, den: 1 } }] })
/** Names of quotients and of undecided `if`s repeat their parts' texts, so they double where they nest. */
export function atom(name: string): Size {
  if (name.length > limits.sizeName.most) throw new TooLarge(beyond('sizeName'))
  return { terms: [{ atoms: [name], by: { num: 1, den: 1 } }] }
}
export const plus = (a: Size, b: Size): Size => collect([...a.terms, ...b.terms])
export const minus = (a: Size, b: Size): Size => plus(a, times(b, whole(-1)))
export const sameSize = (a: Size, b: Size): boolean => a === b || showSize(a) === showSize(b)

export function times(a: Size, b: Size): Size {
  if (a.terms.length * b.terms.length > limits.sizeTerms.most ** 2) throw new TooLarge(beyond('sizeTerms'))
  const product = collect(a.terms.flatMap((x) => b.terms.map((y) => multiplyTerms(x, y))))
  return cancel(product, a, b)
}

function multiplyTerms(x: Term, y: Term): Term {
  if (x.atoms.length + y.atoms.length > limits.sizeTerms.most) throw new TooLarge(beyond('sizeTerms'))
  return { atoms: [...x.atoms, ...y.atoms].sort(), by: rational(x.by.num * y.by.num, x.by.den * y.by.den) }
}

// (a÷b)·b → a, inside each monomial when b is one monomial, else only when a factor is exactly the quotient.
function cancel(product: Size, left: Size, right: Size): Size {
  for (const [q, other] of [
    [left, right],
    [right, left],
  ] as const) {
    const only = q.terms.length === 1 ? q.terms[0] : undefined
    const known = only?.atoms.length === 1 ? quotients.get(only.atoms[0] as string) : undefined
    if (only && known && known.by.terms.length > 1 && sameSize(known.by, other)) {
      return collect(known.of.terms.map((t) => ({ atoms: t.atoms, by: rational(t.by.num * only.by.num, t.by.den * only.by.den) })))
    }
  }
  return cancelTerms(product)
}

// (a÷b)·b → a in every monomial; each step takes one quotient out, so it ends.
function cancelTerms(product: Size): Size {
  for (const term of product.terms) {
    for (const name of term.atoms) {
      const known = quotients.get(name)
      const by = known?.by.terms.length === 1 ? known.by.terms[0] : undefined
      if (!known || !by) continue
      const rest = without(without(term.atoms, [name]) ?? [], by.atoms)
      if (!rest) continue
      const others = { terms: product.terms.filter((t) => t !== term) }
      const factor = { terms: [{ atoms: rest, by: rational(term.by.num * by.by.den, term.by.den * by.by.num) }] }
      return cancelTerms(plus(others, times(known.of, factor)))
    }
  }
  return product
}

/** `atoms` with each of `remove` taken out once; undefined if one is missing. */
function without(atoms: readonly string[], remove: readonly string[]): string[] | undefined {
  const rest = [...atoms]
  for (const name of remove) {
    const at = rest.indexOf(name)
    if (at < 0) return undefined
    rest.splice(at, 1)
  }
  return rest
}

/** The whole number, if the size is one. */
export function known(size: Size): number | undefined {
  if (size.terms.length === 0) return 0
  const [first] = size.terms
  if (size.terms.length > 1 || !first || first.atoms.length > 0) return undefined
  return first.by.num / first.by.den
}

/** False if a coefficient is a fraction: then the value is whole only under a fact. */
export const isIntegral = (size: Size): boolean => size.terms.every((t) => t.by.den === 1)

/**
 * a / b. Divides out where the polynomials allow it (fractions of coefficients included: `d / 2`), else gives the atom `(a÷b)`.
 * `exact` tells whether the result is a polynomial with whole coefficients, so needs no further fact. undefined for b = 0.
 */
export function divide(a: Size, b: Size): { readonly size: Size; readonly exact: boolean } | undefined {
  if (b.terms.length === 0) return undefined
  const quotient = longDivision(a, b)
  if (quotient) return { size: quotient, exact: isIntegral(quotient) }
  const name = `(${showSize(a)}÷${showSize(b)})`
  const size = atom(name)
  quotients.set(name, { of: a, by: b })
  return { size, exact: false }
}

// Multivariate long division by the leading (last) term; gives up when a leading term is not divisible.
function longDivision(a: Size, b: Size): Size | undefined {
  const lead = leading(b)
  let rest = a
  let quotient: Size = { terms: [] }
  for (let step = 0; rest.terms.length > 0; step++) {
    if (step > 16) return undefined
    const top = leading(rest)
    const atoms = without(top.atoms, lead.atoms)
    if (!atoms) return undefined
    const part: Size = { terms: [{ atoms, by: rational(top.by.num * lead.by.den, top.by.den * lead.by.num) }] }
    quotient = plus(quotient, part)
    rest = minus(rest, times(part, b))
  }
  return quotient
}

function leading(size: Size): Term {
  const sorted = [...size.terms].sort((x, y) => y.atoms.length - x.atoms.length || (key(x.atoms) < key(y.atoms) ? -1 : 1))
  return sorted[0] as Term
}

/** Replaces atoms by sizes (also inside quotients). */
export function substitute(size: Size, by: ReadonlyMap<string, Size>): Size {
  let sum: Size = { terms: [] }
  for (const term of size.terms) {
    let product: Size = { terms: [{ atoms: [], by: term.by }] }
    for (const name of term.atoms) product = times(product, substituteAtom(name, by))
    sum = plus(sum, product)
  }
  return sum
}

function substituteAtom(name: string, by: ReadonlyMap<string, Size>): Size {
  const direct = by.get(name)
  if (direct) return direct
  const quotient = quotients.get(name)
  if (!quotient) return atom(name)
  const result = divide(substitute(quotient.of, by), substitute(quotient.by, by))
  return result ? result.size : atom(name)
}

/** As an integer affine expression; undefined if atoms are multiplied or a coefficient is a fraction. */
export function toAffine(size: Size): Affine | undefined {
  let constant = 0
  const terms: (readonly [string, number])[] = []
  for (const term of size.terms) {
    if (term.by.den !== 1 || term.atoms.length > 1) return undefined
    if (term.atoms.length === 0) constant = term.by.num
    else terms.push([term.atoms[0] as string, term.by.num])
  }
  return { const: constant, terms }
}

/** Canonical text: `2*seq + start - 1`, `head_dim/2`. */
export function showSize(size: Size): string {
  if (size.terms.length === 0) return '0'
  const ordered = [...size.terms].sort((a, b) => Number(a.atoms.length === 0) - Number(b.atoms.length === 0))
  return ordered.map(showTerm).join(' + ').replaceAll('+ -', '- ')
}

function showTerm({ atoms, by }: Term): string {
  if (atoms.length === 0) return by.den === 1 ? String(by.num) : `${by.num}/${by.den}`
  const product = atoms.join('*')
  const front = by.num === 1 ? product : by.num === -1 ? `-${product}` : `${by.num}*${product}`
  return by.den === 1 ? front : `${front}/${by.den}`
}
