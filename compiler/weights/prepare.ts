// From a bound weight to the bytes of an artifact: another storage format if the plan wants one, and the plan's layout. Works by
// runs of a few groups of 8 rows, read from the checkpoint as they are needed: whatever the weight's size, a megabyte or two
// is in memory. Packing into r8 moves whole words in most formats (formats/moves.ts).

import { LlamacError } from '../../runtime/error.ts'
import { fits, formats, groupRows, layoutBytes, type FormatName, type LayoutName } from '../formats/index.ts'
import { groupPacker } from '../formats/moves.ts'
import type { BoundWeight } from './bind.ts'
import { product, toF32, type PlainTensor } from './plain-tensor.ts'
import { addChange, type StoredChange } from './stored-change.ts'

export interface Prepared {
  readonly format: FormatName
  readonly layout: LayoutName
  /** The weight as a matrix: rows = product of the leading axes, rows * k = all elements. */
  readonly rows: number
  readonly k: number
}

/** What the squared error of a weight's columns counts: one row for all its rows, or several, each for an equal share of them. */
export interface Importance {
  readonly columns: number
  readonly values: Float32Array
}

export interface PrepareOptions {
  readonly importance?: Importance | undefined
  /** Gets what storing changes. */
  readonly change?: StoredChange | undefined
  /** Bytes of stored rows that are worked on at a time; at least one group of rows. */
  readonly most?: number
  /** Where all the bytes are to go. */
  readonly into?: Uint8Array | undefined
}

/** Bytes of the weight in the wanted format and layout; `layoutBytes(format, layout, rows, k)` of them. */
export function prepareTensor(bound: BoundWeight, to: Prepared, options: PrepareOptions = {}): Uint8Array {
  const into = new Uint8Array(layoutBytes(to.format, to.layout, to.rows, to.k))
  for (const _piece of preparePieces(bound, to, { ...options, into }));
  return into
}

/** The same bytes in order; a piece is good until the next one is asked for. With `into` pieces are its parts. */
export function* preparePieces(bound: BoundWeight, to: Prepared, options: PrepareOptions = {}): Iterable<Uint8Array> {
  const { importance, change, into, most = 2 ** 19 } = options
  const { format, layout, rows, k } = to
  if (rows * k !== product(bound.dims)) throw new Error(`internal: ${bound.path} [${bound.dims}] is no [${rows}, ${k}]`)
  if (!fits(format, layout, k)) throw new Error(`internal: ${bound.path}: rows of ${k} values cannot be stored as ${format}/${layout}`)
  // Rows that begin inside a block of the source cannot be cut out of it.
  const source: PlainTensor = k % formats[bound.format].values === 0 ? bound : toF32(bound)
  const sourceRow = layoutBytes(source.format, 'plain', 1, k)
  const plainRow = layoutBytes(format, 'plain', 1, k)
  const groupBytes = layoutBytes(format, 'r8', layout === 'r8' ? groupRows : 0, k)
  const step = Math.max(1, Math.floor(most / Math.max(sourceRow, plainRow, 1) / groupRows)) * groupRows
  const bytesOf = (count: number): number => layoutBytes(format, layout, count, k)
  const buffer = takeBuffer(source.part ? Math.min(step, rows) * sourceRow : 0)
  const read = rowReader(source, sourceRow, buffer)
  const pack = layout === 'r8' ? groupPacker(formats[format], k) : undefined
  const values = source.format === format ? undefined : new Float32Array(groupRows * k)
  const runs = runsByImportance(rows * k, importance)
  // Only rows that are encoded, or that are too few for a group, need a place of their own.
  const plain = new Uint8Array(values || rows % groupRows !== 0 ? groupRows * plainRow : 0)
  const own = new Uint8Array(into || !(pack || values) ? 0 : bytesOf(Math.min(step, rows)))
  for (let from = 0; from < rows; from += step) {
    const count = Math.min(step, rows - from)
    const output = into ? into.subarray(bytesOf(from), bytesOf(from) + bytesOf(count)) : own.subarray(0, bytesOf(count))
    if (!pack && !values) {
      yield read(from, count, into && output)
      continue
    }
    const input = read(from, count)
    if (!values && format === 'f16') expectHalves(bound.path, input)
    for (let row = 0; row < count; row += groupRows) {
      const here = Math.min(groupRows, count - row)
      let group = input.subarray(row * sourceRow, (row + here) * sourceRow)
      if (values) {
        const part = values.subarray(0, here * k)
        const target = pack ? plain.subarray(0, here * plainRow) : output.subarray(row * plainRow, (row + here) * plainRow)
        formats[source.format].decode(group, part)
        const first = (from + row) * k
        expectNumbers(bound.path, format, part)
        for (const { start, end, columns } of runs(first, first + here * k)) {
          const before = part.subarray(start - first, end - first)
          const stored = target.subarray(layoutBytes(format, 'plain', 1, start - first), layoutBytes(format, 'plain', 1, end - first))
          formats[format].encode(before, stored, columns)
          if (change) addChange(change, format, before, stored, columns)
        }
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
  freeBuffer = buffer
}

/** Weights come by the hundred, and clearing fresh memory costs as much as packing it: the buffer of the last one serves the next. */
let freeBuffer: Uint8Array | undefined

function takeBuffer(bytes: number): Uint8Array {
  const taken = freeBuffer && freeBuffer.length >= bytes ? freeBuffer : new Uint8Array(bytes)
  freeBuffer = undefined
  return taken
}

/** Formats that keep NaN and infinities. To blocks they would be zeros, and kernels read such halves as large numbers: wrong without a word. */
const keepsAll: ReadonlySet<FormatName> = new Set(['f32', 'bf16'])

function expectNumbers(path: string, format: FormatName, values: Float32Array): void {
  if (keepsAll.has(format)) return
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i]!)) refuseValues(path, format)
}

/** The same of stored binary16 values. */
function expectHalves(path: string, bytes: Uint8Array): void {
  for (let i = 1; i < bytes.length; i += 2) if ((bytes[i]! & 0x7c) === 0x7c) refuseValues(path, 'f16')
}

function refuseValues(path: string, format: FormatName): never {
  throw new LlamacError('E_TENSOR_VALUES', `${path} has values that are no numbers, which ${format} cannot keep: the checkpoint is damaged`)
}

/** Reads `count` rows from row `from` on: to the place that is given, or through the buffer where the tensor is one of a file as it stands. */
function rowReader(
  source: PlainTensor,
  rowBytes: number,
  buffer: Uint8Array,
): (from: number, count: number, into?: Uint8Array) => Uint8Array {
  const { part } = source
  if (part) return (from, count, into = buffer.subarray(0, count * rowBytes)) => part(from * rowBytes, into)
  const whole = source.read()
  return (from, count, into) => {
    const rows = whole.subarray(from * rowBytes, (from + count) * rowBytes)
    into?.set(rows)
    return into ?? rows
  }
}

interface Run {
  readonly start: number
  readonly end: number
  readonly columns: Float32Array | undefined
}

/** Cuts a range of a weight's values where other columns become important: at the next expert. */
function runsByImportance(elements: number, importance: Importance | undefined): (start: number, end: number) => readonly Run[] {
  if (!importance) return (start, end) => [{ start, end, columns: undefined }]
  const { columns, values } = importance
  const share = (elements * columns) / values.length
  if (share % columns !== 0) throw new Error(`internal: importance of ${values.length} in rows of ${columns} for ${elements} values`)
  return (start, end) => {
    const runs: Run[] = []
    for (let at = start; at < end; at = runs.at(-1)!.end) {
      const one = Math.floor(at / share)
      runs.push({ start: at, end: Math.min(end, (one + 1) * share), columns: values.subarray(one * columns, (one + 1) * columns) })
    }
    return runs
  }
}
