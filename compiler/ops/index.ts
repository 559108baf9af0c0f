// The list of primitives. A name of graph/types.ts without a definition does not compile.

import type { OpName } from '../graph/types.ts'
import { argument } from './argument.ts'
import { binary } from './binary.ts'
import { broadcast } from './broadcast.ts'
import { cast } from './cast.ts'
import { composite } from './composite.ts'
import { concat } from './concat.ts'
import { constant } from './constant.ts'
import { dot } from './dot.ts'
import { gather } from './gather.ts'
import { iota } from './iota.ts'
import { literal } from './literal.ts'
import { loop } from './loop.ts'
import { merge } from './merge.ts'
import type { OpDef } from './op.ts'
import { pad } from './pad.ts'
import { param } from './param.ts'
import { pick } from './pick.ts'
import { quantise } from './quantise.ts'
import { reduce } from './reduce.ts'
import { result } from './result.ts'
import { scatter } from './scatter.ts'
import { size } from './size.ts'
import { slice } from './slice.ts'
import { split } from './split.ts'
import { state } from './state.ts'
import { store } from './store.ts'
import { topk } from './topk.ts'
import { transpose } from './transpose.ts'
import { unary } from './unary.ts'
import { weight } from './weight.ts'
import { where } from './where.ts'

export const ops = {
  literal,
  size,
  iota,
  constant,
  argument,
  weight,
  state,
  unary,
  binary,
  where,
  cast,
  broadcast,
  reduce,
  dot,
  split,
  merge,
  transpose,
  slice,
  pick,
  concat,
  pad,
  gather,
  topk,
  store,
  scatter,
  quantise,
  composite,
  loop,
  result,
  param,
} satisfies { [Op in OpName]: OpDef<Op> }

export const opNames = Object.keys(ops) as OpName[]

/** The definition of an op whose name is only known as a type parameter. */
export const opDef = <Op extends OpName>(op: Op): OpDef<Op> => ops[op] as unknown as OpDef<Op>
