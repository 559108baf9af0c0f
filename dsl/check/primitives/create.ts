// iota, expand, where, and the compile-time list `each(i < n, e)`.

import { beyond, limits } from '../../limits.ts'
import { known, minus, whole } from '../../sizes.ts'
import { evaluate, usable } from '../expressions.ts'
import { affineOf, fail, inner } from '../frames.ts'
import { atom } from '../../sizes.ts'
import { describe, type Elem, type Tensor, unknown, type Value } from '../values.ts'
import { broadcastTo, commonAxes, places, toTensor } from './align.ts'
import { axesArgument, type Call, missing, onlyArguments, operand } from './arguments.ts'

/** iota(seq), iota(ctx = seen): 0, 1, … along one axis. */
export function iota(call: Call): Value {
  const { frame } = call
  const sized = call.sized[0]
  const bare = call.positional[0]
  const label = sized ? sized.label : bare?.kind === 'name' ? bare.name : undefined
  const expr = sized ? sized.size : bare
  if (!expr || label === undefined) {
    return fail(frame, 'L214', '`iota` wants an axis', [{ span: call.span }], { help: 'iota(seq)  or  iota(ctx = seen)' })
  }
  const value = usable(frame, expr)
  if (value.kind === 'unknown') return unknown
  if (value.kind !== 'size')
    return fail(frame, 'L206', 'the size of an axis must be a whole number', [{ span: expr.span, text: describe(value) }])
  const affine = affineOf(frame, value.size, expr.span)
  if (frame.walk.sink && !affine) return unknown
  const node = affine && frame.walk.sink?.iota(affine, call.span)
  const range = { min: whole(0), max: minus(value.size, whole(1)) }
  return { kind: 'tensor', elem: 'i32', axes: [{ label, size: value.size }], node, span: call.span, range }
}

/** expand(x, [s, t]): x's axes are a subsequence of the list; the others repeat it. */
export function expand(call: Call): Value {
  const { frame } = call
  const list = call.positional[1]
  if (!list) missing(call, 'the list of axes as second')
  const x = operand(call, 0)
  if (!x || !list || !onlyArguments(call, 2, [])) return unknown
  const axes = axesArgument(frame, list)
  if (!axes) return unknown
  const at = places(x.axes, axes)
  if (!at) {
    return fail(
      frame,
      'L220',
      'the list must contain all axes of the operand in their order',
      [{ span: list.span }, { span: x.span, text: describe(x) }],
      { help: 'rearrange first: order(x, […])' },
    )
  }
  const target: Tensor = { kind: 'tensor', elem: x.elem, axes, node: undefined, span: list.span }
  if (!commonAxes(frame, [target, x], call.span)) return unknown
  const result = broadcastTo(frame, x, axes, call.span)
  return result ? { ...result, span: call.span } : unknown
}

/** where(c, a, b) */
export function where(call: Call): Value {
  const { frame } = call
  const condition = operand(call, 0)
  const [, yesExpr, noExpr] = call.positional
  if (!yesExpr || !noExpr) missing(call, 'a third')
  if (!condition || !yesExpr || !noExpr || !onlyArguments(call, 3, [])) return unknown
  if (condition.elem !== 'bool')
    return fail(frame, 'L227', '`where` wants bool as its first operand', [{ span: condition.span, text: describe(condition) }])
  const yes = usable(frame, yesExpr)
  const no = usable(frame, noExpr)
  if (yes.kind === 'unknown' || no.kind === 'unknown') return unknown
  const typed = [yes, no].find((v) => v.kind === 'tensor')
  const elem: Elem =
    typed?.kind === 'tensor' ? typed.elem : [yes, no].some((v) => v.kind === 'float') ? 'f32' : yes.kind === 'bool' ? 'bool' : 'i32'
  const pair = [
    [yes, yesExpr],
    [no, noExpr],
  ] as const
  const sides = pair.map(([value, expr]) => toTensor(frame, value, elem, expr.span))
  if (sides.some((s) => s === undefined)) return unknown
  const [a, b] = sides as [Tensor, Tensor]
  const axes = commonAxes(frame, [condition, a, b], call.span)
  if (!axes) return unknown
  const even = [condition, a, b].map((t) => broadcastTo(frame, t, axes, call.span))
  if (even.some((t) => t === undefined)) return unknown
  const [c, p, q] = even as [Tensor, Tensor, Tensor]
  return { kind: 'tensor', elem, axes, node: frame.walk.sink?.where(c.node, p.node, q.node, call.span), span: call.span }
}

/** each(i < n, e): a compile-time list. */
export function each(call: Call): Value {
  const { frame } = call
  const [range, body] = call.positional
  if (range?.kind !== 'binary' || range.op !== '<' || range.left.kind !== 'name' || !body) {
    return fail(frame, 'L214', '`each` wants  each(i < n, expression)', [{ span: call.span }])
  }
  const count = usable(frame, range.right)
  if (count.kind === 'unknown') return unknown
  const number = count.kind === 'size' ? known(count.size) : undefined
  const scope = inner(frame)
  if (number === undefined) {
    scope.locals.set(range.left.name, { kind: 'size', size: atom(range.left.name) })
    return { kind: 'list', items: undefined, element: evaluate(body, scope) }
  }
  if (number > limits.listItems.most) {
    frame.walk.report.exceeds(beyond('listItems'), call.span)
    return unknown
  }
  const items: Value[] = []
  for (let i = 0; i < number; i++) {
    scope.locals.set(range.left.name, { kind: 'size', size: whole(i) })
    items.push(evaluate(body, scope))
  }
  return { kind: 'list', items }
}
