// Builds one kernel by inlining everything between its roots and what lies in memory. Three decisions are made by lowering
// again and comparing: an axis that occurs as `axis div c` and `axis mod c` is split in two (merged heads, rotated pairs); a
// constant axis of at most 4 is unrolled if that computes fewer reductions (RoPE: output d and d + r need the same two dots);
// then shared and hoistable values are named (see share.ts). Which nodes are roots is the pass fuse's decision.

import { range } from '../../dsl/affine.ts'
import type { Bounds } from '../../dsl/affine.ts'
import { LlamacError } from '../../runtime/error.ts'
import { is } from '../graph/types.ts'
import type { Affine, Dtype, Node } from '../graph/types.ts'
import { childrenOf, constExpr, indexExpr, mapExpr, positionOf, rebuildIndex } from './expression.ts'
import { addIndex, divIndex, indexAxis, indexOfAffine, scaleIndex } from './index-map.ts'
import { axesOfIndex, walkIndex } from './index-walk.ts'
import { blockSize } from '../ops/quantise.ts'
import { isByteFormat } from '../schedule/activation-blocks.ts'
import { type Draft, Lowering, quotient } from './lower.ts'
import { regroupOperands } from './regroup.ts'
import { nameSharedValues } from './share.ts'
import type { AxisId, Definition, Expr, Index, Kernel, Operand, OperandSource, Output, ScalarFn } from './types.ts'

/** Where a node's elements lie. */
export interface Place {
  readonly source: OperandSource
  readonly dims: readonly Affine[]
  readonly dtype: Dtype
  readonly format: string
}

/** A node to compute and where to; several roots of one kernel run over the same dims. */
export interface Root {
  readonly node: Node
  readonly target: Place
}

export interface KernelContext {
  readonly symbols: Bounds
  /** Where a node can be read, undefined if it is inlined. */
  readonly placeOf: (node: Node) => Place | undefined
}

/** An output before numbering: axes are those of its index and value. */
export interface DraftOutput {
  readonly operand: number
  readonly axes: readonly AxisId[]
  readonly index: readonly Index[]
  readonly value: Expr
}

/** A kernel whose definitions are still those of its lowering. */
export interface DraftKernel {
  readonly lowering: Lowering
  readonly outputs: readonly DraftOutput[]
  readonly select?: NonNullable<Kernel['select']>
  /** Axes of the roots, in order. */
  readonly axes: readonly AxisId[]
  readonly operands: readonly Place[]
}

const sourceKey = (source: OperandSource): string =>
  `${source.kind}:${'id' in source ? source.id : 'path' in source ? source.path : source.name}`

function draft(
  roots: readonly Root[],
  context: KernelContext,
  splits: ReadonlyMap<AxisId, number>,
  unrolled: readonly [AxisId, number][],
): DraftKernel {
  const operands: Place[] = []
  const numbers = new Map<string, number>()
  const operandNumber = (place: Place): number => {
    const key = sourceKey(place.source)
    if (!numbers.has(key)) numbers.set(key, operands.push(place) - 1)
    return numbers.get(key)!
  }
  const inlined = new Set(roots.map((root) => root.node))
  const placeOf = (node: Node): number | undefined => {
    const place = inlined.has(node) ? undefined : context.placeOf(node)
    return place && operandNumber(place)
  }
  const fixed = new Map<AxisId, number>()
  const lowering = new Lowering({ symbols: context.symbols, operand: placeOf, splits, fixed })
  const axes: AxisId[] = []
  const base = { lowering, axes, operands }
  const rootAxes = (dims: readonly Affine[]): Index[] =>
    dims.map((extent, i) => {
      const parts: AxisId[] = []
      const index = lowering.axis(`i${i}`, extent, parts)
      for (const part of parts) if (!axes.includes(part)) axes.push(part)
      return index
    })
  const first = roots[0]!.node
  if (is(first, 'topk')) return { ...base, outputs: [], select: selectOf(roots, lowering, rootAxes, operandNumber) }
  const outputs: DraftOutput[] = []
  for (const at of combinations(unrolled)) {
    fixed.clear()
    for (const [axis, value] of at) fixed.set(axis, value)
    for (const { node, target } of roots) {
      const { value, index, over } = rootValue(node, target.format, rootAxes, lowering)
      outputs.push({
        operand: operandNumber(target),
        axes: [...new Set([...over, ...index].flatMap((i) => [...axesOfIndex(i)]))],
        index,
        value,
      })
    }
  }
  return { ...base, outputs }
}

const combinations = (unrolled: readonly [AxisId, number][]): (readonly [AxisId, number])[][] =>
  unrolled.reduce<(readonly [AxisId, number])[][]>(
    (all, [axis, extent]) => all.flatMap((one) => Array.from({ length: extent }, (_, i) => [...one, [axis, i] as const])),
    [[]],
  )

/** The value of a root, the element that takes it, and what is run over (a scatter's place need not depend on all of it). */
function rootValue(
  node: Node,
  format: string,
  axes: (dims: readonly Affine[]) => Index[],
  l: Lowering,
): { value: Expr; index: Index[]; over: Index[] } {
  if (is(node, 'store')) {
    const source = beforeRounding(node.operands[1]!, format)
    const at = axes(source.type.dims)
    const index = at.map((i, axis) => (axis === node.attributes.axis ? addIndex(i, indexOfAffine(node.attributes.start), l.scope) : i))
    return { value: l.lower(source, at), index, over: at }
  }
  if (is(node, 'scatter')) {
    const [state, where, given] = node.operands as [Node, Node, Node]
    const source = beforeRounding(given, format)
    const { axis } = node.attributes
    const at = axes(source.type.dims)
    const place = positionOf(l.lower(where, [at[axis]!]), state.type.dims[axis]!, l.scope)
    return { value: l.lower(source, at), index: at.map((i, a) => (a === axis ? place : i)), over: at }
  }
  const at = axes(node.type.dims)
  if (is(node, 'quantise'))
    return { value: isByteFormat(format) ? l.lower(node.operands[0]!, at) : roundToBytes(node, at, l), index: at, over: at }
  return { value: l.expand(node, at), index: at, over: at }
}

/** What a store into blocks rounds itself. */
const beforeRounding = (value: Node, format: string): Node => (format === 's8' && is(value, 'quantise') ? value.operands[0]! : value)

/** The graph's `quantise` written out, for values that are not stored in blocks: q = nearest(x / d), halves to even. */
function roundToBytes(node: Node<'quantise'>, at: readonly Index[], l: Lowering): Expr {
  const x = node.operands[0]!
  const last = at.length - 1
  const length = x.type.dims[last]!
  if (length.terms.length > 0) throw new LlamacError('K102', 'activations are quantised along an axis whose size is known at run time')
  const number = (value: number): Expr => constExpr(value, 'f32')
  const call = (fn: ScalarFn, ...args: Expr[]): Expr => l.call(fn, args, fn === 'eq' || fn === 'le' ? 'bool' : 'f32')
  const { over, index } = l.reductionAxes([{ const: Math.min(blockSize, length.const), terms: [] }], at)
  const first = scaleIndex(divIndex(at[last]!, blockSize, l.scope), blockSize, l.scope)
  // A short last block repeats its last element, which does not change a maximum.
  const place = positionOf(indexExpr(addIndex(first, index[0]!, l.scope)), length, l.scope)
  const most = l.define('max', over, call('abs', l.lower(x, [...at.slice(0, last), place])), 'f32', node)
  const d = call('div', most, number(127))
  const y = call('div', l.lower(x, at), d)
  const up = call('floor', call('add', y, number(0.5)))
  const tie = call('eq', call('sub', up, y), number(0.5))
  const odd = call('sub', up, call('mul', number(2), call('floor', call('mul', up, number(0.5)))))
  const nearest = call('where', tie, call('sub', up, odd), up)
  return call('where', call('le', d, number(0)), number(0), call('mul', nearest, d))
}

function selectOf(
  roots: readonly Root[],
  l: Lowering,
  axes: (dims: readonly Affine[]) => Index[],
  number: (place: Place) => number,
): NonNullable<Kernel['select']> {
  const node = roots[0]!.node
  if (!is(node, 'topk')) throw new Error('internal: a selection is made of topk nodes')
  const { axis, k } = node.attributes
  const x = node.operands[0]!
  const at = axes(x.type.dims)
  // The chosen axis and the place keep an axis each, even with one position: the schedule loops over both.
  const along = 'along'
  l.extents.set(along, x.type.dims[axis]!)
  l.extents.set('place', { const: k, terms: [] })
  const replace = (by: AxisId): Index[] => at.map((index, i) => (i === axis ? indexAxis(by) : index))
  const target = (part: 'values' | 'indices') => {
    const root = roots.find(({ node: each }) => is(each, 'topk') && each.attributes.part === part)
    return root && { operand: number(root.target), index: replace('place'), place: 'place' }
  }
  const [values, indices] = [target('values'), target('indices')]
  return { axis: along, k, value: l.lower(x, replace(along)), ...(values && { values }), ...(indices && { indices }) }
}

const valuesOf = (d: DraftKernel): Expr[] => [...d.outputs.map((output) => output.value), ...(d.select ? [d.select.value] : [])]

/** Definitions in use, each after those it reads. */
export function reachableDrafts(drafts: readonly Draft[], values: readonly Expr[]): number[] {
  const order: number[] = []
  const seenDrafts = new Set<number>()
  const seen = new Set<Expr>()
  const visit = (e: Expr): void => {
    if (seen.has(e)) return
    seen.add(e)
    if (e.kind === 'value') {
      if (seenDrafts.has(e.definition)) return
      seenDrafts.add(e.definition)
      visit(drafts[e.definition]!.body)
      order.push(e.definition)
    } else for (const child of childrenOf(e)) visit(child)
  }
  for (const value of values) visit(value)
  return order
}

/** Indices that stand inside expressions. */
function indicesIn(e: Expr, visit: (part: Index) => void, seen: Set<Expr>): void {
  if (seen.has(e)) return
  seen.add(e)
  const go = (inner: Expr): void => indicesIn(inner, visit, seen)
  if (e.kind === 'call') e.args.forEach(go)
  else if (e.kind === 'load') for (const index of e.index) walkIndex(index, visit, go)
  else if (e.kind === 'index') walkIndex(e.index, visit, go)
}

/** An axis to split, and by what: the smallest divisor that it is divided by somewhere. */
function findSplit(d: DraftKernel): [AxisId, number] | undefined {
  let best: [AxisId, number] | undefined
  const visit = (part: Index): void => {
    if ((part.kind !== 'div' && part.kind !== 'mod') || part.a.kind !== 'axis') return
    const extent = d.lowering.extents.get(part.a.axis)!
    if (quotient(extent, part.by) && (!best || (best[0] === part.a.axis && part.by < best[1]))) best = [part.a.axis, part.by]
  }
  const seen = new Set<Expr>()
  const values = valuesOf(d)
  for (const output of d.outputs) for (const index of output.index) walkIndex(index, visit, (e) => indicesIn(e, visit, seen))
  for (const value of values) indicesIn(value, visit, seen)
  for (const id of reachableDrafts(d.lowering.drafts, values)) indicesIn(d.lowering.drafts[id]!.body, visit, seen)
  return best
}

/** Points at which reductions are evaluated, times their length. */
function reductionWork(d: DraftKernel): number {
  const size = (axis: AxisId): number => Math.max(1, range(d.lowering.extents.get(axis)!, d.lowering.scope.symbols).max)
  return reachableDrafts(d.lowering.drafts, valuesOf(d)).reduce((work, id) => {
    const { free, over } = d.lowering.drafts[id]!
    return over.length === 0 ? work : work + [...free, ...over].reduce((product, axis) => product * size(axis), 1)
  }, 0)
}

/** The kernel before values are shared: fusion asks it how reductions nest and whether work is repeated. */
export function draftKernel(roots: readonly Root[], context: KernelContext): DraftKernel {
  const splits = new Map<AxisId, number>()
  let best = draft(roots, context, splits, [])
  for (let split = findSplit(best); split && splits.size < 16; split = findSplit(best)) {
    splits.set(...split)
    best = draft(roots, context, splits, [])
  }
  if (best.select || reductionWork(best) === 0) return best
  const unrolled: [AxisId, number][] = []
  for (const axis of best.axes) {
    const extent = best.lowering.extents.get(axis)!
    if (extent.terms.length > 0 || extent.const < 2 || extent.const > 4) continue
    const other = draft(roots, context, splits, [...unrolled, [axis, extent.const]])
    if (reductionWork(other) >= reductionWork(best)) continue
    unrolled.push([axis, extent.const])
    best = other
  }
  return best
}

/** Builds the kernel of roots that run over the same dims. */
export function buildKernel(name: string, roots: readonly Root[], context: KernelContext): Kernel {
  const d = draftKernel(roots, context)
  const reduces = reachableDrafts(d.lowering.drafts, valuesOf(d)).length > 0
  const shared = d.select || !reduces ? { drafts: d.lowering.drafts, outputs: d.outputs } : nameSharedValues(d)
  return regroupOperands(number(name, { ...d, outputs: shared.outputs }, shared.drafts), context.symbols)
}

/** Gives definitions, operands and axes their final numbers and order. */
function number(name: string, d: DraftKernel, drafts: readonly Draft[]): Kernel {
  const values = valuesOf(d)
  const order = reachableDrafts(drafts, values)
  const definitionNumber = new Map(order.map((id, i) => [id, i] as const))
  const operands: { place: Place; reads: boolean; writes: boolean }[] = []
  const operandNumbers = new Map<number, number>()
  const use = (old: number, how: 'reads' | 'writes'): number => {
    if (!operandNumbers.has(old)) operandNumbers.set(old, operands.push({ place: d.operands[old]!, reads: false, writes: false }) - 1)
    const now = operandNumbers.get(old)!
    operands[now]![how] = true
    return now
  }
  const memo = new Map<Expr, Expr>()
  const finish = (e: Expr): Expr =>
    mapExpr(
      e,
      (part) => {
        if (part.kind === 'value') return { ...part, definition: definitionNumber.get(part.definition)! }
        if (part.kind === 'load') return { ...part, operand: use(part.operand, 'reads'), index: part.index.map(finishIndex) }
        return undefined
      },
      undefined,
      memo,
    )
  const finishIndex = (index: Index): Index => rebuildIndex(index, finish)
  const bodies = order.map((id) => finish(drafts[id]!.body))
  const finished = d.outputs.map((output) => ({ ...output, index: output.index.map(finishIndex), value: finish(output.value) }))
  const select = d.select && { ...d.select, value: finish(d.select.value) }
  const axisOrder: AxisId[] = d.axes.filter(
    (axis) => finished.some((o) => o.axes.includes(axis)) || order.some((id) => drafts[id]!.free.includes(axis)),
  )
  if (select) {
    for (const target of [select.values, select.indices]) {
      for (const index of target?.index ?? []) for (const axis of axesOfIndex(index)) if (!axisOrder.includes(axis)) axisOrder.push(axis)
    }
    if (!axisOrder.includes(select.axis)) axisOrder.push(select.axis)
  }
  for (const id of order) for (const axis of [...drafts[id]!.free, ...drafts[id]!.over]) if (!axisOrder.includes(axis)) axisOrder.push(axis)
  const inOrder = (axes: readonly AxisId[]): AxisId[] => axisOrder.filter((axis) => axes.includes(axis))
  const definitions = order.map((id, i): Definition => {
    const { dtype, free, over, combine } = drafts[id]!
    return { dtype, free: inOrder(free), over, ...(combine && over.length > 0 && { combine }), body: bodies[i]! }
  })
  const outputs = finished.map(
    (output): Output => ({ operand: use(output.operand, 'writes'), axes: inOrder(output.axes), index: output.index, value: output.value }),
  )
  const target = (t: NonNullable<Kernel['select']>['values']) => t && { ...t, operand: use(t.operand, 'writes') }
  const [chosen, places] = [target(select?.values), target(select?.indices)]
  return {
    name,
    axes: axisOrder.map((id) => ({ id, extent: d.lowering.extents.get(id)! })),
    operands: operands.map(
      ({ place, reads, writes }): Operand => ({
        source: place.source,
        dims: place.dims,
        dtype: place.dtype,
        format: place.format,
        layout: 'plain',
        access: reads && writes ? 'readwrite' : writes ? 'write' : 'read',
      }),
    ),
    definitions,
    outputs,
    ...(select && {
      select: {
        axis: select.axis,
        k: select.k,
        value: select.value,
        ...(chosen && { values: chosen }),
        ...(places && { indices: places }),
      },
    }),
  }
}
