// Integer affine expressions over the symbols of an entry (`seq`, `start`, `src_len`): `2*seq + start - 1`.
// What a size or an index becomes once the config numbers are known. Bounds come from a symbol table.

/** c + Σ terms[s]·s, with every stored coefficient non-zero and symbols in sorted order. */
export interface Affine {
  readonly const: number
  readonly terms: readonly (readonly [symbol: string, factor: number])[]
}

/** Inclusive bounds of each symbol. */
export type Bounds = ReadonlyMap<string, { readonly min: number; readonly max: number }>

/** The value of each symbol in one call. */
export type Binding = Readonly<Record<string, number>>

export const constant = (value: number): Affine => ({ const: value, terms: [] })
export const symbol = (name: string): Affine => ({ const: 0, terms: [[name, 1]] })

export function add(a: Affine, b: Affine): Affine {
  const sums = new Map(a.terms)
  for (const [name, factor] of b.terms) sums.set(name, (sums.get(name) ?? 0) + factor)
  const terms = [...sums].filter(([, factor]) => factor !== 0).sort(([x], [y]) => (x < y ? -1 : x > y ? 1 : 0))
  return { const: a.const + b.const, terms }
}

export function scale(a: Affine, by: number): Affine {
  if (by === 0) return constant(0)
  return { const: a.const * by, terms: a.terms.map(([name, factor]) => [name, factor * by] as const) }
}

export const subtract = (a: Affine, b: Affine): Affine => add(a, scale(b, -1))
export const isConstant = (a: Affine): boolean => a.terms.length === 0
export const equals = (a: Affine, b: Affine): boolean =>
  a.const === b.const &&
  a.terms.length === b.terms.length &&
  a.terms.every(([name, factor], i) => b.terms[i]![0] === name && b.terms[i]![1] === factor)

/** The product, if at least one side is constant; else undefined. */
export function multiply(a: Affine, b: Affine): Affine | undefined {
  if (isConstant(a)) return scale(b, a.const)
  if (isConstant(b)) return scale(a, b.const)
  return undefined
}

export function evaluate(a: Affine, binding: Binding): number {
  let sum = a.const
  for (const [name, factor] of a.terms) {
    const value = binding[name]
    if (value === undefined) throw new Error(`internal: no value for the symbol ${name}`)
    sum += factor * value
  }
  return sum
}

/** Smallest and largest value under the symbols' bounds (symbols taken as independent). */
export function range(a: Affine, bounds: Bounds): { min: number; max: number } {
  let min = a.const
  let max = a.const
  for (const [name, factor] of a.terms) {
    const bound = bounds.get(name)
    if (!bound) throw new Error(`internal: no bounds for the symbol ${name}`)
    min += factor * (factor > 0 ? bound.min : bound.max)
    max += factor * (factor > 0 ? bound.max : bound.min)
  }
  return { min, max }
}

/** Canonical text: `start + seq`, `2*seq - 1`, `0`. */
export function show(a: Affine): string {
  const parts = a.terms.map(([name, factor]) => (factor === 1 ? name : `${factor}*${name}`))
  if (a.const !== 0 || parts.length === 0) parts.push(String(a.const))
  return parts.join(' + ').replaceAll('+ -', '- ')
}
