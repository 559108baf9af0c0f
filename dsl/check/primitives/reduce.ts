// sum, max, min, mean over labels. `mean` is the sum divided by the size.

import { known, times, whole, type Size } from '../../sizes.ts'
import { atom } from '../../sizes.ts'
import { affineOf, dtypeOf, fail, isGeneric } from '../frames.ts'
import { type Axis, describe, isFloat, type Tensor, unknown, type Value } from '../values.ts'
import { broadcastTo, scalar } from './align.ts'
import { axisIndex, type Call, labelsOf, namedArgument, onlyArguments, operand } from './arguments.ts'

export function reduce(call: Call, op: 'sum' | 'max' | 'min' | 'mean'): Value {
  const { frame } = call
  const x = operand(call, 0)
  const over = namedArgument(call, 'over')
  if (!x || !over || !onlyArguments(call, 1, ['over'])) return unknown
  if (x.elem === 'bool' || (op === 'mean' && !isFloat(x.elem))) {
    return fail(frame, 'L227', `\`${op}\` does not work on ${x.elem}`, [{ span: call.at }, { span: x.span, text: describe(x) }])
  }
  const labels = labelsOf(frame, over)
  if (!labels) return unknown
  const row = rowWithout(
    call,
    x,
    labels.map((l) => l.label),
  )
  if (row) return { kind: 'tensor', elem: x.elem, axes: row, node: undefined, span: call.span }
  const places: number[] = []
  for (const { label, span } of labels) {
    const at = axisIndex(call, x, label, span)
    if (at === undefined) return unknown
    places.push(at)
  }
  places.sort((a, b) => a - b)
  const axes = x.axes.filter((_, i) => !places.includes(i))
  const node = frame.walk.sink?.reduce(op === 'mean' ? 'sum' : op, x.node, places, call.span)
  const reduced: Tensor = {
    kind: 'tensor',
    elem: x.elem,
    axes,
    node,
    span: call.span,
    ...(op !== 'sum' && x.range ? { range: x.range } : {}),
  }
  if (op !== 'mean') return reduced
  const size = places.reduce((product, at) => times(product, (x.axes[at] as Axis).size), whole(1))
  return divideBySize(call, reduced, size)
}

// While an op is checked alone, an `axis` parameter must lie in the row of its operand: the result is the row without it.
function rowWithout(call: Call, x: Tensor, labels: readonly string[]): readonly Axis[] | undefined {
  const [label] = labels
  if (!isGeneric(call.frame) || labels.length !== 1 || label === undefined) return undefined
  if (x.axes.some((a) => a.label === label)) return undefined
  const isParameter =
    call.frame.locals.get(label)?.kind === 'label' || [...call.frame.locals.values()].some((v) => v.kind === 'label' && v.label === label)
  const at = x.axes.findIndex((a) => a.row)
  if (!isParameter || at < 0) return undefined
  const name = `${(x.axes[at] as Axis).label}∖${label}`
  return x.axes.with(at, { label: name, size: atom(`|${name}|`), row: true })
}

function divideBySize(call: Call, sum: Tensor, size: Size): Value {
  const { frame } = call
  const { sink } = frame.walk
  if (!sink) return sum
  const number = known(size)
  const affine = affineOf(frame, size, call.span)
  if (!affine) return unknown
  const counted =
    number !== undefined
      ? scalar(frame, number, sum.elem, call.span)
      : {
          ...scalar(frame, undefined, sum.elem, call.span),
          node: sink.cast(sink.size(affine, call.span), dtypeOf(frame, sum.elem), call.span),
        }
  const divisor = broadcastTo(frame, counted, sum.axes, call.span)
  return divisor ? { ...sum, node: sink.binary('div', sum.node, divisor.node, call.span) } : unknown
}
