// What a name in a body means: locals, block parameters, members, config fields, in this order. Weights and states are read
// here. A conditional weight may be used only under an `if` with its condition.

import { type Value, type Tensor, type Axis, elementTypes, type Elem, unknown } from './values.ts'
import type { FlatMember } from '../resolve/blocks.ts'
import type { Axis as AxisTree, TypeExpr } from '../ast.ts'
import { beyond, limits } from '../limits.ts'
import { type FlatConfig, flattenConfig } from '../resolve/configs.ts'
import type { Span } from '../source.ts'
import { evaluate, truth } from './expressions.ts'
import { affineOf, type Frame, holder, isGeneric, textOf } from './frames.ts'
import { instanceFrame, slotOf } from './instances.ts'
import { didYouMean } from './report.ts'
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
  const { report, sink } = frame.walk
  const self = frame.self
  if (!self || member.kind === 'fn' || member.kind === 'entry') return undefined
  const full = join(path, member.name)
  if (member.kind === 'part') {
    const slot = slotOf(self.instance, member.name)
    if (!slot) {
      if (member.tree.when) absent(frame, block, member.name, textOf(member.tree.when), member.tree.name.span, span)
      return unknown
    }
    if (slot.kind === 'many') return { kind: 'parts', slot, path: full }
    return { kind: 'part', instance: slot.instance, path: full }
  }
  const condition = member.kind === 'weight' && member.tree.tied ? undefined : member.tree.when
  if (condition) {
    const owner = instanceFrame(self.instance, path, member.module, frame.walk)
    const holds = truth(condition, owner)
    if (holds === false || (holds === undefined && !frame.assumed.includes(textOf(condition)))) {
      absent(frame, block, member.name, textOf(condition), member.tree.name.span, span)
      return unknown
    }
  }
  const { elem, axes } = storageType(frame, member)
  if (!axes) return unknown
  const node = sink && (member.kind === 'weight' ? sink.weight(full, span) : sink.readState(full, span))
  return { kind: 'tensor', elem, axes, node, span, origin: { name: member.name, span: member.tree.name.span } }

  function absent(f: Frame, where: string, name: string, when: string, declared: Span, at: Span): void {
    if (isGeneric(f) && f.assumed.includes(when)) return
    report.add('L208', `\`${name}\` exists in \`${where}\` only when ${when}`, [{ span: at }, { span: declared, text: 'declared here' }], {
      help: `use it under  if ${when} { … }`,
    })
  }
}

/** Element type and axes of a weight (always `real`) or state. */
export function storageType(frame: Frame, member: Storage): { elem: Elem; axes?: Axis[] } {
  const self = frame.self
  if (!self) return { elem: 'real' }
  const owner = instanceFrame(self.instance, self.path, member.module, frame.walk)
  const trees = member.kind === 'weight' ? member.tree.axes : (member.tree.type.axes ?? [])
  const elem = member.kind === 'weight' ? 'real' : elementOf(owner, member.tree.type)
  const axes = axesOf(owner, trees)
  if (axes && duplicateLabel(owner, axes, member.tree.name.span)) return { elem }
  return axes ? { elem, axes } : { elem }
}

/** The element type a type expression names; reports others and gives f32. */
export function elementOf(frame: Frame, type: TypeExpr): Elem {
  const name = type.name.text
  if ((elementTypes as readonly string[]).includes(name)) return name as Elem
  const help = didYouMean(name, elementTypes) ?? `one of ${elementTypes.join(', ')}`
  frame.walk.report.add('L205', `there is no element type \`${name}\``, [{ span: type.name.span }], { help })
  return 'f32'
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
        frame.walk.report.add('L201', `no row of axes is called \`..${tree.name?.text ?? ''}\` here`, [{ span: tree.span }])
        return undefined
      }
      axes.push(...row)
      continue
    }
    if (!tree.label) {
      frame.walk.report.add('L213', 'this axis has no label', [{ span: tree.span }], { help: `label = ${textOf(tree.size)}` })
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

export function rowOf(frame: Frame, name: string): readonly Axis[] | undefined {
  for (let f: Frame | undefined = frame; f; f = f.outer) {
    const row = f.rows.get(name)
    if (row) return row
  }
  return undefined
}

/** Reports two axes of one name; true if there are. */
export function duplicateLabel(frame: Frame, axes: readonly Axis[], span: Span, from?: Tensor): boolean {
  const twice = axes.find((axis, i) => axes.findIndex((other) => other.label === axis.label) !== i)
  if (!twice) return false
  const places = [{ span }, ...(from ? [{ span: from.span, text: 'one of them comes from here' }] : [])]
  frame.walk.report.add('L228', `the result would have two axes called \`${twice.label}\``, places, {
    help: `rename one first: rename(x, ${twice.label} -> other)`,
  })
  return true
}

/** Every name that could have been meant at this place. */
export function visibleNames(frame: Frame, functions: boolean): string[] {
  const names: string[] = []
  for (let f: Frame | undefined = frame; f; f = f.outer) names.push(...f.locals.keys())
  const block = frame.self?.instance.block
  names.push(
    ...(block?.params.map((p) => p.tree.name.text) ?? []),
    ...(block?.members.keys() ?? []),
    ...(frame.config?.fields.keys() ?? []),
  )
  if (functions) names.push(...[...frame.module.names].filter(([, d]) => d.tree.kind === 'op').map(([n]) => n), ...primitiveNames)
  return names
}

/** Reports an unknown name with the nearest known one. */
export function unknownName(frame: Frame, name: string, span: Span, functions = false): Value {
  const { report } = frame.walk
  const config = frame.config
  const known = didYouMean(name, visibleNames(frame, functions))
  const wider = config && !known ? widerConfig(frame, config, name) : undefined
  if (config && wider) {
    const block = frame.block?.name ?? 'this block'
    report.add('L201', `\`${block}\` uses ${config.name}, which has no \`${name}\``, [{ span }], { help: `write \`uses ${wider}\`` })
    return unknown
  }
  const declared = frame.module.names.get(name)
  if (declared) {
    report.add('L207', `\`${name}\` is ${declared.tree.kind === 'op' ? 'an op' : `a ${declared.tree.kind}`}, not a value`, [{ span }])
    return unknown
  }
  report.add('L201', `unknown name \`${name}\``, [{ span }], known ? { help: known } : {})
  return unknown
}

// A config of the file that extends the block's and has the field: the block forgot to say so.
function widerConfig(frame: Frame, config: FlatConfig, name: string): string | undefined {
  for (const declared of frame.module.names.values()) {
    const wider = declared.tree.kind === 'config' ? flattenConfig(declared, frame.walk.report) : undefined
    if (wider?.chain.includes(config.declared) && wider.fields.has(name)) return wider.name
  }
  return undefined
}
