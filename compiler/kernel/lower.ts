// Nodes as scalar expressions: lower(node, at) is the node's element at these indices, by the rule of its op (lower-ops.ts). A node
// that the caller has as an operand is loaded instead. Expressions are interned by (node, indices), and a reduced axis is named by its
// extent and by what is free at the point, so two reductions over rows of one length share the axis and equal definitions are one.

import { constant, isConstant, show } from '../../dsl/affine.ts'
import type { ReduceOp } from '../../dsl/sink.ts'
import { within } from '../limits.ts'
import type { Affine, Dtype, Node, OpName } from '../graph/types.ts'
import { axesOfExpr, callExpr, showExpr } from './expression.ts'
import { addIndex, indexAxis, indexConst, scaleIndex } from './index-map.ts'
import { axesOfIndex, showIndex } from './index-walk.ts'
import type { IndexScope } from './index-map.ts'
import { rules } from './lower-ops.ts'
import type { AxisId, Expr, Index } from './types.ts'

/** A definition while its kernel is being built; `value` expressions name it by its place in `Lowering.drafts`. */
export interface Draft {
  readonly dtype: Dtype
  readonly free: readonly AxisId[]
  readonly over: readonly AxisId[]
  readonly combine?: ReduceOp
  readonly body: Expr
  /** The reduction that it came from; absent for shared values. */
  readonly node?: Node
}

export interface LoweringOptions {
  readonly symbols: IndexScope['symbols']
  /** The operand's number if the node is in memory here; undefined if it is computed on the spot. */
  readonly operand: (node: Node) => number | undefined
  /** Axes to write as outer·by + inner. */
  readonly splits: ReadonlyMap<AxisId, number>
  /** Axes that stand at one position for now (unrolling); may change between calls of `lower`. */
  readonly fixed: ReadonlyMap<AxisId, number>
}

/** The scalar expression of a node's element at these indices. */
export type Rule<Op extends OpName> = (node: Node<Op>, at: readonly Index[], l: Lowering) => Expr

export class Lowering {
  readonly drafts: Draft[] = []
  readonly extents = new Map<AxisId, Affine>()
  readonly scope: IndexScope
  readonly #options: LoweringOptions
  readonly #memo = new Map<string, Expr>()
  readonly #interned = new Map<string, Expr>()
  readonly #numbers = new Map<Expr, number>()
  readonly #names = new Map<string, string>()

  constructor(options: LoweringOptions) {
    this.#options = options
    this.scope = { extents: this.extents, symbols: options.symbols }
  }

  /** The node's element at these indices. */
  lower(node: Node, at: readonly Index[]): Expr {
    const key = `${node.id}:${at.map(showIndex).join()}`
    const known = this.#memo.get(key)
    if (known) return known
    const operand = this.#options.operand(node)
    const expr = operand === undefined ? this.expand(node, at) : this.intern({ kind: 'load', operand, index: at, dtype: node.type.dtype })
    this.#memo.set(key, expr)
    return expr
  }

  /** As `lower`, but computed here even if the node has a place in memory: the root of a kernel. */
  expand<Op extends OpName>(node: Node<Op>, at: readonly Index[]): Expr {
    const rule = rules[node.op] as Rule<Op> | undefined
    if (!rule) throw new Error(`internal: ${node.op} is computed inside a kernel`)
    return this.intern(rule(node, at, this))
  }

  /** One object for equal expressions whose parts are interned. */
  intern(e: Expr): Expr {
    const key = this.#keyOf(e)
    const known = this.#interned.get(key)
    if (known) return known
    this.#interned.set(key, e)
    within('kernel', this.#interned.size, () => 'one kernel')
    this.#numbers.set(e, this.#numbers.size)
    return e
  }

  #keyOf(e: Expr): string {
    if (e.kind !== 'call') return `${showExpr(e)}:${e.kind === 'index' ? '' : e.dtype}`
    return `${e.fn}:${e.dtype}(${e.args.map((arg) => this.#numbers.get(arg) ?? this.#numbers.get(this.intern(arg))).join()})`
  }

  /** An axis as an index: itself, 0 if it has one position, or outer·by + inner where it is to be split. */
  axis(id: AxisId, extent: Affine, parts?: AxisId[]): Index {
    if (isConstant(extent) && extent.const === 1) return indexConst(0)
    const fixed = this.#options.fixed.get(id)
    if (fixed !== undefined) return indexConst(fixed)
    const by = this.#options.splits.get(id)
    if (by === undefined) {
      this.extents.set(id, extent)
      parts?.push(id)
      return indexAxis(id)
    }
    const outer = this.axis(`${id}_0`, quotient(extent, by)!, parts)
    const inner = this.axis(`${id}_1`, constant(by), parts)
    return addIndex(scaleIndex(outer, by, this.scope), inner, this.scope)
  }

  /** Fresh axes for a reduction at a point: named by extent, never one that the point itself uses. */
  reductionAxes(extents: readonly Affine[], at: readonly Index[]): { over: AxisId[]; index: Index[] } {
    const used = new Set<AxisId>()
    for (const index of at) for (const axis of axesOfIndex(index)) used.add(axis)
    const over: AxisId[] = []
    const index = extents.map((extent) => {
      for (let n = 0; ; n++) {
        const key = `${show(extent)}#${n}`
        const id = this.#names.get(key) ?? `k${this.#names.size}`
        this.#names.set(key, id)
        const parts: AxisId[] = []
        const made = this.axis(id, extent, parts)
        if (parts.some((part) => used.has(part))) continue
        for (const part of parts) used.add(part)
        over.push(...parts)
        return made
      }
    })
    return { over, index }
  }

  /** The value of a definition that combines `body` over axes; the body itself if there are none. */
  define(combine: ReduceOp, over: readonly AxisId[], body: Expr, dtype: Dtype, node: Node): Expr {
    if (over.length === 0) return body
    const free = [...this.axesOf(body)].filter((axis) => !over.includes(axis)).sort()
    this.drafts.push({ dtype, free, over, combine, body, node })
    return this.intern({ kind: 'value', definition: this.drafts.length - 1, dtype })
  }

  axesOf(e: Expr): Set<AxisId> {
    return axesOfExpr(e, (definition) => this.drafts[definition]!.free)
  }

  call(fn: Parameters<typeof callExpr>[0], args: readonly Expr[], dtype: Dtype): Expr {
    return this.intern(callExpr(fn, args, dtype, this.scope))
  }
}

/** extent / by when every coefficient divides. */
export function quotient(extent: Affine, by: number): Affine | undefined {
  const all = [extent.const, ...extent.terms.map(([, factor]) => factor)]
  if (all.some((value) => value % by !== 0)) return undefined
  return { const: extent.const / by, terms: extent.terms.map(([name, factor]) => [name, factor / by] as const) }
}
