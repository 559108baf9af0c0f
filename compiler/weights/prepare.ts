// From a bound weight to the bytes of an artifact: another storage format if the plan wants one, and the plan's layout. Works by
// groups of 8 rows, so that besides the source and the result only a few rows exist at once. A weight whose format and layout
// are already right is handed on without a copy.

import { fits, formats, groupRows, layoutBytes, type FormatName, type LayoutName } from '../formats/index.ts'
import type { BoundWeight } from './bind.ts'
import { product, toF32, type PlainTensor } from './plain-tensor.ts'

export interface Prepared {
  readonly format: FormatName
  readonly layout: LayoutName
  /** The weight as a matrix: rows = product of the leading axes, rows * k = all elements. */
  readonly rows: number
  readonly k: number
}

/** Bytes of the weight in the wanted format and layout; `layoutBytes(format, layout, rows, k)` of them. */
export function prepareTensor(bound: BoundWeight, to: Prepared): Uint8Array {
  const { format, layout, rows, k } = to
  if (rows * k !== product(bound.dims)) throw new Error(`internal: ${bound.path} [${bound.dims}] is no [${rows}, ${k}]`)
  if (!fits(format, layout, k)) throw new Error(`internal: ${bound.path}: rows of ${k} values cannot be stored as ${format}/${layout}`)
  // Rows that begin inside a block of the source cannot be cut out of it.
  const source: PlainTensor = k % formats[bound.format].values === 0 ? bound : toF32(bound)
  const input = source.read()
  if (source.format === format && layout === 'plain') return input
  const sourceRow = layoutBytes(source.format, 'plain', 1, k)
  const plainRow = layoutBytes(format, 'plain', 1, k)
  const groupBytes = layoutBytes(format, 'r8', layout === 'r8' ? groupRows : 0, k)
  const output = new Uint8Array(layoutBytes(format, layout, rows, k))
  const values = source.format === format ? undefined : new Float32Array(groupRows * k)
  const padded = new Uint8Array(groupRows * plainRow)
  for (let row = 0; row < rows; row += groupRows) {
    const count = Math.min(groupRows, rows - row)
    const group = input.subarray(row * sourceRow, (row + count) * sourceRow)
    const target = layout === 'plain' ? output.subarray(row * plainRow, (row + count) * plainRow) : padded.subarray(0, count * plainRow)
    if (values) {
      const part = values.subarray(0, count * k)
      formats[source.format].decode(group, part)
      formats[format].encode(part, target)
    } else target.set(group)
    if (layout === 'plain') continue
    padded.fill(0, count * plainRow)
    const start = (row / groupRows) * groupBytes
    formats[format].packGroup(padded, k, output.subarray(start, start + groupBytes))
  }
  return output
}
