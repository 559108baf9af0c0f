// A small causal attention model told to a Sink by hand, in two entries: `layers` of attention with a cache, a loop, grouped
// heads, rotary positions and a gathered embedding. The real elaborator makes the same calls.

import { add, constant, subtract, symbol, type Affine } from '../../dsl/affine.ts'
import type { Sink, StateInfo, WeightInfo } from '../../dsl/sink.ts'
import type { Span } from '../../dsl/source.ts'
import { GraphBuilder } from '../../compiler/graph/builder.ts'
import type { Graph, Node } from '../../compiler/graph/types.ts'

export const span: Span = { source: { path: 'handmade.dsl', text: '' }, start: 0, end: 0 }

export const shape = { vocab: 11, embed: 8, heads: 2, size: 4, depth: 3, ctx: 10 }

const weightInfo = (path: string, dims: number[]): WeightInfo => ({ path, dims, labels: dims.map((_, i) => `a${i}`), quant: true, span })
const stateInfo = (path: string, dims: number[]): StateInfo => ({ path, dtype: 'f32', dims, labels: dims.map((_, i) => `a${i}`), span })

export const handmadeModel = (() => {
  const { vocab, embed, heads, size, depth, ctx } = shape
  const weights: WeightInfo[] = [weightInfo('embedding', [vocab, embed])]
  const states: StateInfo[] = []
  for (let i = 0; i < depth; i++) {
    for (const name of ['wq', 'wk', 'wv']) weights.push(weightInfo(`layers[${i}].${name}`, [heads, size, embed]))
    weights.push(weightInfo(`layers[${i}].wo`, [embed, heads, size]))
    for (const name of ['keys', 'values']) states.push(stateInfo(`layers[${i}].${name}`, [ctx, heads, size]))
  }
  return { weights, states }
})()

const last = (list: readonly Affine[]): number => list.length - 1

/** cos and sin of pos·rate, [t, size/2]. */
function angles<V>(sink: Sink<V>, pos: V): V {
  const half = constant(shape.size / 2)
  const steps = sink.cast(sink.iota(half, span), 'f32', span)
  const factor = sink.broadcast(sink.literal(-1.5, 'f32', span), [half], [], span)
  const rates = sink.unary('exp', sink.binary('mul', steps, factor, span), span)
  return sink.dot(sink.cast(pos, 'f32', span), rates, [], [], span)
}

function rotate<V>(sink: Sink<V>, x: V, pos: V, t: Affine): V {
  const [half, heads] = [constant(shape.size / 2), constant(shape.heads)]
  return sink.composite(
    'rotate',
    { theta: 10000 },
    [x, pos],
    ([value, places]) => {
      const angle = angles(sink, places!)
      const pairs = sink.split(value!, 2, [constant(2), half], span)
      const one = sink.broadcast(sink.literal(1, 'i32', span), [constant(2)], [], span)
      const other = sink.binary('sub', one, sink.iota(constant(2), span), span)
      const dims = [t, heads, constant(2), half]
      const wide = (fn: 'cos' | 'sin'): V => sink.broadcast(sink.unary(fn, angle, span), dims, [0, 3], span)
      const two = sink.broadcast(sink.literal(2, 'i32', span), [constant(2)], [], span)
      const sign = sink.cast(sink.binary('sub', one, sink.binary('mul', two, other, span), span), 'f32', span)
      const turned = sink.binary('mul', sink.gather(pairs, 2, other, [], span), sink.broadcast(sign, dims, [2], span), span)
      const sum = sink.binary('add', sink.binary('mul', pairs, wide('cos'), span), sink.binary('mul', turned, wide('sin'), span), span)
      return [sink.merge(sum, 2, 2, span)]
    },
    span,
  )[0]!
}

function softmax<V>(sink: Sink<V>, x: V): V {
  return sink.composite(
    'softmax',
    {},
    [x],
    ([value]) => {
      const { dims } = sink.type(value!)
      const axis = last(dims)
      const places = dims.slice(0, axis).map((_, i) => i)
      const wide = (row: V): V => sink.broadcast(row, dims, places, span)
      const e = sink.unary('exp', sink.binary('sub', value!, wide(sink.reduce('max', value!, [axis], span)), span), span)
      return [sink.binary('div', e, wide(sink.reduce('sum', e, [axis], span)), span)]
    },
    span,
  )[0]!
}

function layer<V>(sink: Sink<V>, x: V, seq: Affine, start: Affine): V {
  const { heads } = shape
  const at = (name: string): string => `layers[*].${name}`
  const pos = sink.binary('add', sink.broadcast(sink.size(start, span), [seq], [], span), sink.iota(seq, span), span)
  const project = (name: string): V => sink.dot(x, sink.weight(at(name), span), [[1, 2]], [], span)
  const seen = add(start, seq)
  sink.storeState(at('keys'), 0, start, rotate(sink, project('wk'), pos, seq), span)
  sink.storeState(at('values'), 0, start, project('wv'), span)
  const keys = sink.slice(sink.readState(at('keys'), span), 0, constant(0), seen, span)
  const values = sink.slice(sink.readState(at('values'), span), 0, constant(0), seen, span)
  const raw = sink.dot(rotate(sink, project('wq'), pos, seq), keys, [[2, 2]], [[1, 1]], span)
  const dims = [seq, constant(heads), seen]
  const sees = sink.binary('ge', sink.broadcast(pos, dims, [0], span), sink.broadcast(sink.iota(seen, span), dims, [2], span), span)
  const masked = sink.where(sees, raw, sink.broadcast(sink.literal(Number.NEGATIVE_INFINITY, 'f32', span), dims, [], span), span)
  const mix = sink.dot(softmax(sink, masked), values, [[2, 0]], [[1, 1]], span)
  return sink.binary(
    'add',
    x,
    sink.dot(
      mix,
      sink.weight(at('wo'), span),
      [
        [1, 1],
        [2, 2],
      ],
      [],
      span,
    ),
    span,
  )
}

/** Scores [seq, vocab] of tokens [seq] from position `start` on. */
export function tellEntry<V>(sink: Sink<V>, seq: Affine): readonly V[] {
  const start = symbol('start')
  const tokens = sink.argument('tokens', { dtype: 'i32', dims: [seq] }, span)
  const embedding = sink.weight('embedding', span)
  const x = sink.gather(embedding, 0, tokens, [], span)
  const [out] = sink.loop({
    array: 'layers',
    order: Array<number>(shape.depth).fill(0),
    groups: 1,
    carried: [x],
    body: (_group, [value]) => [layer(sink, value!, seq, start)],
    span,
  })
  return [sink.dot(out!, embedding, [[1, 1]], [], span)]
}

/** The entries `score` (any seq) and `decode` (one token). */
export function handmadeGraphs(): Graph[] {
  const build = (entry: string, seq: Affine): Graph => {
    const builder = new GraphBuilder(handmadeModel)
    const results: readonly Node[] = tellEntry(builder, seq)
    const free = { name: 'seq', kind: 'size' as const, min: 1, max: shape.ctx }
    const index = { name: 'start', kind: 'index' as const, min: 0, max: shape.ctx - 1 }
    const left = add(symbol('start'), seq)
    return builder.finish(entry, subtract(seq, constant(1)).terms.length > 0 ? [free, index] : [index], results, [
      { left, right: shape.ctx, why: 'the cache holds ctx positions' },
    ])
  }
  return [build('score', symbol('seq')), build('decode', constant(1))]
}

/** Weights that depend on path and place only. */
export function handmadeWeight(path: string): { dims: readonly number[]; data: Float64Array } {
  const info = handmadeModel.weights.find((each) => each.path === path)
  if (!info) throw new Error(`no weight ${path}`)
  const seed = [...path].reduce((sum, char) => sum * 31 + char.charCodeAt(0), 7) % 997
  const count = info.dims.reduce((a, b) => a * b, 1)
  return { dims: info.dims, data: Float64Array.from({ length: count }, (_, i) => Math.sin(seed + 1.7 * i) * 0.6) }
}
