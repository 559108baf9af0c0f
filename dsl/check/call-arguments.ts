// The arguments of a call: paired with parameters by position and name, numbers first (a tensor's axes may be written with them),
// then tensors (labels and sizes, signatures.ts), axis arguments, defaults, and the callee's requirements.

import type { Arg, Body, Expr, Param, Require, TypeExpr } from '../ast.ts'
import type { Attribute } from '../sink.ts'
import { known, showSize } from '../sizes.ts'
import type { Span } from '../source.ts'
import { evaluate } from './expressions.ts'
import type { Frame } from './frames.ts'
import { checkRequire, configFrame, type Replacement } from './instances.ts'
import { coerceParameter, isTensorType } from './parameters.ts'
import { labelOf } from './primitives/arguments.ts'
import { didYouMean } from './report.ts'
import { type Binder, bindTensor, checkDeferred, relabel } from './signatures.ts'
import { describe, none, showLabel, type Tensor, type Value } from './values.ts'

type CallExpr = Extract<Expr, { kind: 'call' }>

/** A function, entry or op as its caller sees it. */
export interface Callable {
  readonly name: string
  readonly params: readonly Param[]
  readonly result?: TypeExpr
  readonly requires: readonly Require[]
  readonly body: Body
  readonly span: Span
}
export interface Bound {
  readonly binder: Binder
  readonly operands: readonly { readonly name: string; readonly tensor: Tensor }[]
  readonly attributes: Readonly<Record<string, Attribute>>
}

interface Given {
  readonly value: Expr
  readonly frame: Frame
  readonly span: Span
}

/** Pairs arguments with parameters by position and name; reports missing and surplus ones. */
function pair(callable: Callable, expr: CallExpr, caller: Frame, replacements: readonly Replacement[]): Map<string, Given> | undefined {
  const { report } = caller.walk
  const given = new Map<string, Given>()
  const names = callable.params.map((p) => p.name.text)
  const signature = `${callable.name}(${callable.params.map((p) => textOfParam(p)).join(', ')})`
  let next = 0
  let fine = true
  const give = (name: string | undefined, value: Expr, span: Span, at: Span = span): void => {
    if (name === undefined || !names.includes(name)) {
      const message =
        name === undefined
          ? `\`${callable.name}\` takes ${names.length} argument${names.length === 1 ? '' : 's'}`
          : `\`${callable.name}\` has no parameter \`${name}\``
      const help = (name !== undefined && didYouMean(name, names)) || signature
      const cause = name === undefined ? {} : { cause: `name ${name}` }
      report.add('L321', message, [{ span: at }, { span: callable.span, text: 'declared here' }], { help, ...cause })
      fine = false
    } else if (given.has(name)) {
      report.add('L322', `argument \`${name}\` is given twice`, [{ span }, { span: (given.get(name) as Given).span, text: 'first here' }], {
        help: 'leave one of them out',
      })
      fine = false
    } else given.set(name, { value, frame: caller, span })
  }
  if (expr.piped) give(names[next++], expr.piped, expr.piped.span)
  for (const arg of expr.args as readonly Arg[]) {
    if (arg.kind === 'positional') give(names[next++], arg.value, arg.value.span)
    else if (arg.kind === 'named') give(arg.name.text, arg.value, arg.value.span, arg.name.span)
    else {
      report.add('L321', `\`${callable.name}\` takes values and  name: value`, [{ span: arg.span }], { help: signature })
      fine = false
    }
  }
  for (const item of replacements) {
    for (const { name, value } of item.args) {
      const old = given.get(name.text)
      if (old && old.frame === caller) {
        report.add(
          'L416',
          `\`${name.text}\` is bound by \`replace\` and passed here too`,
          [{ span: old.span }, { span: item.span, text: 'bound here' }],
          { help: 'bind only what the calls leave open' },
        )
        fine = false
      } else if (caller.home) given.set(name.text, { value, frame: configFrame(caller.home, item.module), span: value.span })
    }
  }
  for (const param of callable.params) {
    if (given.has(param.name.text) || param.default || param.type.optional) continue
    report.add(
      'L320',
      `argument \`${param.name.text}\` is missing`,
      [
        { span: expr.span, text: signature },
        { span: param.span, text: 'wanted here' },
      ],
      { help: `add  ${param.name.text}: …` },
    )
    fine = false
  }
  return fine ? given : undefined
}

const textOfParam = (param: Param): string => param.span.source.text.slice(param.span.start, param.span.end).replace(/\s+/g, ' ')

/** From the name to the end of the result's type. */
function signatureSpan({ span, params, result }: Callable): Span {
  const end = result?.span.end ?? params.at(-1)?.span.end ?? span.end
  return { ...span, end }
}

/** Binds the arguments of a call into the callee's frame; undefined after a message. */
export function bind(
  callable: Callable,
  expr: CallExpr,
  caller: Frame,
  callee: Frame,
  replacements: readonly Replacement[],
): Bound | undefined {
  // What is wrong in the signature has been told; nothing can be held against it.
  if (caller.walk.report.hasErrorIn(signatureSpan(callable))) return undefined
  const given = pair(callable, expr, caller, replacements)
  if (!given) return undefined
  const binder: Binder = { caller, callee, name: callable.name, labels: new Map(), sources: new Map(), deferred: [] }
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
        callee.walk.report.add('L211', `\`${name}\` cannot be none`, [
          { span: (given.get(name) as Given).span },
          { span: param.span, text: 'declared here' },
        ])
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
      const places = [
        { span: item.span, text: `no \`${showLabel(outer)}\` there` },
        ...operands.map(({ tensor }) => ({ span: expr.span, text: describe(relabelTensor(binder, tensor)) })),
      ]
      const help = didYouMean(outer, [...binder.labels.values()])
      binder.callee.walk.report.add(
        'L301',
        `\`${callable.name}\` cannot work over \`${showLabel(outer)}\`: its operand has no such axis`,
        places,
        help ? { help } : {},
      )
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
    case 'size':
      return known(value.size) ?? showSize(value.size)
    case 'float':
    case 'bool':
    case 'text':
      return value.value ?? null
    case 'label': {
      const holder = operands.find(({ tensor }) => tensor.axes.some((a) => a.label === value.label))
      return holder ? holder.tensor.axes.findIndex((a) => a.label === value.label) : null
    }
    default:
      return null
  }
}
