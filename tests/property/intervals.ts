// Where values of a growing graph can lie: one interval per node, sound for every input of its pattern. With it the generator
// keeps functions inside their domains and numbers finite, so that graphs are free of NaN by construction.

import { type Affine, type Bounds, range } from '../../dsl/affine.ts'
import { is, type Dtype, type Node } from '../../compiler/graph/types.ts'

export interface Interval {
  readonly lo: number
  readonly hi: number
}

export const sizeOf = ({ lo, hi }: Interval): number => Math.max(Math.abs(lo), Math.abs(hi))
const around = (size: number): Interval => ({ lo: -size, hi: size })
const union = (...parts: readonly Interval[]): Interval => ({
  lo: Math.min(...parts.map(({ lo }) => lo)),
  hi: Math.max(...parts.map(({ hi }) => hi)),
})
const corners = (a: Interval, b: Interval, apply: (x: number, y: number) => number): Interval => {
  const values = [apply(a.lo, b.lo), apply(a.lo, b.hi), apply(a.hi, b.lo), apply(a.hi, b.hi)]
  return { lo: Math.min(...values), hi: Math.max(...values) }
}
const truth: Interval = { lo: 0, hi: 1 }
const anyInteger: Interval = { lo: -2147483648, hi: 2147483647 }

type Rule = (a: Interval, b: Interval) => Interval

const unary: Readonly<Record<string, (x: Interval) => Interval>> = {
  neg: ({ lo, hi }) => ({ lo: -hi, hi: -lo }),
  abs: (x) => ({ lo: x.lo <= 0 && x.hi >= 0 ? 0 : Math.min(Math.abs(x.lo), Math.abs(x.hi)), hi: sizeOf(x) }),
  exp: ({ lo, hi }) => ({ lo: Math.exp(lo), hi: Math.exp(hi) }),
  log: ({ lo, hi }) => ({ lo: Math.log(lo), hi: Math.log(hi) }),
  sqrt: ({ lo, hi }) => ({ lo: Math.sqrt(lo), hi: Math.sqrt(hi) }),
  rsqrt: ({ lo, hi }) => ({ lo: 1 / Math.sqrt(hi), hi: 1 / Math.sqrt(lo) }),
  floor: ({ lo, hi }) => ({ lo: Math.floor(lo), hi: Math.floor(hi) }),
  sin: () => around(1),
  cos: () => around(1),
  tanh: () => around(1),
  erf: () => around(1),
  not: () => truth,
}

const binary: Readonly<Record<string, Rule>> = {
  add: (a, b) => ({ lo: a.lo + b.lo, hi: a.hi + b.hi }),
  sub: (a, b) => ({ lo: a.lo - b.hi, hi: a.hi - b.lo }),
  mul: (a, b) => corners(a, b, (x, y) => x * y),
  div: (a, b) => (b.lo <= 0 && b.hi >= 0 ? around(sizeOf(a)) : corners(a, b, (x, y) => x / y)),
  mod: (_, b) => around(sizeOf(b)),
  pow: (a, b) => corners(a, b, Math.pow),
  min: (a, b) => ({ lo: Math.min(a.lo, b.lo), hi: Math.min(a.hi, b.hi) }),
  max: (a, b) => ({ lo: Math.max(a.lo, b.lo), hi: Math.max(a.hi, b.hi) }),
}

const integerRanges: Readonly<Partial<Record<Dtype, Interval>>> = { i32: anyInteger, bool: truth }

const most = (dims: readonly Affine[], bounds: Bounds): number =>
  dims.reduce((count, dim) => count * Math.max(0, range(dim, bounds).max), 1)

/** The interval of a new node from those of its operands. Leaves and parameters are given by whoever makes them. */
export function intervalOf(node: Node, operands: readonly Interval[], bounds: Bounds): Interval {
  const exact = rawInterval(node, operands, bounds)
  const limit = integerRanges[node.type.dtype]
  // Integers wrap: outside of the type, they may be anything in it.
  return limit && (exact.lo < limit.lo || exact.hi > limit.hi) ? limit : exact
}

function rawInterval(node: Node, operands: readonly Interval[], bounds: Bounds): Interval {
  const [a, b] = operands as [Interval, Interval]
  const x = node.operands[0]
  if (is(node, 'literal')) return { lo: node.attributes.value, hi: node.attributes.value }
  if (is(node, 'size')) {
    const { min, max } = range(node.attributes.value, bounds)
    return { lo: min, hi: max }
  }
  if (is(node, 'iota')) return { lo: 0, hi: Math.max(0, range(node.attributes.n, bounds).max - 1) }
  if (is(node, 'unary')) return unary[node.attributes.fn]!(a)
  if (is(node, 'binary')) return node.type.dtype === 'bool' ? truth : binary[node.attributes.fn]!(a, b)
  if (is(node, 'where')) return union(...operands.slice(1))
  if (is(node, 'cast'))
    return node.type.dtype === 'bool'
      ? truth
      : node.type.dtype === 'i32'
        ? { lo: Math.max(anyInteger.lo, Math.trunc(a.lo)), hi: Math.min(anyInteger.hi, Math.trunc(a.hi)) }
        : a
  if (is(node, 'reduce')) {
    const zero: Interval = { lo: 0, hi: 0 }
    if (node.attributes.fn !== 'sum') return union(a, zero)
    const count = most(
      node.attributes.axes.map((axis) => x!.type.dims[axis]!),
      bounds,
    )
    return union({ lo: a.lo * count, hi: a.hi * count }, a, zero)
  }
  if (is(node, 'dot')) {
    const count = most(
      node.attributes.contract.map(([axis]) => x!.type.dims[axis]!),
      bounds,
    )
    return around(count * sizeOf(a) * sizeOf(b))
  }
  if (is(node, 'pad')) return union(a, { lo: node.attributes.value, hi: node.attributes.value })
  if (is(node, 'gather')) return a
  if (is(node, 'topk')) return node.attributes.part === 'values' ? a : { lo: 0, hi: most([x!.type.dims[node.attributes.axis]!], bounds) }
  if (is(node, 'quantise')) return around(sizeOf(a) * 1.01)
  if (is(node, 'concat')) return union(...operands)
  if (operands.length === 0) throw new Error(`a ${node.op} must be given its interval`)
  return a
}
