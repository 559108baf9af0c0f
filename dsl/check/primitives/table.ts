// Which function checks the call of which primitive. `max` and `min` reduce when they are told `over:`, else they take two.

import { usable } from '../expressions.ts'
import { type Elem, unknown, type Value } from '../values.ts'
import { type Call, missing, onlyArguments } from './arguments.ts'
import { binary, type BinaryName } from './binary.ts'
import { dot } from './contract.ts'
import { each, expand, iota, where } from './create.ts'
import { concat, pad, topk } from './join.ts'
import { casts, floatFunctions } from './names.ts'
import { reduce } from './reduce.ts'
import { cast, negate, not, unary } from './unary.ts'
import { axesList, merge, order, rename, split } from './views.ts'

type Check = (call: Call) => Value

function one(call: Call, then: (x: Value) => Value): Value {
  const [expr] = call.positional
  if (!expr) return missing(call, 'an') ?? unknown
  return onlyArguments(call, 1, []) ? then(usable(call.frame, expr)) : unknown
}

function two(call: Call, name: BinaryName): Value {
  const [a, b] = call.positional
  if (!a || !b) return missing(call, 'a second') ?? unknown
  if (!onlyArguments(call, 2, [])) return unknown
  return binary(call.frame, name, usable(call.frame, a), usable(call.frame, b), call.span)
}

const extremum =
  (name: 'min' | 'max'): Check =>
  (call) =>
    call.named.has('over') ? reduce(call, name) : two(call, name)

/** Primitive by name. */
export const primitives: ReadonlyMap<string, Check> = new Map<string, Check>([
  ...[...floatFunctions, 'abs', 'floor', 'log2'].map((name): [string, Check] => [
    name,
    (c) => one(c, (x) => unary(c.frame, name, x, c.span)),
  ]),
  ...casts.map((name): [string, Check] => [name, (c) => one(c, (x) => cast(c.frame, name as Elem, x, c.span))]),
  ['neg', (c) => one(c, (x) => negate(c.frame, x, c.span))],
  ['not', (c) => one(c, (x) => not(c.frame, x, c.span))],
  ['pow', (c) => two(c, 'pow')],
  ['min', extremum('min')],
  ['max', extremum('max')],
  ['sum', (c) => reduce(c, 'sum')],
  ['mean', (c) => reduce(c, 'mean')],
  ['dot', dot],
  ['where', where],
  ['iota', iota],
  ['expand', expand],
  ['each', each],
  ['split', split],
  ['merge', merge],
  ['rename', rename],
  ['order', order],
  ['axes', axesList],
  ['concat', concat],
  ['pad', pad],
  ['topk', topk],
])
