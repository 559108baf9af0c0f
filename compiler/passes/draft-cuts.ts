// What fusion takes back once it sees the kernel that a root would be: nodes that the kernel should find in memory instead of
// computing them itself, because it would compute them twice, tie together what threads could share, or read weights in pieces
// that no vector fits.

import { type DraftKernel, reachableDrafts } from '../kernel/build.ts'
import type { Draft } from '../kernel/lower.ts'
import type { AxisId } from '../kernel/types.ts'
import { type Affine, type Bounds, range } from '../../dsl/affine.ts'
import type { Node } from '../graph/types.ts'

export interface FusionFacts {
  readonly symbols: Bounds
  /** A dot with a weight. */
  isAnchor(node: Node): boolean
  /** The last node of a reduction's epilogue. */
  endOf(reduction: Node): Node
  sizeOf(node: Node): number
}

interface Cut {
  readonly root: Node
  readonly draft: DraftKernel
  /** Reachable definitions, each after those that it reads. */
  readonly order: readonly number[]
  readonly facts: FusionFacts
}

export function cutsOf(root: Node, draft: DraftKernel, facts: FusionFacts): Node[] {
  const order = reachableDrafts(
    draft.lowering.drafts,
    draft.outputs.map((output) => output.value),
  )
  return cuts.flatMap((find) => find({ root, draft, order, facts }))
}

const cuts: readonly ((cut: Cut) => Node[])[] = [deepNests, repeatedDots, brokenPairs, wholeRows]

const extentOf = ({ draft }: Cut, axis: AxisId): Affine => draft.lowering.extents.get(axis)!
const draftsOf = ({ draft, order }: Cut): Draft[] => order.map((id) => draft.lowering.drafts[id]!)

/** Attention reduces over positions what was reduced over features; anything deeper gets memory. */
function deepNests({ draft, order, facts }: Cut): Node[] {
  const { drafts } = draft.lowering
  const depth = new Map<number, number>()
  const found: Node[] = []
  for (const id of order) {
    const definition = drafts[id]!
    let mine = 0
    for (const used of reachableDrafts(drafts, [definition.body])) {
      const over = drafts[used]!.free.some((axis) => definition.over.includes(axis))
      mine = Math.max(mine, depth.get(used)! + (over ? 1 : 0))
      if (over && depth.get(used)! >= 1) found.push(facts.endOf(drafts[used]!.node!))
    }
    depth.set(id, mine)
  }
  return found
}

/** A dot that would be done twice. */
function repeatedDots(cut: Cut): Node[] {
  const work = new Map<Node, number>()
  for (const { free, node } of draftsOf(cut)) {
    const size = free.reduce((product, axis) => product * Math.max(1, range(extentOf(cut, axis), cut.facts.symbols).max), 1)
    work.set(node!, (work.get(node!) ?? 0) + size)
  }
  return [...work].flatMap(([node, size]) => (cut.facts.isAnchor(node) && size > cut.facts.sizeOf(node) ? [node] : []))
}

/** Rows of a weight are packed four to a vector: a rotation whose halves begin in the middle of one takes its rows from memory. */
function brokenPairs(cut: Cut): Node[] {
  const seen = new Set<Node>()
  return draftsOf(cut).flatMap(({ node, free }) => {
    const again = seen.has(node!)
    seen.add(node!)
    const lane = again && cut.facts.isAnchor(node!) ? free.at(-1) : undefined
    return lane !== undefined && extentOf(cut, lane).const % 4 !== 0 ? [node!] : []
  })
}

/**
 * A number that is reduced from a whole row (a norm of all heads), where the kernel works on parts of rows: heads of attention, or
 * elements of a state that no outer axis divides. It would tie the parts together, and threads could not share them.
 */
function wholeRows(cut: Cut): Node[] {
  const { root, draft, facts } = cut
  const reductions = draftsOf(cut).filter(({ over }) => over.length > 0)
  const isPart = (axis: AxisId): boolean => {
    const { terms, const: extent } = extentOf(cut, axis)
    return terms.length === 0 && extent > 1 && draft.outputs.every((output) => output.axes.includes(axis))
  }
  const whole = reductions.filter(({ free }) => !free.some(isPart))
  const alone = (root.op === 'store' || root.op === 'scatter') && whole.every(({ free }) => free.length === 0)
  return whole.length < reductions.length || alone ? whole.map(({ node }) => facts.endOf(node!)) : []
}
