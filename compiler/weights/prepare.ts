// From a bound weight to the bytes of an artifact: another storage format if the plan wants one, and the plan's layout. Works by
// runs of a few groups of 8 rows, read from the checkpoint as they are needed: whatever the weight's size, a megabyte or two
// is in memory. Packing into r8 moves whole words in most formats (formats/moves.ts).

import { fits, formats, groupRows, layoutBytes, type FormatName, type LayoutName } from '../formats/index.ts'
import { groupPacker } from '../formats/moves.ts'
import type { BoundWeight } from './bind.ts'
import { product, toF32, type PlainTensor } from './plain-tensor.ts'

export interface Prepared {
  readonly format: FormatName
  readonly layout: LayoutName
  /** The weight as a matrix: rows = product of the leading axes, rows * k = all elements. */
  readonly rows: number
  readonly k: number
}

/** Bytes of stored rows that are worked on at a time; at least one group of rows. */
const pieceBytes = 2 ** 19

/** Bytes of the weight in the wanted format and layout; `layoutBytes(format, layout, rows, k)` of them. */
export function prepareTensor(bound: BoundWeight, to: Prepared): Uint8Array {
  const whole = new Uint8Array(layoutBytes(to.format, to.layout, to.rows, to.k))
  let at = 0
  for (const piece of preparePieces(bound, to)) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}

/** The same bytes in order; a piece is good until the next one is asked for. */
export function* preparePieces(bound: BoundWeight, to: Prepared, most: number = pieceBytes): Iterable<Uint8Array> {
  const { format, layout, rows, k } = to
  if (rows * k !== product(bound.dims)) throw new Error(`internal: ${bound.path} [${bound.dims}] is no [${rows}, ${k}]`)
  if (!fits(format, layout, k)) throw new Error(`internal: ${bound.path}: rows of ${k} values cannot be stored as ${format}/${layout}`)
  // Rows that begin inside a block of the source cannot be cut out of it.
  const source: PlainTensor = k % formats[bound.format].values === 0 ? bound : toF32(bound)
  const sourceRow = layoutBytes(source.format, 'plain', 1, k)
  const plainRow = layoutBytes(format, 'plain', 1, k)
  const groupBytes = layoutBytes(format, 'r8', layout === 'r8' ? groupRows : 0, k)
  const step = Math.max(1, Math.floor(most / Math.max(sourceRow, plainRow, 1) / groupRows)) * groupRows
  const read = rowReader(source, sourceRow, Math.min(step, rows))
  const pack = layout === 'r8' ? groupPacker(formats[format], k) : undefined
  const values = source.format === format ? undefined : new Float32Array(groupRows * k)
  // Only rows that are encoded, or that are too few for a group, need a place of their own.
  const plain = new Uint8Array(values || rows % groupRows !== 0 ? groupRows * plainRow : 0)
  const packed = new Uint8Array(pack ? Math.ceil(Math.min(step, rows) / groupRows) * groupBytes : 0)
  for (let from = 0; from < rows; from += step) {
    const count = Math.min(step, rows - from)
    const input = read(from, count)
    if (!pack && !values) {
      yield input
      continue
    }
    const output = pack ? packed.subarray(0, Math.ceil(count / groupRows) * groupBytes) : new Uint8Array(count * plainRow)
    for (let row = 0; row < count; row += groupRows) {
      const here = Math.min(groupRows, count - row)
      let group = input.subarray(row * sourceRow, (row + here) * sourceRow)
      if (values) {
        const part = values.subarray(0, here * k)
        const target = pack ? plain.subarray(0, here * plainRow) : output.subarray(row * plainRow, (row + here) * plainRow)
        formats[source.format].decode(group, part)
        formats[format].encode(part, target)
        group = target
      }
      if (!pack) continue
      if (here < groupRows) {
        if (!values) plain.set(group)
        plain.fill(0, here * plainRow)
        group = plain
      } else if (values) group = plain
      const start = (row / groupRows) * groupBytes
      pack(group, output.subarray(start, start + groupBytes))
    }
    yield output
  }
}

/** Reads `count` rows from row `from` on, straight from the file where the tensor is one of its tensors as it stands. */
function rowReader(source: PlainTensor, rowBytes: number, most: number): (from: number, count: number) => Uint8Array {
  const { part } = source
  if (!part) {
    const whole = source.read()
    return (from, count) => whole.subarray(from * rowBytes, (from + count) * rowBytes)
  }
  const buffer = new Uint8Array(most * rowBytes)
  return (from, count) => part(from * rowBytes, buffer.subarray(0, count * rowBytes))
}
