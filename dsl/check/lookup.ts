// What a name in a body means: locals, block parameters, members, config fields, in this order. Weights and states are read
// here. A conditional weight may be used only under an `if` with its condition.

import { type Value, type Tensor, type Axis, elementTypes, type Elem, showLabel, unknown } from './values.ts'
import type { FlatMember } from '../resolve/blocks.ts'
import type { Axis as AxisTree, Expr, TypeExpr } from '../ast.ts'
import { beyond, limits } from '../limits.ts'
import { type FlatConfig, flattenConfig } from '../resolve/configs.ts'
import type { Span } from '../source.ts'
import { evaluate, truth } from './expressions.ts'
import { affineOf, type Frame, holder, isGeneric, textOf, visibleLocals } from './frames.ts'
import { instanceFrame, slotOf } from './instances.ts'
import { didYouMean } from './report.ts'
import { showSize } from '../sizes.ts'
import { suggest } from '../suggest.ts'
import { primitiveNames } from './primitives/names.ts'

export type Storage = Extract<FlatMember, { kind: 'weight' | 'state' }>

/** The value of a name, or undefined if there is none (functions are not values). */
export function lookup(frame: Frame, name: string, span: Span): Value | undefined {
  const local = holder(frame, name)?.locals.get(name)
  if (local) return local
  const self = frame.self
  if (self) {
    const param = self.instance.params.get(name)
    if (param) return param
    const member = self.instance.block.members.get(name)
    if (member) return readMember(frame, self.instance.block.name, member, self.path, span)
  }
  if (frame.config?.fields.has(name) && frame.home) return frame.home.value(name)
  return undefined
}

/** Joins a path: the root model's own path is empty. */
export const join = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`)

function readMember(frame: Frame, block: string, member: FlatMember, path: string, span: Span): Value | undefined {
  const { sink } = frame.walk
  const self = frame.self
  if (!self || member.kind === 'fn' || member.kind === 'entry') return undefined
  const full = join(path, member.name)
  if (member.kind === 'part') {
    const slot = slotOf(self.instance, member.name)
    if (!slot) {
      if (member.tree.when) absent(frame, block, member, member.tree.when, span)
      return unknown
    }
    if (slot.kind === 'many') return { kind: 'parts', slot, path: full }
    return { kind: 'part', instance: slot.instance, path: full }
  }
  if (!isThere(frame, member, span)) return unknown
  const { elem, axes } = storageType(frame, member)
  if (!axes) return unknown
  const node = sink && (member.kind === 'weight' ? sink.weight(full, span) : sink.readState(full, span))
  return { kind: 'tensor', elem, axes, node, span, origin: { name: member.name, span: member.tree.name.span } }
}

/** Whether a weight or state of the frame's block exists here; if it may be absent, only under an `if` with its condition. */
export function isThere(frame: Frame, member: Storage, span: Span): boolean {
  const { self } = frame
  const condition = member.kind === 'weight' && member.tree.tied ? undefined : member.tree.when
  if (!condition || !self) return true
  const holds = truth(condition, instanceFrame(self.instance, self.path, member.module, frame.walk))
  if (holds || (holds === undefined && frame.assumed.includes(textOf(condition)))) return true
  absent(frame, self.instance.block.name, member, condition, span)
  return false
}

/** `through`: the function that was called and uses the member. */
export function absent(frame: Frame, block: string, member: FlatMember, condition: Expr, span: Span, through?: string): void {
  const when = textOf(condition)
  if (isGeneric(frame) && frame.assumed.includes(when)) return
  const { text: name, span: declared } = member.tree.name
  const message = `\`${name}\` exists in \`${block}\` only when ${when}`
  frame.walk.report.add(
    'L208',
    through === undefined ? message : `\`${through}\` uses \`${name}\`, but ${message}`,
    [{ span }, { span: declared, text: 'declared here' }],
    {
      help: `use it under  if ${when} { … }`,
    },
  )
}

/** Element type and axes of a weight (always `real`) or state. */
export function storageType(frame: Frame, member: Storage): { elem: Elem; axes?: Axis[] } {
  const self = frame.self
  if (!self) return { elem: 'real' }
  const owner = instanceFrame(self.instance, self.path, member.module, frame.walk)
  const trees = member.kind === 'weight' ? member.tree.axes : (member.tree.type.axes ?? [])
  const elem = member.kind === 'weight' ? 'real' : elementOf(owner, member.tree.type)
  const axes = axesOf(owner, trees)
  if (!elem) return { elem: 'real' }
  if (axes && duplicateLabel(owner, axes, member.tree.name.span, undefined, true)) return { elem }
  return axes ? { elem, axes } : { elem }
}

/** What other languages call these types. */
const otherNames: Readonly<Record<string, Elem>> = {
  int: 'i32',
  int32: 'i32',
  uint32: 'u32',
  int8: 'i8',
  uint8: 'u8',
  byte: 'u8',
  float32: 'f32',
  single: 'f32',
  half: 'f16',
  float16: 'f16',
  bfloat16: 'bf16',
  boolean: 'bool',
}

/** The element type a type expression names; undefined after a message. `others` are types that could stand here as well. */
export function elementOf(frame: Frame, type: TypeExpr, others: readonly string[] = []): Elem | undefined {
  const name = type.name.text
  if ((elementTypes as readonly string[]).includes(name)) return name as Elem
  const all = [...new Set([...elementTypes, ...others])]
  const meant = otherNames[name.toLowerCase()]
  const help = meant ? `did you mean \`${meant}\`?` : (didYouMean(name, all) ?? `one of ${all.join(', ')}`)
  frame.walk.report.add('L205', `there is no type \`${name}\``, [{ span: type.name.span }], { help })
  return undefined
}

/** Axes as written, with sizes evaluated in `frame`; `..b` stands for the axes the row was bound to. */
export function axesOf(frame: Frame, trees: readonly AxisTree[]): Axis[] | undefined {
  const axes: Axis[] = []
  const last = trees[limits.axes.most]
  if (last) return frame.walk.report.exceeds(beyond('axes'), last.span) || undefined
  for (const tree of trees) {
    if (tree.kind === 'row') {
      const row = rowOf(frame, tree.name?.text ?? '')
      if (!row) {
        const name = `..${tree.name?.text ?? ''}`
        const rows = new Map([...allRows(frame)].map((r) => [`..${r}`, undefined]))
        frame.walk.report.unknown(`no row of axes is called \`${name}\` here`, name, tree.span, rows)
        return undefined
      }
      axes.push(...row)
      continue
    }
    if (!tree.label) {
      frame.walk.report.add('L213', 'this axis has no label', [{ span: tree.span }], { help: `write  name = ${textOf(tree.size)}` })
      return undefined
    }
    const size = evaluate(tree.size, frame)
    if (size.kind !== 'size') {
      if (size.kind !== 'unknown') frame.walk.report.add('L206', 'the size of an axis must be a whole number', [{ span: tree.size.span }])
      return undefined
    }
    if (!isGeneric(frame) && !affineOf(frame, size.size, tree.span)) return undefined
    axes.push({ label: tree.label.text, size: size.size })
  }
  return axes
}

function* allRows(frame: Frame): Generator<string> {
  for (let f: Frame | undefined = frame; f; f = f.outer) yield* f.rows.keys()
}

export function rowOf(frame: Frame, name: string): readonly Axis[] | undefined {
  for (let f: Frame | undefined = frame; f; f = f.outer) {
    const row = f.rows.get(name)
    if (row) return row
  }
  return undefined
}

/** Reports two axes of one name; true if there are. */
export function duplicateLabel(frame: Frame, axes: readonly Axis[], span: Span, from?: Tensor, declared = false): boolean {
  const twice = axes.find((axis, i) => axes.findIndex((other) => other.label === axis.label) !== i)
  if (!twice) return false
  const places = [{ span }, ...(from ? [{ span: from.span, text: 'one of them comes from here' }] : [])]
  const label = showLabel(twice.label)
  const message = declared ? `two axes are called \`${label}\`` : `the result would have two axes called \`${label}\``
  const help = declared ? `give one another name: other = ${label}` : `rename one first: rename(x, ${label} -> other)`
  frame.walk.report.add('L228', message, places, { help })
  return true
}

/** Every name that could have been meant at this place, with where it is declared. */
export function visibleNames(frame: Frame, functions: boolean): Map<string, Span | undefined> {
  const names = new Map<string, Span | undefined>()
  const block = frame.self?.instance.block
  if (functions) {
    for (const name of primitiveNames) names.set(name, undefined)
    for (const [name, { tree }] of frame.module.names) if (tree.kind === 'op') names.set(name, tree.name.span)
    for (const [name, { kind, tree }] of block?.members ?? []) if (kind !== 'weight' && kind !== 'state') names.set(name, tree.name.span)
    return names
  }
  for (const constant of ['true', 'false', 'none', 'inf']) names.set(constant, undefined)
  for (const [name, { span }] of frame.config?.fields ?? []) names.set(name, span)
  for (const [name, { kind, tree }] of block?.members ?? []) if (kind !== 'fn' && kind !== 'entry') names.set(name, tree.name.span)
  for (const { tree } of block?.params ?? []) names.set(tree.name.text, tree.span)
  for (const [name, span] of visibleLocals(frame)) names.set(name, span)
  return names
}

/** Reports an unknown name with the nearest known one. */
export function unknownName(frame: Frame, name: string, span: Span, functions = false): Value {
  const { report } = frame.walk
  const config = frame.config
  const names = visibleNames(frame, functions)
  const wider = config && suggest(name, names.keys()) === undefined ? widerConfig(frame, config, name) : undefined
  if (config && wider) {
    const block = frame.block?.name ?? 'this block'
    report.add('L201', `\`${block}\` uses ${config.name}, which has no \`${name}\``, [{ span }], { help: `write \`uses ${wider}\`` })
    return unknown
  }
  const block = frame.self?.instance.block
  const dropped = block?.dropped.get(name)
  if (dropped && !block?.members.has(name)) {
    const places = [{ span }, { span: dropped.span, text: 'dropped here' }]
    const help = `override what uses it, or keep \`${name}\``
    report.add('L201', `\`${block?.name}\` has no \`${name}\` any more, but this still uses it`, places, { help, cause: `name ${name}` })
    return unknown
  }
  const declared = frame.module.names.get(name)
  const member = block?.members.get(name)?.kind
  if (functions && (member === 'weight' || member === 'state' || config?.fields.has(name))) {
    report.add('L207', `\`${name}\` is a ${member ?? 'config field'} and cannot be called`, [{ span }])
    return unknown
  }
  const kind = declared?.tree.kind ?? member
  const isFunction = kind === 'op' || kind === 'fn' || kind === 'entry' || (primitiveNames as readonly string[]).includes(name)
  if (kind || isFunction) {
    const what = isFunction ? 'a function' : `a ${kind}`
    report.add('L207', `\`${name}\` is ${what}, not a value`, [{ span }], isFunction ? { help: `call it: ${name}(…)` } : {})
    return unknown
  }
  report.unknown(`unknown name \`${name}\``, name, span, names, functions ? undefined : labelNotSize(frame, name))
  return unknown
}

// `split(x, h -> (g, n))` gives an axis `n`, but no number of that name.
function labelNotSize(frame: Frame, name: string): string | undefined {
  for (let f: Frame | undefined = frame; f; f = f.outer)
    for (const [variable, value] of f.locals) {
      const axis = value.kind === 'tensor' ? value.axes.find(({ label }) => label === name) : undefined
      if (axis)
        return `\`${name}\` is only the label of an axis of \`${variable}\`; for its size write  let ${name} = ${showSize(axis.size).replaceAll('÷', ' / ')}`
    }
  return undefined
}

// A config of the file that extends the block's and has the field: the block forgot to say so.
function widerConfig(frame: Frame, config: FlatConfig, name: string): string | undefined {
  for (const declared of frame.module.names.values()) {
    const wider = declared.tree.kind === 'config' ? flattenConfig(declared, frame.walk.report) : undefined
    if (wider?.chain.includes(config.declared) && wider.fields.has(name)) return wider.name
  }
  return undefined
}
