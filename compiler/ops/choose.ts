// How generators choose: an operand from the pool that fits, an axis, a member of a list.

import { isConstant } from '../../dsl/affine.ts'
import type { TensorType } from '../graph/types.ts'
import type { Choices } from './op.ts'

export const chooseFrom = <T>(choices: Choices, list: readonly T[]): T | undefined =>
  list.length === 0 ? undefined : list[choices.integer(0, list.length - 1)]

/** Position in the pool of a value that fits, later ones being as likely as earlier ones. */
export function chooseOperand(choices: Choices, pool: readonly TensorType[], fits: (type: TensorType) => boolean): number | undefined {
  return chooseFrom(
    choices,
    pool.flatMap((type, index) => (fits(type) ? [index] : [])),
  )
}

/** Axes whose size is a known number of at least `min`. */
export const constantAxes = (type: TensorType, min = 1): number[] =>
  type.dims.flatMap((dim, axis) => (isConstant(dim) && dim.const >= min ? [axis] : []))
