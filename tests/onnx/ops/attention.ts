// Attention and rotary embedding as a model would write them with our primitives: grouped heads are an axis of the query, masks
// are finite, and a row that sees nothing gives 0.

import type { Node } from '../../../compiler/graph/types.ts'
import { count, dimsOf, f32Max, rank, type Translator } from '../translate.ts'
import { typeOfNumber } from './pointwise.ts'
import type { Call, Row, Rows } from './row.ts'
import { elementType } from '../read-vectors.ts'

/** [batch, heads, seq, dim] of either layout: [batch, seq, heads·dim] has its heads split off. */
function withHeads(t: Translator, x: Node, heads: number): Node {
  if (rank(x) === 4) return x
  return t.transpose(t.split(x, 2, heads, dimsOf(x)[2]! / heads), [0, 2, 1, 3])
}

const withoutHeads = (t: Translator, x: Node): Node => t.merge(t.transpose(x, [0, 2, 1, 3]), 2, 2)

/** Which keys each query may see, over the scores' dims [batch, heads, seq, keys]; undefined: all of them. */
function visible(c: Call, dims: readonly number[], past: number): Node | undefined {
  const { t } = c
  const [row, column] = [t.positions(dims, 2), t.positions(dims, 3)]
  const filled = c.optional(6)
  const length = filled && t.place(filled, dims, [0])
  const inside = length && t.binary('lt', column, length)
  if (c.number('is_causal', 0) !== 1) return inside
  // The last query stands at the last key that is filled.
  const last = length ? t.binary('add', row, t.with('sub', length, dims[2]!)) : t.with('add', row, past)
  const causal = t.binary('le', column, last)
  return inside ? t.binary('and', causal, inside) : causal
}

function attention(c: Call): ReturnType<Row> {
  const { t } = c
  const flat = rank(c.x(0)) === 3
  const { dtype } = c.x(0).type
  const q = withHeads(t, c.x(0), c.number('q_num_heads', 0))
  const [pastKey, pastValue] = [c.optional(4), c.optional(5)]
  const extended = (index: number, before: Node | undefined): Node => {
    const now = withHeads(t, c.x(index), c.number('kv_num_heads', 0))
    return before ? t.concat([before, now], 2) : now
  }
  const [k, v] = [extended(1, pastKey), extended(2, pastValue)]
  const [batch, heads, seq, size] = dimsOf(q) as [number, number, number, number]
  const [, groups, keys] = dimsOf(k) as [number, number, number]
  const scale = c.number('scale', 1 / Math.sqrt(size))
  const scaled = t.split(t.with('mul', q, scale), 1, groups, heads / groups)
  const products = t.merge(
    t.dot(
      scaled,
      k,
      [[4, 3]],
      [
        [0, 0],
        [1, 1],
      ],
    ),
    1,
    2,
  )

  const cap = c.number('softcap', 0)
  const capped = cap === 0 ? products : t.with('mul', t.unary('tanh', t.with('div', products, cap)), cap)
  const hidden = t.literal(-f32Max, dtype)
  const dims = [batch, heads, seq, keys]
  let biased = capped
  const mask = c.optional(3)
  if (mask) {
    // A mask may end before the keys do: what it leaves out is hidden.
    const rest = keys - dimsOf(mask).at(-1)!
    const last = rank(mask) - 1
    biased =
      mask.type.dtype === 'bool'
        ? t.where(t.cast(t.pad(t.cast(mask, 'i32'), last, 0, rest, 0), 'bool'), biased, hidden)
        : t.binary('add', biased, t.pad(mask, last, 0, rest, -f32Max))
  }
  const seen = visible(c, dims, pastKey ? dimsOf(pastKey)[2]! : 0)
  if (seen) biased = t.where(seen, biased, hidden)

  const precision = elementType(typeOfNumber(c.number('softmax_precision', 1))).dtype
  const weights = t.cast(t.softmax(t.cast(biased, precision), 3), dtype)
  const grouped = t.dot(
    t.split(weights, 1, groups, heads / groups),
    v,
    [[4, 2]],
    [
      [0, 0],
      [1, 1],
    ],
  )
  const result = t.merge(grouped, 1, 2)
  const steps = [products, capped, biased, weights]
  return [flat ? withoutHeads(t, result) : result, k, v, steps[c.number('qk_matmul_output_mode', 0)]!].flatMap((node) => c.gives(node))
}

/** Pairs are halves of the rotated part, or neighbours. */
function rotary(c: Call): Node {
  const { t } = c
  const flat = rank(c.x(0)) === 3
  const x = withHeads(t, c.x(0), c.number('num_heads', 0))
  const dims = dimsOf(x)
  const turned = c.number('rotary_embedding_dim', 0) || dims[3]!
  const near = c.number('interleaved', 0) === 1
  const part = t.split(turned === dims[3] ? x : t.slice(x, 3, 0, turned), 3, ...(near ? [turned / 2, 2] : [2, turned / 2]))
  const pair = near ? 4 : 3
  const [a, b] = [t.pick(part, pair, 0), t.pick(part, pair, 1)]
  const positions = c.optional(3)
  const [cos, sin] = [1, 2].map((index) => {
    const table = positions ? t.gather(c.x(index), 0, positions) : c.x(index)
    return t.place(table, dimsOf(a), [0, 2, 3])
  }) as [Node, Node]
  const real = t.binary('sub', t.binary('mul', cos, a), t.binary('mul', sin, b))
  const imaginary = t.binary('add', t.binary('mul', sin, a), t.binary('mul', cos, b))
  const rotated = t.merge(t.concat([t.unsqueeze(real, [pair]), t.unsqueeze(imaginary, [pair])], pair), 3, 2)
  const whole = turned === dims[3] ? rotated : t.concat([rotated, t.slice(x, 3, turned, dims[3]! - turned)], 3)
  return flat ? withoutHeads(t, whole) : whole
}

/** The axes of a cache as its state has them: the others, then all batches' positions as one axis, then what is behind it. */
function cacheOrder(dims: readonly number[], axis: number): number[] {
  return [...dims.keys()]
    .filter((each) => each !== 0 && each < axis)
    .concat(
      0,
      [...dims.keys()].filter((each) => each >= axis),
    )
}

/** Dims of the state that a TensorScatter's cache is kept in. */
export function cacheDims(dims: readonly number[], attribute: number): number[] {
  const axis = attribute < 0 ? attribute + dims.length : attribute
  const ordered = cacheOrder(dims, axis).map((each) => dims[each]!)
  const at = axis - 1
  return [...ordered.slice(0, at), count(ordered.slice(at, at + 2)), ...ordered.slice(at + 2)]
}

/** Each batch writes from a position of its own: one scatter over the positions of all batches. */
function tensorScatter(c: Call): Node {
  const { t } = c
  const [cache, update] = [c.x(0), c.x(1)]
  const axis = c.axis(-2)
  const [dims, order] = [dimsOf(cache), cacheOrder(dimsOf(cache), axis)]
  const at = axis - 1
  const [size, many] = [dims[axis]!, dimsOf(update)[axis]!]
  const grid = [dims[0]!, many]
  const starts = c.optional(2)
  const offset = t.positions(grid, 1)
  const position = starts ? t.binary('add', t.place(starts, grid, [0]), offset) : offset
  const wrapped = c.text('mode', 'linear') === 'circular' ? t.with('mod', position, size) : position
  const index = t.merge(t.binary('add', t.with('mul', t.positions(grid, 0), size), wrapped), 0, 2)
  const joined = (x: Node): Node => t.merge(t.transpose(x, order), at, 2)
  const written = t.split(t.scattered(joined(cache), at, index, joined(update), c.statePath), at, dims[0]!, size)
  return t.transpose(
    written,
    order.map((_, i) => order.indexOf(i)),
  )
}

export const attentions: Rows = {
  Attention: attention,
  RotaryEmbedding: (c) => c.gives(rotary(c)),
  TensorScatter: (c) => c.gives(tensorScatter(c)),
}
