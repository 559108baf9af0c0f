// An entry as a list of steps: what the planner, the targets' lowering and the evaluator read. Made by steps.ts.

import type { Bounds } from '../../dsl/affine.ts'
import type { Affine, Dtype } from '../graph/types.ts'
import type { Kernel, OperandSource } from './types.ts'

/** A buffer between kernels. */
export interface ValueInfo {
  readonly id: string
  readonly dims: readonly Affine[]
  readonly dtype: Dtype
  readonly format: string
}

interface StepBase {
  /** What the step reads and writes, each source once. A loop's states have paths with `[*]`. */
  readonly reads: readonly OperandSource[]
  readonly writes: readonly OperandSource[]
  /** Earlier steps of the same list that must have finished. */
  readonly dependsOn: readonly number[]
}

export type KernelStep =
  | (StepBase & { readonly kind: 'kernel'; readonly kernel: Kernel })
  /** Kernels that do not depend on each other: one launch, no barrier between. */
  | (StepBase & { readonly kind: 'launch'; readonly kernels: readonly Kernel[] })
  /**
   * Instance i runs groups[order[i]]; `carried` are the ids of the values that go from instance to instance, `kept` those of
   * values that one instance leaves behind: `layers[3].v7` is what instance 3 writes to `layers[*].v7`.
   */
  | (StepBase & {
      readonly kind: 'loop'
      readonly array: string
      readonly order: readonly number[]
      readonly groups: readonly (readonly KernelStep[])[]
      readonly carried: readonly string[]
      readonly kept: readonly string[]
    })

export interface KernelProgram {
  readonly entry: string
  readonly symbols: Bounds
  readonly steps: readonly KernelStep[]
  readonly values: ReadonlyMap<string, ValueInfo>
  /** Where each result of the entry is at the end. */
  readonly results: readonly OperandSource[]
}

export const sourceKey = (source: OperandSource): string =>
  `${source.kind}:${'id' in source ? source.id : 'path' in source ? source.path : source.name}`

/** Whether a source in a loop's body is another one for every instance: a weight or state of its path, or a kept value. */
export const isPerInstance = (source: OperandSource): boolean =>
  'path' in source ? source.path.includes('[*]') : source.kind === 'value' && source.id.includes('[*]')

/** Each source once. */
export function distinct(sources: readonly OperandSource[]): OperandSource[] {
  return [...new Map(sources.map((source) => [sourceKey(source), source])).values()]
}
