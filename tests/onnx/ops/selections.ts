// Values chosen by index, and indices chosen by value.

import type { Node } from '../../../compiler/graph/types.ts'
import { count, dimsOf, rank } from '../translate.ts'
import type { Call, Row, Rows } from './row.ts'

const indices = (c: Call, index: number, size: number): Node => c.t.nonNegative(c.t.cast(c.x(index), 'i32'), size)

/** Both have one rank: all axes but the chosen one are walked together, as far as the index goes. */
function gatherElements(c: Call): Node {
  const axis = c.axis(0)
  const size = dimsOf(c.x(0))[axis]!
  const dims = dimsOf(c.x(1))
  const x = dims.reduce((node, dim, i) => (i === axis || dim === dimsOf(node)[i] ? node : c.t.slice(node, i, 0, dim)), c.x(0))
  const shared = dims.flatMap((_, i) => (i === axis ? [] : [[i, i] as const]))
  return c.t.gather(x, axis, indices(c, 1, size), shared)
}

/** Row-major strides of some axes, in elements of the last one. */
const stridesOf = (dims: readonly number[]): number[] => dims.map((_, axis) => count(dims.slice(axis + 1)))

/** The last axis of the index holds one position for each of x's axes behind the batches: those become one axis. */
function gatherND(c: Call): Node {
  const { t } = c
  const batches = c.number('batch_dims', 0)
  const last = rank(c.x(1)) - 1
  const chosen = dimsOf(c.x(0)).slice(batches, batches + dimsOf(c.x(1))[last]!)
  const flat = chosen
    .map((size, i) => t.with('mul', t.nonNegative(t.pick(c.x(1), last, i), size), stridesOf(chosen)[i]!))
    .reduce((a, b) => t.binary('add', a, b))
  const shared = Array.from({ length: batches }, (_, axis) => [axis, axis] as const)
  return t.gather(t.merge(c.x(0), batches, chosen.length), batches, flat, shared)
}

/** Over all elements as one axis, since each goes to a place of its own. */
function scatterElements(c: Call): Node {
  const { t } = c
  if (c.text('reduction', 'none') !== 'none') c.missing(`reduction ${c.text('reduction', 'none')}`)
  const dims = dimsOf(c.x(0))
  const axis = c.axis(0)
  const index = indices(c, 1, dims[axis]!)
  const flat = dims
    .map((_, i) => t.with('mul', i === axis ? index : t.positions(dimsOf(index), i), stridesOf(dims)[i]!))
    .reduce((a, b) => t.binary('add', a, b))
  const line = (x: Node): Node => t.merge(x, 0, dims.length)
  return t.reshape(t.scattered(line(c.x(0)), 0, line(flat), line(c.x(2)), c.statePath), dims)
}

/** Ties go to the lower index; for the last one, the axis is read backwards. */
function extremeAt(c: Call, sign: 1 | -1): Node {
  const { t } = c
  const axis = c.axis(0)
  const size = dimsOf(c.x(0))[axis]!
  const last = c.number('select_last_index', 0) === 1
  const backwards = t.binary('sub', t.literal(size - 1, 'i32'), t.positions([size], 0))
  const signed = sign === 1 ? c.x(0) : t.unary('neg', c.x(0))
  const found = t.topk(last ? t.gather(signed, axis, backwards) : signed, axis, 1).indices
  const index = last ? t.binary('sub', t.literal(size - 1, 'i32'), found) : found
  return c.number('keepdims', 1) === 1 ? index : t.squeeze(index, [axis])
}

function topK(c: Call): ReturnType<Row> {
  const { t } = c
  const smallest = c.number('largest', 1) === 0
  const { values, indices: places } = t.topk(smallest ? t.unary('neg', c.x(0)) : c.x(0), c.axis(-1), t.known(c.x(1))[0]!)
  return [...c.gives(smallest ? t.unary('neg', values) : values), ...c.gives(places, 'int64')]
}

function oneHot(c: Call): Node {
  const { t } = c
  const depth = t.known(c.x(1))[0]!
  const at = c.number('axis', -1)
  const axis = at < 0 ? at + rank(c.x(0)) + 1 : at
  const dims = dimsOf(c.x(0)).toSpliced(axis, 0, depth)
  const index = t.place(
    indices(c, 0, depth),
    dims,
    dims.flatMap((_, i) => (i === axis ? [] : [i])),
  )
  return t.where(t.binary('eq', index, t.positions(dims, axis)), t.pick(c.x(2), 0, 1), t.pick(c.x(2), 0, 0))
}

export const selections: Rows = {
  Gather: (c) => c.gives(c.t.gather(c.x(0), c.axis(0), indices(c, 1, dimsOf(c.x(0))[c.axis(0)]!))),
  GatherElements: (c) => c.gives(gatherElements(c)),
  GatherND: (c) => c.gives(gatherND(c)),
  ScatterElements: (c) => c.gives(scatterElements(c)),
  ArgMax: (c) => c.gives(extremeAt(c, 1), 'int64'),
  ArgMin: (c) => c.gives(extremeAt(c, -1), 'int64'),
  TopK: topK,
  OneHot: (c) => c.gives(oneHot(c), c.value(2).type),
  Hardmax(c) {
    const [x, axis] = [c.x(0), c.axis(-1)]
    const first = c.t.topk(x, axis, 1).indices
    return c.gives(c.t.cast(c.t.binary('eq', first, c.t.positions(dimsOf(x), axis)), x.type.dtype))
  },
}
