// Formats whose block is 32 quants under a head of f16: q4_0 and q5_0 with one scale, q4_1 and q5_1 with a scale and a minimum. What
// differs is how quants lie in a plain block (four-bits.ts, five-bits.ts). Quantisation searches (search.ts) from ggml's plain steps on.

import { halfPlace } from './half-rows.ts'
import { readHalf, writeHalf } from './halves.ts'
import { runFormat, runLength } from './run-blocks.ts'
import type { RunRows } from './run-rows.ts'
import { fitHalfLine, fitScale, halfOf, type Line, loadRun, writeQuants } from './search.ts'
import type { Format, FormatName } from './types.ts'

/** How 32 quants lie in a block's bytes. */
export interface PlainQuants {
  readonly bits: number
  readonly bytes: number
  /** In the r8 layout. */
  readonly rows: RunRows
  /** Quants from byte `at` on. */
  read(plain: Uint8Array, at: number, quants: Uint8Array): void
  write(quants: Uint8Array, out: Uint8Array, at: number): void
}

const quants = new Uint8Array(runLength)
const line: Line = { scale: 0, min: 0 }

/** What both have: the quants behind a head of so many bytes. */
const behind = (head: number, plain: PlainQuants) => ({
  values: runLength,
  bytes: head + plain.bytes,
  rows: plain.rows,
  readRun: (from: Uint8Array, at: number, _run: number, into: Uint8Array) => plain.read(from, at + head, into),
  writeRun: (from: Uint8Array, _run: number, out: Uint8Array, at: number) => plain.write(from, out, at + head),
})

/** value = (q - 2^(bits - 1)) * d. r8: word i = d(row i) | d(row 4+i) << 16, i = 0..3, then the run. */
export function scaleBlocks(name: FormatName, plain: PlainQuants): Format {
  const shape = behind(2, plain)
  const centre = 2 ** (plain.bits - 1)
  return runFormat({
    ...shape,
    name,
    headBytes: 16,
    packHead(from, at, row, out, start) {
      const to = start + halfPlace(row)
      out[to] = from[at]!
      out[to + 1] = from[at + 1]!
    },
    unpackHead(packed, start, row, out, at) {
      const from = start + halfPlace(row)
      out[at] = packed[from]!
      out[at + 1] = packed[from + 1]!
    },
    encode(values, out, importance) {
      for (let b = 0, at = 0; b < values.length; b += runLength, at += shape.bytes) {
        loadRun(values, b, runLength, importance)
        const d = fitScale(-centre, centre - 1, halfOf)
        writeQuants(d, 0, -centre, centre - 1, quants)
        writeHalf(d, out, at)
        plain.write(quants, out, at + 2)
      }
    },
    decode(bytes, out) {
      for (let b = 0, at = 0; b < out.length; b += runLength, at += shape.bytes) {
        const d = readHalf(bytes, at)
        plain.read(bytes, at + 2, quants)
        for (let i = 0; i < runLength; i++) out[b + i] = (quants[i]! - centre) * d
      }
    },
  })
}

/** value = q * d + m. r8: word r = d(row r) | m(row r) << 16, r = 0..7, then the run. */
export function lineBlocks(name: FormatName, plain: PlainQuants): Format {
  const shape = behind(4, plain)
  const most = 2 ** plain.bits - 1
  return runFormat({
    ...shape,
    name,
    headBytes: 32,
    packHead(from, at, row, out, start) {
      for (let i = 0; i < 4; i++) out[start + 4 * row + i] = from[at + i]!
    },
    unpackHead(packed, start, row, out, at) {
      for (let i = 0; i < 4; i++) out[at + i] = packed[start + 4 * row + i]!
    },
    encode(values, out, importance) {
      for (let b = 0, at = 0; b < values.length; b += runLength, at += shape.bytes) {
        loadRun(values, b, runLength, importance)
        fitHalfLine(most, line)
        writeQuants(line.scale, line.min, 0, most, quants)
        writeHalf(line.scale, out, at)
        writeHalf(line.min, out, at + 2)
        plain.write(quants, out, at + 4)
      }
    },
    decode(bytes, out) {
      for (let b = 0, at = 0; b < out.length; b += runLength, at += shape.bytes) {
        const [d, m] = [readHalf(bytes, at), readHalf(bytes, at + 2)]
        plain.read(bytes, at + 4, quants)
        // The product is exact in f64 and a float32 too (at most 5 + 11 bits), so one rounding to float32 remains.
        for (let i = 0; i < runLength; i++) out[b + i] = quants[i]! * d + m
      }
    },
  })
}
