// For calibration: adds to an entry, for each weight that a product contracts over its last axes, the squares of what meets the
// weight's columns, summed over everything else (tokens, heads). Their mean E[x²] says what an error in a column costs: the product's
// squared error is Σ E[x_k²] (w_k − w'_k)² as far as columns vary independently (llama.cpp's importance matrix is this number).
// Products are found by what they contract, never by name; views of rows (one matrix of several) share one sum. Of weights whose
// first axis is chosen by an index (experts), each gets the squares of those tokens alone that chose it.

import { constant } from '../../dsl/affine.ts'
import { type Kept, type Rewrite, rewriteKeeping } from '../graph/rewrite.ts'
import { is, type Graph, type Node } from '../graph/types.ts'
import { isFloat } from '../ops/op.ts'
import { areLast, weightBehind } from './quantise-activations.ts'

/** The chooser of a weight's first axis: `gate[which]`. */
function chooserOf(weight: Node): Node | undefined {
  if (is(weight, 'cast')) return chooserOf(weight.operands[0]!)
  if (!is(weight, 'gather') || weight.attributes.axis !== 0 || weight.attributes.shared.length > 0) return undefined
  return weight.operands[0]!.op === 'weight' || weight.operands[0]!.op === 'cast' ? weight.operands[1] : undefined
}

type Pairs = readonly (readonly [number, number])[]

/** Σ x² over all axes but `kept`, which the result has in this order. */
function sumsOver(x: Node, kept: readonly number[], { factory }: Rewrite): Node {
  const rest = [...x.type.dims.keys()].filter((axis) => !kept.includes(axis))
  const wide = x.type.dtype === 'f32' ? x : factory.make('cast', [x], {}, { dtype: 'f32', dims: x.type.dims })
  const squares = factory.make('binary', [wide, wide], { fn: 'mul' })
  const sums = rest.length > 0 ? factory.make('reduce', [squares], { fn: 'sum', axes: rest }) : squares
  const left = [...kept].sort((a, b) => a - b)
  const order = kept.map((axis) => left.indexOf(axis))
  return order.every((axis, i) => axis === i) ? sums : factory.make('transpose', [sums], { order })
}

/** Σ x² for each value of `chooser`, by tokens that chose it. `paired`: axes of the chooser that x walks too. */
function sumsByChoice(x: Node, columns: readonly number[], chooser: Node, choices: number, paired: Pairs, rewrite: Rewrite): Node {
  const { factory } = rewrite
  const sums = sumsOver(x, [...paired.map(([axis]) => axis), ...columns], rewrite)
  const rank = chooser.type.dims.length
  const dims = [...chooser.type.dims, constant(choices)]
  const places = [...chooser.type.dims.keys()]
  const chosen = factory.make('broadcast', [chooser], { places }, { dtype: 'i32', dims })
  const each = factory.make('broadcast', [factory.make('iota', [], { n: constant(choices) })], { places: [rank] }, { dtype: 'i32', dims })
  const number = (value: number): Node =>
    factory.make('broadcast', [factory.make('literal', [], { value }, { dtype: 'f32', dims: [] })], { places: [] }, { dtype: 'f32', dims })
  const hits = factory.make('where', [factory.make('binary', [chosen, each], { fn: 'eq' }), number(1), number(0)], {})
  const product = factory.make('dot', [hits, sums], { contract: paired.map(([, axis], i) => [axis, i] as const), batch: [] })
  const others = rank - paired.length
  return others > 0 ? factory.make('reduce', [product], { fn: 'sum', axes: [...Array(others).keys()] }) : product
}

/** The last `columns` axes as one, and one axis in front of it. */
function asRows(sums: Node, columns: number, { factory }: Rewrite): Node {
  const axis = sums.type.dims.length - columns
  const merged = columns > 1 ? factory.make('merge', [sums], { axis, count: columns }) : sums
  if (axis > 0) return merged
  return factory.make('broadcast', [merged], { places: [1] }, { dtype: 'f32', dims: [constant(1), ...merged.type.dims] })
}

function observe(node: Node<'dot'>, rewrite: Rewrite): void {
  const { contract, batch } = node.attributes
  const operands = node.operands.map((operand) => rewrite.map(operand))
  for (const side of [0, 1] as const) {
    const [weight, x] = [operands[side]!, operands[1 - side]!]
    // Pairs as (axis of x, axis of the weight).
    const turned = (pairs: Pairs): Pairs => pairs.map((pair) => [pair[1 - side]!, pair[side]!] as const)
    const columns = [...turned(contract)].sort(([, a], [, b]) => a - b)
    const axes = columns.map(([, axis]) => axis)
    if (axes.length === 0 || !areLast(axes, weight.type.dims.length) || !isFloat(x.type.dtype)) continue
    const path = weightBehind(weight, axes.length)
    if (path === undefined || weightBehind(x, axes.length) !== undefined) continue
    const from = columns.map(([axis]) => axis)
    const paired = turned(batch)
    const chooser = chooserOf(weight)
    const first = paired.find(([, axis]) => axis === 0)
    const choices = whole(weight).type.dims[0]!.const
    const walked = paired.filter(([, axis]) => axis < (chooser?.type.dims.length ?? 0))
    const sums = chooser
      ? sumsByChoice(x, from, chooser, choices, walked, rewrite)
      : sumsOver(x, first && whole(weight) === weight ? [first[0], ...from] : from, rewrite)
    rewrite.keep(path, asRows(sums, from.length, rewrite))
    return
  }
}

/** The weight itself behind casts and the gather that chooses from it. */
function whole(node: Node): Node {
  return is(node, 'cast') || is(node, 'gather') ? whole(node.operands[0]!) : node
}

/** The entry with sums of squares behind its results, by the path of the weight: [1 or choices, columns]. */
export const observeInputs = (graph: Graph): { readonly graph: Graph; readonly kept: readonly Kept[] } =>
  rewriteKeeping(graph, (node, rewrite) => {
    if (is(node, 'composite')) {
      return rewrite.inline(
        node.attributes.region,
        node.operands.map((operand) => rewrite.map(operand)),
      )
    }
    if (is(node, 'dot')) observe(node, rewrite)
    return undefined
  })
