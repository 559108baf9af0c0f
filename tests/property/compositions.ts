// What models are made of, as random graphs meet it: norms, projections, attention over a cache or a ring, experts, embeddings,
// position tables, convolutions. Written so that every pass finds its pattern and every schedule its shape, at sizes that are
// multiples of nothing. Each takes rows [seq, width] from the pool and gives its values back to it.

import { add, constant, evaluate, isConstant, subtract, symbol } from '../../dsl/affine.ts'
import type { Node } from '../../compiler/graph/types.ts'
import { type Grower, isRow } from './grower.ts'
import type { Sizes } from './shapes.ts'

export const seq = symbol('seq')
export const start = symbol('start')

/** Where a composition grows: sizes, and what stands before the paths of its weights and states ('' or `layers[*].`). */
export interface Place {
  readonly g: Grower
  readonly sizes: Sizes
  readonly prefix: string
  /** States may be stored to only where the region owns them. */
  readonly stores: boolean
}

export const weight = ({ g, prefix, sizes }: Place, name: string): Node => g.weight(prefix + name, sizes.magnitude(prefix + name))

/** The newest rows [seq, width], or older ones. */
export const rows = ({ g, sizes }: Place): Node => g.find((type) => isRow(type, sizes.width, seq))!

function softmax(g: Grower, x: Node, axis: number): Node {
  const places = x.type.dims.map((_, i) => i).filter((i) => i !== axis)
  const most = g.reduce('max', x, [axis])
  const shifted = g.given(g.builder.binary('sub', x, g.along(most, x, places), g.builderSpan), { lo: -1e30, hi: 0 })
  const powers = g.given(g.builder.unary('exp', shifted, g.builderSpan), { lo: 0, hi: 1 })
  const sum = g.reduce('sum', powers, [axis])
  return g.given(g.builder.binary('div', powers, g.along(sum, powers, places), g.builderSpan), { lo: 0, hi: 1 })
}

function normalise(place: Place, x: Node, kind: number): Node {
  const { g, sizes } = place
  const centred = kind === 1 ? g.binary('sub', x, g.along(g.times(g.reduce('sum', x, [1]), 1 / sizes.width), x, [0])) : x
  const mean = g.times(g.reduce('sum', g.binary('mul', centred, centred), [1]), 1 / sizes.width)
  const scaled = g.binary('mul', centred, g.along(g.unary('rsqrt', g.plus(mean, 0.01)), x, [0]))
  const gained = g.binary('mul', scaled, g.along(weight(place, 'gain'), x, [1]))
  return kind === 1 ? g.binary('add', gained, g.along(weight(place, 'bias'), x, [1])) : gained
}

const norm = (place: Place): void => {
  const { g } = place
  g.push(normalise(place, rows(place), g.choices.integer(0, 1)))
}

const activate = (g: Grower, x: Node): Node => {
  const kind = g.choices.integer(0, 3)
  if (kind === 0) return g.binary('mul', x, g.binary('div', g.fill(1, x), g.plus(g.unary('exp', g.unary('neg', x)), 1)))
  if (kind === 1) return g.binary('max', x, g.fill(0, x))
  const inner = kind === 2 ? g.unary('erf', g.times(x, Math.SQRT1_2)) : g.unary('tanh', g.times(x, 0.8))
  return g.binary('mul', g.times(x, 0.5), g.plus(inner, 1))
}

/** Gate and up share their activations; down ends in the residual. */
const feedForward = (place: Place): void => {
  const { g } = place
  const x = rows(place)
  const from = g.chance(2) ? normalise(place, x, 0) : x
  const up = g.dot(from, weight(place, 'up'), [[1, 1]])
  const inner = g.chance(3) ? activate(g, up) : g.binary('mul', activate(g, g.dot(from, weight(place, 'gate'), [[1, 1]])), up)
  g.push(inner, g.binary('add', x, g.dot(inner, weight(place, 'down'), [[1, 1]])))
}

/** cos and sin of positions from `start` on: [seq, half]. */
function angles(g: Grower, half: number): { cos: Node; sin: Node } {
  const positions = g.cast(g.binary('add', g.along(g.size(start), g.iota(seq), []), g.iota(seq)), 'f32')
  const rates = g.unary('exp', g.times(g.cast(g.iota(constant(half)), 'f32'), -1.5 / half))
  const angle = g.dot(positions, rates, [])
  return { cos: g.unary('cos', angle), sin: g.unary('sin', angle) }
}

function rotate(g: Grower, x: Node, head: number): Node {
  const half = Math.floor(head / 2)
  const { cos, sin } = angles(g, half)
  const [a, b] = [0, half].map((from) => g.slice(x, 2, constant(from), constant(half))) as [Node, Node]
  const [c, s] = [cos, sin].map((each) => g.along(each, a, [0, 2])) as [Node, Node]
  const left = g.binary('sub', g.binary('mul', a, c), g.binary('mul', b, s))
  const right = g.binary('add', g.binary('mul', b, c), g.binary('mul', a, s))
  const rest = head % 2 === 1 ? [g.slice(x, 2, constant(2 * half), constant(1))] : []
  return g.concat([left, right, ...rest], 2)
}

/** Positions that query i sees: [seq, positions], from each position's own number. */
function sees(g: Grower, keys: Node, window: number | undefined): Node {
  const queries = g.binary('add', g.along(g.size(start), g.iota(seq), []), g.iota(seq))
  const dims = [seq, keys.type.dims[0]!]
  const [q, k] = [g.broadcast(queries, dims, [0]), g.broadcast(keys, dims, [1])]
  const before = g.binary('le', k, q)
  return window === undefined ? before : g.binary('and', before, g.binary('lt', g.binary('sub', q, k), g.fill(window, k)))
}

interface Projected {
  readonly x: Node
  readonly q: Node
  readonly k: Node
  readonly v: Node
}

function project(place: Place): Projected {
  const { g, sizes } = place
  const x = rows(place)
  const from = g.chance(2) ? normalise(place, x, g.choices.integer(0, 1)) : x
  const [q, k, v] = ['wq', 'wk', 'wv'].map((name) => g.dot(from, weight(place, name), [[1, 2]])) as [Node, Node, Node]
  return g.chance(2) ? { x, q: rotate(g, q, sizes.head), k: rotate(g, k, sizes.head), v } : { x, q, k, v }
}

/** Grouped-query attention of q over keys and values [positions, groups, head], and the way back to rows. */
function attend(place: Place, { x, q }: Projected, keys: Node, values: Node, mask: Node): void {
  const { g, sizes } = place
  const grouped = g.split(q, 1, [sizes.groups, sizes.heads / sizes.groups])
  const scores = g.times(g.dot(grouped, keys, [[3, 2]], [[1, 1]]), 1 / Math.sqrt(sizes.head))
  const lowest = g.broadcast(g.given(g.builder.literal(-Infinity, 'f32', g.builderSpan), { lo: 0, hi: 0 }), scores.type.dims, [])
  const shares = softmax(g, g.where(g.along(mask, scores, [0, 3]), scores, lowest), 3)
  const mixed = g.merge(g.dot(shares, values, [[3, 0]], [[1, 1]]), 1, 2)
  const out = g.dot(mixed, weight(place, 'wo'), [
    [1, 1],
    [2, 2],
  ])
  g.push(mixed, g.binary('add', x, out))
}

const attention = (place: Place): void => {
  const { g, prefix, sizes, stores } = place
  const made = project(place)
  if (!stores) {
    const mask = sees(g, g.binary('add', g.along(g.size(start), g.iota(seq), []), g.iota(seq)), undefined)
    attend(place, made, made.k, made.v, mask)
    return
  }
  const [k, v] = [made.k, made.v].map((node) => g.tame(node, 8)) as [Node, Node]
  g.store(`${prefix}keys`, 0, start, k)
  g.store(`${prefix}values`, 0, start, v)
  const keys = g.state(`${prefix}keys`)
  attend(
    place,
    made,
    keys,
    g.state(`${prefix}values`),
    sees(g, g.iota(keys.type.dims[0]!), g.chance(3) ? Math.max(1, sizes.ctx - 2) : undefined),
  )
}

/** A cache of fewer places than positions: the ring before this call, then the new rows; places remember their positions. */
const ringAttention = (place: Place): void => {
  const { g, prefix, sizes, stores } = place
  if (!stores) {
    attention(place)
    return
  }
  const made = project(place)
  const positions = g.binary('add', g.along(g.size(start), g.iota(seq), []), g.iota(seq))
  const [k, v] = [made.k, made.v].map((node) => g.tame(node, 8)) as [Node, Node]
  const old = g.state(`${prefix}filled`)
  const both = g.concat([g.binary('sub', old, g.fill(1, old)), positions], 0)
  const mask = g.binary(
    'and',
    sees(g, both, sizes.ring),
    g.binary('ge', g.broadcast(both, [seq, both.type.dims[0]!], [1]), g.broadcast(g.literal(0, 'i32'), [seq, both.type.dims[0]!], [])),
  )
  attend(place, made, g.concat([g.state(`${prefix}ringkeys`), k], 0), g.concat([g.state(`${prefix}ringvalues`), v], 0), mask)
  const at = g.binary('mod', positions, g.fill(sizes.ring, positions))
  g.scatter(`${prefix}ringkeys`, 0, at, k)
  g.scatter(`${prefix}ringvalues`, 0, at, v)
  g.scatter(`${prefix}filled`, 0, at, g.binary('add', positions, g.fill(1, positions)))
}

const embed = (place: Place): void => {
  const { g, prefix, sizes } = place
  const ids = g.findLike('i32', [seq])!
  const tokens = g.gather(weight(place, 'embedding'), 0, ids)
  const places = g.slice(weight(place, 'positions'), 0, start, seq)
  g.push(g.chance(2) ? g.binary('add', tokens, places) : tokens)
  if (prefix === '' && g.chance(2))
    g.push(g.binary('add', rows(place), g.gather(weight(place, 'positions'), 0, g.binary('add', ids, g.fill(sizes.ctx - 2, ids)))))
}

/** The best k experts of every row, their weights read in place. */
const experts = (place: Place): void => {
  const { g, sizes } = place
  const x = rows(place)
  const { values, indices } = g.topk(g.dot(x, weight(place, 'router'), [[1, 1]]), 1, g.choices.integer(1, sizes.experts))
  const shares = softmax(g, values, 1)
  const hidden = activate(g, g.dot(x, g.gather(weight(place, 'expertsup'), 0, indices), [[1, 3]], [[0, 0]]))
  const each = g.dot(
    hidden,
    g.gather(weight(place, 'expertsdown'), 0, indices),
    [[2, 3]],
    [
      [0, 0],
      [1, 1],
    ],
  )
  g.push(hidden, g.binary('add', x, g.dot(shares, each, [[1, 1]], [[0, 0]])))
}

/** A value's best places, and what stands there. */
const choose = (place: Place): void => {
  const { g } = place
  const x = g.find(
    (type) =>
      type.dtype === 'f32' &&
      type.dims.length > 1 &&
      isConstant(type.dims[type.dims.length - 1]!) &&
      type.dims[type.dims.length - 1]!.const > 0,
  )
  if (!x) {
    norm(place)
    return
  }
  const axis = x.type.dims.length - 1
  const { values, indices } = g.topk(x, axis, g.choices.integer(1, Math.min(5, x.type.dims[axis]!.const)))
  const shared = x.type.dims.slice(0, axis).map((_, i) => [i, i] as const)
  g.push(indices, g.binary('sub', g.gather(g.unary('abs', x), axis, indices, shared), values))
}

const masked = (place: Place): void => {
  const { g } = place
  const x = g.find((type) => type.dtype === 'f32' && type.dims.length > 0)!
  const axis = g.choices.integer(0, x.type.dims.length - 1)
  const mask = g.binary(g.pick(['lt', 'ge', 'eq', 'ne'] as const), x, g.fill(g.pick([0, -2, 100, -0.25]), x))
  const bound = (value: number): Node =>
    g.broadcast(g.given(g.builder.literal(value, 'f32', g.builderSpan), { lo: 0, hi: 0 }), x.type.dims, [])
  g.push(g.reduce('max', g.where(mask, x, bound(-Infinity)), [axis]), g.reduce('min', g.where(mask, x, bound(Infinity)), [axis]))
  g.push(softmax(g, g.where(mask, x, bound(-Infinity)), axis))
}

const soft = (place: Place): void => {
  const { g } = place
  const x = g.find((type) => type.dtype === 'f32' && type.dims.length > 0)!
  g.push(softmax(g, x, g.choices.integer(0, x.type.dims.length - 1)))
}

/** A causal convolution over three rows, two of which the state remembers. */
const convolve = (place: Place): void => {
  const { g, prefix, stores } = place
  const x = g.tame(rows(place), 8)
  if (!stores) {
    soft(place)
    return
  }
  const all = g.concat([g.state(`${prefix}tail`), x], 0)
  const taps = [0, 1, 2].map((tap) =>
    g.binary('mul', g.slice(all, 0, constant(tap), seq), g.along(g.take(weight(place, 'taps'), 1, constant(tap)), x, [1])),
  )
  g.push(taps.reduce((sum, each) => g.binary('add', sum, each)))
  g.store(`${prefix}tail`, 0, constant(0), g.slice(all, 0, seq, constant(2)))
}

/** Steps counted in a state of integers, and a running mean or its history, moved by one place: read, stored, read again. */
const remember = (place: Place): void => {
  const { g, prefix, stores, sizes } = place
  const x = g.tame(rows(place), 8)
  if (!stores) {
    norm(place)
    return
  }
  const before = g.state(`${prefix}mean`)
  const most = g.reduce('sum', x, [0])
  const mean = g.times(g.binary('add', before, g.tame(most, 8)), 0.5)
  const moved = (): Node =>
    g.concat([g.slice(mean, 0, constant(0), constant(1)), g.slice(before, 0, constant(0), constant(sizes.width - 1))], 0)
  g.store(`${prefix}mean`, 0, constant(0), sizes.width > 1 && g.chance(2) ? moved() : mean)
  const count = g.state(`${prefix}count`)
  g.store(
    `${prefix}count`,
    0,
    constant(sizes.odd - 1),
    g.slice(g.binary('add', count, g.along(g.size(add(start, constant(1))), count, [])), 0, constant(0), constant(1)),
  )
  g.push(g.binary('sub', x, g.along(g.chance(2) ? before : g.state(`${prefix}mean`), x, [1])), g.state(`${prefix}count`))
}

/** Logits of the last position by the embedding itself, and the likeliest id's own row. */
const logits = (place: Place): void => {
  const { g, prefix, sizes } = place
  if (sizes.fewest < 1) {
    norm(place)
    return
  }
  const last = g.take(rows(place), 0, subtract(seq, constant(1)))
  const scores = g.dot(last, weight(place, prefix === '' && sizes.tied ? 'unembedding' : 'embedding'), [[0, 1]])
  const { indices } = g.topk(scores, 0, 1)
  const row = g.gather(weight(place, 'embedding'), 0, indices)
  g.push(scores, indices, g.binary('add', rows(place), g.along(g.take(row, 0, constant(0)), rows(place), [1])))
}

/** Values of positions alone: they become tables. */
const positional = (place: Place): void => {
  const { g, sizes } = place
  const count = g.pick([seq, constant(1), constant(2)])
  const from = g.pick([start, constant(0), add(start, constant(2)), subtract(constant(sizes.ctx), start)])
  const places = g.broadcast(g.size(from), [count], [])
  const position = g.binary(g.pick(['add', 'sub', 'mul'] as const), places, g.iota(count))
  const rates = g.unary('exp', g.times(g.cast(g.iota(constant(4)), 'f32'), -0.5))
  const angle = g.dot(g.cast(position, 'f32'), rates, [])
  const last = isConstant(count) || sizes.fewest > 0 ? [g.unary('tanh', g.take(angle, 0, subtract(count, constant(1))))] : []
  const cosine = g.unary('cos', g.slice(angle, 1, constant(1), constant(2)))
  g.push(g.unary('sin', angle), cosine, ...last, g.transpose(g.broadcast(cosine, [...cosine.type.dims, constant(3)], [0, 1]), [2, 0, 1]))
}

/** Weights read in other ways than by rows: transposed, cut, point by point. */
const plainWeights = (place: Place): void => {
  const { g, sizes } = place
  const [square, cube] = [weight(place, 'square'), weight(place, 'cube')]
  const turned = g.transpose(square, [1, 0])
  const matrix = g.merge(g.transpose(cube, [1, 0, 2]), 0, 2)
  g.push(
    g.dot(turned, square, [[0, 1]]),
    g.binary('add', turned, g.unary('abs', turned)),
    matrix,
    g.slice(cube, 1, constant(1), constant(1)),
  )
  g.push(g.dot(rows(place), g.slice(weight(place, 'up'), 0, constant(1), constant(sizes.inner - 1)), [[1, 1]]))
}

/** Halves exchanged and negated: merges, splits and concatenations of one axis. */
const regroup = (place: Place): void => {
  const { g } = place
  const x = g.find(
    (type) =>
      type.dtype === 'f32' &&
      type.dims.length > 0 &&
      type.dims.length < 4 &&
      isConstant(type.dims[type.dims.length - 1]!) &&
      type.dims[type.dims.length - 1]!.const > 1,
  )
  if (!x) {
    norm(place)
    return
  }
  const axis = x.type.dims.length - 1
  const length = evaluate(x.type.dims[axis]!, {})
  const half = Math.floor(length / 2)
  const turned = g.concat(
    [g.unary('neg', g.slice(x, axis, constant(half), constant(length - half))), g.slice(x, axis, constant(0), constant(half))],
    axis,
  )
  g.push(turned)
  if (length % 2 === 0)
    g.push(g.merge(g.transpose(g.split(turned, axis, [2, half]), [...x.type.dims.keys()].slice(0, axis).concat([axis + 1, axis])), axis, 2))
}

/** What folding simplifies, written the long way: squares, neutral elements, views of views, casts there and back. */
const roundabout = (place: Place): void => {
  const { g } = place
  const x = g.find(({ dtype, dims }) => dtype === 'f32' && dims.length === 2 && isConstant(dims[1]!) && dims[1]!.const > 2)
  if (!x) {
    norm(place)
    return
  }
  const length = evaluate(x.type.dims[1]!, {})
  const always = g.broadcast(g.literal(g.choices.integer(0, 1), 'bool'), x.type.dims, [])
  const deep = g.broadcast(g.broadcast(x, [...x.type.dims, constant(2)], [0, 1]), [constant(3), ...x.type.dims, constant(2)], [1, 2, 3])
  // A position as a number and as an index, beyond the end too.
  const moved = g.binary('add', g.along(g.size(start), g.iota(constant(length)), []), g.iota(constant(length)))
  const ways: readonly (() => Node)[] = [
    () => g.binary('pow', g.tame(x, 4), g.fill(g.choices.integer(1, 2), x)),
    () => g.binary('sub', g.fill(0, x), x),
    () => g.binary('sub', g.binary('add', g.fill(0, x), x), g.fill(0, x)),
    () => g.times(g.binary('div', g.binary('mul', g.fill(1, x), x), g.fill(1, x)), g.choices.integer(0, 1)),
    () => g.unary('neg', g.unary('neg', x)),
    () => g.where(always, x, g.unary('abs', x)),
    () => g.slice(g.slice(x, 1, constant(1), constant(length - 1)), 1, constant(1), constant(length - 2)),
    () => g.take(g.slice(x, 1, constant(2), constant(length - 2)), 1, constant(length - 3)),
    () => g.transpose(g.transpose(deep, [3, 0, 1, 2]), [1, 2, 0, 3]),
    () => g.split(g.merge(g.slice(deep, 0, constant(0), constant(2)), 2, 2), 2, [2, length]),
    () => g.merge(g.unary('neg', deep), 1, 3),
    () => g.binary('add', g.cast(moved, 'f32'), g.gather(g.reduce('sum', x, [0]), 0, moved)),
    () => g.cast(g.cast(x, g.chance(2) ? 'f16' : 'bf16'), 'f32'),
    () => g.cast(g.cast(g.binary('lt', x, g.fill(0, x)), 'i32'), 'f32'),
  ]
  for (let i = 0; i < 3; i++) g.push(g.pick(ways)())
}

/** By how often each is chosen. */
export const compositions: readonly ((place: Place) => void)[] = [
  feedForward,
  attention,
  norm,
  embed,
  soft,
  masked,
  choose,
  regroup,
  roundabout,
  positional,
  ringAttention,
  experts,
  logits,
  convolve,
  remember,
  plainWeights,
  attention,
  feedForward,
]
