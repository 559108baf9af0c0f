// A figure that was measured in several rounds: the median is what is said of it, the rest shows how far to trust it.

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
  /** By round. */
  readonly all: readonly number[]
}

/** `values` has at least one number. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  return { median: (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2, min: sorted[0]!, max: sorted.at(-1)!, all: values }
}
