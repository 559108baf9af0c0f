// Calls: which thing a callee means (super, a part's `forward`, a function of the block, an op after replacement, a primitive),
// and what it gives. A generic check answers with the declared result; a walk with a listener evaluates the body:
// functions in place, ops as composites that see only their operands.

import type { Expr } from '../ast.ts'
import { limits } from '../limits.ts'
import type { FlatEntry, FlatFn } from '../resolve/blocks.ts'
import type { Declared } from '../resolve/modules.ts'
import { sameSize } from '../sizes.ts'
import type { Span } from '../source.ts'
import { type Bound, bind, type Callable } from './call-arguments.ts'
import { needsOf } from './conditional-members.ts'
import { evaluate, unknownMember } from './expressions.ts'
import { fail, type Frame, holder, isGeneric } from './frames.ts'
import { type Instance, instanceFrame, replaced } from './instances.ts'
import { absent, duplicateLabel, join, lookup, unknownName } from './lookup.ts'
import { toTensor } from './primitives/align.ts'
import { readCall } from './primitives/arguments.ts'
import { primitives } from './primitives/table.ts'
import { nearName } from './report.ts'
import { relabel, resultType } from './signatures.ts'
import { runBody } from './statements.ts'
import { describe, nothing, showLabel, type Tensor, unknown, type Value } from './values.ts'

type CallExpr = Extract<Expr, { kind: 'call' }>

/** Walks a call. */
export function call(expr: CallExpr, frame: Frame): Value {
  const { callee } = expr
  if (callee.kind === 'member') return callMember(expr, callee, frame)
  if (callee.kind !== 'name') {
    const value = evaluate(callee, frame)
    return value.kind === 'part'
      ? callPart(expr, value, frame)
      : value.kind === 'unknown'
        ? unknown
        : fail(frame, 'L207', `${describe(value)} cannot be called`, [{ span: callee.span }])
  }
  const { name } = callee
  if (name === 'super') return callSuper(expr, frame)
  const member = frame.self?.instance.block.members.get(name)
  if (frame.self && (member?.kind === 'fn' || member?.kind === 'entry')) {
    return called(expr, frame, frame.self.instance, frame.self.path, member)
  }
  const declared = frame.module.names.get(name)
  const primitive = primitives.get(name)
  const isLocal = holder(frame, name) !== undefined
  if (isLocal || member?.kind === 'part') {
    const value = lookup(frame, name, callee.span) ?? unknown
    if (value.kind === 'part') return callPart(expr, value, frame)
    if (value.kind === 'unknown') return unknown
    if (value.kind === 'parts')
      return fail(frame, 'L207', `\`${name}\` is a list of parts`, [{ span: callee.span }], { help: `for x in ${name} { … }` })
    if (declared?.tree.kind !== 'op' && !primitive)
      return fail(frame, 'L207', `\`${name}\` is ${describe(value)} and cannot be called`, [{ span: callee.span }])
  }
  // Values of a config are numbers, and ops work on tensors: there a name means the compile-time function.
  const isConfig = frame.home !== undefined && frame.block === undefined
  if (declared?.tree.kind === 'op' && !(isConfig && primitive)) return callOp(expr, frame, declared)
  if (primitive) return primitive(readCall(name, expr, frame))
  return unknownName(frame, name, callee.span, true)
}

function callMember(expr: CallExpr, callee: Extract<Expr, { kind: 'member' }>, frame: Frame): Value {
  const of = evaluate(callee.of, frame)
  if (of.kind === 'unknown') return unknown
  if (of.kind !== 'part') return fail(frame, 'L207', `only a part has functions; this is ${describe(of)}`, [{ span: callee.of.span }])
  const member = of.instance.block.members.get(callee.name.text)
  if (member?.kind === 'fn' || member?.kind === 'entry') return called(expr, frame, of.instance, of.path, member)
  if (member?.kind === 'part') {
    const value = evaluate(callee, frame)
    return value.kind === 'part' ? callPart(expr, value, frame) : unknown
  }
  return unknownMember(frame, of.instance.block, callee.name.text, callee.name.span)
}

function callPart(expr: CallExpr, part: Extract<Value, { kind: 'part' }>, frame: Frame): Value {
  const forward = part.instance.block.members.get('forward')
  if (forward?.kind === 'fn') return called(expr, frame, part.instance, part.path, forward)
  const { name, members, declared } = part.instance.block
  const functions = [...members].flatMap(([n, m]) => (m.kind === 'fn' ? [[n, m.tree.name.span] as const] : []))
  const near = nearName('forward', new Map(functions))
  const places = near.places.length > 0 ? near.places : [{ span: declared.tree.name.span, text: 'declared here' }]
  return fail(frame, 'L207', `\`${name}\` has no \`forward\`, so its part cannot be called`, [{ span: expr.callee.span }, ...places], {
    help: near.help ?? 'fn forward(…) is what a part does when it is called',
    cause: `forward of ${name}`,
  })
}

function callSuper(expr: CallExpr, frame: Frame): Value {
  const { inherited, self } = frame
  if (!inherited || !self)
    return fail(
      frame,
      'L217',
      '`super` is the inherited version of an overridden function; there is none here',
      [{ span: expr.callee.span }],
      { help: 'leave it out, or call the function that is meant by its name' },
    )
  return callFunction(expr, frame, self.instance, self.path, inherited)
}

/** The parts of a function or entry that a call needs; undefined for `entry f = g with …`. */
export function callableOf(member: FlatFn | FlatEntry): Callable | undefined {
  const { tree, name } = member
  if (tree.kind === 'fn') {
    return {
      name,
      params: tree.params,
      ...(tree.result ? { result: tree.result } : {}),
      requires: [],
      body: tree.body,
      span: tree.name.span,
    }
  }
  const { definition } = tree
  if (definition.kind !== 'body') return undefined
  return {
    name,
    params: definition.params,
    ...(definition.result ? { result: definition.result } : {}),
    requires: [],
    body: definition.body,
    span: tree.name.span,
  }
}

/** A call by name, of which the listener is told under the callee's path; what `super` gives has no path of its own. */
function called(expr: CallExpr, frame: Frame, instance: Instance, path: string, member: FlatFn | FlatEntry): Value {
  const value = callFunction(expr, frame, instance, path, member)
  if (value.kind === 'tensor') {
    const name = member.name === 'forward' && path !== '' ? path : join(path, member.name)
    frame.walk.sink?.called?.(
      name,
      value.node,
      value.axes.map((axis) => showLabel(axis.label)),
    )
  }
  return value
}

function callFunction(expr: CallExpr, frame: Frame, instance: Instance, path: string, member: FlatFn | FlatEntry): Value {
  const callable = callableOf(member)
  if (!callable) return fail(frame, 'L207', `\`${member.name}\` is a specialised entry and cannot be called`, [{ span: expr.callee.span }])
  const base = instanceFrame(instance, path, member.module, frame.walk)
  const callee: Frame = {
    ...base,
    ...(member.inherited ? { inherited: member.inherited } : {}),
    assumed: isGeneric(frame) ? frame.assumed : [],
  }
  const bound = bind(callable, expr, frame, callee, [])
  if (!bound) return failedResult(callable)
  if (isGeneric(frame)) {
    if (instance === frame.self?.instance && instance.block.members.get(member.name) === member)
      for (const { member: used, condition } of needsOf(instance.block, member.name).values())
        absent(frame, instance.block.name, used, condition, expr.span, member.name)
    return declaredResult(bound, callable, expr)
  }
  // The promise is read before the body, whose variables it does not mean.
  const promised = promiseOf(bound, callable)
  const checked = checkResult(
    bound,
    callable,
    promised,
    guarded(frame, expr.span, () => runBody(callable.body, callee)),
  )
  return checked.kind === 'tensor' ? relabelled(bound, checked, expr) : checked
}

function callOp(expr: CallExpr, frame: Frame, found: Declared): Value {
  const { declared, bound: replacements } = replaced(frame.home, found, frame.block)
  const { tree, module } = declared
  if (tree.kind !== 'op')
    return fail(frame, 'L207', `\`${found.tree.name.text}\` is replaced by something that is no op`, [{ span: expr.callee.span }])
  const callable: Callable = {
    name: tree.name.text,
    params: tree.params,
    result: tree.result,
    requires: tree.requires,
    body: tree.body,
    span: tree.name.span,
  }
  const callee: Frame = { walk: frame.walk, module, locals: new Map(), rows: new Map(), assumed: [], facts: [] }
  const bound = bind(callable, expr, frame, callee, replacements)
  if (!bound) return failedResult(callable)
  const { sink } = frame.walk
  if (!sink) return declaredResult(bound, callable, expr)
  let value: Value = unknown
  const promised = promiseOf(bound, callable)
  const operands = bound.operands.map(({ tensor }) => tensor.node)
  const results = sink.composite(
    `${module.name}.${callable.name}`,
    bound.attributes,
    operands,
    (inside) => {
      for (const [i, { name, tensor }] of bound.operands.entries()) callee.locals.set(name, { ...tensor, node: inside[i] })
      value = guarded(frame, expr.span, () => runBody(tree.body, callee))
      const checked = checkResult(bound, callable, promised, value)
      value = checked
      return checked.kind === 'tensor' ? [checked.node] : []
    },
    expr.span,
  )
  const inner = value as Value
  if (inner.kind !== 'tensor') return unknown
  return relabelled(bound, { ...inner, node: results[0] }, expr)
}

// Functions may not call themselves: their bodies are put in place.
let depth = 0
function guarded(frame: Frame, span: Span, run: () => Value): Value {
  if (depth > limits.calls.most) return fail(frame, 'L203', 'this call never ends: functions may not call themselves', [{ span }])
  depth++
  frame.walk.report.calls.push(span)
  try {
    return run()
  } finally {
    depth--
    frame.walk.report.calls.pop()
  }
}

const failedResult = (callable: Callable): Value => (callable.result ? unknown : nothing)

function declaredResult(bound: Bound, callable: Callable, expr: CallExpr): Value {
  if (!callable.result) return nothing
  const type = resultType(bound.binder, callable.result)
  return type ? relabelled(bound, { kind: 'tensor', ...type, node: undefined, span: expr.span }, expr) : unknown
}

function relabelled(bound: Bound, value: Tensor, expr: CallExpr): Value {
  const axes = relabel(bound.binder, value.axes)
  const { origin: _, ...rest } = value
  return duplicateLabel(bound.binder.callee, axes, expr.span) ? unknown : { ...rest, axes, span: expr.span }
}

type Promised = ReturnType<typeof resultType>

/** The declared result (inner labels); undefined without one, or after a message. */
const promiseOf = (bound: Bound, { result }: Callable): Promised => result && resultType(bound.binder, result)

/** What a body gave, held against its declared result. */
function checkResult(bound: Bound, callable: Callable, promised: Promised, value: Value): Value {
  if (!callable.result) return nothing
  return promised ? matchResult(bound.binder.callee, callable, promised, value) : unknown
}

export function matchResult(
  frame: Frame,
  callable: Pick<Callable, 'name' | 'result' | 'span'>,
  type: { elem: Tensor['elem']; axes: Tensor['axes'] },
  value: Value,
): Value {
  if (value.kind === 'unknown' || !callable.result) return unknown
  const span = callable.result.span
  const tensor = value.kind === 'tensor' ? value : value.kind === 'nothing' ? undefined : toTensor(frame, value, type.elem, span)
  const wanted: Tensor = { kind: 'tensor', ...type, node: undefined, span }
  const same =
    tensor &&
    tensor.elem === type.elem &&
    tensor.axes.length === type.axes.length &&
    tensor.axes.every((axis, i) => axis.label === type.axes[i]?.label && sameSize(axis.size, type.axes[i].size))
  if (tensor && same) return tensor
  const places = [
    { span: tensor?.span ?? callable.span, text: tensor ? describe(tensor) : 'gives nothing' },
    { span, text: `promised: ${describe(wanted)}`, doubt: true },
  ]
  const help = tensor ? `write  -> ${describe(tensor)}  if this is meant` : '`return` what is promised, or leave out  -> …'
  return fail(frame, 'L313', `\`${callable.name}\` does not give what it promises`, places, { help })
}
