// Structured kernels (after MLIR's linalg.generic): named axes, scalar expressions, reductions, index maps. This is the level
// where fusion happens; a schedule turns a kernel into loops. A kernel has no order of execution beyond `definitions`.

import type { Affine, Dtype } from '../graph/types.ts'
import type { BinaryOpName, ReduceOp, UnaryOp } from '../../dsl/sink.ts'

export type AxisId = string

export interface KernelAxis {
  readonly id: AxisId
  readonly extent: Affine
}

/** A quasi-affine index: + · floordiv mod by constants over axes and entry symbols, and indirect loads of i32 operands. */
export type Index =
  | { readonly kind: 'const'; readonly value: number }
  | { readonly kind: 'axis'; readonly axis: AxisId }
  | { readonly kind: 'symbol'; readonly name: string }
  | { readonly kind: 'add'; readonly a: Index; readonly b: Index }
  | { readonly kind: 'mul'; readonly a: Index; readonly by: number }
  /** floor(a / by), by > 0 */
  | { readonly kind: 'div'; readonly a: Index; readonly by: number }
  /** a - by·floor(a / by), by > 0 */
  | { readonly kind: 'mod'; readonly a: Index; readonly by: number }
  /** An i32 value used as an index, clamped to 0 … below-1. */
  | { readonly kind: 'indirect'; readonly value: Expr; readonly below: Affine }

export type ScalarFn = UnaryOp | BinaryOpName | 'where' | 'cast'

export type Expr =
  | { readonly kind: 'const'; readonly value: number; readonly dtype: Dtype }
  | { readonly kind: 'index'; readonly index: Index }
  | { readonly kind: 'load'; readonly operand: number; readonly index: readonly Index[]; readonly dtype: Dtype }
  /** The value of a definition at the current point of its free axes. */
  | { readonly kind: 'value'; readonly definition: number; readonly dtype: Dtype }
  /** Args of 'where' are condition, yes, no. Only the chosen side of 'where' may be out of bounds-free: loads clamp. */
  | { readonly kind: 'call'; readonly fn: ScalarFn; readonly args: readonly Expr[]; readonly dtype: Dtype }

/** A named intermediate: a reduction of `body` over `over`, or (over = []) a value that is shared or hoisted. */
export interface Definition {
  readonly dtype: Dtype
  readonly free: readonly AxisId[]
  readonly over: readonly AxisId[]
  /** Present iff `over` is not empty. An empty or fully masked max is 0 only where the graph says so. */
  readonly combine?: ReduceOp
  readonly body: Expr
}

export type OperandSource =
  | { readonly kind: 'value'; readonly id: string }
  | { readonly kind: 'argument'; readonly name: string }
  /** `rows`: only these of the first dim are bound (targets with small bindings). */
  | { readonly kind: 'weight'; readonly path: string; readonly rows?: readonly [from: number, to: number] }
  | { readonly kind: 'state'; readonly path: string }
  | { readonly kind: 'constant'; readonly id: string }

export interface Operand {
  readonly source: OperandSource
  /** Logical dims; storage is row-major over them (layout plain) or over the matrix [rows, k] (layout r8). */
  readonly dims: readonly Affine[]
  readonly dtype: Dtype
  /**
   * How elements are stored. Plain values: f32, or i32 for integers and bool. Weights: a format of compiler/formats.
   * 'a8', 'd8': activations quantised to 8 bits along the last axis, blocks of 32 (schedule/activation-blocks.ts). 's8': states in such blocks
   * (schedule/state-blocks.ts).
   */
  readonly format: string
  readonly layout: 'plain' | 'r8'
  /** For layout r8: dims flattened to rows × k (k = the product of the trailing contracted dims). */
  readonly matrix?: { readonly rows: number; readonly k: number }
  readonly access: 'read' | 'write' | 'readwrite'
}

export interface Output {
  readonly operand: number
  /** The axes that this output runs over. */
  readonly axes: readonly AxisId[]
  readonly index: readonly Index[]
  readonly value: Expr
  /** Written only where this holds. */
  readonly guard?: Expr
}

/** k largest of `value` along `axis`, ties by lower index, for every point of the other axes. */
export interface Select {
  readonly axis: AxisId
  readonly k: number
  readonly value: Expr
  /** Operands [parallel…, k] that take the values and the indices. */
  readonly values?: { readonly operand: number; readonly index: readonly Index[]; readonly place: AxisId }
  readonly indices?: { readonly operand: number; readonly index: readonly Index[]; readonly place: AxisId }
}

export interface Kernel {
  readonly name: string
  readonly axes: readonly KernelAxis[]
  readonly operands: readonly Operand[]
  /** In order: a body uses earlier definitions only. */
  readonly definitions: readonly Definition[]
  readonly outputs: readonly Output[]
  readonly select?: Select
  /** Ids of the graph nodes that it computes, its roots first: only for messages, to find their places in the text. */
  readonly nodes?: readonly number[]
}

/** What a schedule has to know how to lower; found from a kernel by compiler/kernel/shape.ts. */
export type KernelShape = 'map' | 'row' | 'contract' | 'attend' | 'select'
