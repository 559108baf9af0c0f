// Affine shapes of the type rules: equality, products, and the text form `f32[seq, 2*seq + 1]`.

import { constant, equals, evaluate, multiply, show, type Affine, type Binding } from '../../dsl/affine.ts'
import type { TensorType } from '../graph/types.ts'
import { expect } from './op.ts'

export const sameDims = (a: readonly Affine[], b: readonly Affine[]): boolean =>
  a.length === b.length && a.every((dim, axis) => equals(dim, b[axis]!))

export const sameType = (a: TensorType, b: TensorType): boolean => a.dtype === b.dtype && sameDims(a.dims, b.dims)

export const showDims = (dims: readonly Affine[]): string => `[${dims.map(show).join(', ')}]`
export const showType = (type: TensorType): string => `${type.dtype}${showDims(type.dims)}`

/** The product of sizes of which at most one is not constant. */
export function product(dims: readonly Affine[], op: string): Affine {
  return dims.reduce((a, b) => {
    const both = multiply(a, b)
    expect(both !== undefined, op, `the size (${show(a)}) * (${show(b)}) is not affine`)
    return both
  }, constant(1))
}

/** The sizes of one call. */
export const sizes = (dims: readonly Affine[], binding: Binding): number[] => dims.map((dim) => evaluate(dim, binding))

/** `dims` with the axes of `replaced` exchanged for others: axis → the axes that stand there now. */
export const splice = (dims: readonly Affine[], axis: number, count: number, ...instead: Affine[]): Affine[] => [
  ...dims.slice(0, axis),
  ...instead,
  ...dims.slice(axis + count),
]
