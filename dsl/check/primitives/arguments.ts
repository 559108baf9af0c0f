// The arguments of a primitive's call, sorted by their form, and the labels in them: `over: [h, d]`, `h -> (g, n)`, `[s, t]`.
// A name where a label is wanted is a label, unless it is an `axis` parameter.

import type { Axis as AxisTree, Expr } from '../../ast.ts'
import { sameSize } from '../../sizes.ts'
import type { Span } from '../../source.ts'
import { evaluate, usable } from '../expressions.ts'
import { fail, type Frame, holder } from '../frames.ts'
import { axesOf } from '../lookup.ts'
import { didYouMean } from '../report.ts'
import { type Axis, describe, operandPlaces, showLabel, type Tensor, type Value } from '../values.ts'
import { toTensor } from './align.ts'

type CallExpr = Extract<Expr, { kind: 'call' }>

export interface Call {
  readonly name: string
  readonly frame: Frame
  readonly span: Span
  /** Where the name stands. */
  readonly at: Span
  readonly positional: readonly Expr[]
  readonly named: ReadonlyMap<string, Expr>
  readonly sized: readonly { readonly label: string; readonly size: Expr; readonly span: Span }[]
  readonly arrows: readonly { readonly from: Expr; readonly to: Expr; readonly span: Span }[]
}

export function readCall(name: string, expr: CallExpr, frame: Frame): Call {
  const positional: Expr[] = expr.piped ? [expr.piped] : []
  const named = new Map<string, Expr>()
  const sized: Call['sized'][number][] = []
  const arrows: Call['arrows'][number][] = []
  for (const arg of expr.args) {
    if (arg.kind === 'positional') positional.push(arg.value)
    else if (arg.kind === 'named') named.set(arg.name.text, arg.value)
    else if (arg.kind === 'sized') sized.push({ label: arg.label.text, size: arg.size, span: arg.span })
    else arrows.push({ from: arg.from, to: arg.to, span: arg.span })
  }
  return { name, frame, span: expr.span, at: expr.callee.span, positional, named, sized, arrows }
}

/** The i-th operand as a tensor; undefined after a message. */
export function operand(call: Call, i: number): Tensor | undefined {
  const expr = call.positional[i]
  if (!expr) {
    missing(call, ['the first', 'the second', 'the third'][i] ?? 'one more')
    return undefined
  }
  const value = usable(call.frame, expr)
  if (value.kind === 'unknown') return undefined
  if (value.kind === 'tensor') return value
  // A bare number or bool is a tensor without axes.
  return toTensor(call.frame, value, value.kind === 'bool' ? 'bool' : value.kind === 'size' ? 'i32' : 'f32', expr.span)
}

export function missing(call: Call, what: string): undefined {
  call.frame.walk.report.add('L320', `\`${call.name}\` needs ${what} argument`, [{ span: call.span }])
}

/** The argument `name: …`; reports its absence. */
export function namedArgument(call: Call, name: string): Expr | undefined {
  const expr = call.named.get(name)
  if (!expr)
    call.frame.walk.report.add('L320', `argument \`${name}\` is missing`, [{ span: call.span, text: `${call.name}(…, ${name}: …)` }])
  return expr
}

/** Reports arguments that the primitive does not have; true if there are none. */
export function onlyArguments(call: Call, positional: number, named: readonly string[]): boolean {
  const extra = call.positional[positional]
  if (extra) {
    call.frame.walk.report.add('L321', `\`${call.name}\` takes ${positional} operand${positional === 1 ? '' : 's'}`, [{ span: extra.span }])
    return false
  }
  for (const [name, expr] of call.named) {
    if (named.includes(name)) continue
    const help = didYouMean(name, named) ?? (named.length ? `it takes ${named.join(', ')}` : 'it takes no named arguments')
    call.frame.walk.report.add('L321', `\`${call.name}\` has no argument \`${name}\``, [{ span: expr.span }], { help })
    return false
  }
  return true
}

/** A label: an `axis` parameter's, or the name as it stands. */
export function labelOf(frame: Frame, expr: Expr): string | undefined {
  if (expr.kind !== 'name') {
    frame.walk.report.add('L214', 'the name of an axis is wanted here', [{ span: expr.span }], {
      help: 'such as  seq  or  [heads, head_dim]',
    })
    return undefined
  }
  const local = holder(frame, expr.name)?.locals.get(expr.name)
  return local?.kind === 'label' ? local.label : expr.name
}

/** One label or a list of them, as `over:` takes. */
export function labelsOf(frame: Frame, expr: Expr): { label: string; span: Span }[] | undefined {
  const items: Expr[] = []
  if (expr.kind === 'list' || expr.kind === 'group') {
    for (const axis of expr.axes) if (axis.kind === 'axis') items.push(axis.size)
  } else items.push(expr)
  const labels: { label: string; span: Span }[] = []
  for (const item of items) {
    const label = labelOf(frame, item)
    if (label === undefined) return undefined
    labels.push({ label, span: item.span })
  }
  return labels
}

/** Position of an axis; reports L301 with the nearest axis. */
export function axisIndex(call: { name: string; at: Span; frame: Frame }, x: Tensor, label: string, span: Span): number | undefined {
  const at = x.axes.findIndex((axis) => axis.label === label)
  if (at >= 0) return at
  noSuchAxis(call, x, label, span)
  return undefined
}

export function noSuchAxis(call: { name: string; at: Span; frame: Frame }, x: Tensor, label: string, span: Span): Value {
  const labels = x.axes.filter((a) => !a.row).map((a) => showLabel(a.label))
  const help = didYouMean(label, labels) ?? (labels.length ? `it has ${labels.join(', ')}` : 'it has no axes')
  const places = [{ span, text: `no \`${showLabel(label)}\` there` }, ...operandPlaces(x)]
  const what = call.name === 'index' ? 'this cannot be indexed along' : `\`${call.name}\` cannot work over`
  const who = call.name === 'index' ? 'it' : 'its operand'
  return fail(call.frame, 'L301', `${what} \`${showLabel(label)}\`: ${who} has no such axis`, places, { help })
}

/** `[s, t, p = 1, ..b]` or `axes(x)` as axes with sizes. */
export function axesArgument(frame: Frame, expr: Expr): readonly Axis[] | undefined {
  if (expr.kind === 'list' || expr.kind === 'group') return axesOf(frame, expr.axes)
  const value = evaluate(expr, frame)
  if (value.kind === 'axes') return value.axes
  if (value.kind !== 'unknown')
    frame.walk.report.add('L214', 'a list of axes is wanted here', [{ span: expr.span, text: describe(value) }], {
      help: 'such as  [s, t]  or  axes(x)',
    })
  return undefined
}

/** The axes of `(g, n)` or of one bare name, as written. */
export const groupOf = (expr: Expr): readonly AxisTree[] =>
  expr.kind === 'group' || expr.kind === 'list'
    ? expr.axes
    : [{ kind: 'axis', ...(expr.kind === 'name' ? { label: { text: expr.name, span: expr.span } } : {}), size: expr, span: expr.span }]

export const sameAxes = (a: readonly Axis[], b: readonly Axis[]): boolean =>
  a.length === b.length && a.every((axis, i) => axis.label === b[i]?.label && sameSize(axis.size, b[i].size))
