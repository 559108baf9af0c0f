// The graph: immutable, interned nodes (same op, operands, attributes and type are the same object), so equality is identity.
// One graph per entry. Labels are gone: axes are positions; sizes are affine over the entry's symbols. Source places live in
// a side table (Graph.spans), names of values for messages in Graph.names.

import type { Affine } from '../../dsl/affine.ts'
import type { Attribute, BinaryOpName, Dtype, EntrySymbolLike, ReduceOp, TensorType, UnaryOp } from './reexports.ts'

export type { Affine, Attribute, Dtype, TensorType }

/** Attributes of each op. An op file in compiler/ops gives its meaning (infer, evaluate, lower). */
export interface Attributes {
  /** Scalar. Infinities are kept here and become ±f32 max when lowered. */
  literal: { readonly value: number }
  /** The i32 value of an affine expression, scalar. */
  size: { readonly value: Affine }
  /** i32[n] = 0 … n-1 */
  iota: { readonly n: Affine }
  /** A tensor computed at compile time (tabulate, fold); data is row-major f64 of the interned constant. */
  constant: { readonly id: string }
  argument: { readonly name: string }
  weight: { readonly path: string }
  /** The state as the entry (or loop body) finds it. `stored`: in blocks of 32 along the last axis; absent: as its type says. */
  state: { readonly path: string; readonly stored?: 'q8_0' }
  unary: { readonly fn: UnaryOp }
  binary: { readonly fn: BinaryOpName }
  where: Record<never, never>
  cast: Record<never, never>
  broadcast: { readonly places: readonly number[] }
  reduce: { readonly fn: ReduceOp; readonly axes: readonly number[] }
  dot: { readonly contract: readonly (readonly [number, number])[]; readonly batch: readonly (readonly [number, number])[] }
  split: { readonly axis: number; readonly sizes: readonly Affine[] }
  merge: { readonly axis: number; readonly count: number }
  transpose: { readonly order: readonly number[] }
  slice: { readonly axis: number; readonly start: Affine; readonly size: Affine }
  pick: { readonly axis: number; readonly at: Affine }
  concat: { readonly axis: number }
  pad: { readonly axis: number; readonly before: Affine; readonly after: Affine; readonly value: number }
  gather: { readonly axis: number; readonly shared: readonly (readonly [number, number])[] }
  /** part 'values' or 'indices' (i32): two nodes with the same operand, computed together. */
  topk: { readonly axis: number; readonly k: number; readonly part: 'values' | 'indices' }
  /** operands: state version, value. Gives the next version. */
  store: { readonly axis: number; readonly start: Affine }
  /** operands: state version, index i32, value. */
  scatter: { readonly axis: number }
  /**
   * Rounds x to 8 bits in blocks of 32 along the last axis: d = absmax/127 (as f32), q = round-half-even(x/d), result q·d.
   * The typed meaning of quantised activations, put in by the pass quantise-activations. `scale` f16: the result is q times d as a
   * half, which is what a cache in q8_0 holds (quantise-states).
   */
  quantise: { readonly scale?: 'f16' }
  /** A named call; `region` is its meaning. Several results: read with `result`. */
  composite: { readonly name: string; readonly attributes: Readonly<Record<string, Attribute>>; readonly region: Region }
  /**
   * All layers. Operands: carried values, then invariants. Bodies are regions whose params are the same list. What a body
   * yields beyond the carried values is kept of each instance: results of the loop, instance by instance.
   */
  loop: LoopAttributes
  /** Result `index` of a composite or loop. */
  result: { readonly index: number }
  /** Parameter `index` of the region that owns this node. */
  param: { readonly index: number; readonly region: number }
}

export interface LoopAttributes {
  readonly array: string
  /** Body of each group; weights and states in it have paths with `[*]`. */
  readonly groups: readonly Region[]
  /** Group of each instance. */
  readonly order: readonly number[]
  readonly carried: number
}

export type OpName = keyof Attributes

export interface Node<Op extends OpName = OpName> {
  /** Unique and increasing in a graph family: operands always have smaller ids. */
  readonly id: number
  readonly op: Op
  readonly operands: readonly Node[]
  readonly attributes: Attributes[Op]
  /** Type of the (first) result. */
  readonly type: TensorType
  /** Types of all results, for composite and loop only. */
  readonly types?: readonly TensorType[]
}

/** A node whose op can be tested: `if (is(node, 'dot')) node.attributes.contract`. */
export const is = <Op extends OpName>(node: Node, op: Op): node is Node<Op> => node.op === op

export interface Region {
  readonly id: number
  readonly params: readonly Node<'param'>[]
  readonly results: readonly Node[]
  /** Last version of every state that the region stores to: path → node. */
  readonly states: ReadonlyMap<string, Node>
}

export interface Constant {
  readonly id: string
  readonly dtype: Dtype
  readonly dims: readonly number[]
  readonly data: Float64Array
}

export interface Graph {
  readonly entry: string
  readonly arguments: readonly { readonly name: string; readonly type: TensorType }[]
  readonly symbols: readonly EntrySymbolLike[]
  /** Facts `left <= right` about the symbols that every call keeps, as EntryInfo.limits has them. */
  readonly limits?: readonly { readonly left: Affine; readonly right: number; readonly why: string }[]
  readonly results: readonly Node[]
  readonly states: ReadonlyMap<string, Node>
  readonly constants: ReadonlyMap<string, Constant>
  /** Source place of a node, by id (first writer wins). */
  readonly spans: ReadonlyMap<number, import('../../dsl/source.ts').Span>
}
