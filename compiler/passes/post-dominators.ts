// Post-dominators of a region's nodes: the next node that every way from a value to the region's end goes through. Computed in
// one sweep from users to operands, since nodes are in topological order by id.

import { rootsOf } from '../graph/nodes.ts'
import type { Node, Region } from '../graph/types.ts'

export type Owner = Pick<Region, 'results' | 'states'>
export type Users = ReadonlyMap<Node, readonly Node[]>

/** Users of every node, each once. */
export function usersOf(nodes: readonly Node[]): Users {
  const users = new Map<Node, Node[]>(nodes.map((node) => [node, []]))
  for (const node of nodes) for (const operand of new Set(node.operands)) users.get(operand)!.push(node)
  return users
}

/** The immediate post-dominator; undefined where only the region's end is one. */
export function postDominators(nodes: readonly Node[], users: Users, owner: Owner): ReadonlyMap<Node, Node | undefined> {
  const ends = new Set(rootsOf(owner))
  const dominator = new Map<Node, Node | undefined>()
  /** A post-dominator has a larger id than what it dominates, so the smaller of two moves up. */
  const meet = (a: Node | undefined, b: Node | undefined): Node | undefined => {
    let [x, y] = [a, b]
    while (x !== y) {
      if (!x || !y) return undefined
      if (x.id < y.id) x = dominator.get(x)
      else y = dominator.get(y)
    }
    return x
  }
  for (const node of [...nodes].reverse()) {
    const mine = users.get(node)!
    dominator.set(node, ends.has(node) || mine.length === 0 ? undefined : mine.slice(1).reduce<Node | undefined>(meet, mine[0]))
  }
  return dominator
}
