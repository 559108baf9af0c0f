// Expressions: what each kind of the tree means. Numbers fold in f64 and exact integers; tensors go to the primitives. `if` is a
// compile-time choice: while its condition is not known (generic checking) both sides are walked and must agree.

import type { Expr } from '../ast.ts'
import { beyond, limits, TooLarge } from '../limits.ts'
import type { FlatBlock } from '../resolve/blocks.ts'
import type { Span } from '../source.ts'
import { atom, known, sameSize, whole } from '../sizes.ts'
import { call } from './calls.ts'
import { fail, type Frame, inner, isGeneric, textOf } from './frames.ts'
import { slotOf } from './instances.ts'
import { join, lookup, unknownName } from './lookup.ts'
import { binary } from './primitives/binary.ts'
import { indexInto } from './primitives/index-into.ts'
import { negate, not } from './primitives/unary.ts'
import { describe, isOptional, none, present, type Tensor, unknown, type Value } from './values.ts'

let waiting = 0

/**
 * Walks an expression. Mistakes are reported and give `unknown`; so does everything once the work or the nesting is beyond
 * limits.ts, which ends expansions that would not end by themselves.
 */
export function evaluate(expr: Expr, frame: Frame): Value {
  const { report } = frame.walk
  if (!report.use('steps', 1, expr.span)) return unknown
  if (waiting >= limits.evaluationDepth.most) {
    report.exceeds(beyond('evaluationDepth'), expr.span)
    return unknown
  }
  waiting++
  try {
    const value = walk(expr, frame)
    // Comparing and multiplying sizes takes the square of their lengths.
    if (value.kind === 'size' && value.size.terms.length > 1) report.use('steps', value.size.terms.length ** 2, expr.span)
    if (value.kind === 'tensor' && value.axes.length > limits.axes.most && !report.exceeds(beyond('axes'), expr.span)) return unknown
    return value
  } catch (cause) {
    if (!(cause instanceof TooLarge)) throw cause
    report.exceeds(cause.why, expr.span)
    return unknown
  } finally {
    waiting--
  }
}

function walk(expr: Expr, frame: Frame): Value {
  switch (expr.kind) {
    case 'number':
      return expr.isInteger && Number.isSafeInteger(expr.value)
        ? { kind: 'size', size: whole(expr.value) }
        : { kind: 'float', value: expr.value }
    case 'string':
      return { kind: 'text', value: expr.value }
    case 'bool':
      return { kind: 'bool', value: expr.value }
    case 'none':
      return none
    case 'inf':
      return { kind: 'float', value: Infinity }
    case 'name':
      return spanned(lookup(frame, expr.name, expr.span) ?? unknownName(frame, expr.name, expr.span), expr.span)
    case 'unary':
      return expr.op === '-' ? negate(frame, usable(frame, expr.value), expr.span) : not(frame, usable(frame, expr.value), expr.span)
    case 'binary':
      return binaryExpr(expr, frame)
    case 'member':
      return member(expr, frame)
    case 'call':
      return call(expr, frame)
    case 'index':
      return indexInto(expr, frame)
    case 'group':
      return fail(frame, 'L209', 'a group of axes can only stand in `split`, `merge` and `rename`', [{ span: expr.span }])
    case 'list': {
      const items = expr.axes.map((axis) => (axis.kind === 'axis' ? evaluate(axis.size, frame) : unknown))
      return { kind: 'list', items }
    }
    case 'if':
      return choose(expr, frame)
  }
}

// A tensor remembers where it stands in the text, so that a message can point at the operand rather than its declaration.
const spanned = (value: Value, span: Span): Value => (value.kind === 'tensor' ? { ...value, span } : value)

/** Evaluates an operand: an optional value must have been tested first. */
export function usable(frame: Frame, expr: Expr): Value {
  const value = evaluate(expr, frame)
  if (isOptional(value) || value.kind === 'none') {
    const text = textOf(expr)
    return fail(frame, 'L211', `\`${text}\` may be none here`, [{ span: expr.span }], { help: `use it under  if ${text} != none { … }` })
  }
  return value
}

function binaryExpr(expr: Extract<Expr, { kind: 'binary' }>, frame: Frame): Value {
  const { op, left, right, span } = expr
  if (op === 'and' || op === 'or') {
    const first = usable(frame, left)
    if (first.kind === 'bool' && first.value === (op === 'or')) return first
    const scope = first.kind === 'bool' ? assuming(frame, left, op === 'and') : frame
    return binary(frame, op, first, usable(scope, right), span)
  }
  if ((op === '==' || op === '!=') && (left.kind === 'none' || right.kind === 'none')) {
    const value = evaluate(left.kind === 'none' ? right : left, frame)
    if (value.kind === 'unknown') return { kind: 'bool', value: undefined }
    const isNone = value.kind === 'none' ? true : isOptional(value) ? undefined : false
    return { kind: 'bool', value: isNone === undefined ? undefined : isNone === (op === '==') }
  }
  if (op === 'in') {
    const item = usable(frame, left)
    const list = usable(frame, right)
    if (list.kind !== 'list')
      return list.kind === 'unknown'
        ? unknown
        : fail(frame, 'L206', '`in` wants a list on its right', [{ span: right.span, text: describe(list) }])
    const same = list.items?.map((other) => sameConstant(item, other))
    return { kind: 'bool', value: same?.includes(true) ? true : same && !same.includes(undefined) ? false : undefined }
  }
  return binary(frame, op, usable(frame, left), usable(frame, right), span, [left.span, right.span])
}

/** Whether two compile-time values are the same; undefined while one is not known. */
export function sameConstant(a: Value, b: Value): boolean | undefined {
  if (a.kind === 'size' && b.kind === 'size') {
    if (sameSize(a.size, b.size)) return true
    return known(a.size) === undefined || known(b.size) === undefined ? undefined : false
  }
  const x = constantOf(a)
  const y = constantOf(b)
  return x === undefined || y === undefined ? undefined : x === y
}

/** The number, bool or text, if it is known. */
export function constantOf(value: Value): number | boolean | string | undefined {
  if (value.kind === 'size') return known(value.size)
  return value.kind === 'float' || value.kind === 'bool' || value.kind === 'text' ? value.value : undefined
}

/** A compile-time condition: true, false, or undefined while it is not known. A condition on a tensor is an error. */
export function truth(expr: Expr, frame: Frame): boolean | undefined {
  return truthOf(usable(frame, expr), expr, frame, 'write  where(condition, a, b)')
}

function truthOf(value: Value, expr: Expr, frame: Frame, help: string): boolean | undefined {
  if (value.kind === 'bool') return value.value
  if (value.kind === 'tensor') {
    const places = [{ span: expr.span, text: describe(value) }]
    fail(frame, 'L240', 'the condition depends on a tensor; `if` is compile-time', places, { help })
  } else if (value.kind !== 'unknown')
    fail(frame, 'L206', 'a condition must be true or false', [{ span: expr.span, text: describe(value) }])
  return undefined
}

/** What is known, as texts, where `condition` holds (or does not): itself and what follows from it. */
export function impliedTexts(condition: Expr, holds: boolean): string[] {
  const own = holds ? textOf(condition) : `not ${textOf(condition)}`
  if (condition.kind === 'unary' && condition.op === 'not') return [own, ...impliedTexts(condition.value, !holds)]
  if (condition.kind !== 'binary' || condition.op !== (holds ? 'and' : 'or')) return [own]
  return [own, ...impliedTexts(condition.left, holds), ...impliedTexts(condition.right, holds)]
}

/** The scope in which `condition` is known to hold (or not to): tested optionals are present, `when` members may be used. */
export function assuming(frame: Frame, condition: Expr, holds: boolean): Frame {
  const scope = inner(frame, { assumed: [...frame.assumed, ...impliedTexts(condition, holds)] })
  refine(condition, holds, frame, scope)
  return scope
}

function refine(condition: Expr, holds: boolean, frame: Frame, scope: Frame): void {
  if (condition.kind === 'unary' && condition.op === 'not') {
    refine(condition.value, !holds, frame, scope)
    return
  }
  if (condition.kind !== 'binary') return
  const { op, left, right } = condition
  if (op === (holds ? 'and' : 'or')) {
    for (const side of [left, right]) refine(side, holds, frame, scope)
    return
  }
  const tested = right.kind === 'none' ? left : left.kind === 'none' ? right : undefined
  if (tested?.kind !== 'name' || (op !== '==' && op !== '!=')) return
  const value = lookup(frame, tested.name, tested.span)
  if (value && isOptional(value)) scope.locals.set(tested.name, (op === '!=') === holds ? present(value) : none)
}

/** The choice by values, in the author's own words if they are short. */
function asWhere({ condition, yes, no }: Extract<Expr, { kind: 'if' }>): string {
  const text = `where(${[condition, yes, no].map(textOf).join(', ')})`
  return `write  ${text.length <= 80 ? text : 'where(condition, a, b)'}`
}

function choose(expr: Extract<Expr, { kind: 'if' }>, frame: Frame): Value {
  const condition = usable(frame, expr.condition)
  const value = condition.kind === 'bool' ? condition.value : truthOf(condition, expr.condition, frame, asWhere(expr))
  if (value !== undefined) return evaluate(value ? expr.yes : expr.no, assuming(frame, expr.condition, value))
  if (!isGeneric(frame)) {
    if (condition.kind !== 'bool') return unknown
    const message = 'the condition depends on a value of the call; `if` is compile-time'
    return fail(frame, 'L241', message, [{ span: expr.condition.span }], { help: asWhere(expr) })
  }
  const yes = evaluate(expr.yes, assuming(frame, expr.condition, true))
  const no = evaluate(expr.no, assuming(frame, expr.condition, false))
  return agree(yes, no, expr, frame)
}

// Both sides of an undecided `if` as one value. Numbers that differ become an atom named after the text.
function agree(yes: Value, no: Value, expr: Extract<Expr, { kind: 'if' }>, frame: Frame): Value {
  if (yes.kind === 'unknown' || no.kind === 'unknown') return unknown
  if (yes.kind === 'none') return no.kind === 'none' ? none : ({ ...no, optional: true } as Value)
  if (no.kind === 'none') return { ...yes, optional: true } as Value
  const optional = isOptional(yes) || isOptional(no) ? { optional: true } : {}
  if (yes.kind === 'size' && no.kind === 'size') {
    return sameSize(yes.size, no.size) ? { ...yes, ...optional } : { kind: 'size', size: atom(`(${textOf(expr)})`), ...optional }
  }
  const numbers = ['size', 'float']
  if (numbers.includes(yes.kind) && numbers.includes(no.kind)) return { kind: 'float', value: undefined, ...optional }
  if (yes.kind === 'tensor' && numbers.includes(no.kind)) return yes
  if (no.kind === 'tensor' && numbers.includes(yes.kind)) return no
  if (yes.kind === no.kind && yes.kind !== 'tensor') {
    if (yes.kind === 'bool') return { kind: 'bool', value: undefined, ...optional }
    if (yes.kind === 'text') return { kind: 'text', value: undefined, ...optional }
    return yes
  }
  if (yes.kind === 'tensor' && no.kind === 'tensor' && sameType(yes, no)) return yes
  const places = [
    { span: expr.yes.span, text: describe(yes) },
    { span: expr.no.span, text: describe(no) },
  ]
  return fail(frame, 'L242', 'the two sides of `if` differ', places, { help: 'give both sides one type, or make two functions of it' })
}

export function sameType(a: Tensor, b: Tensor): boolean {
  if (a.elem !== b.elem || a.axes.length !== b.axes.length) return false
  return a.axes.every((axis, i) => axis.label === b.axes[i]?.label && sameSize(axis.size, b.axes[i].size))
}

function member(expr: Extract<Expr, { kind: 'member' }>, frame: Frame): Value {
  const of = evaluate(expr.of, frame)
  if (of.kind === 'unknown') return unknown
  const { text: name, span } = expr.name
  if (of.kind !== 'part') return fail(frame, 'L207', `only a part has members; this is ${describe(of)}`, [{ span: expr.of.span }])
  const found = of.instance.block.members.get(name)
  if (found?.kind === 'part') {
    const slot = slotOf(of.instance, name)
    const path = join(of.path, name)
    if (!slot) return unknown
    return slot.kind === 'one' ? { kind: 'part', instance: slot.instance, path } : { kind: 'parts', slot, path }
  }
  if (found?.kind === 'weight' || found?.kind === 'state') {
    const scope: Frame = { ...frame, self: { instance: of.instance, path: of.path }, locals: new Map() }
    delete (scope as { outer?: Frame }).outer
    return lookup(scope, name, span) ?? unknown
  }
  return unknownMember(frame, of.instance.block, name, span)
}

export function unknownMember(frame: Frame, block: { name: string; members: FlatBlock['members'] }, name: string, span: Span): Value {
  const members = new Map([...block.members].map(([n, m]) => [n, m.tree.name.span]))
  const all = members.size > 0 ? `it has ${[...members.keys()].join(', ')}` : 'it has no members'
  frame.walk.report.unknown(`\`${block.name}\` has nothing called \`${name}\``, name, span, members, all)
  return unknown
}
