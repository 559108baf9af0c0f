// concat along a label, pad, and topk.

import { known, plus, showSize, sameSize } from '../../sizes.ts'
import type { Expr } from '../../ast.ts'
import type { Size } from '../../sizes.ts'
import { usable } from '../expressions.ts'
import { affineOf, fail, requireAtMost } from '../frames.ts'
import { duplicateLabel } from '../lookup.ts'
import { type Axis, describe, isFloat, type Tensor, unknown, type Value } from '../values.ts'
import { mixed, toTensor } from './align.ts'
import { axisIndex, type Call, labelOf, namedArgument, onlyArguments, operand } from './arguments.ts'

/** concat(a, b, …, over: l): other axes equal by label, order and size. */
export function concat(call: Call): Value {
  const { frame } = call
  const over = namedArgument(call, 'over')
  const parts = call.positional.map((_, i) => operand(call, i))
  if (!over || parts.some((p) => p === undefined)) return unknown
  if (parts.length === 0) return fail(frame, 'L320', '`concat` needs at least one operand', [{ span: call.span }])
  const label = labelOf(frame, over)
  if (label === undefined) return unknown
  const [first, ...rest] = parts as [Tensor, ...Tensor[]]
  const at = axisIndex(call, first, label, over.span)
  if (at === undefined) return unknown
  let total = (first.axes[at] as Axis).size
  for (const part of rest) {
    if (part.elem !== first.elem) return mixed(frame, first, part, call.span)
    const fits =
      part.axes.length === first.axes.length &&
      part.axes.every((axis, i) => axis.label === first.axes[i]?.label && (i === at || sameSize(axis.size, first.axes[i].size)))
    if (!fits) {
      return fail(frame, 'L222', `the operands of \`concat\` must have equal axes apart from \`${label}\``, [
        { span: call.at },
        { span: first.span, text: describe(first) },
        { span: part.span, text: describe(part) },
      ])
    }
    total = plus(total, (part.axes[at] as Axis).size)
  }
  const axes = first.axes.with(at, { label, size: total })
  const node = frame.walk.sink?.concat(
    [first, ...rest].map((p) => p.node),
    at,
    call.span,
  )
  return { kind: 'tensor', elem: first.elem, axes, node, span: call.span }
}

/** pad(x, over: l, before: n, after: m, value: c) */
export function pad(call: Call): Value {
  const { frame } = call
  const x = operand(call, 0)
  const over = namedArgument(call, 'over')
  if (!x || !over || !onlyArguments(call, 1, ['over', 'before', 'after', 'value'])) return unknown
  const label = labelOf(frame, over)
  const at = label === undefined ? undefined : axisIndex(call, x, label, over.span)
  const before = sizeArgument(call, call.named.get('before'))
  const after = sizeArgument(call, call.named.get('after'))
  if (at === undefined || !before || !after) return unknown
  const fill = call.named.get('value')
  const value = fill ? usable(frame, fill) : ({ kind: 'size', size: { terms: [] } } as Value)
  const number = value.kind === 'size' ? known(value.size) : value.kind === 'float' ? value.value : undefined
  if (fill && !toTensor(frame, value, x.elem, fill.span)) return unknown
  const old = x.axes[at] as Axis
  const axes = x.axes.with(at, { label: old.label, size: plus(plus(old.size, before), after) })
  const front = affineOf(frame, before, call.span)
  const back = affineOf(frame, after, call.span)
  const { sink } = frame.walk
  if (sink && (!front || !back || number === undefined)) return unknown
  const node = sink && front && back ? sink.pad(x.node, at, front, back, number ?? 0, call.span) : undefined
  return { kind: 'tensor', elem: x.elem, axes, node, span: call.span }
}

function sizeArgument(call: Call, expr: Expr | undefined): Size | undefined {
  if (!expr) return { terms: [] }
  const value = usable(call.frame, expr)
  if (value.kind === 'size') return value.size
  if (value.kind !== 'unknown')
    call.frame.walk.report.add('L206', 'a whole number is wanted here', [{ span: expr.span, text: describe(value) }])
  return undefined
}

/** topk(x, pick = k, over: l): values and i32 indices, with the axis `pick` in place of `l`. */
export function topk(call: Call): Value {
  const { frame } = call
  const x = operand(call, 0)
  const over = namedArgument(call, 'over')
  const pick = call.sized[0]
  if (!pick)
    frame.walk.report.add('L320', '`topk` needs the new axis and how many to take', [{ span: call.span }], {
      help: 'topk(x, pick = k, over: l)',
    })
  if (!x || !over || !pick || !onlyArguments(call, 1, ['over'])) return unknown
  if (!isFloat(x.elem)) return fail(frame, 'L227', `\`topk\` does not work on ${x.elem}`, [{ span: x.span, text: describe(x) }])
  const label = labelOf(frame, over)
  const at = label === undefined ? undefined : axisIndex(call, x, label, over.span)
  const k = usable(frame, pick.size)
  if (at === undefined || k.kind === 'unknown') return unknown
  if (k.kind !== 'size') return fail(frame, 'L206', 'the number to take must be whole', [{ span: pick.span, text: describe(k) }])
  const number = known(k.size)
  const all = known((x.axes[at] as Axis).size)
  if (frame.walk.sink && number === undefined)
    return fail(frame, 'L206', `the number to take must be known at compile time, not ${showSize(k.size)}`, [{ span: pick.span }])
  if (number !== undefined && all !== undefined && number > all)
    return fail(frame, 'L233', `cannot take ${number} of ${all}`, [{ span: pick.span }])
  if (all === undefined && !requireAtMost(frame, k.size, (x.axes[at] as Axis).size, '`topk` takes no more than there are', pick.span))
    return unknown
  const axes = x.axes.with(at, { label: pick.label, size: k.size })
  if (duplicateLabel(frame, axes, call.span, x)) return unknown
  const told = number === undefined ? undefined : frame.walk.sink?.topk(x.node, at, number, call.span)
  const size = (x.axes[at] as Axis).size
  return {
    kind: 'tuple',
    items: [
      { kind: 'tensor', elem: x.elem, axes, node: told?.values, span: call.span },
      {
        kind: 'tensor',
        elem: 'i32',
        axes,
        node: told?.indices,
        span: call.span,
        range: { min: { terms: [] }, max: plus(size, { terms: [{ atoms: [], by: { num: -1, den: 1 } }] }) },
      },
    ],
  }
}
