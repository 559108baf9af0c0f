// The tensors of an artifact with their bytes, made when they are asked for: weights as they are stored, and tables.

import type { Constant } from '../graph/types.ts'
import { isFormatName } from '../formats/index.ts'
import type { Layout } from '../plan/layout.ts'
import type { WeightPlan } from '../plan/weights.ts'
import type { BoundWeight } from '../weights/bind.ts'
import { type Importance, preparePieces } from '../weights/prepare.ts'
import { newChange, type StoredChange } from '../weights/stored-change.ts'
import type { ArtifactTensor } from './write.ts'

export interface TensorSources {
  /** Weights by path. Absent: compile without weights. */
  readonly weights?: ReadonlyMap<string, BoundWeight>
  /** What the squared error of each column counts when a weight is quantised, by path. Absent: all count alike. */
  readonly importance?: ReadonlyMap<string, Importance>
  /** Told of each weight, when it is written, what storing it in another format than the checkpoint's has changed. */
  readonly onStored?: (path: string, change: StoredChange) => void
}

export function tensorOf(
  entry: Layout['tensors'][number],
  plans: ReadonlyMap<string, WeightPlan>,
  { weights, importance, onStored }: TensorSources,
  constants: ReadonlyMap<string, Constant>,
): ArtifactTensor {
  const { path, dims, format, layout, bytes } = entry
  const pieces = (into?: Uint8Array): Iterable<Uint8Array> => {
    if (path.startsWith('table:')) {
      const { data } = constants.get(path.slice('table:'.length))!
      return [new Uint8Array((format === 'f32' ? Float32Array.from(data) : Int32Array.from(data)).buffer)]
    }
    const bound = weights?.get(path)
    const plan = plans.get(path)!
    if (!bound || !isFormatName(format)) throw new Error(`internal: no bytes for ${path}`)
    const weighed = importance?.get(path)
    return onStored ? measured(path, bound, plan, weighed, onStored) : preparePieces(bound, plan, { importance: weighed, into })
  }
  return { path, dims, format, layout, bytes, pieces }
}

/** The pieces of a weight; after the last, what storing it has changed is told. */
function* measured(
  path: string,
  bound: BoundWeight,
  plan: WeightPlan,
  importance: Importance | undefined,
  onStored: NonNullable<TensorSources['onStored']>,
): Iterable<Uint8Array> {
  const change = newChange(bound.format)
  yield* preparePieces(bound, plan, { importance, change })
  onStored(path, change)
}
