// Between numbers and integers with a scale and a zero point: one for all, one for each position of an axis, or one for each
// block of positions.

import type { Node } from '../../../compiler/graph/types.ts'
import { elementType } from '../read-vectors.ts'
import { count, dimsOf, type Translator } from '../translate.ts'
import { typeOfNumber } from './pointwise.ts'
import type { Call, Row, Rows } from './row.ts'

/** A scale or zero point as large as x. */
function spread(c: Call, p: Node): Node {
  const dims = dimsOf(c.x(0))
  if (count(dimsOf(p)) === 1) return c.t.reshape(p, [])
  const axis = c.axis(1)
  const block = c.number('block_size', 0)
  if (block === 0) return c.t.place(p, dims, [axis])
  const from = dimsOf(p)
  const wide = c.t.place(
    p,
    from.toSpliced(axis + 1, 0, block),
    from.map((_, i) => (i <= axis ? i : i + 1)),
  )
  return c.t.slice(c.t.merge(wide, axis, 2), axis, 0, dims[axis]!)
}

const saturated = (t: Translator, x: Node, type: string): Node => {
  const { dtype, range } = elementType(type)
  return t.cast(t.clip(x, range![0], range![1]), dtype)
}

function quantize(c: Call): ReturnType<Row> {
  const { t } = c
  const zero = c.inputs[2]
  const type = zero?.type ?? typeOfNumber(c.number('output_dtype', 2))
  if (!elementType(type).range) c.missing(`output ${type}`)
  const rounded = t.round(t.binary('div', c.x(0), spread(c, c.x(1))))
  const shifted = zero ? t.binary('add', rounded, spread(c, t.cast(zero.node, rounded.type.dtype))) : rounded
  return c.gives(saturated(t, shifted, type), type)
}

function dequantize(c: Call): ReturnType<Row> {
  const { t } = c
  const { type, node: scale } = c.value(1)
  const zero = c.optional(2)
  const x = t.cast(c.x(0), scale.type.dtype)
  const centred = zero ? t.binary('sub', x, spread(c, t.cast(zero, scale.type.dtype))) : x
  return c.gives(t.binary('mul', centred, spread(c, scale)), type)
}

/** Scale and zero point from the least and the greatest value, 0 among them. */
function dynamicQuantize(c: Call): ReturnType<Row> {
  const { t } = c
  const x = c.x(0)
  const axes = dimsOf(x).map((_, axis) => axis)
  const [least, most] = [t.with('min', t.reduce('min', x, axes, false), 0), t.with('max', t.reduce('max', x, axes, false), 0)]
  const scale = t.with('div', t.binary('sub', most, least), 255)
  const zero = t.clip(t.round(t.binary('div', t.unary('neg', least), scale)), 0, 255)
  const y = saturated(t, t.binary('add', t.round(t.binary('div', x, scale)), zero), 'uint8')
  return [...c.gives(y, 'uint8'), ...c.gives(scale), ...c.gives(t.cast(zero, 'u8'), 'uint8')]
}

export const quantisation: Rows = {
  QuantizeLinear: quantize,
  DequantizeLinear: dequantize,
  DynamicQuantizeLinear: dynamicQuantize,
}
