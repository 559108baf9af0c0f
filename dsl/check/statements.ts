// Statements of a body: let, assignment, store, loops over parts, return. A store is an event in program order: later reads of
// the state see it. A loop is one region: its body runs once per group of parts with equal arguments.

import type { Body, Expr, Stmt } from '../ast.ts'
import { sameSize, showSize } from '../sizes.ts'
import { evaluate, sameType, usable } from './expressions.ts'
import { affineOf, declare, fail, type Frame, holder, inner, isGeneric, visibleLocals } from './frames.ts'
import { type Instance, instanceKey } from './instances.ts'
import { isThere, lookup, storageType, unknownName } from './lookup.ts'
import { mixed, toTensor } from './primitives/align.ts'
import { placeOf, rangeOf } from './primitives/index-into.ts'
import { type Axis, describe, isInteger, nothing, operandPlaces, type Tensor, unknown, type Value } from './values.ts'

/** Runs a function's body and gives what it returns (`nothing` without a return). */
export function runBody(body: Body, frame: Frame): Value {
  let result: Value = nothing
  for (const [i, stmt] of body.entries()) {
    if (stmt.kind === 'return') {
      result = frame.walk.report.once(stmt.span, () => usable(frame, stmt.value))
      // Behind a wrong value it is the rest of that value.
      if (i < body.length - 1 && !frame.walk.report.hasErrorIn(stmt.span))
        fail(frame, 'L314', 'nothing after `return` is reached', [{ span: body[i + 1]?.span ?? stmt.span }], { help: 'put `return` last' })
      break
    }
    // A value that nobody uses is most likely half of a statement: the rest of the body would only suffer from it.
    if (!run(stmt, frame, body[i - 1])) return unknown
  }
  return result
}

/** False if the statement makes no sense at all. */
function run(stmt: Stmt, frame: Frame, before?: Stmt): boolean {
  // The statements of a loop each have their own error.
  if (stmt.kind !== 'for') return frame.walk.report.once(stmt.span, () => runOne(stmt, frame, before))
  loop(stmt, frame)
  return true
}

function runOne(stmt: Exclude<Stmt, { kind: 'for' }>, frame: Frame, before: Stmt | undefined): boolean {
  if (stmt.kind === 'let') bindNames(stmt, frame)
  else if (stmt.kind === 'assign') assign(stmt, frame)
  else if (stmt.kind === 'store') store(stmt, frame)
  else if (stmt.kind === 'return')
    fail(frame, 'L314', '`return` cannot stand in a loop', [{ span: stmt.span }], {
      help: 'assign to a variable and return it behind the loop',
    })
  else {
    // On one line with a statement that has an error this is its other half.
    if (
      before &&
      frame.walk.report.hasErrorIn(before.span) &&
      !/\n/.test(before.span.source.text.slice(before.span.start, stmt.span.start))
    )
      return false
    const value = evaluate(stmt.value, frame)
    if (value.kind !== 'nothing' && value.kind !== 'unknown') {
      fail(frame, 'L108', 'a value is not used', [{ span: stmt.span, text: describe(value) }])
      return false
    }
  }
  return true
}

function bindNames(stmt: Extract<Stmt, { kind: 'let' }>, frame: Frame): void {
  const value = evaluate(stmt.value, frame)
  const [only] = stmt.names
  if (stmt.names.length === 1 && only) {
    if (value.kind === 'tuple')
      fail(frame, 'L218', `this gives ${value.items.length} values`, [{ span: stmt.value.span }], { help: 'let (a, b) = …' })
    if (value.kind === 'nothing') fail(frame, 'L218', 'this gives nothing', [{ span: stmt.value.span }])
    const bad = value.kind === 'tuple' || value.kind === 'nothing'
    const named: Value = value.kind === 'tensor' ? { ...value, origin: { name: only.text, span: stmt.span } } : value
    declare(frame, only.text, bad ? unknown : named, only.span)
    return
  }
  const items = value.kind === 'tuple' && value.items.length === stmt.names.length ? value.items : undefined
  if (!items && value.kind !== 'unknown') {
    fail(frame, 'L218', `${stmt.names.length} names, but ${value.kind === 'tuple' ? value.items.length : 'one'} value`, [
      { span: stmt.span },
    ])
  }
  for (const [i, name] of stmt.names.entries()) declare(frame, name.text, items?.[i] ?? unknown, name.span)
}

function assign(stmt: Extract<Stmt, { kind: 'assign' }>, frame: Frame): void {
  const value = usable(frame, stmt.value)
  const name = stmt.name.text
  const scope = holder(frame, name)
  const old = scope?.locals.get(name)
  if (!scope || !old) {
    const { report } = frame.walk
    report.unknown(`there is no variable \`${name}\` to assign`, name, stmt.name.span, visibleLocals(frame), `write  let ${name} = …`)
    return
  }
  if (old.kind === 'unknown' || value.kind === 'unknown') {
    scope.locals.set(name, unknown)
    return
  }
  const next = old.kind === 'tensor' && value.kind !== 'tensor' ? toTensor(frame, value, old.elem, stmt.value.span) : value
  if (!next || (old.kind === 'tensor' ? next.kind !== 'tensor' || !sameType(old, next) : next.kind !== old.kind)) {
    const places = [{ span: stmt.value.span, text: describe(value) }]
    if (old.kind === 'tensor') places.push({ span: old.origin?.span ?? old.span, text: `\`${name}\` is ${describe(old)}` })
    const isCast = old.kind === 'tensor' && next?.kind === 'tensor' && sameType({ ...next, elem: old.elem }, old)
    const help = isCast ? `write  ${name} = ${old.elem}(…)` : 'use a name of its own for the other type: let other = …'
    fail(frame, 'L312', `\`${name}\` changes type${frame.outer ? ' inside the loop' : ''}`, places, { help })
    scope.locals.set(name, unknown)
    return
  }
  scope.locals.set(name, next.kind === 'tensor' && old.kind === 'tensor' && old.origin ? { ...next, origin: old.origin } : next)
}

function store(stmt: Extract<Stmt, { kind: 'store' }>, frame: Frame): void {
  const { place } = stmt
  const value = usable(frame, stmt.value)
  const state = place.kind === 'index' && place.of.kind === 'name' ? place.of.name : place.kind === 'name' ? place.name : undefined
  const member = state === undefined ? undefined : frame.self?.instance.block.members.get(state)
  if (state !== undefined && member === undefined && lookup(frame, state, place.span) === undefined) {
    unknownName(frame, state, place.kind === 'index' ? place.of.span : place.span)
    return
  }
  if (member?.kind !== 'state' || !frame.self) {
    fail(frame, 'L315', 'only a state of this block can be stored to', [{ span: place.span }], {
      help: 'store name[axis: start ..+ n] = value',
    })
    return
  }
  const index = place.kind === 'index' ? place.indices[0] : undefined
  if (place.kind !== 'index' || !index || place.indices.length !== 1) {
    fail(frame, 'L315', 'a store names one axis and where on it', [{ span: place.span }], {
      help: `store ${state}[axis: start ..+ n] = value`,
    })
    return
  }
  if (!isThere(frame, member, place.span)) return
  const { elem, axes } = storageType(frame, member)
  if (!axes) return
  const target: Tensor = {
    kind: 'tensor',
    elem,
    axes,
    node: undefined,
    span: place.span,
    origin: { name: member.name, span: member.tree.name.span },
  }
  const at = placeOf(frame, target, index)
  if (at === undefined) return
  const path = frame.self.path === '' ? member.name : `${frame.self.path}.${member.name}`
  const { sink } = frame.walk
  if (index.range) {
    const range = rangeOf(frame, index, axes[at] as Axis, `\`${member.name}\``)
    if (!range || value.kind === 'unknown') return
    const wanted: Tensor = { ...target, axes: axes.with(at, { label: (axes[at] as Axis).label, size: range.size }) }
    const fitted = fits(frame, stmt, wanted, value)
    const start = affineOf(frame, range.start, index.span)
    if (fitted && sink && start) sink.storeState(path, at, start, fitted.node, stmt.span)
    return
  }
  const idx = usable(frame, index.from)
  if (idx.kind === 'unknown' || value.kind === 'unknown') return
  if (idx.kind === 'size') {
    fail(frame, 'L315', 'a store of one position is written as a range', [{ span: index.span }], { help: 'start ..+ 1' })
    return
  }
  if (idx.kind !== 'tensor' || !isInteger(idx.elem) || idx.axes.length !== 1) {
    fail(frame, 'L315', 'the places of a store are one axis of integers', [{ span: index.from.span, text: describe(idx) }])
    return
  }
  const fitted = fits(frame, stmt, { ...target, axes: axes.with(at, idx.axes[0] as Axis) }, value)
  if (fitted && sink) sink.scatterState(path, at, idx.node, fitted.node, stmt.span)
}

// By position and size, not by label: a cache's axis is called `ctx`, what goes there `seq`.
function fits(frame: Frame, stmt: Extract<Stmt, { kind: 'store' }>, wanted: Tensor, value: Value): Tensor | undefined {
  if (value.kind === 'tensor' && value.elem !== wanted.elem) {
    mixed(frame, wanted, value, stmt.span)
    return undefined
  }
  const tensor = toTensor(frame, value, wanted.elem, stmt.value.span)
  if (!tensor) return undefined
  const same =
    tensor.axes.length === wanted.axes.length && tensor.axes.every((axis, i) => sameSize(axis.size, (wanted.axes[i] as Axis).size))
  if (same) return tensor
  const differ = wanted.axes.findIndex((axis, i) => !tensor.axes[i] || !sameSize(axis.size, tensor.axes[i].size))
  const note =
    tensor.axes.length === wanted.axes.length
      ? [`axis ${differ + 1}: ${showSize((wanted.axes[differ] as Axis).size)} against ${showSize((tensor.axes[differ] as Axis).size)}`]
      : []
  fail(
    frame,
    'L310',
    '`store`: place and value differ',
    [{ span: stmt.span }, ...operandPlaces(wanted), ...operandPlaces({ ...tensor, span: stmt.value.span })],
    { notes: note, help: 'the value needs the axes of the place, by position and size' },
  )
  return undefined
}

/** Variables of the enclosing scopes that a loop's body assigns: the carried values. */
function assigned(body: Body, frame: Frame): string[] {
  const names = new Set<string>()
  const own = new Set<string>()
  for (const stmt of body) {
    if (stmt.kind === 'let') for (const n of stmt.names) own.add(n.text)
    if (stmt.kind === 'assign' && !own.has(stmt.name.text) && holder(frame, stmt.name.text)) names.add(stmt.name.text)
    if (stmt.kind === 'for') for (const n of assigned(stmt.body, frame)) if (!own.has(n)) names.add(n)
  }
  return [...names]
}

function loop(stmt: Extract<Stmt, { kind: 'for' }>, frame: Frame): void {
  const parts = loopOver(stmt, frame)
  if (!parts) return
  const variable = stmt.variable.text
  const { sink } = frame.walk
  const instances = parts.slot.kind === 'many' ? parts.slot.instances : [parts.slot.instance]
  const enter = (instance: Instance, path: string): Frame => {
    const scope = inner(frame)
    scope.locals.set(variable, { kind: 'part', instance, path })
    return scope
  }
  if (isGeneric(frame) || !sink || parts.path.includes('[*]')) {
    // Checked once; inside another loop's body each part runs in turn.
    const each = isGeneric(frame) ? instances.slice(0, 1) : instances
    for (const [i, instance] of each.entries()) runAll(stmt.body, enter(instance, `${parts.path}[${isGeneric(frame) ? '*' : i}]`))
    return
  }
  const groups = new Map<string, number>()
  const firsts: Instance[] = []
  const order = instances.map((instance) => {
    const key = instanceKey(instance)
    if (!groups.has(key)) {
      groups.set(key, groups.size)
      firsts.push(instance)
    }
    return groups.get(key) as number
  })
  const names = assigned(stmt.body, frame)
  const before = names.map((name) => lookup(frame, name, stmt.span) as Value)
  if (before.some((v) => v.kind === 'unknown')) return
  const wrong = before.findIndex((v) => v.kind !== 'tensor')
  if (wrong >= 0) {
    fail(frame, 'L312', `\`${names[wrong]}\` is ${describe(before[wrong] as Value)}; a loop can carry tensors only`, [{ span: stmt.span }])
    return
  }
  const carried = before as Tensor[]
  let fine = true
  const results = sink.loop({
    array: parts.path,
    order,
    groups: groups.size,
    carried: carried.map((t) => t.node),
    span: stmt.span,
    body: (group, nodes) => {
      for (const [i, name] of names.entries()) rebind(frame, name, { ...(carried[i] as Tensor), node: nodes[i] })
      runAll(stmt.body, enter(firsts[group] as Instance, `${parts.path}[*]`))
      return names.map((name) => {
        const value = lookup(frame, name, stmt.span)
        if (value?.kind !== 'tensor') fine = false
        return value?.kind === 'tensor' ? value.node : undefined
      })
    },
  })
  for (const [i, name] of names.entries()) {
    const { range: _, ...tensor } = carried[i] as Tensor
    rebind(frame, name, fine ? { ...tensor, node: results[i] } : unknown)
  }
}

const rebind = (frame: Frame, name: string, value: Value): void => void holder(frame, name)?.locals.set(name, value)

function runAll(body: Body, frame: Frame): void {
  for (const stmt of body) run(stmt, frame)
}

function loopOver(stmt: Extract<Stmt, { kind: 'for' }>, frame: Frame): Extract<Value, { kind: 'parts' }> | undefined {
  const name: Expr = { kind: 'name', name: stmt.over.text, span: stmt.over.span }
  const value = evaluate(name, frame)
  if (value.kind === 'parts') return value
  if (value.kind !== 'unknown') {
    const lists = [...(frame.self?.instance.block.members ?? [])].flatMap(([n, m]) => (m.kind === 'part' && m.tree.range ? [n] : []))
    fail(frame, 'L219', `\`for\` runs over parts; \`${stmt.over.text}\` is ${describe(value)}`, [{ span: stmt.over.span }], {
      help: lists.length > 0 ? `for x in ${lists.join('  or  ')}` : 'such as  part layers[i < n]: Layer()',
    })
  }
  return undefined
}
