// How each op is expressed at one point: lower(node, at) is the scalar expression of the node's element at these indices. Views
// are index maps, pointwise ops calls, reductions definitions over fresh axes. A node that the caller has as an operand is
// loaded instead. Expressions are interned by (node, indices), and a reduced axis is named by its extent and by what is free
// at the point, so two reductions over rows of one length share the axis and equal definitions are one.

import { constant, equals, isConstant, range, show, subtract } from '../../dsl/affine.ts'
import type { ReduceOp } from '../../dsl/sink.ts'
import { LlamacError } from '../../runtime/error.ts'
import { within } from '../limits.ts'
import type { Affine, Dtype, Node, OpName } from '../graph/types.ts'
import { axesOfExpr, callExpr, constExpr, f32Max, indexExpr, positionOf, showExpr } from './expression.ts'
import { addIndex, axesOfIndex, divIndex, indexAxis, indexConst, indexOfAffine, modIndex, scaleIndex, showIndex } from './index-map.ts'
import type { IndexScope } from './index-map.ts'
import type { AxisId, Expr, Index } from './types.ts'

/** A definition while its kernel is being built; `value` expressions name it by its place in `Lowering.drafts`. */
export interface Draft {
  readonly dtype: Dtype
  readonly free: readonly AxisId[]
  readonly over: readonly AxisId[]
  readonly combine?: ReduceOp
  readonly body: Expr
  /** The reduction that it came from; absent for shared values. */
  readonly node?: Node
}

export interface LoweringOptions {
  readonly symbols: IndexScope['symbols']
  /** The operand's number if the node is in memory here; undefined if it is computed on the spot. */
  readonly operand: (node: Node) => number | undefined
  /** Axes to write as outer·by + inner. */
  readonly splits: ReadonlyMap<AxisId, number>
  /** Axes that stand at one position for now (unrolling); may change between calls of `lower`. */
  readonly fixed: ReadonlyMap<AxisId, number>
}

type Rule<Op extends OpName> = (node: Node<Op>, at: readonly Index[], l: Lowering) => Expr

export class Lowering {
  readonly drafts: Draft[] = []
  readonly extents = new Map<AxisId, Affine>()
  readonly scope: IndexScope
  readonly #options: LoweringOptions
  readonly #memo = new Map<string, Expr>()
  readonly #interned = new Map<string, Expr>()
  readonly #numbers = new Map<Expr, number>()
  readonly #names = new Map<string, string>()

  constructor(options: LoweringOptions) {
    this.#options = options
    this.scope = { extents: this.extents, symbols: options.symbols }
  }

  /** The node's element at these indices. */
  lower(node: Node, at: readonly Index[]): Expr {
    const key = `${node.id}:${at.map(showIndex).join()}`
    const known = this.#memo.get(key)
    if (known) return known
    const operand = this.#options.operand(node)
    const expr = operand === undefined ? this.expand(node, at) : this.intern({ kind: 'load', operand, index: at, dtype: node.type.dtype })
    this.#memo.set(key, expr)
    return expr
  }

  /** As `lower`, but computed here even if the node has a place in memory: the root of a kernel. */
  expand<Op extends OpName>(node: Node<Op>, at: readonly Index[]): Expr {
    const rule = rules[node.op] as Rule<Op> | undefined
    if (!rule) throw new Error(`internal: ${node.op} is computed inside a kernel`)
    return this.intern(rule(node, at, this))
  }

  /** One object for equal expressions whose parts are interned. */
  intern(e: Expr): Expr {
    const key = this.#keyOf(e)
    const known = this.#interned.get(key)
    if (known) return known
    this.#interned.set(key, e)
    within('kernel', this.#interned.size, () => 'one kernel')
    this.#numbers.set(e, this.#numbers.size)
    return e
  }

  #keyOf(e: Expr): string {
    if (e.kind !== 'call') return `${showExpr(e)}:${e.kind === 'index' ? '' : e.dtype}`
    return `${e.fn}:${e.dtype}(${e.args.map((arg) => this.#numbers.get(arg) ?? this.#numbers.get(this.intern(arg))).join()})`
  }

  /** An axis as an index: itself, 0 if it has one position, or outer·by + inner where it is to be split. */
  axis(id: AxisId, extent: Affine, parts?: AxisId[]): Index {
    if (isConstant(extent) && extent.const === 1) return indexConst(0)
    const fixed = this.#options.fixed.get(id)
    if (fixed !== undefined) return indexConst(fixed)
    const by = this.#options.splits.get(id)
    if (by === undefined) {
      this.extents.set(id, extent)
      parts?.push(id)
      return indexAxis(id)
    }
    const outer = this.axis(`${id}_0`, quotient(extent, by)!, parts)
    const inner = this.axis(`${id}_1`, constant(by), parts)
    return addIndex(scaleIndex(outer, by, this.scope), inner, this.scope)
  }

  /** Fresh axes for a reduction at a point: named by extent, never one that the point itself uses. */
  reductionAxes(extents: readonly Affine[], at: readonly Index[]): { over: AxisId[]; index: Index[] } {
    const used = new Set<AxisId>()
    for (const index of at) for (const axis of axesOfIndex(index)) used.add(axis)
    const over: AxisId[] = []
    const index = extents.map((extent) => {
      for (let n = 0; ; n++) {
        const key = `${show(extent)}#${n}`
        const id = this.#names.get(key) ?? `k${this.#names.size}`
        this.#names.set(key, id)
        const parts: AxisId[] = []
        const made = this.axis(id, extent, parts)
        if (parts.some((part) => used.has(part))) continue
        for (const part of parts) used.add(part)
        over.push(...parts)
        return made
      }
    })
    return { over, index }
  }

  /** The value of a definition that combines `body` over axes; the body itself if there are none. */
  define(combine: ReduceOp, over: readonly AxisId[], body: Expr, dtype: Dtype, node: Node): Expr {
    if (over.length === 0) return body
    const free = [...this.axesOf(body)].filter((axis) => !over.includes(axis)).sort()
    this.drafts.push({ dtype, free, over, combine, body, node })
    return this.intern({ kind: 'value', definition: this.drafts.length - 1, dtype })
  }

  axesOf(e: Expr): Set<AxisId> {
    return axesOfExpr(e, (definition) => this.drafts[definition]!.free)
  }

  call(fn: Parameters<typeof callExpr>[0], args: readonly Expr[], dtype: Dtype): Expr {
    return this.intern(callExpr(fn, args, dtype, this.scope))
  }
}

/** extent / by when every coefficient divides. */
export function quotient(extent: Affine, by: number): Affine | undefined {
  const all = [extent.const, ...extent.terms.map(([, factor]) => factor)]
  if (all.some((value) => value % by !== 0)) return undefined
  return { const: extent.const / by, terms: extent.terms.map(([name, factor]) => [name, factor / by] as const) }
}

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

const rules: { readonly [Op in OpName]?: Rule<Op> } = {
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

/** Dims that are the same sizes in the same order, ones left out. */
export const sameSpace = (a: readonly Affine[], b: readonly Affine[]): boolean => {
  const [x, y] = [a, b].map((dims) => dims.filter((dim) => !isOne(dim)))
  return x!.length === y!.length && x!.every((dim, i) => equals(dim, y![i]!))
}
