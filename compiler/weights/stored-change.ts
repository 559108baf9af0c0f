// What storing a weight in another format has changed, summed up while rows are encoded: no weight is held twice for it.

import { formats, type FormatName } from '../formats/index.ts'

/** Sums over all values w that were encoded, w′ being what the stored bytes decode to; all 0 where bytes were only moved. */
export interface StoredChange {
  /** The format that the values came in. */
  readonly from: FormatName
  /** Σ w², Σ (w − w′)². */
  squares: number
  errors: number
  /** The same with each column's importance, where that is known. */
  weightedSquares: number
  weightedErrors: number
}

export const newChange = (from: FormatName): StoredChange => ({ from, squares: 0, errors: 0, weightedSquares: 0, weightedErrors: 0 })

/** Adds whole rows: `before`, and the bytes that they became. */
export function addChange(
  change: StoredChange,
  format: FormatName,
  before: Float32Array,
  stored: Uint8Array,
  importance: Float32Array | undefined,
): void {
  const after = new Float32Array(before.length)
  formats[format].decode(stored, after)
  const columns = importance?.length ?? 1
  for (let i = 0, column = 0; i < before.length; i++) {
    const square = before[i]! * before[i]!
    const error = (before[i]! - after[i]!) ** 2
    change.squares += square
    change.errors += error
    if (!importance) continue
    change.weightedSquares += importance[column]! * square
    change.weightedErrors += importance[column]! * error
    if (++column === columns) column = 0
  }
}
