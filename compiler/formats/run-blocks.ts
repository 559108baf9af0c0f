// Formats whose block is a head (scales) and runs of 32 unsigned quants: packing and unpacking an r8 group from what differs
// between them. An r8 block is the heads of 8 rows, then run after run in the layout of run-rows.ts.

import { runAccess, runBytes, type RunRows } from './run-rows.ts'
import type { Format, FormatName } from './types.ts'

export interface RunBlocks {
  readonly name: FormatName
  /** Values and bytes of one plain block. */
  readonly values: number
  readonly bytes: number
  /** Bytes that the heads of 8 rows take in an r8 block. */
  readonly headBytes: number
  readonly rows: RunRows
  /** Moves the head of the plain block at `at` to row `row` of the r8 block at `start`. */
  packHead(plain: Uint8Array, at: number, row: number, out: Uint8Array, start: number): void
  unpackHead(packed: Uint8Array, start: number, row: number, out: Uint8Array, at: number): void
  /** Quants of run `run` of the plain block at `at`. */
  readRun(plain: Uint8Array, at: number, run: number, quants: Uint8Array): void
  /** The inverse; `out` may hold anything before the first run of a block is written, and runs are written in order. */
  writeRun(quants: Uint8Array, run: number, out: Uint8Array, at: number): void
  encode: Format['encode']
  decode: Format['decode']
}

export const runLength = 32

export function runFormat(blocks: RunBlocks): Format {
  const { name, values, bytes, headBytes, rows, encode, decode } = blocks
  const runs = values / runLength
  const runSize = runBytes(rows)
  const packedBytes = headBytes + runs * runSize
  const access = runAccess(rows)
  const fours = new Int32Array(8 * (runLength / 4))
  const quants = Array.from({ length: 8 }, (_, row) => new Uint8Array(fours.buffer, row * runLength, runLength))
  return {
    name,
    values,
    bytes,
    r8Block: { k: values, bytes: packedBytes },
    encode,
    decode,
    packGroup(plainRows, K, out) {
      const count = K / values
      for (let block = 0; block < count; block++) {
        const start = block * packedBytes
        for (let row = 0; row < 8; row++) blocks.packHead(plainRows, (row * count + block) * bytes, row, out, start)
        for (let run = 0; run < runs; run++) {
          for (let row = 0; row < 8; row++) blocks.readRun(plainRows, (row * count + block) * bytes, run, quants[row]!)
          access.write(fours, out, start + headBytes + run * runSize)
        }
      }
    },
    unpackGroup(packed, K, out) {
      const count = K / values
      for (let block = 0; block < count; block++) {
        const start = block * packedBytes
        for (let row = 0; row < 8; row++) blocks.unpackHead(packed, start, row, out, (row * count + block) * bytes)
        for (let run = 0; run < runs; run++) {
          access.read(packed, start + headBytes + run * runSize, fours)
          for (let row = 0; row < 8; row++) blocks.writeRun(quants[row]!, run, out, (row * count + block) * bytes)
        }
      }
    },
  }
}
