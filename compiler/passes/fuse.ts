// Chooses what is materialised: fusion is a set of roots, and each kernel inlines everything between its root and what lies in
// memory. In order: what must be in memory (results, stores, choices, loop operands, quantised activations); for every dot with
// a weight, its activations below it and the end of its epilogue above it (as far as its values stay within one root of the
// same size); shared work that costs something; reductions that nest deeper than attention does. Names of library ops play
// no part: a renamed attention fuses the same.

import { draftKernel, type DraftKernel, type Place, reachableDrafts } from '../kernel/build.ts'
import { linearParts } from '../kernel/index-map.ts'
import type { AxisId } from '../kernel/types.ts'
import { range, type Bounds } from '../../dsl/affine.ts'
import { reachable, rootsOf } from '../graph/nodes.ts'
import { is, type Node, type OpName } from '../graph/types.ts'
import { blockSize } from '../ops/quantise.ts'
import type { ByteBlocks } from '../schedule/activation-blocks.ts'
import { cutsOf } from './draft-cuts.ts'
import {
  activationOf,
  isByteBlocks,
  isExpensive,
  isLeaf,
  isReduction,
  isStoring,
  isVersion,
  roundsState,
  stateOf,
  statePathOf,
  valueOperands,
} from './fusion-nodes.ts'
import { type Owner, postDominators, type Users, usersOf } from './post-dominators.ts'

export interface Fusion {
  /** Nodes whose elements are written to memory. */
  readonly roots: ReadonlySet<Node>
  /** Dots with a weight that were found, for reports. */
  readonly anchors: readonly Node<'dot'>[]
}

const atoms: ReadonlySet<OpName> = new Set<OpName>(['literal', 'size', 'iota'])
const forced: ReadonlySet<OpName> = new Set<OpName>(['store', 'scatter', 'topk', 'loop', 'quantise'])
const isForced = (node: Node): boolean => forced.has(node.op) && !roundsState(node)
/** Ops that may stand between a dot and the end of its epilogue. */
const epilogue: ReadonlySet<OpName> = new Set<OpName>([
  'unary',
  'binary',
  'where',
  'cast',
  'broadcast',
  'split',
  'merge',
  'transpose',
  'slice',
  'pick',
  'gather',
])
/** Views that only regroup axes: the materialised value keeps the axes below them. */
const regroups: ReadonlySet<OpName> = new Set<OpName>(['split', 'transpose', 'broadcast'])

class Fuser {
  readonly roots = new Set<Node>()
  readonly anchors: Node<'dot'>[] = []
  readonly nodes: readonly Node[]
  readonly users: Users
  readonly dominator: ReadonlyMap<Node, Node | undefined>
  readonly owner: Owner
  readonly symbols: Bounds

  /** How the target stores 8-bit activations, if it does: a8 by whom rows are walked alone, d8 by workgroups. */
  readonly byteBlocks: ByteBlocks | undefined

  constructor(owner: Owner, symbols: Bounds, byteBlocks: ByteBlocks | undefined) {
    this.owner = owner
    this.symbols = symbols
    this.byteBlocks = byteBlocks
    this.nodes = reachable(rootsOf(owner))
    this.users = usersOf(this.nodes)
    this.dominator = postDominators(this.nodes, this.users, owner)
  }

  run(): Fusion {
    this.force()
    for (const node of this.nodes) if (is(node, 'dot') && activationOf(node)) this.anchors.push(node)
    for (const dot of this.anchors) this.settle(activationOf(dot)!)
    for (const dot of this.anchors) {
      const end = this.endOf(dot)
      if (!this.isRoundedOnly(end)) this.add(end)
    }
    for (let before = -1; before !== this.roots.size; ) {
      before = this.roots.size
      this.cutSideReductions()
      this.materialiseShared()
      this.cutDrafts()
      this.cutShortBlocks()
    }
    return { roots: this.roots, anchors: this.anchors }
  }

  add(node: Node): void {
    if (roundsState(node)) this.add(node.operands[0]!)
    else if (!isLeaf(node)) this.roots.add(node)
  }

  force(): void {
    for (const node of this.owner.results) this.add(node)
    for (const node of this.nodes) {
      if (isForced(node)) this.add(node)
      if (node.op === 'loop' || node.op === 'topk') for (const operand of node.operands) this.add(operand)
      // A store whose value reads the state that it writes must read all of it first.
      if (node.op === 'store' || node.op === 'scatter') {
        const path = statePathOf(node)
        const value = node.operands.at(-1)!
        if (this.coneOf(value).some((inner) => isVersion(inner) && statePathOf(inner) === path)) this.add(value)
      }
    }
  }

  /** Nodes computed where `node` is: itself and all below it until roots and leaves; those are given too, without what is below them. */
  coneOf(node: Node): Node[] {
    const seen = new Set<Node>([node])
    const stack = [node]
    for (let next = stack.pop(); next; next = stack.pop()) {
      if (next !== node && (this.roots.has(next) || isLeaf(next) || isForced(next))) continue
      for (const operand of valueOperands(next)) {
        if (seen.has(operand)) continue
        seen.add(operand)
        stack.push(operand)
      }
    }
    return [...seen]
  }

  /** What a kernel rooted at the node computes itself. */
  computedBy(node: Node): Node[] {
    return this.coneOf(node).filter((inner) => inner === node || !(this.roots.has(inner) || isLeaf(inner) || atoms.has(inner.op)))
  }

  /** Sees to it that the activation side of a dot is (a view of) something in memory. */
  settle(operand: Node): void {
    let node = operand
    for (;;) {
      if (isLeaf(node) || this.roots.has(node) || atoms.has(node.op)) return
      const below = node.operands[0]!
      const view = node.op === 'merge' || node.op === 'pick' || node.op === 'slice'
      if (regroups.has(node.op) || (view && (this.users.get(below)!.length > 1 || isLeaf(below) || this.roots.has(below)))) node = below
      else {
        this.add(node)
        return
      }
    }
  }

  sizeOf(node: Node): number {
    const { dims } = node.op === 'store' ? node.operands[1]!.type : node.op === 'scatter' ? node.operands[2]!.type : node.type
    return dims.reduce((product, dim) => product * Math.max(1, range(dim, this.symbols).max), 1)
  }

  /** The last node of the reduction's epilogue: every use of its value ends there, element by element. */
  endOf(reduction: Node): Node {
    const size = this.sizeOf(reduction)
    let end = reduction
    for (let next = this.dominator.get(end); next && !this.roots.has(end); next = this.dominator.get(end)) {
      const between = this.between(end, next)
      if (!between.every((node) => !this.roots.has(node) && this.isElementwise(node, end, between) && this.sizeOf(node) <= size)) break
      if (next.op === 'store' || next.op === 'scatter') {
        const value = next.operands.at(-1)!
        if ((value !== end && !between.includes(value)) || this.sizeOf(next) > size || !this.fits(reduction, value)) break
        return next
      }
      if (!this.isElementwise(next, end, between) || this.sizeOf(next) > size || !this.fits(reduction, next)) break
      end = next
    }
    while (end !== reduction && !this.roots.has(end) && regroups.has(end.op)) end = end.operands[0]!
    return end
  }

  /** Nodes on the ways from `from` up to `to`, both left out. */
  between(from: Node, to: Node): Node[] {
    const found = new Set<Node>()
    const stack = [...this.users.get(from)!]
    for (let node = stack.pop(); node; node = stack.pop()) {
      if (node === to || found.has(node)) continue
      found.add(node)
      stack.push(...this.users.get(node)!)
    }
    return [...found]
  }

  isElementwise(node: Node, from: Node, between: readonly Node[]): boolean {
    if (roundsState(node)) return true
    if (!epilogue.has(node.op)) return false
    if (node.op !== 'gather') return true
    // Positions known at compile time (the other half of a pair); the index itself must not come from the dot.
    const index = node.operands[1]!
    return index !== from && !between.includes(index) && this.coneOf(index).every((inner) => !isLeaf(inner) && !this.roots.has(inner))
  }

  /** Other dots in the same kernel must share the activations and the iteration space. */
  fits(reduction: Node, end: Node): boolean {
    if (!is(reduction, 'dot')) return true
    const left = activationOf(reduction)
    if (!left) return true
    return this.computedBy(end).every((node) => {
      if (node === reduction || !is(node, 'dot')) return true
      const other = activationOf(node)
      return !other || (other === left && this.sizeOf(node) === this.sizeOf(reduction))
    })
  }

  /** A kernel with a weight's dot reduces nothing else: other reductions beside it get memory. */
  cutSideReductions(): void {
    const visit = (node: Node, top: boolean): void => {
      if (!top && (this.roots.has(node) || isLeaf(node))) return
      const inside = this.computedBy(node)
      if (inside.some((inner) => this.isAnchor(inner))) {
        if (!this.isAnchor(node)) for (const operand of valueOperands(node)) visit(operand, false)
      } else if (inside.some((inner) => isReduction(inner))) this.settle(node)
    }
    for (const root of [...this.roots]) if (this.computedBy(root).some((node) => this.isAnchor(node))) visit(root, true)
  }

  isAnchor(node: Node): boolean {
    return is(node, 'dot') && this.anchors.includes(node)
  }

  /** Work that two kernels would repeat: reductions and expensive functions. */
  materialiseShared(): void {
    const owners = new Map<Node, Set<Node>>()
    for (const node of [...this.nodes].reverse()) {
      const mine = new Set<Node>()
      for (const user of this.users.get(node)!) {
        if (!valueOperands(user).includes(node)) continue
        if (this.roots.has(user)) mine.add(user)
        else for (const root of owners.get(user)!) mine.add(root)
      }
      owners.set(node, mine)
      if (mine.size < 2 || isLeaf(node) || this.roots.has(node) || roundsState(node) || regroups.has(node.op) || atoms.has(node.op))
        continue
      if (node.op === 'slice' || node.op === 'pick') continue
      if (this.computedBy(node).some((inner) => isReduction(inner) || isExpensive(inner))) this.roots.add(node)
    }
  }

  /** The kernel of a root as it would be now. */
  draftOf(root: Node, format: string): DraftKernel {
    const place = (node: Node): Place => ({
      source: { kind: 'value', id: `n${node.id}` },
      dims: node.type.dims,
      dtype: node.type.dtype,
      format: 'f32',
    })
    return draftKernel([{ node: root, target: { ...place(root), source: { kind: 'value', id: 'root' }, format } }], {
      symbols: this.symbols,
      placeOf: (node) => (this.roots.has(node) || isLeaf(node) ? place(node) : undefined),
    })
  }

  writesBlocks(root: Node): boolean {
    return this.byteBlocks !== undefined && isByteBlocks(root, this.users, this.owner)
  }

  /** How what a root writes is stored. */
  formatOf(root: Node): ByteBlocks | 's8' | 'f32' {
    if (this.byteBlocks && this.writesBlocks(root)) return this.byteBlocks
    return isStoring(root) && stateOf(root).attributes.stored === 'q8_0' ? 's8' : 'f32'
  }

  /** Nobody else reads it, so the kernel that makes it can round it: cutShortBlocks sees to it that blocks are whole. */
  isRoundedOnly(node: Node): boolean {
    const [user, ...others] = this.users.get(node)!
    return user !== undefined && others.length === 0 && !this.owner.results.includes(node) && this.writesBlocks(user)
  }

  /**
   * A kernel writes whole blocks of 8 bits: its innermost axis must run through them, else the row is made first. Workgroups write
   * blocks of states of what needs no reduction only, and of activations where a workgroup has all of the reductions that a block needs.
   */
  cutShortBlocks(): void {
    for (const root of [...this.roots]) {
      const format = this.formatOf(root)
      const rounded = format === 's8' ? root.operands.at(-1)!.operands[0]! : root.operands[0]
      if (format === 'f32' || this.roots.has(rounded!)) continue
      const groups = this.byteBlocks !== 'a8'
      const inside = this.computedBy(root)
      if (groups && format === 's8' && inside.some(isReduction)) {
        this.add(rounded!)
        continue
      }
      const { outputs, lowering } = this.draftOf(root, format)
      const row = linearParts(outputs[0]!.index.at(-1)!, lowering.scope).terms
      const inner = row.find(({ factor }) => factor === 1)?.atom
      const whole = inner?.kind === 'axis' && lowering.extents.get(inner.axis)!.const % blockSize === 0 && outputs.length === 1
      if (!whole || (groups && !inside.some((node) => this.isAnchor(node)) && isAlong(inner.axis, { outputs, lowering })))
        this.add(rounded!)
    }
  }

  /** What a kernel as it would be now should find in memory (draft-cuts.ts). */
  cutDrafts(): void {
    for (const root of [...this.roots]) {
      if (root.op === 'loop' || root.op === 'topk' || !this.computedBy(root).some(isReduction)) continue
      for (const node of cutsOf(root, this.draftOf(root, this.formatOf(root)), this)) this.add(node)
    }
  }
}

/** Whether there are reductions, one for each point of an axis. */
function isAlong(axis: AxisId, { outputs, lowering }: Pick<DraftKernel, 'outputs' | 'lowering'>): boolean {
  const values = outputs.map(({ value }) => value)
  const reductions = reachableDrafts(lowering.drafts, values).flatMap((id) =>
    lowering.drafts[id]!.over.length > 0 ? [lowering.drafts[id]!] : [],
  )
  return reductions.length > 0 && reductions.every(({ free }) => free.includes(axis))
}

/** Chooses the roots of a graph or a loop body. */
export const fuse = (owner: Owner, symbols: Bounds, byteBlocks?: ByteBlocks): Fusion => new Fuser(owner, symbols, byteBlocks).run()

/** Without fusion: every computed value is in memory, a kernel each. */
export function fuseNothing(owner: Owner): Fusion {
  const nodes = reachable(rootsOf(owner))
  const roots = new Set(
    nodes.filter(
      (node) =>
        !isLeaf(node) &&
        !roundsState(node) &&
        (!atoms.has(node.op) || owner.results.includes(node) || nodes.some((user) => needsMemory(user, node))),
    ),
  )
  return { roots, anchors: nodes.filter((node): node is Node<'dot'> => is(node, 'dot') && activationOf(node) !== undefined) }
}

/** Loops and choices read their operands from memory. */
const needsMemory = (user: Node, operand: Node): boolean => (user.op === 'loop' || user.op === 'topk') && user.operands.includes(operand)
