// Parameters that are no tensors: what values each compile-time type takes, and the stand-ins a body is checked with alone.

import type { Axis as AxisTree, Param, TypeExpr } from '../ast.ts'
import { atom, known, whole } from '../sizes.ts'
import type { Span } from '../source.ts'
import { evaluate } from './expressions.ts'
import { declare, type Frame, isGeneric } from './frames.ts'
import { axesOf, duplicateLabel, elementOf } from './lookup.ts'
import { suggest } from '../suggest.ts'
import { type Axis, describe, isOptional, none, unknown, type Value } from './values.ts'

export const compileTypes = ['dim', 'int', 'float', 'bool', 'text', 'axis', 'index']

/** Whether a parameter of this type is an operand: `real[…]`, `f32`. A bare `bool` is a compile-time condition. */
export const isTensorType = (type: TypeExpr): boolean =>
  type.name.text === 'bool' ? type.axes !== undefined : !compileTypes.includes(type.name.text)

/** The value as the parameter's type has it; reports what does not fit. */
export function coerceParameter(frame: Frame, param: Param, value: Value, span: Span): Value {
  if (value.kind === 'unknown') return unknown
  const type = param.type
  if (value.kind === 'none' || isOptional(value)) {
    if (type.optional) return value.kind === 'none' ? none : (fit(type, value) ?? wrong())
    frame.walk.report.add('L211', `\`${param.name.text}\` cannot be none`, [{ span }, { span: param.span, text: 'declared here' }])
    return unknown
  }
  return fit(type, value) ?? wrong()

  function wrong(): Value {
    frame.walk.report.add('L206', `\`${param.name.text}\` wants \`${type.name.text}\`, not ${describe(value)}`, [
      { span },
      { span: param.span, text: 'declared here' },
    ])
    return unknown
  }
}

/** `value` as a compile-time type, or undefined if it does not fit. */
export function fit(type: TypeExpr, value: Value): Value | undefined {
  if (type.axes) {
    if (value.kind !== 'list') return undefined
    const { axes: _, ...element } = type
    const items = value.items?.map((item) => fit({ ...element, optional: false }, item))
    if (items?.some((i) => i === undefined)) return undefined
    return items ? { ...value, items: items as Value[] } : value
  }
  const optional = isOptional(value) ? { optional: true } : {}
  switch (type.name.text) {
    case 'dim':
    case 'index':
    case 'int': {
      if (value.kind === 'size') {
        const number = known(value.size)
        return number !== undefined && number < 0 && type.name.text !== 'int' ? undefined : value
      }
      if (value.kind === 'float' && value.value === undefined)
        return { kind: 'size', size: atom(type.span.source.path + type.span.start), ...optional }
      return value.kind === 'float' && Number.isSafeInteger(value.value) ? { kind: 'size', size: whole(value.value as number) } : undefined
    }
    case 'float':
      if (value.kind === 'float') return value
      return value.kind === 'size' ? { kind: 'float', value: known(value.size), ...optional } : undefined
    case 'bool':
      return value.kind === 'bool' ? value : undefined
    case 'text':
      return value.kind === 'text' ? value : undefined
    case 'axis':
      return value.kind === 'label' ? value : undefined
    default:
      return undefined
  }
}

/** An unknown value of a compile-time type: `name` is its atom. */
export function standIn(type: TypeExpr, name: string): Value {
  if (!compileTypes.includes(type.name.text)) return unknown
  const optional = type.optional ? { optional: true } : {}
  if (type.axes) {
    const { axes: _, ...element } = type
    return { kind: 'list', items: undefined, element: standIn({ ...element, optional: false }, `${name}[i]`), ...optional }
  }
  switch (type.name.text) {
    case 'dim':
    case 'int':
    case 'index':
      return { kind: 'size', size: atom(name), ...optional }
    case 'float':
      return { kind: 'float', value: undefined, ...optional }
    case 'bool':
      return { kind: 'bool', value: undefined, ...optional }
    case 'text':
      return { kind: 'text', value: undefined, ...optional }
    case 'axis':
      return { kind: 'label', label: name }
    default:
      return unknown
  }
}

/** Puts every parameter of a function that is checked alone into its frame: sizes become atoms, a row one stand-in axis. */
export function bindStandIns(frame: Frame, params: readonly Param[]): void {
  for (const param of params) {
    if (isTensorType(param.type)) nameSizes(frame, param.type)
    else {
      declare(frame, param.name.text, standIn(param.type, param.name.text), param.name.span)
    }
  }
  for (const param of params) {
    if (!isTensorType(param.type)) continue
    const elem = elementOf(frame, param.type, compileTypes)
    const axes = axesOf(frame, param.type.axes ?? [])
    const value: Value =
      axes && elem && !duplicateLabel(frame, axes, param.type.span, undefined, true)
        ? {
            kind: 'tensor',
            elem,
            axes,
            node: undefined,
            span: param.name.span,
            origin: { name: param.name.text, span: param.span },
            ...(param.type.optional ? { optional: true } : {}),
          }
        : unknown
    declare(frame, param.name.text, value, param.name.span)
  }
  for (const param of params) {
    if (!param.default) continue
    const value = evaluate(param.default, frame)
    if (value.kind !== 'unknown' && !isTensorType(param.type)) coerceParameter(frame, param, value, param.default.span)
  }
}

/** Sizes that a parameter type introduces: bare names that mean nothing else here. */
function nameSizes(frame: Frame, type: TypeExpr): void {
  for (const tree of type.axes ?? []) {
    if (tree.kind === 'row') {
      const label = `..${tree.name?.text ?? ''}`
      frame.rows.set(tree.name?.text ?? '', [{ label, size: atom(`|${label}|`), row: true } satisfies Axis])
      continue
    }
    const name = newSize(frame, tree)
    if (name === undefined || frame.locals.has(name)) continue
    declare(frame, name, { kind: 'size', size: atom(name) }, tree.span)
    const fields = [...(frame.config?.fields.keys() ?? [])]
    const near = name.length >= 4 ? suggest(name, fields) : undefined
    if (near && isGeneric(frame)) {
      frame.walk.report.add('L212', `new size \`${name}\` looks like the config field \`${near}\``, [{ span: tree.span }], {
        help: `did you mean \`${near}\`?`,
      })
    }
  }
}

/** The name of a size parameter, if this axis introduces one: bare, and neither a config field nor a block parameter. */
export function newSize(frame: Frame, tree: Extract<AxisTree, { kind: 'axis' }>): string | undefined {
  const name = tree.label?.text
  if (name === undefined || tree.size.kind !== 'name' || tree.size.name !== name) return undefined
  if (frame.self?.instance.params.has(name) || frame.config?.fields.has(name)) return undefined
  return name
}
