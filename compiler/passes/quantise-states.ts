// Stores states of f32 in blocks of 8 bits: what is stored is rounded on its way, and what is read are the rounded values. The rounding
// is part of the graph, so kernels keep the bound of f32. Which states: option `blocks` (`--cache q8_0`).

import { rewriteGraph } from '../graph/rewrite.ts'
import { is, type Graph, type Node } from '../graph/types.ts'
import { stateOf } from './fusion-nodes.ts'

/** `blocks` tells of the path of a state, with `[*]` where the instances of an array share a body, whether it is stored so. */
export function quantiseStates(graph: Graph, blocks: (path: string) => boolean): Graph {
  return rewriteGraph(graph, (node, rewrite) => {
    const { factory } = rewrite
    const isNew = ({ attributes: { path, stored } }: Node<'state'>): boolean => stored === undefined && blocks(path)
    if (is(node, 'state')) {
      if (!isNew(node)) return undefined
      return factory.make('state', [], { ...node.attributes, stored: 'q8_0' }, node.type)
    }
    if ((!is(node, 'store') && !is(node, 'scatter')) || !isNew(stateOf(node))) return undefined
    const operands = node.operands.map((operand) => rewrite.map(operand))
    const rounded = factory.make('quantise', [operands.pop()!], { scale: 'f16' })
    return factory.make(node.op, [...operands, rounded], node.attributes)
  })
}
