// The way back from an artifact's bytes to values: the inverse of prepare.ts, for whoever compares a device with what it was given.

import { formats, groupRows, layoutBytes } from '../formats/index.ts'
import type { Prepared } from './prepare.ts'

/** The values of a stored matrix [rows, k], row-major. */
export function unpackTensor(bytes: Uint8Array, { format, layout, rows, k }: Prepared): Float32Array {
  const { decode, unpackGroup } = formats[format]
  const values = new Float32Array(rows * k)
  if (layout === 'plain') {
    decode(bytes, values)
    return values
  }
  const groupBytes = layoutBytes(format, 'r8', groupRows, k)
  const plainRow = layoutBytes(format, 'plain', 1, k)
  const plain = new Uint8Array(groupRows * plainRow)
  for (let row = 0; row < rows; row += groupRows) {
    const start = (row / groupRows) * groupBytes
    unpackGroup(bytes.subarray(start, start + groupBytes), k, plain)
    const count = Math.min(groupRows, rows - row)
    decode(plain.subarray(0, count * plainRow), values.subarray(row * k, (row + count) * k))
  }
  return values
}
