// Calls: which thing a callee means (super, a part's `forward`, a function of the block, an op after replacement, a primitive),
// and how its arguments are bound. A generic check answers with the declared result; a walk with a listener evaluates the body:
// functions in place, ops as composites that see only their operands.

import type { Arg, Body, Expr, Param, Require, TypeExpr } from '../ast.ts'
import type { FlatEntry, FlatFn } from '../resolve/blocks.ts'
import type { Declared } from '../resolve/modules.ts'
import type { Attribute } from '../sink.ts'
import { known, sameSize, showSize } from '../sizes.ts'
import type { Span } from '../source.ts'
import { evaluate, unknownMember } from './expressions.ts'
import { fail, type Frame, holder, isGeneric } from './frames.ts'
import { checkRequire, configFrame, type Instance, instanceFrame, replaced, type Replacement } from './instances.ts'
import { duplicateLabel, lookup, unknownName } from './lookup.ts'
import { coerceParameter, isTensorType } from './parameters.ts'
import { toTensor } from './primitives/align.ts'
import { labelOf, readCall } from './primitives/arguments.ts'
import { primitives } from './primitives/table.ts'
import { didYouMean } from './report.ts'
import { type Binder, bindTensor, checkDeferred, relabel, resultType } from './signatures.ts'
import { runBody } from './statements.ts'
import { describe, none, nothing, showLabel, type Tensor, unknown, type Value } from './values.ts'

type CallExpr = Extract<Expr, { kind: 'call' }>

interface Callable {
  readonly name: string
  readonly params: readonly Param[]
  readonly result?: TypeExpr
  readonly requires: readonly Require[]
  readonly body: Body
  readonly span: Span
}

export function call(expr: CallExpr, frame: Frame): Value {
  const { callee } = expr
  if (callee.kind === 'member') return callMember(expr, callee, frame)
  if (callee.kind !== 'name') {
    const value = evaluate(callee, frame)
    return value.kind === 'part' ? callPart(expr, value, frame) : value.kind === 'unknown' ? unknown
      : fail(frame, 'L207', `${describe(value)} cannot be called`, [{ span: callee.span }])
  }
  const { name } = callee
  if (name === 'super') return callSuper(expr, frame)
  const member = frame.self?.instance.block.members.get(name)
  if (frame.self && (member?.kind === 'fn' || member?.kind === 'entry')) {
    return callFunction(expr, frame, frame.self.instance, frame.self.path, member)
  }
  const declared = frame.module.names.get(name)
  const primitive = primitives.get(name)
  const isLocal = holder(frame, name) !== undefined
  if (isLocal || member?.kind === 'part') {
    const value = lookup(frame, name, callee.span) ?? unknown
    if (value.kind === 'part') return callPart(expr, value, frame)
    if (value.kind === 'unknown') return unknown
    if (value.kind === 'parts') return fail(frame, 'L207', `\`${name}\` is a list of parts`, [{ span: callee.span }], { help: `for x in ${name} { … }` })
    if (declared?.tree.kind !== 'op' && !primitive) return fail(frame, 'L207', `\`${name}\` is ${describe(value)} and cannot be called`, [{ span: callee.span }])
  }
  if (declared?.tree.kind === 'op') return callOp(expr, frame, declared)
  if (primitive) return primitive(readCall(name, expr, frame))
  return unknownName(frame, name, callee.span, true)
}

function callMember(expr: CallExpr, callee: Extract<Expr, { kind: 'member' }>, frame: Frame): Value {
  const of = evaluate(callee.of, frame)
  if (of.kind === 'unknown') return unknown
  if (of.kind !== 'part') return fail(frame, 'L207', `only a part has functions; this is ${describe(of)}`, [{ span: callee.of.span }])
  const member = of.instance.block.members.get(callee.name.text)
  if (member?.kind === 'fn' || member?.kind === 'entry') return callFunction(expr, frame, of.instance, of.path, member)
  if (member?.kind === 'part') {
    const value = evaluate(callee, frame)
    return value.kind === 'part' ? callPart(expr, value, frame) : unknown
  }
  return unknownMember(frame, of.instance.block, callee.name.text, callee.name.span)
}

function callPart(expr: CallExpr, part: Extract<Value, { kind: 'part' }>, frame: Frame): Value {
  const forward = part.instance.block.members.get('forward')
  if (forward?.kind === 'fn') return callFunction(expr, frame, part.instance, part.path, forward)
  return fail(frame, 'L207', `\`${part.instance.block.name}\` has no \`forward\`, so its part cannot be called`, [{ span: expr.callee.span }])
}

function callSuper(expr: CallExpr, frame: Frame): Value {
  const { inherited, self } = frame
  if (!inherited || !self) return fail(frame, 'L217', '`super` is the inherited version of an overridden function; there is none here', [{ span: expr.callee.span }])
  return callFunction(expr, frame, self.instance, self.path, inherited)
}

/** The parts of a function or entry that a call needs; undefined for `entry f = g with …`. */
export function callableOf(member: FlatFn | FlatEntry): Callable | undefined {
  const { tree, name } = member
  if (tree.kind === 'fn') {
    return { name, params: tree.params, ...(tree.result ? { result: tree.result } : {}), requires: [], body: tree.body, span: tree.name.span }
  }
  const { definition } = tree
  if (definition.kind !== 'body') return undefined
  return { name, params: definition.params, ...(definition.result ? { result: definition.result } : {}), requires: [], body: definition.body, span: tree.name.span }
}

function callFunction(expr: CallExpr, frame: Frame, instance: Instance, path: string, member: FlatFn | FlatEntry): Value {
  const callable = callableOf(member)
  if (!callable) return fail(frame, 'L207', `\`${member.name}\` is a specialised entry and cannot be called`, [{ span: expr.callee.span }])
  const base = instanceFrame(instance, path, member.module, frame.walk)
  const callee: Frame = { ...base, ...(member.inherited ? { inherited: member.inherited } : {}), assumed: isGeneric(frame) ? frame.assumed : [] }
  const bound = bind(callable, expr, frame, callee, [])
  if (!bound) return failedResult(callable)
  if (isGeneric(frame)) return declaredResult(bound, callable, expr)
  const value = guarded(frame, expr.span, () => runBody(callable.body, callee))
  return finish(bound, callable, value, expr)
}

function callOp(expr: CallExpr, frame: Frame, found: Declared): Value {
  const { declared, bound: replacements } = replaced(frame.home, found, frame.block)
  const { tree, module } = declared
  if (tree.kind !== 'op') return fail(frame, 'L207', `\`${found.tree.name.text}\` is replaced by something that is no op`, [{ span: expr.callee.span }])
  const callable: Callable = { name: tree.name.text, params: tree.params, result: tree.result, requires: tree.requires, body: tree.body, span: tree.name.span }
  const callee: Frame = { walk: frame.walk, module, locals: new Map(), rows: new Map(), assumed: [], facts: [] }
  const bound = bind(callable, expr, frame, callee, replacements)
  if (!bound) return failedResult(callable)
  const { sink } = frame.walk
  if (!sink) return declaredResult(bound, callable, expr)
  let value: Value = unknown
  const operands = bound.operands.map(({ tensor }) => tensor.node)
  const results = sink.composite(`${module.name}.${callable.name}`, bound.attributes, operands, (inside) => {
    for (const [i, { name, tensor }] of bound.operands.entries()) callee.locals.set(name, { ...tensor, node: inside[i] })
    value = guarded(frame, expr.span, () => runBody(tree.body, callee))
    const checked = checkResult(bound, callable, value)
    value = checked
    return checked.kind === 'tensor' ? [checked.node] : []
  }, expr.span)
  const inner = value as Value
  if (inner.kind !== 'tensor') return unknown
  return relabelled(bound, { ...inner, node: results[0] }, expr)
}

// Functions may not call themselves: their bodies are put in place.
let depth = 0
function guarded(frame: Frame, span: Span, run: () => Value): Value {
  if (depth > 100) return fail(frame, 'L203', 'this call never ends: functions may not call themselves', [{ span }])
  depth++
  frame.walk.report.calls.push(span)
  try {
    return run()
  } finally {
    depth--
    frame.walk.report.calls.pop()
  }
}

interface Bound {
  readonly binder: Binder
  readonly operands: readonly { readonly name: string; readonly tensor: Tensor }[]
  readonly attributes: Readonly<Record<string, Attribute>>
}

interface Given { readonly value: Expr; readonly frame: Frame; readonly span: Span }

/** Pairs arguments with parameters by position and name; reports missing and surplus ones. */
function pair(callable: Callable, expr: CallExpr, caller: Frame, replacements: readonly Replacement[]): Map<string, Given> | undefined {
  const { report } = caller.walk
  const given = new Map<string, Given>()
  const names = callable.params.map((p) => p.name.text)
  const signature = `${callable.name}(${callable.params.map((p) => textOfParam(p)).join(', ')})`
  let next = 0
  let fine = true
  const give = (name: string | undefined, value: Expr, span: Span): void => {
    if (name === undefined || !names.includes(name)) {
      const message = name === undefined ? `\`${callable.name}\` takes ${names.length} argument${names.length === 1 ? '' : 's'}` : `\`${callable.name}\` has no parameter \`${name}\``
      const help = (name !== undefined && didYouMean(name, names)) || signature
      report.add('L321', message, [{ span }, { span: callable.span, text: 'declared here' }], { help })
      fine = false
    } else if (given.has(name)) {
      report.add('L322', `argument \`${name}\` is given twice`, [{ span }, { span: (given.get(name) as Given).span, text: 'first here' }])
      fine = false
    } else given.set(name, { value, frame: caller, span })
  }
  if (expr.piped) give(names[next++], expr.piped, expr.piped.span)
  for (const arg of expr.args as readonly Arg[]) {
    if (arg.kind === 'positional') give(names[next++], arg.value, arg.value.span)
    else if (arg.kind === 'named') give(arg.name.text, arg.value, arg.value.span)
    else {
      report.add('L321', `\`${callable.name}\` takes values and  name: value`, [{ span: arg.span }], { help: signature })
      fine = false
    }
  }
  for (const item of replacements) {
    for (const { name, value } of item.args) {
      const old = given.get(name.text)
      if (old && old.frame === caller) {
        report.add('L416', `\`${name.text}\` is bound by \`replace\` and passed here too`, [{ span: old.span }, { span: item.span, text: 'bound here' }])
        fine = false
      } else if (caller.home) given.set(name.text, { value, frame: configFrame(caller.home, item.module), span: value.span })
    }
  }
  for (const param of callable.params) {
    if (given.has(param.name.text) || param.default || param.type.optional) continue
    report.add('L320', `argument \`${param.name.text}\` is missing`, [{ span: expr.span, text: signature }, { span: param.span, text: 'wanted here' }])
    fine = false
  }
  return fine ? given : undefined
}

const textOfParam = (param: Param): string => param.span.source.text.slice(param.span.start, param.span.end).replace(/\s+/g, ' ')

function bind(callable: Callable, expr: CallExpr, caller: Frame, callee: Frame, replacements: readonly Replacement[]): Bound | undefined {
  const given = pair(callable, expr, caller, replacements)
  if (!given) return undefined
  const binder: Binder = { callee, name: callable.name, labels: new Map(), sources: new Map(), deferred: [] }
  const operands: { name: string; tensor: Tensor }[] = []
  let fine = true
  // Numbers first: a tensor's axes may be written with them.
  const values = new Map<string, Value>()
  for (const param of callable.params) {
    const item = given.get(param.name.text)
    if (!item || param.type.name.text === 'axis') continue
    const value = evaluate(item.value, item.frame)
    if (value.kind === 'unknown') fine = false
    values.set(param.name.text, value)
    if (isTensorType(param.type) || value.kind === 'unknown') continue
    const fitted = coerceParameter(callee, param, value, item.span)
    if (fitted.kind === 'unknown') fine = false
    callee.locals.set(param.name.text, fitted)
  }
  for (const param of callable.params) {
    const name = param.name.text
    const value = values.get(name)
    if (!isTensorType(param.type)) continue
    if (!value || value.kind === 'none') {
      callee.locals.set(name, none)
      if (value && !param.type.optional) {
        callee.walk.report.add('L211', `\`${name}\` cannot be none`, [{ span: (given.get(name) as Given).span }, { span: param.span, text: 'declared here' }])
        fine = false
      }
      continue
    }
    if (value.kind === 'unknown') continue
    const span = (given.get(name) as Given).span
    if (value.kind === 'tensor' && value.optional && !param.type.optional) {
      callee.walk.report.add('L211', `\`${name}\` may be none here`, [{ span }, { span: param.span, text: 'declared here' }])
      fine = false
      continue
    }
    const tensor = bindTensor(binder, param, value, span)
    if (!tensor) fine = false
    else {
      callee.locals.set(name, tensor)
      operands.push({ name, tensor })
    }
  }
  if (!fine) return undefined
  if (!bindAxes(callable, given, binder, operands, expr) || !bindDefaults(callable, given, callee)) return undefined
  if (!checkDeferred(binder)) return undefined
  for (const require of callable.requires) if (!checkRequire(require, callee, expr.span)) return undefined
  return { binder, operands, attributes: attributesOf(callable, callee, operands) }
}

// `over: t`: the caller's label becomes the callee's own name of that axis.
function bindAxes(callable: Callable, given: Map<string, Given>, binder: Binder, operands: Bound['operands'], expr: CallExpr): boolean {
  for (const param of callable.params) {
    if (param.type.name.text !== 'axis') continue
    const item = given.get(param.name.text)
    if (!item) continue
    const outer = labelOf(item.frame, item.value)
    if (outer === undefined) return false
    const inside = [...binder.labels].find(([, label]) => label === outer)?.[0]
    if (inside === undefined) {
      const places = [{ span: item.span, text: `no \`${showLabel(outer)}\` there` }, ...operands.map(({ tensor }) => ({ span: expr.span, text: describe(relabelTensor(binder, tensor)) }))]
      const help = didYouMean(outer, [...binder.labels.values()])
      binder.callee.walk.report.add('L301', `\`${callable.name}\` cannot work over \`${showLabel(outer)}\`: its operand has no such axis`, places, help ? { help } : {})
      return false
    }
    binder.callee.locals.set(param.name.text, { kind: 'label', label: inside })
  }
  return true
}

const relabelTensor = (binder: Binder, tensor: Tensor): Tensor => ({ ...tensor, axes: relabel(binder, tensor.axes) })

function bindDefaults(callable: Callable, given: Map<string, Given>, callee: Frame): boolean {
  for (const param of callable.params) {
    const name = param.name.text
    if (given.has(name) || isTensorType(param.type)) continue
    const value = param.default ? evaluate(param.default, callee) : none
    const fitted = coerceParameter(callee, param, value, param.span)
    if (fitted.kind === 'unknown') return false
    callee.locals.set(name, fitted)
  }
  return true
}

function attributesOf(callable: Callable, callee: Frame, operands: Bound['operands']): Record<string, Attribute> {
  const attributes: Record<string, Attribute> = {}
  for (const param of callable.params) {
    if (isTensorType(param.type)) continue
    const value = callee.locals.get(param.name.text)
    if (value) attributes[param.name.text] = attributeOf(value, operands)
  }
  return attributes
}

// An axis is told as its position in the first operand that has it: labels mean nothing outside the language.
function attributeOf(value: Value, operands: Bound['operands']): Attribute {
  switch (value.kind) {
    case 'size': return known(value.size) ?? showSize(value.size)
    case 'float': case 'bool': case 'text': return value.value ?? null
    case 'label': {
      const holder = operands.find(({ tensor }) => tensor.axes.some((a) => a.label === value.label))
      return holder ? holder.tensor.axes.findIndex((a) => a.label === value.label) : null
    }
    default: return null
  }
}

const failedResult = (callable: Callable): Value => (callable.result ? unknown : nothing)

function declaredResult(bound: Bound, callable: Callable, expr: CallExpr): Value {
  if (!callable.result) return nothing
  const type = resultType(bound.binder, callable.result)
  return type ? relabelled(bound, { kind: 'tensor', ...type, node: undefined, span: expr.span }, expr) : unknown
}

function finish(bound: Bound, callable: Callable, value: Value, expr: CallExpr): Value {
  const checked = checkResult(bound, callable, value)
  return checked.kind === 'tensor' ? relabelled(bound, checked, expr) : checked
}

function relabelled(bound: Bound, value: Tensor, expr: CallExpr): Value {
  const axes = relabel(bound.binder, value.axes)
  const { origin: _, ...rest } = value
  return duplicateLabel(bound.binder.callee, axes, expr.span) ? unknown : { ...rest, axes, span: expr.span }
}

/** What a body gave, held against its declared result (inner labels). */
function checkResult(bound: Bound, callable: Callable, value: Value): Value {
  if (!callable.result) return nothing
  const type = resultType(bound.binder, callable.result)
  return type ? matchResult(bound.binder.callee, callable, type, value) : unknown
}

export function matchResult(frame: Frame, callable: Pick<Callable, 'name' | 'result' | 'span'>, type: { elem: Tensor['elem']; axes: Tensor['axes'] }, value: Value): Value {
  if (value.kind === 'unknown' || !callable.result) return unknown
  const span = callable.result.span
  const tensor = value.kind === 'tensor' ? value : value.kind === 'nothing' ? undefined : toTensor(frame, value, type.elem, span)
  const wanted: Tensor = { kind: 'tensor', ...type, node: undefined, span }
  const same = tensor && tensor.elem === type.elem && tensor.axes.length === type.axes.length
    && tensor.axes.every((axis, i) => axis.label === type.axes[i]?.label && sameSize(axis.size, type.axes[i].size))
  if (tensor && same) return tensor
  const places = [{ span: tensor?.span ?? callable.span, text: tensor ? describe(tensor) : 'gives nothing' }, { span, text: `promised: ${describe(wanted)}` }]
  return fail(frame, 'L313', `\`${callable.name}\` does not give what it promises`, places)
}
