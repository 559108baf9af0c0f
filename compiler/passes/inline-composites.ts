// Replaces calls of library and user ops by their bodies. A target that has a shortcut for a name asks to keep it.

import { rewriteGraph } from '../graph/rewrite.ts'
import { is, type Graph } from '../graph/types.ts'

/** The graph without composites, but for those whose name `keep` wants. */
export function inlineComposites(graph: Graph, keep: (name: string) => boolean = () => false): Graph {
  return rewriteGraph(graph, (node, rewrite) => {
    if (!is(node, 'composite') || keep(node.attributes.name)) return undefined
    return rewrite.inline(
      node.attributes.region,
      node.operands.map((operand) => rewrite.map(operand)),
    )
  })
}
