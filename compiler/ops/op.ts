// What a primitive is: one OpDef per op of graph/types.ts. `infer` is the type rule (the verifier runs it again), `evaluate`
// the definition by plain loops in f64, `generate` a random use for the property tests. Nothing here knows the union of all
// ops, so op files do not depend on each other. Layout: tensors are row-major; broadcasting never happens inside an op.

import type { Binding } from '../../dsl/affine.ts'
import type { Attributes, Constant, Dtype, OpName, Region, TensorType } from '../graph/types.ts'
import type { Tensor } from './tensor.ts'

/** 'exact': floats are never rounded. 'typed': every float result is rounded to its dtype, quantise rounds. */
export type Mode = 'exact' | 'typed'

/** What an op may ask for while it is evaluated. Structural ops (weight, state, loop …) need more than their operands. */
export interface EvaluateContext {
  readonly mode: Mode
  readonly binding: Binding
  /** The node's own type (of the first result). */
  readonly type: TensorType
  constant(id: string): Constant
  argument(name: string): Tensor
  /** Path may hold `[*]`; the innermost running instances of the matching loops fill it. */
  weight(path: string): { readonly dims: readonly number[]; readonly data: Float64Array }
  state(path: string): Tensor
  /** Parameter of the region that is being evaluated. */
  param(index: number): Tensor
  /** All results of the first operand. */
  results(): readonly Tensor[]
  /** Evaluates a region. With an instance, `[*]` after `array` means that instance, and the region's states are written. */
  region(region: Region, params: readonly Tensor[], instance?: { readonly array: string; readonly index: number }): readonly Tensor[]
}

/** A source of choices; small answers are simple, so that a shrinker can work on them. */
export interface Choices {
  /** Integer in min ..= max. */
  integer(min: number, max: number): number
}

/** One random use of an op: operands by position in the offered pool. */
export interface Use<Op extends OpName> {
  readonly operands: readonly number[]
  readonly attributes: Attributes[Op]
  /** For ops whose type is not a function of operands and attributes (cast, broadcast, literal). */
  readonly declared?: TensorType
}

export interface OpDef<Op extends OpName> {
  readonly name: Op
  /** Operand names, for documents and messages; `...` stands for any number. */
  readonly operands: readonly string[]
  /** Float results must be rounded in typed mode (false: the values are copies of already rounded ones). */
  readonly rounds: boolean
  /**
   * Result type, or the list of result types of composite and loop. `declared` is the type that the node was made with, for
   * the ops whose type says more than operands and attributes. Throws `internal: …` for operands that do not fit.
   */
  infer(operands: readonly TensorType[], attributes: Attributes[Op], declared?: TensorType): TensorType | readonly TensorType[]
  evaluate(operands: readonly Tensor[], attributes: Attributes[Op], context: EvaluateContext): Tensor | readonly Tensor[]
  /** A random valid use over a pool of values; undefined if the pool has no fitting operand. null: structural op. */
  readonly generate: ((choices: Choices, pool: readonly TensorType[]) => Use<Op> | undefined) | null
}

export const isFloat = (dtype: Dtype): boolean => dtype === 'f32' || dtype === 'f16' || dtype === 'bf16'

/** Stops with an internal fault: the checker has already refused what a user can get wrong. */
export function expect(condition: boolean, op: string, message: string): asserts condition {
  if (!condition) throw new Error(`internal: ${op}: ${message}`)
}

/** The declared type, which this op cannot do without. */
export function need(declared: TensorType | undefined, op: string): TensorType {
  if (!declared) throw new Error(`internal: ${op}: the node's type must be given`)
  return declared
}
