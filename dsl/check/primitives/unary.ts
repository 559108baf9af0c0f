// One operand: neg abs exp log sqrt rsqrt sin cos tanh erf floor not, and casts. Constants fold in f64.

import type { UnaryOp } from '../../sink.ts'
import { known, times, whole } from '../../sizes.ts'
import type { Span } from '../../source.ts'
import { dtypeOf, fail, type Frame } from '../frames.ts'
import { describe, type Elem, isFloat, type Tensor, unknown, type Value } from '../values.ts'
import { scalar, sizeTensor } from './align.ts'

const folds: Readonly<Record<string, (x: number) => number>> = {
  abs: Math.abs,
  exp: Math.exp,
  log: Math.log,
  log2: Math.log2,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  sin: Math.sin,
  cos: Math.cos,
  tanh: Math.tanh,
  floor: Math.floor,
}

export function negate(frame: Frame, x: Value, span: Span): Value {
  if (x.kind === 'size') return { kind: 'size', size: times(x.size, whole(-1)) }
  if (x.kind === 'float') return { kind: 'float', value: x.value === undefined ? undefined : -x.value }
  return unary(frame, 'neg', x, span)
}

export function not(frame: Frame, x: Value, span: Span): Value {
  if (x.kind === 'bool') return { kind: 'bool', value: x.value === undefined ? undefined : !x.value }
  return unary(frame, 'not', x, span)
}

/** `exp(x)` and its like on any value. */
export function unary(frame: Frame, name: string, x: Value, span: Span): Value {
  if (x.kind === 'unknown') return unknown
  if (x.kind === 'tensor') return onTensor(frame, name, x, span)
  const fold = folds[name]
  if ((x.kind === 'size' || x.kind === 'float') && fold) {
    const number = x.kind === 'size' ? known(x.size) : x.value
    if (name === 'abs' && x.kind === 'size' && number !== undefined) return { kind: 'size', size: whole(Math.abs(number)) }
    const folded = number === undefined ? undefined : fold(number)
    if (name === 'floor' && folded !== undefined && Number.isSafeInteger(folded)) return { kind: 'size', size: whole(folded) }
    return { kind: 'float', value: folded }
  }
  return fail(frame, 'L227', `\`${name}\` does not work on ${describe(x)}`, [{ span }])
}

function onTensor(frame: Frame, name: string, x: Tensor, span: Span): Value {
  const fits = name === 'not' ? x.elem === 'bool' : name === 'neg' || name === 'abs' ? x.elem !== 'bool' : isFloat(x.elem)
  if (!fits || name === 'log2') {
    const help = name === 'log2' ? 'write  log(x) * 1.4426950408889634' : name === 'not' ? undefined : 'write  f32(x)'
    return fail(
      frame,
      'L227',
      `\`${name}\` does not work on ${x.elem}`,
      [{ span }, { span: x.span, text: describe(x) }],
      help ? { help } : {},
    )
  }
  const node = frame.walk.sink?.unary(name as UnaryOp, x.node, span)
  const range = name === 'neg' && x.range ? { min: times(x.range.max, whole(-1)), max: times(x.range.min, whole(-1)) } : undefined
  return { kind: 'tensor', elem: x.elem, axes: x.axes, node, span, ...(range ? { range } : {}) }
}

/** `f32(x)`: also makes a scalar tensor of a number or size. */
export function cast(frame: Frame, elem: Elem, x: Value, span: Span): Value {
  if (x.kind === 'unknown') return unknown
  const { sink } = frame.walk
  if (x.kind === 'tensor') {
    const from = dtypeOf(frame, x.elem)
    const to = dtypeOf(frame, elem)
    const node = sink && from !== to ? sink.cast(x.node, to, span) : x.node
    const keepsRange = x.range && elem === 'i32'
    return { kind: 'tensor', elem, axes: x.axes, node, span, ...(keepsRange && x.range ? { range: x.range } : {}) }
  }
  if (x.kind === 'float') return scalar(frame, x.value === undefined || isFloat(elem) ? x.value : Math.trunc(x.value), elem, span)
  if (x.kind === 'bool') return scalar(frame, x.value === undefined ? undefined : Number(x.value), elem, span)
  if (x.kind === 'size') {
    const number = known(x.size)
    if (number !== undefined)
      return { ...scalar(frame, number, elem, span), ...(elem === 'i32' ? { range: { min: x.size, max: x.size } } : {}) }
    const tensor = sizeTensor(frame, x.size, 'i32', span)
    return tensor && elem !== 'i32' ? cast(frame, elem, tensor, span) : (tensor ?? unknown)
  }
  return fail(frame, 'L227', `${describe(x)} cannot be cast to ${elem}`, [{ span }])
}
