// Makes int8 activations explicit: where a dot contracts an activation with a weight that is stored in a quantised format, the
// activation goes through `quantise`. Needs contracted axes that are the last ones on both sides, in one order, so that blocks of
// 32 run along the contraction; several axes are merged for it. Nodes are interned, so q, k and v share one rounding.

import { isConstant } from '../../dsl/affine.ts'
import { rewriteGraph, type Rewrite } from '../graph/rewrite.ts'
import { is, type Graph, type Node } from '../graph/types.ts'
import { isFloat } from '../ops/op.ts'
import { blockSize } from '../ops/quantise.ts'

/** The weight that a node is a view of or a gather from, if its last `count` axes are the weight's own last ones. */
export function weightBehind(node: Node, count: number): string | undefined {
  const x = node.operands[0]
  const rank = node.type.dims.length
  const inFront = (axis: number, of: number): boolean => axis < of - count
  if (is(node, 'weight')) return node.attributes.path
  if (!x) return undefined
  const before = x.type.dims.length
  if (is(node, 'cast')) return weightBehind(x, count)
  if (is(node, 'gather')) {
    const { axis, shared } = node.attributes
    return inFront(axis, before) && shared.every(([own]) => inFront(own, before)) ? weightBehind(x, count) : undefined
  }
  if (is(node, 'pick') || is(node, 'slice')) return inFront(node.attributes.axis, before) ? weightBehind(x, count) : undefined
  if (is(node, 'split')) return inFront(node.attributes.axis, before) ? weightBehind(x, count) : undefined
  if (is(node, 'merge')) return inFront(node.attributes.axis, rank) ? weightBehind(x, count) : undefined
  if (is(node, 'transpose')) {
    const kept = node.attributes.order.slice(rank - count).every((axis, i) => axis === rank - count + i)
    return kept ? weightBehind(x, count) : undefined
  }
  return undefined
}

/** Whether these are the last axes, in order. */
export const areLast = (axes: readonly number[], rank: number): boolean => axes.every((axis, i) => axis === rank - axes.length + i)

function quantised(x: Node, count: number, { factory }: Rewrite): Node {
  if (count === 1) return factory.make('quantise', [x], {})
  const axis = x.type.dims.length - count
  const merged = factory.make('quantise', [factory.make('merge', [x], { axis, count })], {})
  return factory.make('split', [merged], { axis, sizes: x.type.dims.slice(axis) })
}

/** `isQuantised` tells whether a weight (concrete path; instances that share a body are stored alike) has a quantised format. */
export function quantiseActivations(graph: Graph, isQuantised: (weightPath: string) => boolean): Graph {
  return rewriteGraph(graph, (node, rewrite) => {
    if (!is(node, 'dot')) return undefined
    const contract = [...node.attributes.contract].sort(([, a], [, b]) => a - b)
    const sides = [contract.map(([a]) => a), contract.map(([, b]) => b)]
    if (contract.length === 0 || !node.operands.every((operand, side) => areLast(sides[side]!, operand.type.dims.length))) return undefined
    const sizes = contract.map(([axis]) => node.operands[0]!.type.dims[axis]!)
    const length = sizes.reduce((product, dim) => (isConstant(dim) ? product * dim.const : Number.NaN), 1)
    if (!(length % blockSize === 0)) return undefined
    const [a, b] = node.operands.map((operand) => rewrite.map(operand))
    const paths = [a!, b!].map((operand) => weightBehind(operand, contract.length))
    const side = paths.findIndex((path) => path !== undefined && isQuantised(rewrite.concrete(path)))
    const other = [a!, b!][1 - side]
    if (side < 0 || !other || paths[1 - side] !== undefined || !isFloat(other.type.dtype)) return undefined
    const done = other.op === 'quantise' || (other.op === 'split' && other.operands[0]!.op === 'quantise')
    const rounded = done ? other : quantised(other, contract.length, rewrite)
    return rewrite.factory.make('dot', side === 0 ? [a!, rounded] : [rounded, b!], node.attributes, node.type)
  })
}
