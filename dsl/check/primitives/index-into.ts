// x[l: a ..+ n] is a slice, x[l: i] takes one position, x[l: idx] with a tensor of integers gathers, xs[i] reads a compile-time
// list or a part, xs[idx] a list of numbers. Places that reach outside are errors when known, else limits of the entry.

import type { Expr, Index } from '../../ast.ts'
import { known, minus, plus, type Size, showSize, whole } from '../../sizes.ts'
import type { Span } from '../../source.ts'
import { evaluate, usable } from '../expressions.ts'
import { affineOf, fail, type Frame, isGeneric, requireAtMost } from '../frames.ts'
import { duplicateLabel } from '../lookup.ts'
import { type Axis, describe, isInteger, operandPlaces, showLabel, type Tensor, unknown, type Value } from '../values.ts'
import { toTensor } from './align.ts'
import { labelOf, noSuchAxis } from './arguments.ts'

type IndexExpr = Extract<Expr, { kind: 'index' }>

export function indexInto(expr: IndexExpr, frame: Frame): Value {
  let value = usable(frame, expr.of)
  for (const index of expr.indices) {
    if (value.kind === 'unknown') return unknown
    if (value.kind === 'list') value = element(frame, value, index)
    else if (value.kind === 'parts') value = part(frame, value, index)
    else if (value.kind === 'tensor') value = tensor(frame, value, index, expr)
    else return fail(frame, 'L207', `${describe(value)} cannot be indexed`, [{ span: expr.of.span }])
  }
  return value.kind === 'tensor' ? { ...value, span: expr.span } : value
}

function element(frame: Frame, list: Extract<Value, { kind: 'list' }>, index: Index): Value {
  const i = usable(frame, index.from)
  if (i.kind === 'unknown') return unknown
  if (i.kind === 'tensor' && !index.range) return elements(frame, list, i, index)
  const number = i.kind === 'size' ? known(i.size) : undefined
  if (i.kind !== 'size' || index.range) return fail(frame, 'L206', 'a list is read by whole numbers', [{ span: index.span }])
  if (list.items && number !== undefined) {
    return (
      list.items[number] ??
      fail(frame, 'L233', `the list has ${list.items.length} elements; there is no [${number}]`, [{ span: index.span }])
    )
  }
  return list.element ?? list.items?.[0] ?? unknown
}

/** A list of numbers read by a tensor of places: the list is a constant f32 tensor. */
function elements(frame: Frame, list: Extract<Value, { kind: 'list' }>, places: Tensor, index: Index): Value {
  const { span } = index
  const kinds = new Set((list.items ?? [list.element]).map((item) => item?.kind))
  if (list.items?.length === 0 || ![...kinds].every((kind) => kind === 'float' || kind === 'size'))
    return fail(frame, 'L206', 'only a list of numbers can be read by a tensor', [{ span }])
  const size = whole(list.items?.length ?? Number.MAX_SAFE_INTEGER)
  const { sink } = frame.walk
  const one = affineOf(frame, whole(1), span)
  const parts =
    sink && one ? (list.items ?? []).map((item) => sink.broadcast(toTensor(frame, item, 'f32', span)?.node, [one], [], span)) : []
  const node = sink ? (parts.length === 1 ? parts[0] : sink.concat(parts, 0, span)) : undefined
  const axis = { label: 'places of the list', size }
  return gather(frame, { kind: 'tensor', elem: 'f32', axes: [axis], node, span }, 0, places, index, span)
}

function part(frame: Frame, parts: Extract<Value, { kind: 'parts' }>, index: Index): Value {
  const i = usable(frame, index.from)
  if (i.kind === 'unknown') return unknown
  const number = i.kind === 'size' ? known(i.size) : undefined
  if (i.kind !== 'size' || (number === undefined && !isGeneric(frame)))
    return fail(frame, 'L206', 'a part is chosen by a compile-time number', [{ span: index.span }])
  const at = parts.slot.kind === 'many' && parts.slot.known ? number : 0
  const instance = parts.slot.kind === 'many' ? parts.slot.instances[at ?? 0] : parts.slot.instance
  if (!instance) return fail(frame, 'L233', `there is no ${parts.path}[${number}]`, [{ span: index.span }])
  return { kind: 'part', instance, path: `${parts.path}[${number ?? '*'}]` }
}

/** Which axis an index means: its label, or the first axis when there is none (`table[ids]`). */
export function placeOf(frame: Frame, x: Tensor, index: Index): number | undefined {
  if (!index.label) {
    if (x.axes.length > 0) return 0
    fail(frame, 'L301', 'a tensor without axes cannot be indexed', [{ span: index.span }, { span: x.span, text: describe(x) }])
    return undefined
  }
  const name = labelOf(frame, { kind: 'name', name: index.label.text, span: index.label.span })
  const at = x.axes.findIndex((axis) => axis.label === name)
  if (at >= 0) return at
  noSuchAxis({ name: 'index', at: index.span, frame }, x, index.label.text, index.label.span)
  return undefined
}

/** Start and length of a range index; undefined after a message. Checks that it lies inside `size`. */
export function rangeOf(frame: Frame, index: Index, axis: Axis, what: string): { start: Size; size: Size } | undefined {
  const start = usable(frame, index.from)
  const to = index.range && usable(frame, index.range.to)
  if (start.kind === 'unknown' || to?.kind === 'unknown' || !to) return undefined
  for (const [value, span] of [
    [start, index.from.span],
    [to, index.range?.to.span],
  ] as const) {
    if (value.kind === 'size') continue
    frame.walk.report.add('L206', 'a range wants whole numbers', [{ span: span as Span, text: describe(value) }])
    return undefined
  }
  if (start.kind !== 'size' || to.kind !== 'size') return undefined
  const size = index.range?.kind === '..+' ? to.size : minus(to.size, start.size)
  const end = plus(start.size, size)
  const why = `${what} has ${showSize(axis.size)} places along \`${showLabel(axis.label)}\``
  if (!requireAtMost(frame, whole(0), start.size, why, index.span)) return undefined
  if (!requireAtMost(frame, whole(0), size, `a length cannot be negative (${showSize(size)})`, index.span)) return undefined
  if (!requireAtMost(frame, end, axis.size, why, index.span)) return undefined
  return { start: start.size, size }
}

function tensor(frame: Frame, x: Tensor, index: Index, expr: IndexExpr): Value {
  const at = placeOf(frame, x, index)
  if (at === undefined) return unknown
  const axis = x.axes[at] as Axis
  const { sink } = frame.walk
  const name = x.origin ? `\`${x.origin.name}\`` : 'the tensor'
  if (index.range) {
    const range = rangeOf(frame, index, axis, name)
    if (!range) return unknown
    const start = affineOf(frame, range.start, index.span)
    const size = affineOf(frame, range.size, index.span)
    if (sink && (!start || !size)) return unknown
    const node = sink && start && size ? sink.slice(x.node, at, start, size, expr.span) : undefined
    return { ...x, axes: x.axes.with(at, { label: axis.label, size: range.size }), node }
  }
  const value = evaluate(index.from, frame)
  if (value.kind === 'unknown') return unknown
  if (value.kind === 'tensor') return gather(frame, x, at, value, index, expr.span)
  if (value.kind !== 'size')
    return fail(frame, 'L206', 'an index must be a whole number or a tensor of i32', [{ span: index.from.span, text: describe(value) }])
  const why = `${name} has ${showSize(axis.size)} places along \`${showLabel(axis.label)}\``
  if (!requireAtMost(frame, whole(0), value.size, why, index.span)) return unknown
  if (!requireAtMost(frame, plus(value.size, whole(1)), axis.size, why, index.span)) return unknown
  const place = affineOf(frame, value.size, index.span)
  if (sink && !place) return unknown
  return { ...x, axes: x.axes.toSpliced(at, 1), node: sink && place ? sink.pick(x.node, at, place, expr.span) : undefined }
}

// idx's axes take the place of the gathered one; an axis that both have by label is shared.
function gather(frame: Frame, x: Tensor, at: number, idx: Tensor, index: Index, span: Span): Value {
  if (!isInteger(idx.elem))
    return fail(frame, 'L227', `indices must be integers, not ${idx.elem}`, [{ span: index.from.span, text: describe(idx) }])
  const axis = x.axes[at] as Axis
  const shared: [number, number][] = []
  for (const [j, own] of idx.axes.entries()) {
    const i = x.axes.findIndex((a, k) => k !== at && a.label === own.label)
    if (i < 0) continue
    const size = (x.axes[i] as Axis).size
    if (showSize(size) !== showSize(own.size)) {
      return fail(frame, 'L221', `\`${own.label}\` has two different lengths`, [
        { span: index.span },
        ...operandPlaces(x),
        ...operandPlaces(idx),
      ])
    }
    shared.push([i, j])
  }
  if (idx.range) {
    const why = `${x.origin ? `\`${x.origin.name}\`` : 'the tensor'} has ${showSize(axis.size)} places along \`${showLabel(axis.label)}\``
    if (!requireAtMost(frame, whole(0), idx.range.min, why, index.span)) return unknown
    if (!requireAtMost(frame, plus(idx.range.max, whole(1)), axis.size, why, index.span)) return unknown
  }
  const added = idx.axes.filter((_, j) => !shared.some(([, s]) => s === j))
  const axes = x.axes.toSpliced(at, 1, ...added)
  if (duplicateLabel(frame, axes, span, x)) return unknown
  const node = frame.walk.sink?.gather(x.node, at, idx.node, shared, span)
  return { kind: 'tensor', elem: x.elem, axes, node, span }
}
