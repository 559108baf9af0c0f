// What nodes are to fusion: what lies in memory anyway, what costs something, versions of states, the sides of dots with weights.

import { expensive } from '../kernel/expression.ts'
import type { ScalarFn } from '../kernel/types.ts'
import { is, type Node, type OpName } from '../graph/types.ts'
import { blockSize } from '../ops/quantise.ts'
import type { Owner, Users } from './post-dominators.ts'

const leaves: ReadonlySet<OpName> = new Set<OpName>(['argument', 'weight', 'state', 'constant', 'param', 'result'])
const weightViews: ReadonlySet<OpName> = new Set<OpName>(['split', 'merge', 'transpose', 'slice', 'pick', 'broadcast', 'gather', 'cast'])

/** In memory without any kernel of this region. */
export const isLeaf = (node: Node): boolean => leaves.has(node.op)

/** The operands that a kernel rooted at the node reads as values; a store's first operand is only the place it writes to. */
export const valueOperands = (node: Node): readonly Node[] =>
  node.op === 'store' || node.op === 'scatter' ? node.operands.slice(1) : node.operands

export const isReduction = (node: Node): boolean => node.op === 'reduce' || (is(node, 'dot') && node.attributes.contract.length > 0)
export const isExpensive = (node: Node): boolean =>
  (is(node, 'unary') || is(node, 'binary')) &&
  expensive.has(node.attributes.fn as ScalarFn) &&
  node.type.dtype !== 'i32' &&
  !['div', 'mod', 'sqrt', 'rsqrt'].includes(node.attributes.fn)

/** A state as some point of the program sees it. */
export const isVersion = (node: Node): boolean => node.op === 'state' || node.op === 'store' || node.op === 'scatter'

/** The state that a version belongs to. */
export function stateOf(node: Node): Node<'state'> {
  let version = node
  while (!is(version, 'state')) version = version.operands[0]!
  return version
}

/** The path of the state that a version belongs to. */
export const statePathOf = (node: Node): string => stateOf(node).attributes.path

export const isStoring = (node: Node): boolean => node.op === 'store' || node.op === 'scatter'

/** What a state in blocks holds of a value: part of storing it, never in memory elsewhere. */
export const roundsState = (node: Node): boolean => is(node, 'quantise') && node.attributes.scale === 'f16'

function isWeightView(node: Node): boolean {
  let below = node
  while (weightViews.has(below.op)) below = below.operands[0]!
  return below.op === 'weight'
}

/** The other side of a dot with a weight; undefined for dots of activations and for outer products. */
export function activationOf(dot: Node<'dot'>): Node | undefined {
  if (dot.attributes.contract.length === 0) return undefined
  const [a, b] = dot.operands as [Node, Node]
  return isWeightView(b) ? a : isWeightView(a) ? b : undefined
}

/** Quantised activations keep their blocks when everything that reads them is a dot with a weight over their last axis. */
export function isByteBlocks(node: Node, users: Users, owner: Owner): boolean {
  if (!is(node, 'quantise') || roundsState(node) || owner.results.includes(node)) return false
  const last = node.type.dims.length - 1
  const length = node.type.dims[last]!
  /** Dots over the axes of `view` from `from` on, which are the quantised row. */
  const contracted = (view: Node, from: number): boolean =>
    users.get(view)!.every((user) => {
      if (is(user, 'split') && view === node && user.attributes.axis === last) return contracted(user, last)
      if (!is(user, 'dot') || activationOf(user) !== view) return false
      const axes = user.attributes.contract.map((pair) => pair[user.operands[0] === view ? 0 : 1])
      return view.type.dims.every((_, axis) => axis < from || axes.includes(axis))
    })
  return length.terms.length === 0 && length.const % blockSize === 0 && contracted(node, last)
}
