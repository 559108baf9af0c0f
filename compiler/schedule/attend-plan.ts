// What the attend schedule (attend.ts) has to know of a kernel, or that it is none: scores of rows with vectors of positions, an
// online softmax along the positions (tile-passes.ts finds it), weighted sums of vectors of positions. Rows that see the same
// vectors ("shared": query heads of one key head, and queries) are computed together. Everything is found from index maps and
// definitions: grouping, windows, biases, caps and caches of any form are expressions like others.

import * as affine from '../../dsl/affine.ts'
import { axesOfExpr } from '../kernel/expression.ts'
import type { IndexScope } from '../kernel/index-map.ts'
import { strideOf } from '../kernel/index-map.ts'
import type { AxisId, Definition, Expr, Index, Kernel, KernelAxis } from '../kernel/types.ts'
import { axisOf, innerAxes, stripCasts, uses, valuesFor } from './definitions.ts'
import { elementOf } from './scalar-calls.ts'
import { indexScopeOf } from './scope.ts'
import { s8 } from './state-blocks.ts'
import { visibleRange } from './visible.ts'
import { planPasses, type Running } from './tile-passes.ts'

export type Load = Extract<Expr, { kind: 'load' }>

/** A definition that is Σ over `axis` of query · vector, a vector of `axis` at each position. */
export interface Score {
  readonly id: number
  readonly axis: KernelAxis
  readonly query: Expr
  readonly vector: Load
}

/** A definition that is Σ over the positions of the value `weight` times a vector along `axis`. */
export interface Weighted {
  readonly id: number
  readonly axis: KernelAxis
  readonly weight: number
  readonly vector: Load
}

export interface AttendPlan {
  /** Computes the same as the kernel that was asked about. */
  readonly kernel: Kernel
  /** The positions. */
  readonly axis: KernelAxis
  readonly outer: readonly KernelAxis[]
  /** Outer axes that vectors depend on, and any that rows cannot run over. */
  readonly batch: readonly KernelAxis[]
  /** Outer axes of constant extent that rows run over. */
  readonly heads: readonly KernelAxis[]
  /** The outer axis of symbolic extent that rows run over. */
  readonly token?: KernelAxis
  readonly running: Running
  readonly scores: readonly Score[]
  readonly weighted: readonly Weighted[]
  /** Sums of one number a row. */
  readonly totals: readonly number[]
  /** Values over the positions that the maximum needs, and those that come after it; each in order. */
  readonly before: readonly number[]
  readonly after: readonly number[]
  /** Values of a row that those read which come after the maximum: the level that exponents have subtracted, say. */
  readonly levels: readonly number[]
  /** Values over the positions that are kept for a tile. */
  readonly kept: ReadonlySet<number>
  /** Positions outside from … to - 1 are masked for every row of a block. Indices over outer axes. */
  readonly visible: { readonly from: readonly Index[]; readonly to: readonly Index[] }
}

/** Undefined where a kernel is something else, or has parts that this schedule does not do. */
export function planAttend(original: Kernel, outer: readonly KernelAxis[], bounds: affine.Bounds): AttendPlan | undefined {
  const axis = positionsOf(original, outer, bounds)
  if (!axis) return undefined
  const { kernel, passes, ready } = planPasses(original, axis.id, new Set(outer.map(({ id }) => id)))
  const [pass] = passes
  if (passes.length !== 1 || !pass?.running) return undefined
  const { running, reductions } = pass
  const { definitions } = kernel
  const index = indexScopeOf(kernel, bounds)
  const parts = new Parts(kernel, axis, outer, index)
  for (const [id, definition] of definitions.entries()) {
    if (reductions.includes(id)) {
      if (id !== running.maximum && !parts.addSum(id, definition)) return undefined
    } else if (definition.over.length > 0) {
      if (!parts.addScore(id, definition)) return undefined
    } else if (definition.free.includes(axis.id)) {
      if (!definition.free.every((free) => free === axis.id || parts.isOuter(free))) return undefined
    } else if (ready[id] === 0 && innerAxes(definition, outer).length > 0) return undefined
  }
  const { scores, weighted, totals } = parts
  if (scores.length === 0 || weighted.length === 0) return undefined
  const vectors = [...scores, ...weighted].map(({ vector }) => parts.axesOf(vector))
  const shared = outer.filter(({ id }) => vectors.every((axes) => !axes.has(id)))
  const token = shared.find(({ extent }) => !affine.isConstant(extent))
  const heads = shared.filter(({ extent }) => affine.isConstant(extent))
  const batch = outer.filter((each) => each !== token && !heads.includes(each))
  const isScore = (id: number): boolean => scores.some((score) => score.id === id)
  const before = valuesFor(kernel, axis.id, [definitions[running.maximum]!.body])
  const later = [...totals, ...weighted.map(({ id }) => id)].map((id) => definitions[id]!.body)
  const after = valuesFor(kernel, axis.id, later).filter((id) => !before.includes(id))
  const readAfter = new Set([...after.map((id) => definitions[id]!.body), ...later].flatMap((e) => [...uses(e)]))
  const kept = new Set([
    ...before.filter((id) => isScore(id) || readAfter.has(id)),
    ...after.filter(isScore),
    ...weighted.map(({ weight }) => weight),
  ])
  return {
    kernel,
    axis,
    outer,
    batch,
    heads,
    ...(token ? { token } : {}),
    running,
    scores,
    weighted,
    totals,
    before,
    after,
    levels: rowValues(kernel, axis.id, [...after.map((id) => definitions[id]!.body), ...totals.map((id) => definitions[id]!.body)]),
    kept,
    visible: visibleRange(kernel, axis.id, running, new Set(heads.map(({ id }) => id)), index),
  }
}

/** The axis to go along: the longest that neither outer axes nor outputs have, and that is both kept and summed. */
function positionsOf(kernel: Kernel, outer: readonly KernelAxis[], bounds: affine.Bounds): KernelAxis | undefined {
  const kept = new Set(kernel.outputs.flatMap(({ axes }) => axes))
  const inner = new Set(kernel.definitions.flatMap((definition) => innerAxes(definition, outer)))
  const extent = (axis: KernelAxis): number => affine.range(axis.extent, bounds).max
  return kernel.axes.filter(({ id }) => inner.has(id) && !kept.has(id)).sort((a, b) => extent(b) - extent(a))[0]
}

class Parts {
  readonly scores: Score[] = []
  readonly weighted: Weighted[] = []
  readonly totals: number[] = []
  readonly #kernel: Kernel
  readonly #axis: KernelAxis
  readonly #outer: ReadonlySet<AxisId>
  readonly #index: IndexScope

  constructor(kernel: Kernel, axis: KernelAxis, outer: readonly KernelAxis[], index: IndexScope) {
    this.#kernel = kernel
    this.#axis = axis
    this.#outer = new Set(outer.map(({ id }) => id))
    this.#index = index
  }

  isOuter(id: AxisId): boolean {
    return this.#outer.has(id)
  }

  axesOf(e: Expr): Set<AxisId> {
    return axesOfExpr(e, (id) => this.#kernel.definitions[id]!.free)
  }

  /** Σ over positions: one number a row, or a vector. */
  addSum(id: number, { over, free, combine, dtype, body }: Definition): boolean {
    if (combine !== 'sum' || elementOf(dtype) !== 'f32' || over.length !== 1) return false
    const inner = free.filter((each) => !this.isOuter(each))
    if (inner.length === 0) {
      this.totals.push(id)
      return true
    }
    const axis = axisOf(this.#kernel, inner[0]!)
    if (inner.length !== 1 || body.kind !== 'call' || body.fn !== 'mul') return false
    for (const [vector, weight] of pairs(body.args.map(stripCasts))) {
      if (weight.kind !== 'value' || this.axesOf(weight).has(axis.id) || !this.#isVector(vector, axis)) continue
      if (this.#kernel.definitions[weight.definition]!.over.length > 0 || !this.axesOf(weight).has(this.#axis.id)) continue
      this.weighted.push({ id, axis, weight: weight.definition, vector })
      return true
    }
    return false
  }

  /** Σ over another axis at each position. */
  addScore(id: number, { over, free, combine, dtype, body }: Definition): boolean {
    if (combine !== 'sum' || elementOf(dtype) !== 'f32' || over.length !== 1) return false
    if (!free.includes(this.#axis.id) || !free.every((each) => each === this.#axis.id || this.isOuter(each))) return false
    if (body.kind !== 'call' || body.fn !== 'mul') return false
    const axis = axisOf(this.#kernel, over[0]!)
    for (const [vector, query] of pairs(body.args.map(stripCasts))) {
      if (this.axesOf(query).has(this.#axis.id) || !this.#isVector(vector, axis)) continue
      if ([...uses(query)].some((used) => this.#kernel.definitions[used]!.over.length > 0)) continue
      this.scores.push({ id, axis, query, vector })
      return true
    }
    return false
  }

  /** A load whose values along `axis`, a multiple of four of them, lie side by side at each position. */
  #isVector(e: Expr, axis: KernelAxis): e is Load {
    if (e.kind !== 'load' || !affine.isConstant(axis.extent) || axis.extent.const % 4 !== 0) return false
    const { layout, format, dtype } = this.#kernel.operands[e.operand]!
    if (layout !== 'plain' || !['f32', 'f16', 's8'].includes(format) || elementOf(dtype) !== 'f32') return false
    // A vector in blocks begins with one.
    if (format === 's8' && (axis.extent.const % s8.k !== 0 || e.index.at(-1)!.kind !== 'axis')) return false
    return e.index.every((at, i) => strideOf(at, axis.id, this.#index) === (i === e.index.length - 1 ? 1 : 0))
  }
}

const pairs = ([a, b]: readonly Expr[]): readonly (readonly [Expr, Expr])[] => [
  [a!, b!],
  [b!, a!],
]

/** Named values without the axis that some expressions read, in order; no reductions. */
function rowValues({ definitions }: Kernel, axis: AxisId, exprs: readonly Expr[]): number[] {
  const found = new Set<number>()
  const visit = (e: Expr): void => {
    for (const id of uses(e)) {
      const { free, over, body } = definitions[id]!
      if (over.length > 0 || found.has(id)) continue
      if (!free.includes(axis)) found.add(id)
      visit(body)
    }
  }
  exprs.forEach(visit)
  return [...found].sort((a, b) => a - b)
}
