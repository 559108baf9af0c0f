// How each op is expressed at one point: views are index maps, pointwise ops calls, reductions definitions over fresh axes.

import { constant, isConstant, range, show, subtract } from '../../dsl/affine.ts'
import type { ReduceOp } from '../../dsl/sink.ts'
import { LlamacError } from '../../runtime/error.ts'
import type { Affine, Dtype, Node, OpName } from '../graph/types.ts'
import { constExpr, f32Max, indexExpr, positionOf } from './expression.ts'
import { addIndex, divIndex, indexConst, indexOfAffine, modIndex, scaleIndex } from './index-map.ts'
import type { Lowering, Rule } from './lower.ts'
import type { Expr, Index } from './types.ts'

const isOne = (dim: Affine): boolean => isConstant(dim) && dim.const === 1

function symbolic(dims: readonly Affine[]): never {
  throw new LlamacError(
    'K101',
    `the axes [${dims.map(show).join(', ')}] cannot be merged or split here: only the outermost may have a size known at run time`,
  )
}

/** Row-major position over dims; only the first dim that is not 1 may be symbolic. */
function joinIndex(at: readonly Index[], dims: readonly Affine[], l: Lowering): Index {
  let flat: Index = indexConst(0)
  let first = true
  at.forEach((index, i) => {
    if (isOne(dims[i]!)) return
    if (!first && !isConstant(dims[i]!)) symbolic(dims)
    flat = addIndex(scaleIndex(flat, first ? 1 : dims[i]!.const, l.scope), index, l.scope)
    first = false
  })
  return flat
}

/** The row-major position taken apart over dims. */
function separateIndex(flat: Index, dims: readonly Affine[], l: Lowering): Index[] {
  const first = dims.findIndex((dim) => !isOne(dim))
  const at: Index[] = dims.map(() => indexConst(0))
  let rest = flat
  for (let i = dims.length - 1; i >= Math.max(0, first); i--) {
    if (i === first) at[i] = rest
    else if (!isConstant(dims[i]!)) symbolic(dims)
    else if (dims[i]!.const > 0) {
      at[i] = modIndex(rest, dims[i]!.const, l.scope)
      rest = divIndex(rest, dims[i]!.const, l.scope)
    }
  }
  return at
}

const replaced = (at: readonly Index[], axis: number, count: number, ...by: Index[]): Index[] => [
  ...at.slice(0, axis),
  ...by,
  ...at.slice(axis + count),
]

/** A position of a part that may lie outside it: such a value is not chosen, but its load must stay inside. */
const inside = (index: Index, dim: Affine, l: Lowering): Index => positionOf(indexExpr(index), dim, l.scope)

const half = (dtype: Dtype): boolean => dtype === 'f16' || dtype === 'bf16'

/** What a sum accumulates in: half floats in f32, integers of 8 bits in i32. */
const wide = (dtype: Dtype): Dtype => (half(dtype) ? 'f32' : dtype === 'i8' || dtype === 'u8' ? 'i32' : dtype)

/** The accumulated value, rounded or wrapped once. */
const rounded = (value: Expr, dtype: Dtype, l: Lowering): Expr => (wide(dtype) === dtype ? value : l.call('cast', [value], dtype))

/** At most this many elements of a constant row are written out one by one. */
const unrollLimit = 4

/** Ops without a rule are kernels of their own, or have a place in memory. */
export const rules: { readonly [Op in OpName]?: Rule<Op> } = {
  literal: (node) => constExpr(node.attributes.value, node.type.dtype),
  size: (node) => indexExpr(indexOfAffine(node.attributes.value)),
  iota: (_node, [at]) => indexExpr(at!),
  unary: (node, at, l) => l.call(node.attributes.fn, [l.lower(node.operands[0]!, at)], node.type.dtype),
  binary: (node, at, l) =>
    l.call(
      node.attributes.fn,
      node.operands.map((operand) => l.lower(operand, at)),
      node.type.dtype,
    ),
  where: (node, at, l) =>
    l.call(
      'where',
      node.operands.map((operand) => l.lower(operand, at)),
      node.type.dtype,
    ),
  cast: (node, at, l) => l.call('cast', [l.lower(node.operands[0]!, at)], node.type.dtype),
  broadcast: (node, at, l) =>
    l.lower(
      node.operands[0]!,
      node.attributes.places.map((place) => at[place]!),
    ),
  split(node, at, l) {
    const { axis, sizes } = node.attributes
    return l.lower(node.operands[0]!, replaced(at, axis, sizes.length, joinIndex(at.slice(axis, axis + sizes.length), sizes, l)))
  },
  merge(node, at, l) {
    const { axis, count } = node.attributes
    return l.lower(
      node.operands[0]!,
      replaced(at, axis, 1, ...separateIndex(at[axis]!, node.operands[0]!.type.dims.slice(axis, axis + count), l)),
    )
  },
  transpose(node, at, l) {
    const from: Index[] = []
    node.attributes.order.forEach((axis, i) => (from[axis] = at[i]!))
    return l.lower(node.operands[0]!, from)
  },
  slice(node, at, l) {
    const { axis, start } = node.attributes
    return l.lower(node.operands[0]!, replaced(at, axis, 1, addIndex(at[axis]!, indexOfAffine(start), l.scope)))
  },
  pick: (node, at, l) => l.lower(node.operands[0]!, replaced(at, node.attributes.axis, 0, indexOfAffine(node.attributes.at))),
  concat(node, at, l) {
    const { axis } = node.attributes
    const part = (i: number, offset: Affine): Expr => {
      const operand = node.operands[i]!
      const dim = operand.type.dims[axis]!
      const within = addIndex(at[axis]!, indexOfAffine(subtract(constant(0), offset)), l.scope)
      const last = i === node.operands.length - 1
      const value = l.lower(operand, replaced(at, axis, 1, inside(within, dim, l)))
      if (last) return value
      const end = subtract(offset, subtract(constant(0), dim))
      return l.call(
        'where',
        [l.call('lt', [indexExpr(at[axis]!), indexExpr(indexOfAffine(end))], 'bool'), value, part(i + 1, end)],
        node.type.dtype,
      )
    }
    return part(0, constant(0))
  },
  pad(node, at, l) {
    const { axis, before, value } = node.attributes
    const dim = node.operands[0]!.type.dims[axis]!
    const within = addIndex(at[axis]!, indexOfAffine(subtract(constant(0), before)), l.scope)
    const valid = l.call(
      'and',
      [
        l.call('ge', [indexExpr(within), constExpr(0, 'i32')], 'bool'),
        l.call('lt', [indexExpr(within), indexExpr(indexOfAffine(dim))], 'bool'),
      ],
      'bool',
    )
    return l.call(
      'where',
      [valid, l.lower(node.operands[0]!, replaced(at, axis, 1, inside(within, dim, l))), constExpr(value, node.type.dtype)],
      node.type.dtype,
    )
  },
  gather(node, at, l) {
    const { axis, shared } = node.attributes
    const [x, index] = node.operands as [Node, Node]
    const walked = new Map(shared)
    const own = index.type.dims.length - shared.length
    // Place in the result of each axis of x.
    const place = (a: number): number => (a < axis ? a : a - 1 + own)
    const byX = new Map([...walked].map(([a, b]) => [b, at[place(a)]!] as const))
    let next = axis
    const indexAt = index.type.dims.map((_, b) => byX.get(b) ?? at[next++]!)
    const dim = x.type.dims[axis]!
    const position = positionOf(l.lower(index, indexAt), dim, l.scope)
    const value = l.lower(
      x,
      x.type.dims.map((_, a) => (a === axis ? position : at[place(a)]!)),
    )
    // An element of nothing is 0: no position is inside.
    if (range(dim, l.scope.symbols).min > 0) return value
    const filled = l.call('lt', [constExpr(0, 'i32'), indexExpr(indexOfAffine(dim))], 'bool')
    return l.call('where', [filled, value, constExpr(0, node.type.dtype)], node.type.dtype)
  },
  reduce(node, at, l) {
    const { fn, axes } = node.attributes
    const x = node.operands[0]!
    // The order of unsigned numbers is that of the signed ones when both are moved by 2^31.
    const moved = x.type.dtype === 'u32' && fn !== 'sum'
    const dtype = moved ? 'i32' : wide(node.type.dtype)
    const pointAt = (inner: readonly Index[]): Expr => {
      let outer = 0
      const index = x.type.dims.map((_, axis) => (axes.includes(axis) ? inner[axes.indexOf(axis)]! : at[outer++]!))
      const value = l.lower(x, index)
      if (moved) return l.call('cast', [l.call('add', [value, constExpr(2147483648, 'u32')], 'u32')], 'i32')
      return (half(x.type.dtype) && dtype === 'f32' && fn === 'sum') || dtype === 'i32' ? l.call('cast', [value], dtype) : value
    }
    const extents = axes.map((axis) => x.type.dims[axis]!)
    if (extents.some((extent) => isConstant(extent) && extent.const === 0)) return constExpr(0, node.type.dtype)
    const few = constantPoints(extents)
    const points = few?.map(pointAt)
    const value = points?.every((point) => !mentionsDefinition(point))
      ? points.reduce((a, b) => l.call(fn === 'sum' ? 'add' : fn, [a, b], dtype))
      : overAxes(fn, extents, at, pointAt, dtype, node, l)
    if (moved) return l.call('add', [l.call('cast', [value], 'u32'), constExpr(2147483648, 'u32')], 'u32')
    return rounded(fn === 'sum' ? value : unmasked(fn, value, dtype, l), node.type.dtype, l)
  },
  dot(node, at, l) {
    const { contract, batch } = node.attributes
    const [a, b] = node.operands as [Node, Node]
    const dtype = wide(node.type.dtype)
    const product = (inner: readonly Index[]): Expr => {
      let next = 0
      const left = a.type.dims.map((_, axis) => {
        const pair = contract.findIndex(([x]) => x === axis)
        return pair >= 0 ? inner[pair]! : at[next++]!
      })
      const right = b.type.dims.map((_, axis) => {
        const pair = contract.findIndex(([, y]) => y === axis)
        if (pair >= 0) return inner[pair]!
        const shared = batch.find(([, y]) => y === axis)
        return shared ? left[shared[0]]! : at[next++]!
      })
      const factor = (x: Expr, from: Dtype): Expr => (wide(from) === dtype ? l.call('cast', [x], dtype) : x)
      return l.call('mul', [factor(l.lower(a, left), a.type.dtype), factor(l.lower(b, right), b.type.dtype)], dtype)
    }
    const extents = contract.map(([x]) => a.type.dims[x]!)
    const value = extents.length === 0 ? product([]) : overAxes('sum', extents, at, product, dtype, node, l)
    return rounded(value, node.type.dtype, l)
  },
}

/** Every point of a few constant positions, or undefined. */
function constantPoints(extents: readonly Affine[]): Index[][] | undefined {
  if (!extents.every(isConstant)) return undefined
  const count = extents.reduce((product, extent) => product * extent.const, 1)
  if (count < 1 || count > unrollLimit) return undefined
  return extents.reduce<Index[][]>(
    (points, extent) => points.flatMap((point) => Array.from({ length: extent.const }, (_, i) => [...point, indexConst(i)])),
    [[]],
  )
}

function overAxes(
  fn: ReduceOp,
  extents: readonly Affine[],
  at: readonly Index[],
  body: (inner: Index[]) => Expr,
  dtype: Dtype,
  node: Node,
  l: Lowering,
): Expr {
  const { over, index } = l.reductionAxes(extents, at)
  return l.define(fn, over, body(index), dtype, node)
}

/** A max (min) over nothing, or over masked places only, is 0. */
function unmasked(fn: ReduceOp, value: Expr, dtype: Dtype, l: Lowering): Expr {
  if (dtype !== 'f32' && dtype !== 'i32') return value
  const [least, most] = dtype === 'f32' ? [-f32Max, f32Max] : [-2147483648, 2147483647]
  const limit = constExpr(fn === 'max' ? least : most, dtype)
  return l.call('where', [l.call(fn === 'max' ? 'le' : 'ge', [value, limit], 'bool'), constExpr(0, dtype), value], dtype)
}

function mentionsDefinition(e: Expr): boolean {
  if (e.kind === 'value') return true
  if (e.kind === 'call') return e.args.some(mentionsDefinition)
  return false
}
