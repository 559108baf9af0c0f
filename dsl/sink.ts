// What the checker tells its listener while it walks an entry whose numbers are known: one call per primitive, axes already
// resolved from labels to positions and broadcasting already explicit. The compiler's graph builder listens; a generic check
// has no listener. `V` is the listener's own value handle.

import type { Affine } from './affine.ts'
import type { Span } from './source.ts'

export type Dtype = 'f32' | 'f16' | 'bf16' | 'i32' | 'u32' | 'i8' | 'u8' | 'bool'

export interface TensorType {
  readonly dtype: Dtype
  readonly dims: readonly Affine[]
}

export const unaryOps = ['neg', 'abs', 'exp', 'log', 'sqrt', 'rsqrt', 'sin', 'cos', 'tanh', 'erf', 'floor', 'not'] as const
export const binaryOps = ['add', 'sub', 'mul', 'div', 'mod', 'min', 'max', 'pow', 'eq', 'ne', 'lt', 'le', 'gt', 'ge', 'and', 'or'] as const
export type UnaryOp = (typeof unaryOps)[number]
export type BinaryOpName = (typeof binaryOps)[number]
export type ReduceOp = 'sum' | 'max' | 'min'

/** A weight, state or part array as the specialised model has it; paths like `layers[3].attn.wq`. */
export interface WeightInfo {
  readonly path: string
  readonly dims: readonly number[]
  /** The axes' labels, for messages. */
  readonly labels: readonly string[]
  /** Another weight's path when this one is an alias without storage. */
  readonly tied?: string
  /** `@precision(f32)` */
  readonly precision?: Dtype
  /** false: `@quant(off)` */
  readonly quant: boolean
  readonly span: Span
}

export interface StateInfo {
  readonly path: string
  readonly dtype: Dtype
  readonly dims: readonly number[]
  readonly labels: readonly string[]
  readonly span: Span
}

/** One compile-time argument of a composite, kept for printing and matching. */
export type Attribute = number | boolean | string | null

export interface LoopSpec<V> {
  /** Path of the part array: `layers`. */
  readonly array: string
  /** For each instance, which group (specialised body) it runs. */
  readonly order: readonly number[]
  readonly groups: number
  readonly carried: readonly V[]
  /**
   * Runs the body of one group. Inside, weight and state paths read `layers[*].attn.wq`. What it gives beyond the carried
   * values is kept of each instance, and follows the carried values in the loop's results, instance by instance.
   */
  body(group: number, carried: readonly V[]): readonly V[]
  readonly span: Span
}

export interface Sink<V> {
  type(value: V): TensorType
  /** A scalar constant. `inf` arrives as ±Infinity for float dtypes; the listener lowers it. */
  literal(value: number, dtype: Dtype, span: Span): V
  /** The i32 value of a size or `index` expression, a scalar. */
  size(value: Affine, span: Span): V
  /** 0, 1, … n-1 as i32[n]. */
  iota(n: Affine, span: Span): V
  unary(op: UnaryOp, x: V, span: Span): V
  /** Operands have equal dims (the checker inserts `broadcast`). */
  binary(op: BinaryOpName, a: V, b: V, span: Span): V
  where(condition: V, yes: V, no: V, span: Span): V
  cast(x: V, dtype: Dtype, span: Span): V
  /** `places[i]` is the result axis that axis i of x becomes (increasing); the other result axes repeat x. */
  broadcast(x: V, dims: readonly Affine[], places: readonly number[], span: Span): V
  reduce(op: ReduceOp, x: V, axes: readonly number[], span: Span): V
  /** Result axes: a's axes without the contracted ones in order, then b's axes that are neither contracted nor batch. */
  dot(a: V, b: V, contract: readonly (readonly [number, number])[], batch: readonly (readonly [number, number])[], span: Span): V
  split(x: V, axis: number, sizes: readonly Affine[], span: Span): V
  /** Merges `count` neighbouring axes from `axis` on. */
  merge(x: V, axis: number, count: number, span: Span): V
  transpose(x: V, order: readonly number[], span: Span): V
  slice(x: V, axis: number, start: Affine, size: Affine, span: Span): V
  /** Takes one position and removes the axis. */
  pick(x: V, axis: number, at: Affine, span: Span): V
  concat(parts: readonly V[], axis: number, span: Span): V
  pad(x: V, axis: number, before: Affine, after: Affine, value: number, span: Span): V
  /** Axis `axis` of x is replaced by index's axes that are not in `shared` ([axis of x, axis of index] pairs). */
  gather(x: V, axis: number, index: V, shared: readonly (readonly [number, number])[], span: Span): V
  /** Largest first, ties by lower index; `axis` then has size k. */
  topk(x: V, axis: number, k: number, span: Span): { values: V; indices: V }
  /** Entry argument. */
  argument(name: string, type: TensorType, span: Span): V
  /** Path may hold `[*]` inside a loop body. */
  weight(path: string, span: Span): V
  /** The state's newest version at this point of the program. */
  readState(path: string, span: Span): V
  /** `state[axis: start ..+ size(value)] = value` gives the newest version. */
  storeState(path: string, axis: number, start: Affine, value: V, span: Span): void
  /** `state[axis: index] = value`: value has index's axis in place of `axis`; where indices repeat, the last wins. */
  scatterState(path: string, axis: number, index: V, value: V, span: Span): void
  /** A call of a library or user `op`: pure and closed over its operands. */
  composite(
    name: string,
    attributes: Readonly<Record<string, Attribute>>,
    operands: readonly V[],
    body: (operands: readonly V[]) => readonly V[],
    span: Span,
  ): readonly V[]
  loop(spec: LoopSpec<V>): readonly V[]
  /**
   * What a part gave when it was called (`layers[*].attn`), or another function of it or of the model (`layers[*].attn.query`,
   * `embed_tokens`): told after its primitives, for listeners who want values by path. Axes have the caller's labels.
   */
  called?(path: string, result: V, labels: readonly string[]): void
}
