// Two operands: + - * / %, min max pow, comparisons, and, or. Two constants fold (sizes exactly, floats in f64); anything with a
// tensor is lined up and told to the listener. Ranges of i32 positions are carried along.

import type { BinaryOp } from '../../ast.ts'
import type { BinaryOpName } from '../../sink.ts'
import { range } from '../../affine.ts'
import { atom, divide, known, minus, plus, type Size, sameSize, showSize, times, toAffine, whole } from '../../sizes.ts'
import type { Span } from '../../source.ts'
import { fail, type Frame, isGeneric } from '../frames.ts'
import { describe, type Elem, isFloat, type Tensor, unknown, type Value } from '../values.ts'
import { broadcastTo, lineUp, scalar, sizeTensor } from './align.ts'

export type BinaryName = Exclude<BinaryOp, 'in'> | 'min' | 'max' | 'pow'

interface Row {
  readonly told: BinaryOpName
  readonly class: 'arithmetic' | 'compare' | 'logic'
  readonly fold: (a: number, b: number) => number | boolean
}

const rows: Readonly<Record<BinaryName, Row>> = {
  '+': { told: 'add', class: 'arithmetic', fold: (a, b) => a + b },
  '-': { told: 'sub', class: 'arithmetic', fold: (a, b) => a - b },
  '*': { told: 'mul', class: 'arithmetic', fold: (a, b) => a * b },
  '/': { told: 'div', class: 'arithmetic', fold: (a, b) => a / b },
  '%': { told: 'mod', class: 'arithmetic', fold: (a, b) => a - b * Math.floor(a / b) },
  min: { told: 'min', class: 'arithmetic', fold: Math.min },
  max: { told: 'max', class: 'arithmetic', fold: Math.max },
  pow: { told: 'pow', class: 'arithmetic', fold: Math.pow },
  '==': { told: 'eq', class: 'compare', fold: (a, b) => a === b },
  '!=': { told: 'ne', class: 'compare', fold: (a, b) => a !== b },
  '<': { told: 'lt', class: 'compare', fold: (a, b) => a < b },
  '<=': { told: 'le', class: 'compare', fold: (a, b) => a <= b },
  '>': { told: 'gt', class: 'compare', fold: (a, b) => a > b },
  '>=': { told: 'ge', class: 'compare', fold: (a, b) => a >= b },
  and: { told: 'and', class: 'logic', fold: (a, b) => a !== 0 && b !== 0 },
  or: { told: 'or', class: 'logic', fold: (a, b) => a !== 0 || b !== 0 },
}

/** One binary operation on any two values. */
export function binary(frame: Frame, name: BinaryName, a: Value, b: Value, span: Span, sides: readonly Span[] = []): Value {
  if (a.kind === 'unknown' || b.kind === 'unknown') return unknown
  if (a.kind === 'tensor' || b.kind === 'tensor') return tensors(frame, name, a, b, span, sides)
  if (a.kind === 'size' && b.kind === 'size') return sizes(frame, name, a.size, b.size, span)
  return constants(frame, name, a, b, span)
}

function tensors(frame: Frame, name: BinaryName, a: Value, b: Value, span: Span, sides: readonly Span[] = []): Value {
  const row = rows[name]
  const elem = ((a.kind === 'tensor' ? a : b) as Tensor).elem
  const lined = lineUp(frame, [a, b], sides, span)
  if (!lined) return unknown
  const [x, y] = lined as [Tensor, Tensor]
  if (row.class === 'logic' ? elem !== 'bool' : elem === 'bool' && name !== '==' && name !== '!=') {
    return fail(frame, 'L227', `\`${name}\` does not work on ${elem}`, [
      { span },
      { span: x.span, text: describe(x) },
      { span: y.span, text: describe(y) },
    ])
  }
  if (name === 'pow' && !isFloat(elem))
    return fail(frame, 'L227', `\`pow\` wants floats, not ${elem}`, [{ span }], { help: 'write  f32(x)' })
  if (name === '/' && !isFloat(elem))
    return fail(frame, 'L227', `\`/\` on ${elem} tensors is not defined`, [{ span }], { help: 'write  floor(f32(a) / f32(b))' })
  const node = name === '%' ? remainder(frame, x, y, span) : frame.walk.sink?.binary(row.told, x.node, y.node, span)
  const result: Elem = row.class === 'arithmetic' ? elem : 'bool'
  const range = row.class === 'arithmetic' ? rangeOf(name, x, y) : undefined
  return { kind: 'tensor', elem: result, axes: x.axes, node, span, ...(range ? { range } : {}) }
}

/**
 * `%` has the sign of the divisor, as numbers of compile time do. Listeners' `mod` has that of the dividend, so the divisor is added
 * where the signs differ: nowhere when both are known not to be negative, as positions and windows are.
 */
function remainder(frame: Frame, x: Tensor, y: Tensor, span: Span): unknown {
  const { sink } = frame.walk
  const mod = sink?.binary('mod', x.node, y.node, span)
  const neverNegative = (t: Tensor): boolean => t.elem === 'u32' || t.elem === 'u8' || leastOf(frame, t) >= 0
  if (!sink || (neverNegative(x) && neverNegative(y))) return mod
  const zero = broadcastTo(frame, scalar(frame, 0, x.elem, span), x.axes, span)?.node
  const isNegative = sink.binary('lt', mod, zero, span)
  const differs = neverNegative(y)
    ? isNegative
    : sink.binary(
        'and',
        sink.binary('ne', mod, zero, span),
        sink.binary('ne', isNegative, sink.binary('lt', y.node, zero, span), span),
        span,
      )
  return sink.where(differs, sink.binary('add', mod, y.node, span), mod, span)
}

/** A lower bound of the elements, -Infinity when none is known. */
function leastOf({ walk }: Frame, { range: elements }: Tensor): number {
  const least = elements && toAffine(elements.min)
  return least ? range(least, walk.bounds).min : -Infinity
}

function rangeOf(name: BinaryName, x: Tensor, y: Tensor): Tensor['range'] {
  const a = x.range
  const b = y.range
  const modulus = b && sameSize(b.min, b.max) ? known(b.min) : undefined
  if (name === '%' && b && modulus !== undefined && modulus > 0) return { min: whole(0), max: whole(modulus - 1) }
  if (!a || !b) return undefined
  if (name === '+') return { min: plus(a.min, b.min), max: plus(a.max, b.max) }
  if (name === '-') return { min: minus(a.min, b.max), max: minus(a.max, b.min) }
  if (name !== '*') return undefined
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    const factor = sameSize(one.min, one.max) ? known(one.min) : undefined
    if (factor === undefined) continue
    const ends = [times(other.min, whole(factor)), times(other.max, whole(factor))] as const
    return factor >= 0 ? { min: ends[0], max: ends[1] } : { min: ends[1], max: ends[0] }
  }
  return undefined
}

function sizes(frame: Frame, name: BinaryName, a: Size, b: Size, span: Span): Value {
  const x = known(a)
  const y = known(b)
  if (name === '+') return { kind: 'size', size: plus(a, b) }
  if (name === '-') return { kind: 'size', size: minus(a, b) }
  if (name === '*') return { kind: 'size', size: times(a, b) }
  if (name === '/') return quotient(frame, a, b, span)
  if (x !== undefined && y !== undefined) {
    if (name === '%' && y === 0) return fail(frame, 'L234', 'division by zero', [{ span }])
    const folded = rows[name].fold(x, y)
    if (typeof folded === 'boolean') return { kind: 'bool', value: folded }
    return Number.isSafeInteger(folded) ? { kind: 'size', size: whole(folded) } : { kind: 'float', value: folded }
  }
  if (rows[name].class === 'logic') return fail(frame, 'L227', `\`${name}\` wants bools`, [{ span }])
  if (rows[name].class === 'compare') return { kind: 'bool', value: compared(name, a, b) }
  if ((name === 'min' || name === 'max') && sameSize(a, b)) return { kind: 'size', size: a }
  if (name === '%' && divide(a, b)?.exact) return { kind: 'size', size: whole(0) }
  // A stand-in: what it is good for is decided when the sizes are known. A power of whole numbers may be a fraction.
  if (isGeneric(frame))
    return name === 'pow' ? { kind: 'float', value: undefined } : { kind: 'size', size: atom(`${name}(${showSize(a)}, ${showSize(b)})`) }
  const left = sizeTensor(frame, a, 'i32', span)
  const right = sizeTensor(frame, b, 'i32', span)
  return left && right ? tensors(frame, name, left, right, span) : unknown
}

// a == b is decided by normal forms; an order only where the difference is a number.
function compared(name: BinaryName, a: Size, b: Size): boolean | undefined {
  const difference = known(minus(a, b))
  if (difference !== undefined) return rows[name].fold(difference, 0) as boolean
  return undefined
}

function quotient(frame: Frame, a: Size, b: Size, span: Span): Value {
  const result = divide(a, b)
  if (!result) return fail(frame, 'L234', 'division by zero', [{ span }])
  const bothKnown = known(a) !== undefined && known(b) !== undefined
  if (result.exact || (isGeneric(frame) && !bothKnown)) return { kind: 'size', size: result.size }
  const message = `${showSize(a)} is not a whole multiple of ${showSize(b)}`
  return fail(frame, 'L231', message, [{ span, text: 'a size must be a whole number' }], {
    help: 'write a decimal point for a fraction: 2.0, or floor(a / b)',
  })
}

function constants(frame: Frame, name: BinaryName, a: Value, b: Value, span: Span): Value {
  const row = rows[name]
  if (a.kind === 'text' && b.kind === 'text' && (name === '==' || name === '!=')) {
    const known = a.value !== undefined && b.value !== undefined
    return { kind: 'bool', value: known ? (a.value === b.value) === (name === '==') : undefined }
  }
  const x = numberOf(a)
  const y = numberOf(b)
  const bools = a.kind === 'bool' && b.kind === 'bool'
  const numbers = x.isNumber && y.isNumber
  if (row.class === 'logic' ? bools : numbers || (bools && row.class === 'compare')) {
    const [p, q] = bools
      ? [a.value === undefined ? undefined : Number(a.value), b.value === undefined ? undefined : Number(b.value)]
      : [x.value, y.value]
    if (p === undefined || q === undefined) {
      if (row.class === 'logic') {
        // One side may decide alone.
        if (name === 'and' && (p === 0 || q === 0)) return { kind: 'bool', value: false }
        if (name === 'or' && (p === 1 || q === 1)) return { kind: 'bool', value: true }
      }
      return row.class === 'arithmetic' ? { kind: 'float', value: undefined } : { kind: 'bool', value: undefined }
    }
    const folded = row.fold(p, q)
    return typeof folded === 'boolean' ? { kind: 'bool', value: folded } : { kind: 'float', value: folded }
  }
  return fail(frame, 'L227', `\`${name}\` does not work on ${describe(a)} and ${describe(b)}`, [{ span }])
}

function numberOf(value: Value): { isNumber: boolean; value?: number } {
  if (value.kind === 'float') return value.value === undefined ? { isNumber: true } : { isNumber: true, value: value.value }
  if (value.kind !== 'size') return { isNumber: false }
  const number = known(value.size)
  return number === undefined ? { isNumber: true } : { isNumber: true, value: number }
}
