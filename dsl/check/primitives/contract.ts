// dot(a, b, over: L): labels in both and not in L are batch axes; the result has a's remaining axes in order, then b's own.

import { sameSize, showSize } from '../../sizes.ts'
import { suggest } from '../../suggest.ts'
import { fail, onlyByDefault } from '../frames.ts'
import { type Axis, describe, isFloat, operandPlaces, showAxes, showLabel, type Tensor, unknown, type Value } from '../values.ts'
import { mixed } from './align.ts'
import { type Call, labelsOf, onlyArguments, operand } from './arguments.ts'

/** One side has the axis, the other has not; perhaps it has one of the same number. */
function oneSided(call: Call, label: string, { x, side }: { readonly x: Tensor; readonly side: string }, other: Tensor): Value {
  const { frame } = call
  const wanted = other.axes.find((axis) => axis.label === label)
  const own = x.axes.filter((axis) => !axis.row && !other.axes.some(({ label: l }) => l === axis.label))
  const twin = wanted && own.find((axis) => onlyByDefault(frame, wanted.size, axis.size).length > 0)
  const near =
    twin?.label ??
    suggest(
      label,
      own.map((axis) => axis.label),
    )
  const fixed = x.axes.map((axis) => (axis.label === near && wanted ? wanted : axis))
  const list = x.axes.map((axis) => showLabel(axis.label)).join(', ') || 'no axes'
  const help =
    near === undefined ? `it has ${list}` : x.origin ? `did you mean  ${x.origin.name}: ${showAxes(fixed)}  ?` : `did you mean \`${near}\`?`
  return fail(
    frame,
    'L301',
    `\`dot\` cannot contract over \`${showLabel(label)}\`: the ${side} side has no such axis`,
    [{ span: call.span }, ...operandPlaces(x), ...operandPlaces(other).map(({ blame: _, ...place }) => place)],
    { notes: wanted && twin ? onlyByDefault(frame, wanted.size, twin.size) : [], help },
  )
}

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
    if (i < 0) return oneSided(call, label, { x: a, side: 'left' }, b)
    if (j < 0) return oneSided(call, label, { x: b, side: 'right' }, a)
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
    return fail(
      frame,
      'L221',
      `\`${x.label}\` has two different lengths`,
      [
        { span: call.at },
        { span: a.span, text: `here ${x.label} = ${showSize(x.size)}` },
        { span: b.span, text: `here ${y.label} = ${showSize(y.size)}` },
        ...[a, b].flatMap((t) => operandPlaces(t).slice(1)),
      ],
      { notes: onlyByDefault(frame, x.size, y.size) },
    )
  }
  const axes = [
    ...a.axes.filter((_, i) => !contract.some(([ci]) => ci === i)),
    ...b.axes.filter((_, j) => ![...contract, ...batch].some(([, cj]) => cj === j)),
  ]
  const node = frame.walk.sink?.dot(a.node, b.node, contract, batch, call.span)
  return { kind: 'tensor', elem: a.elem, axes, node, span: call.span }
}
