// Scalar functions of kernels on JavaScript numbers, from the op level's scalar table: for the constant folder and the kernel
// evaluator. Values are f64; rounding a float result to its dtype is the evaluator's business.

import { binaryOps, type BinaryOpName, type UnaryOp } from '../../dsl/sink.ts'
import type { Dtype } from '../graph/types.ts'
import { isFloat } from '../ops/op.ts'
import { binaryRow, unaryRow } from '../ops/scalar.ts'
import { rounding } from '../ops/tensor.ts'
import type { ScalarFn } from './types.ts'

const binaries: ReadonlySet<string> = new Set(binaryOps)

/** Float to integer truncates and saturates, anything to bool is `≠ 0`, integers wrap (as the op `cast`). */
function castTo(value: number, dtype: Dtype, from: Dtype): number {
  if (isFloat(dtype)) return value
  if (dtype === 'bool') return value === 0 ? 0 : 1
  if (!isFloat(from)) return rounding[dtype](value)
  const [low, high] =
    dtype === 'i32' ? [-2147483648, 2147483647] : dtype === 'u32' ? [0, 4294967295] : dtype === 'i8' ? [-128, 127] : [0, 255]
  return Math.min(high, Math.max(low, Math.trunc(Number.isNaN(value) ? 0 : value)))
}

/** The value of fn; `dtype` is the result's type, `from` the type of the first argument. Floats are not rounded. */
export function applyScalar(fn: ScalarFn, args: readonly number[], dtype: Dtype, from: Dtype): number {
  const [a = 0, b = 0, c = 0] = args
  if (fn === 'cast') return castTo(a, dtype, from)
  if (fn === 'where') return a !== 0 ? b : c
  if (!binaries.has(fn)) {
    const value = unaryRow(fn as UnaryOp).evaluate(a)
    return isFloat(dtype) ? value : rounding[dtype](value)
  }
  const row = binaryRow(fn as BinaryOpName)
  const value = (!isFloat(from) && row.integer ? row.integer : row.evaluate)(a, b)
  return isFloat(dtype) ? value : rounding[dtype](value)
}
