// Labels and sizes at a call. Each parameter axis binds its name to the argument's (label, size) pair, a row to a list of them;
// inside the callee only its own names exist. The map back relabels the result. Two lengths for one size are an error that
// shows both places.

import type { Axis as AxisTree, Param, TypeExpr } from '../ast.ts'
import { sameSize, type Size, showSize } from '../sizes.ts'
import type { Span } from '../source.ts'
import { evaluate } from './expressions.ts'
import { type Frame, onlyByDefault } from './frames.ts'
import { axesOf, elementOf, lookup } from './lookup.ts'
import { compileTypes, newSize } from './parameters.ts'
import { sameAxes } from './primitives/arguments.ts'
import { toTensor } from './primitives/align.ts'
import { type Axis, describe, type Elem, operandPlaces, showAxes, showLabel, type Tensor, type Value } from './values.ts'

export interface Binder {
  readonly caller: Frame
  readonly callee: Frame
  /** What is called, for messages. */
  readonly name: string
  /** Inner label → the caller's. */
  readonly labels: Map<string, string>
  /** Where each size was bound first. */
  readonly sources: Map<string, { readonly size: Size; readonly span: Span }>
  readonly deferred: { readonly tree: Extract<AxisTree, { kind: 'axis' }>; readonly axis: Axis; readonly span: Span }[]
  generic?: Elem
}

/** Binds one operand and gives it with inner labels; undefined after a message. */
export function bindTensor(binder: Binder, param: Param, value: Value, span: Span): Tensor | undefined {
  const { callee, name } = binder
  const { report } = callee.walk
  const declared = elementOf(callee, param.type, compileTypes)
  if (!declared) return undefined
  const wanted = declared === 'T' ? (binder.generic ?? (value.kind === 'tensor' ? value.elem : 'f32')) : declared
  const tensor = toTensor(callee, value, wanted, span)
  if (!tensor) return undefined
  if (declared === 'T') binder.generic = wanted
  const trees = param.type.axes ?? []
  const row = trees.findIndex((t) => t.kind === 'row')
  const least = trees.length - (row >= 0 ? 1 : 0)
  const count = tensor.axes.length
  const fixed = row < 0 ? tensor.axes : [...tensor.axes.slice(0, row), ...tensor.axes.slice(count - (trees.length - 1 - row))]
  if (count < least || (row < 0 && count > least) || fixed.some((a) => a.row)) {
    const type = param.type.span.source.text.slice(param.type.span.start, param.type.span.end)
    const given = span.source.text.slice(span.start, span.end)
    const places = [
      { span, text: describe(tensor) },
      ...operandPlaces({ ...tensor, span }).slice(1),
      { span: param.span, text: 'declared here' },
    ]
    // A variable that does not fit once fits nowhere.
    const cause = /^\w+$/.test(given) ? { cause: `${name} ${param.name.text} ${given}` } : {}
    report.add('L222', `\`${name}\` wants \`${param.name.text}: ${type}\``, places, cause)
    return undefined
  }
  const axes: Axis[] = []
  for (const [i, tree] of trees.entries()) {
    if (tree.kind === 'row') {
      const members = bindRow(binder, tree.name?.text ?? '', tensor.axes.slice(row, count - (trees.length - 1 - row)), span)
      if (!members) return undefined
      axes.push(...members)
      continue
    }
    const own = tensor.axes[row >= 0 && i > row ? count - (trees.length - i) : i] as Axis
    const bound = bindAxis(binder, tree, own, tensor, span)
    if (!bound) return undefined
    axes.push(bound)
  }
  return { ...tensor, axes, span: param.name.span, origin: { name: param.name.text, span: param.span } }
}

function bindRow(binder: Binder, name: string, members: readonly Axis[], span: Span): readonly Axis[] | undefined {
  const inside = members.map((axis) => ({ ...axis, label: `..${name}/${axis.label}` }))
  const old = binder.callee.rows.get(name)
  if (old && !sameAxes(old, inside)) {
    const [a, b] = [old, inside].map((axes) => showAxes(axes.map((x) => ({ ...x, label: showLabel(x.label) }))))
    binder.callee.walk.report.add('L224', `\`${binder.name}\` was told two different lists of axes for \`..${name}\``, [
      { span, text: `${a} and ${b}` },
    ])
    return undefined
  }
  binder.callee.rows.set(name, inside)
  for (const [i, axis] of inside.entries()) binder.labels.set(axis.label, (members[i] as Axis).label)
  return inside
}

function bindAxis(binder: Binder, tree: Extract<AxisTree, { kind: 'axis' }>, own: Axis, tensor: Tensor, span: Span): Axis | undefined {
  const { callee, name } = binder
  const { report } = callee.walk
  const label = tree.label?.text
  if (label === undefined) {
    report.add('L213', 'this axis has no label', [{ span: tree.span }])
    return undefined
  }
  const bare = tree.size.kind === 'name' && tree.size.name === label
  const isField = bare && callee.config?.fields.has(label) && !callee.self?.instance.params.has(label)
  if (isField && own.label !== label) {
    report.add(
      'L223',
      `\`${name}\` wants the axis \`${label}\` here, but was given \`${showLabel(own.label)}\``,
      [
        { span, text: describe(tensor) },
        ...operandPlaces({ ...tensor, span }).slice(1),
        { span: tree.span, text: 'a config field names its axis' },
      ],
      { help: `rename(x, ${own.label} -> ${label})` },
    )
    return undefined
  }
  const outer = binder.labels.get(label)
  if (outer !== undefined && outer !== own.label) {
    report.add(
      'L225',
      `\`${name}\` was told two different axes for \`${label}\`: \`${showLabel(outer)}\` and \`${showLabel(own.label)}\``,
      [{ span, text: describe(tensor) }, ...sourceOf(binder, label)],
      { help: `rename(x, ${own.label} -> ${outer})` },
    )
    return undefined
  }
  binder.labels.set(label, own.label)
  if (!bare) binder.deferred.push({ tree, axis: own, span })
  else {
    const size = newSize(callee, tree) === undefined ? lookup(callee, label, tree.span) : callee.locals.get(label)
    if (size?.kind === 'size' && !sameSize(size.size, own.size)) {
      twoLengths(binder, label, size.size, own.size, span)
      return undefined
    }
    if (!size) callee.locals.set(label, { kind: 'size', size: own.size })
  }
  if (!binder.sources.has(label)) binder.sources.set(label, { size: own.size, span })
  return { label, size: own.size }
}

const sourceOf = (binder: Binder, label: string): { span: Span; text: string }[] => {
  const source = binder.sources.get(label)
  return source ? [{ span: source.span, text: `here ${label} = ${showSize(source.size)}` }] : []
}

/** A variable of the caller whose value is the size, to be written where the other stands. */
function variableOf(caller: Frame, size: Size): string | undefined {
  for (let f: Frame | undefined = caller; f; f = f.outer) {
    for (const [name, value] of f.locals) if (value.kind === 'size' && sameSize(value.size, size) && showSize(size) !== name) return name
  }
  return undefined
}

function twoLengths(binder: Binder, label: string, first: Size, second: Size, span: Span): void {
  const places = [{ span, text: `here ${label} = ${showSize(second)}` }, ...sourceOf(binder, label)]
  const notes = places.length === 1 ? [`${label} = ${showSize(first)} by its declaration`] : []
  notes.push(...onlyByDefault(binder.caller, first, second))
  const [one, other] = [first, second].map((size) => variableOf(binder.caller, size))
  const [name, wrong] = one !== undefined ? [one, second] : [other, first]
  const help =
    name === undefined
      ? 'all arguments with this axis must agree'
      : `\`${name}\` is ${showSize(one !== undefined ? first : second)}: write it in place of  ${showSize(wrong)}`
  binder.callee.walk.report.add('L224', `\`${binder.name}\` was told two different lengths for \`${label}\``, places, { notes, help })
}

/** Checks the axes written `r = d / 2`, once every size is bound. */
export function checkDeferred(binder: Binder): boolean {
  let fine = true
  for (const { tree, axis, span } of binder.deferred) {
    const size = evaluate(tree.size, binder.callee)
    if (size.kind !== 'size') fine = fine && size.kind !== 'unknown'
    else if (!sameSize(size.size, axis.size)) {
      twoLengths(binder, tree.label?.text ?? '', size.size, axis.size, span)
      fine = false
    }
  }
  return fine
}

/** The declared result with inner labels; undefined after a message. */
export function resultType(binder: Binder, type: TypeExpr): { elem: Elem; axes: readonly Axis[] } | undefined {
  const declared = elementOf(binder.callee, type)
  const axes = axesOf(binder.callee, type.axes ?? [])
  return axes && declared && { elem: declared === 'T' ? (binder.generic ?? 'T') : declared, axes }
}

/** The caller's labels instead of the callee's. */
export const relabel = (binder: Binder, axes: readonly Axis[]): Axis[] =>
  axes.map((axis) => ({ ...axis, label: binder.labels.get(axis.label) ?? axis.label }))
