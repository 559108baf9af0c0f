// States as a device has them, as values in the model's order.

import { inModelOrder } from '../../compiler/kernel/states.ts'
import { isFloatType, type StateManifest } from '../../runtime/artifact/manifest.ts'
import { fromWords } from '../../cli/verify/words.ts'

/** All zero, as a session begins. */
export const emptyState = ({ bytes }: StateManifest): Int32Array => new Int32Array(bytes / 4)

export function stateValues(state: StateManifest, words: Int32Array): Float64Array {
  const { dtype, dims } = state
  const format = state.format ? 's8' : dtype === 'f16' ? 'f16' : isFloatType(dtype) ? 'f32' : 'i32'
  return inModelOrder(fromWords({ format, dims: dims.map((size) => ({ const: size, terms: [] })) }, words), state)
}
