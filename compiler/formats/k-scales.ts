// The head that q4_k and q5_k share: f16 d, f16 dmin, and for each of 8 runs a 6-bit scale sc and a 6-bit minimum m;
// value = d * sc * q - dmin * m. Plain (16 bytes): the halves, then 12 bytes A B C of 4 each, for j = 0..3
//   sc[j] = A[j] & 63, m[j] = B[j] & 63, sc[4+j] = C[j] & 15 | A[j] >> 6 << 4, m[4+j] = C[j] >> 4 | B[j] >> 6 << 4.
// r8 (192 bytes): d of rows 0..7 as f32, dmin of rows 0..7 as f32; then a word of each of 8 rows for each pair of runs: scale of the even
// run, of the odd one, minimum of the even run, of the odd one, a byte each. A kernel then has a run's scale after one instruction.
// Taken apart from 6 bits, and d from a half that may be denormal, they cost a sixth of a product's instructions; as whole bytes and
// floats 5 % more memory.

import { packHalf, unpackHalf } from './half-rows.ts'
import { readHalf, writeHalf } from './halves.ts'
import type { RunBlocks } from './run-blocks.ts'

const runs = 8
export const plainHead = 16
export const packedHead = 192

const scales = new Uint8Array(runs)
const minima = new Uint8Array(runs)

function readScales(bytes: Uint8Array, at: number, sc: Uint8Array, m: Uint8Array): void {
  for (let j = 0; j < 4; j++) {
    const [a, b, c] = [bytes[at + j]!, bytes[at + 4 + j]!, bytes[at + 8 + j]!]
    sc[j] = a & 63
    m[j] = b & 63
    sc[4 + j] = (c & 15) | ((a >> 6) << 4)
    m[4 + j] = (c >> 4) | ((b >> 6) << 4)
  }
}

function writeScales(sc: Uint8Array, m: Uint8Array, out: Uint8Array, at: number): void {
  for (let j = 0; j < 4; j++) {
    out[at + j] = sc[j]! | ((sc[4 + j]! >> 4) << 6)
    out[at + 4 + j] = m[j]! | ((m[4 + j]! >> 4) << 6)
    out[at + 8 + j] = (sc[4 + j]! & 15) | ((m[4 + j]! & 15) << 4)
  }
}

/** Where the byte of a run's scale lies; its minimum is 2 bytes on. */
const scaleByte = (run: number, row: number): number => 64 + (run >> 1) * 32 + 4 * row + (run & 1)

export const kHead: Pick<RunBlocks, 'headBytes' | 'packHead' | 'unpackHead'> = {
  headBytes: packedHead,
  packHead(plain, at, row, out, start) {
    for (let i = 0; i < 2; i++) packHalf(plain, at + 2 * i, out, start + 32 * i + 4 * row)
    readScales(plain, at + 4, scales, minima)
    for (let run = 0; run < runs; run++) {
      out[start + scaleByte(run, row)] = scales[run]!
      out[start + 2 + scaleByte(run, row)] = minima[run]!
    }
  },
  unpackHead(packed, start, row, out, at) {
    for (let i = 0; i < 2; i++) unpackHalf(packed, start + 32 * i + 4 * row, out, at + 2 * i)
    for (let run = 0; run < runs; run++) {
      scales[run] = packed[start + scaleByte(run, row)]!
      minima[run] = packed[start + 2 + scaleByte(run, row)]!
    }
    writeScales(scales, minima, out, at + 4)
  },
}

/** Steps of the runs of a plain block: `steps[run]` = d * sc, `least[run]` = dmin * m. Both are exact in a float32. */
export function readSteps(plain: Uint8Array, at: number, steps: Float32Array, least: Float32Array): void {
  const [d, dmin] = [readHalf(plain, at), readHalf(plain, at + 2)]
  readScales(plain, at + 4, scales, minima)
  for (let run = 0; run < runs; run++) {
    steps[run] = d * scales[run]!
    least[run] = dmin * minima[run]!
  }
}

/** A block's head before it is written: d, dmin and the 6-bit numbers of its runs. */
export interface Head {
  d: number
  dmin: number
  readonly scales: Uint8Array
  readonly minima: Uint8Array
}

export const newHead = (): Head => ({ d: 0, dmin: 0, scales: new Uint8Array(runs), minima: new Uint8Array(runs) })

/** The 6-bit number whose multiple of `unit` is nearest. */
export const sixBits = (value: number, unit: number): number => (unit === 0 ? 0 : Math.min(63, Math.max(0, Math.round(value / unit))))

/** Writes the head of the plain block at `at`. d and dmin are binary16 values. */
export function writeHead({ d, dmin, scales: sc, minima: m }: Head, out: Uint8Array, at: number): void {
  writeHalf(d, out, at)
  writeHalf(dmin, out, at + 2)
  writeScales(sc, m, out, at + 4)
}
