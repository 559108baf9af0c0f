// Stores states of f32 as IEEE halves: what is stored is cast to f16 on its way, what is read is cast back. The rounding is part
// of the graph, so kernels keep the bound of f32. Which states: option `halves` (`--cache f16`).

import { rewriteGraph } from '../graph/rewrite.ts'
import { type Dtype, is, type Graph, type Node } from '../graph/types.ts'

/** `halves` tells of the path of a state, with `[*]` where the instances of an array share a body, whether it is stored so. */
export function halveStates(graph: Graph, halves: (path: string) => boolean): Graph {
  return rewriteGraph(graph, (node, rewrite) => {
    if (node.type.dtype !== 'f32') return undefined
    const { factory } = rewrite
    const as = (x: Node, dtype: Dtype): Node => factory.make('cast', [x], {}, { dtype, dims: x.type.dims })
    if (is(node, 'state')) {
      if (!halves(node.attributes.path)) return undefined
      return as(factory.make('state', [], node.attributes, { dtype: 'f16', dims: node.type.dims }), 'f32')
    }
    if (!is(node, 'store') && !is(node, 'scatter')) return undefined
    const [before, ...rest] = node.operands.map((operand) => rewrite.map(operand))
    // A version of a state that is stored as halves is read through a cast.
    if (!before || !is(before, 'cast')) return undefined
    const value = as(rest.pop()!, 'f16')
    return as(factory.make(node.op, [before.operands[0]!, ...rest, value], node.attributes), 'f32')
  })
}
