// Divides the instances of a loop so that those which share a body also store their weights alike: a group of instances becomes
// one group for each way in which its weights are stored. Bodies are copied as they are; what depends on a format (rounded
// activations, kernels) follows from the body's own weights afterwards. Instances may alternate in any pattern, since a loop
// runs group `order[i]` for instance i. A graph whose instances are alike already is given back itself.

import { fillPath } from '../graph/paths.ts'
import { reachable, regionsOf, rootsOf } from '../graph/nodes.ts'
import { rewriteGraph } from '../graph/rewrite.ts'
import { is, type Graph, type LoopAttributes, type Region } from '../graph/types.ts'

/** Paths of all weights that a body reads, with `[*]`. */
function weightsOf(region: Region): ReadonlySet<string> {
  const paths = new Set<string>()
  const visit = (owner: Region): void => {
    for (const node of reachable(rootsOf(owner))) {
      if (is(node, 'weight')) paths.add(node.attributes.path)
      regionsOf(node).forEach(visit)
    }
  }
  visit(region)
  return paths
}

/** `storageOf`: how the weight of a concrete path is stored, as a text that is equal for equal storage. */
export function splitGroups(graph: Graph, storageOf: (path: string) => string): Graph {
  let divided = false
  const after = rewriteGraph(graph, (node, rewrite) => {
    if (!is(node, 'loop')) return undefined
    const { array, groups, order } = node.attributes
    const paths = groups.map((group) => [...weightsOf(group)])
    const numbers = new Map<string, number>()
    const bodies: Region[] = []
    const split = order.map((group, index): number => {
      const frame = { array: rewrite.concrete(array), index }
      const storage = paths[group]!.map((path) => storageOf(fillPath(rewrite.concrete(path), [frame])))
      const key = [group, ...storage].join()
      const number = numbers.get(key) ?? bodies.push(groups[group]!) - 1
      numbers.set(key, number)
      return number
    })
    if (bodies.length === groups.length) return undefined
    divided = true
    return rewrite.regroup(node, { groups: bodies, order: split } satisfies Pick<LoopAttributes, 'groups' | 'order'>)
  })
  return divided ? after : graph
}
