// What an expression can be while a program is walked: tensors (element type, labelled axes, the listener's handle), numbers
// known or unknown at compile time, labels, parts. `unknown` follows a reported error and silences everything after it.

import type { Dtype } from '../sink.ts'
import type { Span } from '../source.ts'
import { showSize, type Size } from '../sizes.ts'
import type { Instance, Slot } from './instances.ts'

/** `T` is an op's generic element type; `real` stays apart from f32 even when it will be one. */
export type Elem = Dtype | 'real' | 'T'

/** A labelled axis. `row` marks the one stand-in for all axes of `..b` while an op or fn is checked alone. */
export interface Axis {
  readonly label: string
  readonly size: Size
  readonly row?: boolean
}

/** Where a named value was declared, for the second label of a message. */
export interface Origin {
  readonly name: string
  readonly span: Span
}

export interface Tensor {
  readonly kind: 'tensor'
  readonly elem: Elem
  readonly axes: readonly Axis[]
  readonly node: unknown
  readonly span: Span
  readonly origin?: Origin
  /** An optional parameter that has not been tested with `!= none` yet (generic checking only). */
  readonly optional?: boolean
  /** Inclusive bounds of the elements, kept for i32 values made from `iota` and sizes. */
  readonly range?: { readonly min: Size; readonly max: Size }
}

export interface SizeValue {
  readonly kind: 'size'
  readonly size: Size
  readonly optional?: boolean
}
export interface FloatValue {
  readonly kind: 'float'
  readonly value: number | undefined
  readonly optional?: boolean
}
export interface BoolValue {
  readonly kind: 'bool'
  readonly value: boolean | undefined
  readonly optional?: boolean
}
export interface TextValue {
  readonly kind: 'text'
  readonly value: string | undefined
  readonly optional?: boolean
}
export interface ListValue {
  readonly kind: 'list'
  /** undefined: not known yet; then `element` tells what an element is. */
  readonly items: readonly Value[] | undefined
  readonly element?: Value
  readonly optional?: boolean
}
export interface LabelValue {
  readonly kind: 'label'
  readonly label: string
}
export interface AxesValue {
  readonly kind: 'axes'
  readonly axes: readonly Axis[]
}
export interface TupleValue {
  readonly kind: 'tuple'
  readonly items: readonly Value[]
}
export interface PartValue {
  readonly kind: 'part'
  readonly instance: Instance
  readonly path: string
}
export interface PartsValue {
  readonly kind: 'parts'
  readonly slot: Slot
  readonly path: string
}

export type Value =
  | Tensor
  | SizeValue
  | FloatValue
  | BoolValue
  | TextValue
  | ListValue
  | LabelValue
  | AxesValue
  | TupleValue
  | PartValue
  | PartsValue
  | { readonly kind: 'none' }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'unknown' }

export const unknown: Value = { kind: 'unknown' }
export const none: Value = { kind: 'none' }
export const nothing: Value = { kind: 'nothing' }

export const elementTypes: readonly Elem[] = ['f32', 'f16', 'bf16', 'i32', 'u32', 'i8', 'u8', 'bool', 'real', 'T']
export const isFloat = (elem: Elem): boolean => elem === 'f32' || elem === 'f16' || elem === 'bf16' || elem === 'real' || elem === 'T'
export const isInteger = (elem: Elem): boolean => elem === 'i32' || elem === 'u32' || elem === 'i8' || elem === 'u8' || elem === 'T'

/** Where a tensor stands in an expression, with its type, and where its name was declared. */
export const operandPlaces = (x: Tensor): { span: Span; text: string; blame?: boolean }[] => [
  { span: x.span, text: describe(x) },
  ...(x.origin && x.origin.span !== x.span ? [{ span: x.origin.span, text: `\`${x.origin.name}\` is declared here`, blame: true }] : []),
]

/** `seq`, `ctx = start + seq`, `..b` */
export function showAxis(axis: Axis): string {
  if (axis.row) return axis.label
  const size = showSize(axis.size)
  return size === axis.label ? size : `${showLabel(axis.label)} = ${size}`
}

/** Labels of axes that arrived through a row carry a prefix, which is not the author's text. */
export const showLabel = (label: string): string => label.slice(label.lastIndexOf('/') + 1)

export const showAxes = (axes: readonly Axis[]): string => `[${axes.map(showAxis).join(', ')}]`

/** How messages name a value's type. */
export function describe(value: Value): string {
  switch (value.kind) {
    case 'tensor':
      return `${value.elem}${showAxes(value.axes)}`
    case 'size':
      return `the number ${showSize(value.size)}`
    case 'float':
      return value.value === undefined ? 'a float' : `the float ${value.value}`
    case 'bool':
      return 'a compile-time bool'
    case 'text':
      return 'a text'
    case 'list':
      return 'a list'
    case 'label':
      return `the axis ${showLabel(value.label)}`
    case 'axes':
      return showAxes(value.axes)
    case 'tuple':
      return `${value.items.length} values`
    case 'part':
      return `the part ${value.path || value.instance.block.name}`
    case 'parts':
      return `the parts ${value.path}`
    case 'none':
      return 'none'
    case 'nothing':
      return 'nothing'
    case 'unknown':
      return 'unknown'
  }
}

export const isOptional = (value: Value): boolean => 'optional' in value && value.optional === true

/** The value once it is known not to be `none`. */
export function present(value: Value): Value {
  if (!isOptional(value)) return value
  const { optional: _, ...rest } = value as Tensor
  return rest as Value
}
