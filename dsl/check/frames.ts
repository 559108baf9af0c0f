// The state of a walk and the scope of one body. A `Walk` is one pass over a program: without a sink it is the generic check
// (config names are atoms), with one it is the elaboration (config names are numbers, calls are inlined). A `Frame` is one
// body: its locals, the rows its parameter types bound, the block instance it runs in. Labels live inside one frame only.

import type { Expr } from '../ast.ts'
import { type Bounds, isConstant, range, type Affine } from '../affine.ts'
import type { FlatBlock, FlatEntry, FlatFn } from '../resolve/blocks.ts'
import type { FlatConfig } from '../resolve/configs.ts'
import type { Module } from '../resolve/modules.ts'
import type { Dtype, Sink } from '../sink.ts'
import { minus, type Size, showSize, toAffine } from '../sizes.ts'
import type { Span } from '../source.ts'
import type { Home, Instance } from './instances.ts'
import type { Report } from './report.ts'
import { type Axis, type Elem, type Value, unknown } from './values.ts'

export interface Limit {
  readonly left: Affine
  readonly right: number
  readonly why: string
}

export interface Walk {
  readonly report: Report
  /** Absent in a generic check. */
  readonly sink?: Sink<unknown>
  /** What `real` is. */
  readonly real: Dtype
  /** Bounds of the entry's symbols as far as they are known before its limits are collected: max may be Infinity. */
  readonly bounds: Bounds
  readonly limits: Map<string, Limit>
}

/** `a % b == 0` */
export interface Fact {
  readonly of: Size
  readonly by: Size
}

export interface Frame {
  readonly walk: Walk
  /** Where declarations are looked up: the file the text was written in. */
  readonly module: Module
  readonly locals: Map<string, Value>
  readonly rows: Map<string, readonly Axis[]>
  /** The enclosing scope of the same body (a loop's or a branch's). */
  readonly outer?: Frame
  readonly home?: Home
  readonly config?: FlatConfig
  readonly self?: { readonly instance: Instance; readonly path: string }
  /** The block in whose body the text stands: decides which replacements act. */
  readonly block?: FlatBlock
  readonly inherited?: FlatFn | FlatEntry
  /** Conditions that hold here, as normalised text. */
  readonly assumed: string[]
  readonly facts: Fact[]
}

/** A scope inside `frame`: own locals, everything else shared. */
export function inner(frame: Frame, more: Partial<Pick<Frame, 'assumed'>> = {}): Frame {
  return { ...frame, ...more, locals: new Map(), outer: frame }
}

const places = new WeakMap<Frame['locals'], Map<string, Span>>()

/** Gives a scope a variable or parameter, and remembers where it is declared. */
export function declare(frame: Frame, name: string, value: Value, span: Span): void {
  frame.locals.set(name, value)
  const known = places.get(frame.locals) ?? new Map<string, Span>()
  places.set(frame.locals, known.set(name, span))
}

/** Variables and parameters that are visible, with where they are declared as far as that is known. */
export function visibleLocals(frame: Frame): Map<string, Span | undefined> {
  const names = new Map<string, Span | undefined>()
  for (let f: Frame | undefined = frame; f; f = f.outer) {
    for (const name of f.locals.keys()) if (!names.has(name)) names.set(name, places.get(f.locals)?.get(name))
  }
  return names
}

/** The scope that holds a local, innermost first. */
export function holder(frame: Frame, name: string): Frame | undefined {
  for (let f: Frame | undefined = frame; f; f = f.outer) if (f.locals.has(name)) return f
  return undefined
}

/** The author's text of an expression with blanks evened out. */
export const textOf = (expr: Expr): string => expr.span.source.text.slice(expr.span.start, expr.span.end).replace(/\s+/g, ' ').trim()

export const isGeneric = (frame: Frame): boolean => frame.walk.sink === undefined

/** The dtype a listener sees. `T` never reaches one: calls are inlined with the argument's type. */
export const dtypeOf = (frame: Frame, elem: Elem): Dtype => (elem === 'real' ? frame.walk.real : elem === 'T' ? 'f32' : elem)

/** A size as the listener wants it; undefined (with a message) if it is not affine in the entry's symbols. */
export function affineOf(frame: Frame, size: Size, span: Span): Affine | undefined {
  const affine = toAffine(size)
  if (!affine && !isGeneric(frame)) {
    frame.walk.report.add('L232', `the size ${showSize(size)} is not a sum of whole multiples of the entry's sizes`, [{ span }], {
      help: 'keep such axes apart instead of merging them',
    })
  }
  return affine
}

export function dimsOf(frame: Frame, axes: readonly Axis[], span: Span): Affine[] | undefined {
  const dims = axes.map((axis) => affineOf(frame, axis.size, span))
  return dims.every((d) => d !== undefined) ? (dims as Affine[]) : undefined
}

/**
 * Sees to low <= high: proves it, or notes it as a limit of the entry that every call must keep, or reports it as wrong.
 * In a generic check only a difference that is a number is judged. Gives false after a message.
 */
export function requireAtMost(frame: Frame, low: Size, high: Size, why: string, span: Span): boolean {
  const room = toAffine(minus(high, low))
  if (!room) return true
  if (isConstant(room)) {
    if (room.const >= 0) return true
    frame.walk.report.add('L233', `this reaches outside: ${why}`, [{ span, text: `${showSize(low)} is more than ${showSize(high)}` }])
    return false
  }
  if (isGeneric(frame)) return true
  if (range(room, frame.walk.bounds).min >= 0) return true
  const left: Affine = { const: 0, terms: room.terms.map(([s, f]) => [s, -f] as const) }
  const key = left.terms.map(([s, f]) => `${f}*${s}`).join('+')
  const old = frame.walk.limits.get(key)
  if (!old || old.right > room.const) frame.walk.limits.set(key, { left, right: room.const, why })
  return true
}

/** Two sizes of other names that are one number with the defaults: then a program would run there and fail elsewhere. */
export function onlyByDefault(frame: Frame, a: Size, b: Size): string[] {
  const [x, y] = [a, b].map((size) => frame.home?.usual?.(size))
  if (x === undefined || x !== y || !frame.config) return []
  return [
    `with the defaults of ${frame.config.name} ${showSize(a)} and ${showSize(b)} are both ${x}: this would run there, and fail where they differ`,
  ]
}

/** Reports and gives the value that silences what follows from it. */
export function fail(frame: Frame, ...report: Parameters<Report['add']>): Value {
  frame.walk.report.add(...report)
  return unknown
}
