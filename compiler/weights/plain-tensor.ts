// A tensor on its way from a file to a weight: format, dims and a promise of bytes, and the steps of checkpoint tables as functions
// on it. Steps that move rows move packed bytes; only arithmetic, joins of unlike formats and moves inside a block go through
// float32. Sizes are checked here; a step that does not fit gives text, which bind.ts turns into a diagnostic.

import { formats, type FormatName } from '../formats/index.ts'
import { readHalves, readWords } from '../formats/words.ts'

export interface PlainTensor {
  readonly format: FormatName
  readonly dims: readonly number[]
  /** Plain row-major bytes. */
  read(): Uint8Array
  /** Where it is a tensor of a file as it stands: its bytes from `offset` on, into `into`, which is given back. */
  part?(offset: number, into: Uint8Array): Uint8Array
}

/** Why a step cannot be done, in words. */
export class Unfit {
  readonly why: string
  /** What stands in the way is a size that another model would not have. */
  readonly sizes: boolean

  constructor(why: string, sizes = false) {
    this.why = why
    this.sizes = sizes
  }
}

export const product = (dims: readonly number[]): number => dims.reduce((count, dim) => count * dim, 1)

/** Bytes of a whole tensor. */
export const plainBytes = ({ format, dims }: Pick<PlainTensor, 'format' | 'dims'>): number =>
  (product(dims) / formats[format].values) * formats[format].bytes

/** Values as float32. */
export function decodeAll(tensor: PlainTensor): Float32Array {
  const values = new Float32Array(product(tensor.dims))
  formats[tensor.format].decode(tensor.read(), values)
  return values
}

const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

/** The same values as float32. */
export const toF32 = (tensor: PlainTensor): PlainTensor =>
  tensor.format === 'f32' ? tensor : { format: 'f32', dims: tensor.dims, read: () => bytesOf(decodeAll(tensor)) }

/** Applies `map` to every value in float32. */
export function mapValues(tensor: PlainTensor, map: (value: number) => number): PlainTensor {
  return { format: 'f32', dims: tensor.dims, read: () => bytesOf(decodeAll(tensor).map(map)) }
}

/** A tensor whose rows of `values` values can be moved as bytes. */
const movable = (tensor: PlainTensor, values: number): PlainTensor =>
  values % formats[tensor.format].values === 0 ? tensor : toF32(tensor)

/** Runs of `length` values, run i read from value `from(i)`; starts and lengths are multiples of `row` values. */
function moveRuns(tensor: PlainTensor, row: number, length: number, dims: readonly number[], from: (i: number) => number): PlainTensor {
  const base = movable(tensor, row)
  const { values, bytes } = formats[base.format]
  const runBytes = (length / values) * bytes
  return {
    format: base.format,
    dims,
    read() {
      const input = base.read()
      const output = new Uint8Array(plainBytes({ format: base.format, dims }))
      if (length === 1 && bytes === 4) pickEach(readWords(input), new Uint32Array(output.buffer), from)
      else if (length === 1 && bytes === 2) pickEach(readHalves(input), new Uint16Array(output.buffer), from)
      else {
        for (let i = 0, at = 0; at < output.length; i++, at += runBytes) {
          const start = (from(i) / values) * bytes
          output.set(input.subarray(start, start + runBytes), at)
        }
      }
      return output
    },
  }
}

function pickEach(input: Uint32Array | Uint16Array, output: Uint32Array | Uint16Array, from: (i: number) => number): void {
  for (let i = 0; i < output.length; i++) output[i] = input[from(i)]!
}

/** Swaps the two axes of a matrix. */
export function transpose(tensor: PlainTensor): PlainTensor | Unfit {
  const [rows, columns] = tensor.dims
  if (tensor.dims.length !== 2) return new Unfit(`only a matrix can be transposed, this has ${tensor.dims.length} axes`)
  return moveRuns(tensor, 1, 1, [columns!, rows!], (i) => (i % rows!) * columns! + Math.floor(i / rows!))
}

/**
 * The share of one target of a `chunk`: rows [before, before + rows) of the first axis, or that part of each of `groups` equal
 * runs of it (then `before` and `rows` count over all groups together).
 */
export function chunk(tensor: PlainTensor, before: number, rows: number, groups: number): PlainTensor | Unfit {
  const total = tensor.dims[0]
  if (total === undefined) return new Unfit('a scalar cannot be cut')
  if ([total, before, rows].some((count) => count % groups !== 0)) {
    return new Unfit(`${groups} equal runs of ${total} rows cannot give ${rows} rows each time the same share`, true)
  }
  const rest = tensor.dims.slice(1)
  const [run, skip, share] = [total / groups, before / groups, rows / groups]
  const width = product(rest)
  return moveRuns(tensor, width, share * width, [rows, ...rest], (group) => (group * run + skip) * width)
}

/**
 * Puts the rows of each of `heads` heads from one RoPE pairing to the other: with d rows a head, pair j is rows (2j, 2j+1) when
 * adjacent and rows (j, j + d/2) when halves. Quantised blocks run along the row, so packed rows move untouched.
 */
export function ropeRows(tensor: PlainTensor, heads: number, from: 'adjacent' | 'half', to: 'adjacent' | 'half'): PlainTensor | Unfit {
  const width = tensor.dims.length > 1 ? tensor.dims.at(-1)! : 1
  const rows = product(tensor.dims) / Math.max(width, 1)
  const size = rows / heads
  if (!Number.isInteger(size) || size % 2 !== 0) return new Unfit(`${rows} rows are not ${heads} heads of an even number of rows`, true)
  if (from === to) return tensor
  const half = size / 2
  const source = to === 'half' ? (j: number) => (j < half ? 2 * j : 2 * (j - half) + 1) : (j: number) => (j >> 1) + (j & 1 ? half : 0)
  return moveRuns(tensor, width, width, tensor.dims, (i) => (i - (i % size) + source(i % size)) * width)
}

/** Concatenation over the first axis, or (`stacked`) over a new one. Unlike formats become float32. */
export function joinTensors(tensors: readonly PlainTensor[], stacked: boolean): PlainTensor | Unfit {
  const first = tensors[0]!
  const tail = (tensor: PlainTensor) => (stacked ? tensor.dims : tensor.dims.slice(1))
  const odd = tensors.find((tensor) => tail(tensor).join() !== tail(first).join() || tensor.dims.length !== first.dims.length)
  if (odd) return new Unfit(`[${odd.dims.join(', ')}] does not fit beside [${first.dims.join(', ')}]`, true)
  const alike = tensors.every((tensor) => tensor.format === first.format) && plainBytes(first) % 1 === 0
  const parts = alike ? tensors : tensors.map(toF32)
  const lead = stacked ? tensors.length : tensors.reduce((sum, tensor) => sum + tensor.dims[0]!, 0)
  const dims = [lead, ...tail(first)]
  const format = parts[0]!.format
  return {
    format,
    dims,
    read() {
      const output = new Uint8Array(plainBytes({ format, dims }))
      let at = 0
      for (const part of parts) {
        const bytes = part.read()
        output.set(bytes, at)
        at += bytes.length
      }
      return output
    },
  }
}
