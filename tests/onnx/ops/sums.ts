// Reductions, products of matrices, and what is made of them: softmax and the norms.

import type { ReduceOp } from '../../../dsl/sink.ts'
import type { Node } from '../../../compiler/graph/types.ts'
import { axisOf, count, dimsOf, rank, type Translator } from '../translate.ts'
import type { Call, Row, Rows } from './row.ts'

const pairs = (from: number, many: number): [number, number][] => Array.from({ length: many }, (_, i) => [from + i, from + i])

/** The reduction over the node's axes: an attribute or the second input; all of them where none is given. */
const reduction =
  (make: (t: Translator, x: Node, axes: readonly number[], keep: boolean) => Node): Row =>
  (c) => {
    const x = c.x(0)
    const all = dimsOf(x).map((_, axis) => axis)
    const given = c.list('axes', 1) ?? []
    const axes = given.length > 0 ? given.map((axis) => axisOf(axis, rank(x))) : c.number('noop_with_empty_axes', 0) === 1 ? [] : all
    return c.gives(
      make(
        c.t,
        x,
        axes.sort((a, b) => a - b),
        c.number('keepdims', 1) === 1,
      ),
    )
  }

/** Truth values are compared as integers. Over nothing, llamac's max and min are 0. */
const extreme =
  (fn: ReduceOp): Row =>
  (c) => {
    if (dimsOf(c.x(0)).includes(0)) c.missing(`${fn} over nothing`)
    return overAxes(fn)(c)
  }

const overAxes = (fn: ReduceOp): Row =>
  reduction((t, x, axes, keep) =>
    x.type.dtype === 'bool' ? t.cast(t.reduce(fn, t.cast(x, 'i32'), axes, keep), 'bool') : t.reduce(fn, x, axes, keep),
  )

const square = (t: Translator, x: Node): Node => t.binary('mul', x, x)

/** Two matrices or stacks of them; a vector stands for a matrix of one row or column. */
function matmul(t: Translator, a: Node, b: Node): Node {
  const [left, right] = [rank(a) === 1 ? t.unsqueeze(a, [0]) : a, rank(b) === 1 ? t.unsqueeze(b, [1]) : b]
  const stack = Math.max(rank(left), rank(right)) - 2
  const [l, r] = [dimsOf(left), dimsOf(right)]
  const outer = Array.from({ length: stack }, (_, i) => {
    const sizes = [l[i - stack + l.length - 2], r[i - stack + r.length - 2]]
    return sizes.find((size) => size !== undefined && size !== 1) ?? 1
  })
  const product = t.dot(
    t.expand(left, [...outer, ...l.slice(-2)]),
    t.expand(right, [...outer, ...r.slice(-2)]),
    [[stack + 1, stack]],
    pairs(0, stack),
  )
  return t.squeeze(product, [...(rank(a) === 1 ? [stack] : []), ...(rank(b) === 1 ? [stack + 1] : [])])
}

/** Integers minus their zero point, which may stand for a whole row or column. */
function centred(c: Call, index: number, zero: Node | undefined, axis: number): Node {
  const x = c.t.cast(c.x(index), 'i32')
  if (!zero) return x
  const point = c.t.cast(zero, 'i32')
  const single = count(dimsOf(point)) === 1
  return c.t.binary('sub', x, single ? c.t.reshape(point, []) : c.t.place(point, dimsOf(x), [axis]))
}

/** Sums up to each position: a product with a triangle of ones. */
function running(c: Call): Node {
  const { t } = c
  const x = c.x(0)
  const axis = axisOf(t.known(c.x(1))[0]!, rank(x))
  const n = dimsOf(x)[axis]!
  const [from, to] = [t.positions([n, n], 0), t.positions([n, n], 1)]
  const compare = c.number('exclusive', 0) === 1 ? 'lt' : 'le'
  const seen = c.number('reverse', 0) === 1 ? t.binary(compare, to, from) : t.binary(compare, from, to)
  const product = t.dot(x, t.cast(seen, x.type.dtype), [[axis, 0]], [])
  const order = dimsOf(x).map((_, i) => (i < axis ? i : i === axis ? rank(x) - 1 : i - 1))
  return t.transpose(product, order)
}

function logSoftmax(c: Call): Node {
  const axis = c.axis(-1)
  const below = c.t.binary('sub', c.x(0), c.t.reduce('max', c.x(0), [axis], true))
  return c.t.binary('sub', below, c.t.unary('log', c.t.reduce('sum', c.t.unary('exp', below), [axis], true)))
}

/** All axes from `axis` on. */
const trailing = (c: Call): number[] => dimsOf(c.x(0)).flatMap((_, i) => (i >= c.axis(-1) ? [i] : []))

function layerNorm(c: Call): ReturnType<Row> {
  const { t } = c
  const x = t.cast(c.x(0), 'f32')
  const mean = t.mean(x, trailing(c), true)
  const deviation = t.binary('sub', x, mean)
  const inverse = t.unary('rsqrt', t.with('add', t.mean(square(t, deviation), trailing(c), true), c.number('epsilon', 1e-5)))
  const scaled = t.binary('mul', t.cast(t.binary('mul', deviation, inverse), c.x(0).type.dtype), c.x(1))
  const bias = c.optional(2)
  return [c.gives(bias ? t.binary('add', scaled, bias) : scaled), c.gives(mean, 'float32'), c.gives(inverse, 'float32')].flat()
}

function rmsNorm(c: Call): Node {
  const { t } = c
  const x = t.cast(c.x(0), 'f32')
  const inverse = t.unary('rsqrt', t.with('add', t.mean(square(t, x), trailing(c), true), c.number('epsilon', 1e-5)))
  return t.binary('mul', t.cast(t.binary('mul', x, inverse), c.x(0).type.dtype), c.x(1))
}

function lpNorm(c: Call): Node {
  const { t } = c
  const x = c.x(0)
  const p = c.number('p', 2)
  const total = (terms: Node): Node => t.reduce('sum', terms, [c.axis(-1)], true)
  return t.binary('div', x, p === 1 ? total(t.unary('abs', x)) : t.unary('sqrt', total(square(t, x))))
}

/** Channels (axis 1) in groups, each normalised over its channels and all later axes. */
function groupNorm(c: Call): Node {
  const { t } = c
  const dims = dimsOf(c.x(0))
  const groups = c.number('num_groups', 1)
  const x = t.split(c.x(0), 1, groups, dims[1]! / groups)
  const axes = dimsOf(x).flatMap((_, i) => (i >= 2 ? [i] : []))
  const deviation = t.binary('sub', x, t.mean(x, axes, true))
  const inverse = t.unary('rsqrt', t.with('add', t.mean(square(t, deviation), axes, true), c.number('epsilon', 1e-5)))
  const normed = t.merge(t.binary('mul', deviation, inverse), 1, 2)
  return t.binary('add', t.binary('mul', normed, t.place(c.x(1), dims, [1])), t.place(c.x(2), dims, [1]))
}

function gemm(c: Call): Node {
  const { t } = c
  const turned = (index: number, name: string): Node => (c.number(name, 0) === 1 ? t.transpose(c.x(index), [1, 0]) : c.x(index))
  const product = t.with('mul', t.dot(turned(0, 'transA'), turned(1, 'transB'), [[1, 0]], []), c.number('alpha', 1))
  const added = c.optional(2)
  return added ? t.binary('add', product, t.with('mul', added, c.number('beta', 1))) : product
}

export const sums: Rows = {
  ReduceSum: reduction((t, x, axes, keep) => t.reduce('sum', x, axes, keep)),
  ReduceMax: extreme('max'),
  ReduceMin: extreme('min'),
  ReduceMean: reduction((t, x, axes, keep) => t.mean(x, axes, keep)),
  ReduceSumSquare: reduction((t, x, axes, keep) => t.reduce('sum', square(t, x), axes, keep)),
  CumSum: (c) => c.gives(running(c)),
  MatMul: (c) => c.gives(matmul(c.t, c.x(0), c.x(1))),
  MatMulInteger: (c) => c.gives(matmul(c.t, centred(c, 0, c.optional(2), 0), centred(c, 1, c.optional(3), 1)), 'int32'),
  Gemm: (c) => c.gives(gemm(c)),
  Softmax: (c) => c.gives(c.t.softmax(c.x(0), c.axis(-1))),
  LogSoftmax: (c) => c.gives(logSoftmax(c)),
  LayerNormalization: layerNorm,
  RMSNormalization: (c) => c.gives(rmsNorm(c)),
  LpNormalization: (c) => c.gives(lpNorm(c)),
  GroupNormalization: (c) => c.gives(groupNorm(c)),
}
