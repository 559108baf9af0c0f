// Lining operands up: constants take the other side's element type, then the axes of one side must be a subsequence, by label
// and in order, of the axes of the other; missing axes are repeated, and the listener is told so by an explicit broadcast.

import type { Code } from '../../codes.ts'
import type { Span } from '../../source.ts'
import { known, sameSize, type Size, showSize } from '../../sizes.ts'
import { affineOf, dimsOf, dtypeOf, fail, type Frame, isGeneric } from '../frames.ts'
import { type Axis, describe, type Elem, isFloat, isInteger, showAxes, type Tensor, type Value } from '../values.ts'

/** A constant of a known element type as a tensor without axes. */
export function scalar(frame: Frame, value: number | undefined, elem: Elem, span: Span): Tensor {
  const node = value === undefined ? undefined : frame.walk.sink?.literal(value, dtypeOf(frame, elem), span)
  return { kind: 'tensor', elem, axes: [], node, span }
}

/** `value` as a tensor of `elem`: literals and sizes take the type, tensors must have it. undefined after a message. */
export function toTensor(frame: Frame, value: Value, elem: Elem, span: Span): Tensor | undefined {
  if (value.kind === 'tensor') {
    if (value.elem === elem) return value
    mixed(frame, value, { kind: 'tensor', elem, axes: [], node: undefined, span }, span)
    return undefined
  }
  // A size of the call that went through a parameter of type float (or bool) has lost what it is at run time.
  if ((value.kind === 'float' || value.kind === 'bool') && value.value === undefined && !isGeneric(frame))
    return refuse('L226', 'this number is known only at run time, but a compile-time parameter takes it')
  if (value.kind === 'float') {
    if (isFloat(elem)) return scalar(frame, value.value, elem, span)
    return refuse('L226', `a fraction cannot stand beside ${elem}`, `f32(…)`)
  }
  if (value.kind === 'bool') {
    if (elem === 'bool') return scalar(frame, value.value === undefined ? undefined : Number(value.value), elem, span)
    return refuse('L226', `a bool cannot stand beside ${elem}`)
  }
  if (value.kind === 'size') {
    const number = known(value.size)
    if (elem === 'bool') return refuse('L226', 'a number cannot stand beside bool')
    if (isInteger(elem) && (elem === 'i32' || number !== undefined)) return sizeTensor(frame, value.size, elem, span)
    if (number !== undefined || isGeneric(frame)) return scalar(frame, number, elem, span)
    return refuse('L226', `${showSize(value.size)} is known only at run time; it is i32, not ${elem}`, `${elem}(${showSize(value.size)})`)
  }
  if (value.kind !== 'unknown') refuse('L210', `a tensor is wanted here, not ${describe(value)}`)
  return undefined

  function refuse(code: Code, message: string, help?: string): undefined {
    frame.walk.report.add(code, message, [{ span }], help ? { help: `write  ${help}` } : {})
  }
}

/** A size as a scalar of integers, with its range. */
export function sizeTensor(frame: Frame, size: Size, elem: Elem, span: Span): Tensor | undefined {
  const number = known(size)
  const range = { min: size, max: size }
  if (number !== undefined) return { ...scalar(frame, number, elem, span), range }
  const { sink } = frame.walk
  const affine = affineOf(frame, size, span)
  if (sink && !affine) return undefined
  return { kind: 'tensor', elem, axes: [], node: sink && affine ? sink.size(affine, span) : undefined, span, range }
}

export function mixed(frame: Frame, a: Tensor, b: Tensor, span: Span): Value {
  const cast = b.elem === 'f32' || b.elem === 'real' ? b.elem : a.elem
  return fail(
    frame,
    'L226',
    `mixed element types ${a.elem} and ${b.elem}`,
    [{ span }, { span: a.span, text: describe(a) }, { span: b.span, text: describe(b) }],
    { help: `cast one side: ${cast}(…)` },
  )
}

// In a generic check `..s∖over` is what remains of the row `..s`, so it lines up with it.
const within = (small: Axis, big: Axis): boolean =>
  small.label === big.label || (small.row === true && small.label.startsWith(`${big.label}∖`))

/** For each axis of `small` its place in `big`, or undefined if it is no subsequence. */
export function places(small: readonly Axis[], big: readonly Axis[]): number[] | undefined {
  const at: number[] = []
  let next = 0
  for (const axis of small) {
    while (next < big.length && !within(axis, big[next] as Axis)) next++
    if (next === big.length) return undefined
    at.push(next++)
  }
  return at
}

/** The axes all tensors line up to, after checking labels, order and sizes; undefined after a message. */
export function commonAxes(frame: Frame, tensors: readonly Tensor[], span: Span): readonly Axis[] | undefined {
  // Among equally long lists one without a `row∖axis` stand-in contains the others.
  const rank = (t: Tensor): number => 2 * t.axes.length + (t.axes.some((a) => a.label.includes('∖')) ? 0 : 1)
  const widest = tensors.reduce((best, t) => (rank(t) > rank(best) ? t : best))
  for (const tensor of tensors) {
    const at = places(tensor.axes, widest.axes)
    if (!at) {
      notLinedUp(frame, tensor, widest, span)
      return undefined
    }
    for (const [i, axis] of tensor.axes.entries()) {
      const other = widest.axes[at[i] as number] as Axis
      if (axis.row || sameSize(axis.size, other.size)) continue
      const places = [
        { span },
        { span: tensor.span, text: `here ${axis.label} = ${showSize(axis.size)}` },
        { span: widest.span, text: `here ${axis.label} = ${showSize(other.size)}` },
      ]
      frame.walk.report.add('L221', `\`${axis.label}\` has two different lengths`, places)
      return undefined
    }
  }
  return widest.axes
}

function notLinedUp(frame: Frame, a: Tensor, b: Tensor, span: Span): void {
  const sameLabels = a.axes.every((x) => b.axes.some((y) => y.label === x.label))
  const all = [...b.axes, ...a.axes.filter((x) => !b.axes.some((y) => y.label === x.label))]
  const help = sameLabels
    ? `put the axes in one order first: order(x, [${a.axes.map((x) => x.label).join(', ')}])`
    : `say what should be repeated: expand(x, [${all.map((x) => x.label).join(', ')}])`
  frame.walk.report.add(
    'L220',
    'these two cannot be lined up: neither list of axes contains the other in order',
    [{ span }, { span: a.span, text: describe(a) }, { span: b.span, text: describe(b) }],
    { help },
  )
}

/** `tensor` repeated to exactly `axes` (of which its own are a subsequence). */
export function broadcastTo(frame: Frame, tensor: Tensor, axes: readonly Axis[], span: Span): Tensor | undefined {
  if (tensor.axes.length === axes.length) return tensor
  const at = places(tensor.axes, axes)
  if (!at) throw new Error(`internal: ${showAxes(tensor.axes)} is not within ${showAxes(axes)}`)
  const { sink } = frame.walk
  if (!sink) return { ...tensor, axes }
  const dims = dimsOf(frame, axes, span)
  if (!dims) return undefined
  return { ...tensor, axes, node: sink.broadcast(tensor.node, dims, at, span) }
}

/** All operands as tensors of one element type and equal axes; undefined after a message (or silently after an unknown). */
export function lineUp(frame: Frame, values: readonly Value[], spans: readonly Span[], span: Span, elem?: Elem): Tensor[] | undefined {
  if (values.some((v) => v.kind === 'unknown')) return undefined
  const first = values.find((v) => v.kind === 'tensor')
  const wanted = elem ?? (first?.kind === 'tensor' ? first.elem : 'f32')
  const tensors: Tensor[] = []
  for (const [i, value] of values.entries()) {
    if (value.kind === 'tensor' && value.elem !== wanted && first?.kind === 'tensor') {
      mixed(frame, first, value, span)
      return undefined
    }
    const tensor = toTensor(frame, value, wanted, spans[i] ?? span)
    if (!tensor) return undefined
    tensors.push(tensor)
  }
  const axes = commonAxes(frame, tensors, span)
  if (!axes) return undefined
  const even = tensors.map((t) => broadcastTo(frame, t, axes, span))
  return even.every((t) => t !== undefined) ? (even as Tensor[]) : undefined
}
