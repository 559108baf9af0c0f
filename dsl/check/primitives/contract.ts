// dot(a, b, over: L): labels in both and not in L are batch axes; the result has a's remaining axes in order, then b's own.

import { sameSize, showSize } from '../../sizes.ts'
import { fail } from '../frames.ts'
import { type Axis, describe, isFloat, operandPlaces, unknown, type Value } from '../values.ts'
import { mixed } from './align.ts'
import { type Call, labelsOf, noSuchAxis, onlyArguments, operand } from './arguments.ts'

export function dot(call: Call): Value {
  const { frame } = call
  const a = operand(call, 0)
  const b = operand(call, 1)
  if (!a || !b || !onlyArguments(call, 2, ['over'])) return unknown
  if (a.elem !== b.elem) return mixed(frame, a, b, call.span)
  if (!isFloat(a.elem) && a.elem !== 'i32') {
    return fail(frame, 'L227', `\`dot\` does not work on ${a.elem}`, [{ span: call.at }, { span: a.span, text: describe(a) }])
  }
  const over = call.named.get('over')
  const labels = over ? labelsOf(frame, over) : []
  if (!labels) return unknown
  const contract: [number, number][] = []
  const batch: [number, number][] = []
  for (const { label } of labels) {
    const i = a.axes.findIndex((x) => x.label === label)
    const j = b.axes.findIndex((x) => x.label === label)
    if (i < 0) return noSuchAxis(call, a, label, call.at, 'the left side')
    if (j < 0) return noSuchAxis(call, b, label, call.at, 'the right side')
    contract.push([i, j])
  }
  for (const [i, axis] of a.axes.entries()) {
    const j = b.axes.findIndex((x) => x.label === axis.label)
    if (j >= 0 && !contract.some(([ci]) => ci === i)) batch.push([i, j])
  }
  for (const [i, j] of [...contract, ...batch]) {
    const x = a.axes[i] as Axis
    const y = b.axes[j] as Axis
    if (sameSize(x.size, y.size)) continue
    return fail(frame, 'L221', `\`${x.label}\` has two different lengths`, [
      { span: call.at },
      { span: a.span, text: `here ${x.label} = ${showSize(x.size)}` },
      { span: b.span, text: `here ${y.label} = ${showSize(y.size)}` },
      ...[a, b].flatMap((t) => operandPlaces(t).slice(1)),
    ])
  }
  const axes = [
    ...a.axes.filter((_, i) => !contract.some(([ci]) => ci === i)),
    ...b.axes.filter((_, j) => ![...contract, ...batch].some(([, cj]) => cj === j)),
  ]
  const node = frame.walk.sink?.dot(a.node, b.node, contract, batch, call.span)
  return { kind: 'tensor', elem: a.elem, axes, node, span: call.span }
}
