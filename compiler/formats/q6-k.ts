// q6_k: 256 values of 6 bits, 16 groups of 16 with an i8 scale each, and one f16 d (210 bytes); value = (q - 32) * sc * d. Plain:
// for each half n of 128 values (runs 4n .. 4n+3) the low four bits in 64 bytes, byte i = q[i] | q[64+i] << 4; then for each half
// the high two bits in 32 bytes, bits 2r, 2r+1 of byte i being those of value i of run r; then 16 scales, then d.
// r8 (1696 bytes): d of rows 0..7 as f32; for each pair of runs the scales of its four groups as a word of each row; then 8 runs of
// 6 bits (run-rows.ts).

import { packHalf, unpackHalf } from './half-rows.ts'
import { readHalf, writeHalf } from './halves.ts'
import { runFormat, runLength } from './run-blocks.ts'
import { run6 } from './run-rows.ts'
import { asItIs, errorOf, extremeOf, fitScale, halfOf, loadRun, writeQuants } from './search.ts'

const values = 256
const [highAt, scalesAt, scaleAt] = [128, 192, 208]
const bytes = 210
const groups = 16
const groupLength = 16
const quants = new Uint8Array(runLength)
const upperHalf = quants.subarray(groupLength)
const signed = (byte: number): number => (byte << 24) >> 24

/** First low byte of a run, and whether its nibbles are the high ones. */
const lowAt = (run: number): number => (run >> 2) * 64 + (run & 1) * 32
const isUpper = (run: number): boolean => (run & 2) !== 0

function readRun(plain: Uint8Array, at: number, run: number, into: Uint8Array): void {
  const [low, high] = [at + lowAt(run), at + highAt + (run >> 2) * 32]
  for (let i = 0; i < runLength; i++) {
    const nibble = isUpper(run) ? plain[low + i]! >> 4 : plain[low + i]! & 15
    into[i] = nibble | (((plain[high + i]! >> (2 * (run & 3))) & 3) << 4)
  }
}

function writeRun(from: Uint8Array, run: number, out: Uint8Array, at: number): void {
  const [low, high] = [at + lowAt(run), at + highAt + (run >> 2) * 32]
  for (let i = 0; i < runLength; i++) {
    const top = (from[i]! >> 4) << (2 * (run & 3))
    out[low + i] = isUpper(run) ? out[low + i]! | (from[i]! << 4) : from[i]! & 15
    out[high + i] = (run & 3) === 0 ? top : out[high + i]! | top
  }
}

function decode(stored: Uint8Array, out: Float32Array): void {
  for (let b = 0, at = 0; b < out.length; b += values, at += bytes) {
    const d = readHalf(stored, at + scaleAt)
    for (let run = 0; run < 8; run++) {
      readRun(stored, at, run, quants)
      for (let i = 0; i < runLength; i++) {
        // d * sc is exact (11 + 8 bits); times 6 bits it is rounded once, to float32.
        const scale = signed(stored[at + scalesAt + 2 * run + (i >> 4)]!)
        out[b + run * runLength + i] = d * scale * (quants[i]! - 32)
      }
    }
  }
}

/** d and the i8 scales of a block's groups, before they are written. */
interface Scales {
  d: number
  readonly scales: Int8Array
}
const [searched, plain]: readonly Scales[] = [
  { d: 0, scales: new Int8Array(groups) },
  { d: 0, scales: new Int8Array(groups) },
]
const [fitSteps, plainSteps] = [new Float64Array(groups), new Float64Array(groups)]

/** The step of largest magnitude gets the scale `end`. */
function setUnit(of: Scales, steps: Float64Array, end: number): void {
  let extreme = 0
  for (const step of steps) if (Math.abs(step) > Math.abs(extreme)) extreme = step
  of.d = halfOf(extreme / end)
}

const scaleOf = (step: number, d: number): number => (d === 0 ? 0 : Math.min(127, Math.max(-128, Math.round(step / d))))

/** Chooses the loaded group's scale among the three nearest. Gives the error. */
function chooseScale(of: Scales, group: number, step: number): number {
  const nearest = scaleOf(step, of.d)
  let best = Number.POSITIVE_INFINITY
  for (let scale = Math.max(-128, nearest - 1); scale <= Math.min(127, nearest + 1); scale++) {
    const error = errorOf(of.d * scale, 0, -32, 31)
    if (error >= best) continue
    best = error
    of.scales[group] = scale
  }
  return best
}

/** Each group's step is searched for (search.ts), then its scale; a block that the plain rounding would make better is rounded so. */
function encode(given: Float32Array, out: Uint8Array, importance?: Float32Array): void {
  for (let b = 0, at = 0; b < given.length; b += values, at += bytes) {
    for (let group = 0; group < groups; group++) {
      loadRun(given, b + group * groupLength, groupLength, importance)
      plainSteps[group] = extremeOf() / -32
      fitSteps[group] = fitScale(-32, 31, asItIs)
    }
    setUnit(searched!, fitSteps, -128)
    setUnit(plain!, plainSteps, 127)
    let more = 0
    for (let group = 0; group < groups; group++) {
      loadRun(given, b + group * groupLength, groupLength, importance)
      plain!.scales[group] = scaleOf(plainSteps[group]!, plain!.d)
      more += chooseScale(searched!, group, fitSteps[group]!) - errorOf(plain!.d * plain!.scales[group]!, 0, -32, 31)
    }
    const { d, scales } = more <= 0 ? searched! : plain!
    writeHalf(d, out, at + scaleAt)
    for (let group = 0; group < groups; group++) out[at + scalesAt + group] = scales[group]!
    for (let run = 0; run < 8; run++) {
      for (let group = 2 * run; group < 2 * run + 2; group++) {
        loadRun(given, b + group * groupLength, groupLength, importance)
        writeQuants(d * scales[group]!, 0, -32, 31, group & 1 ? upperHalf : quants)
      }
      writeRun(quants, run, out, at)
    }
  }
}

/** Byte of group `group`'s scale in the packed words. */
const scaleByte = (group: number, row: number): number => 32 + (group >> 2) * 32 + 4 * row + (group & 3)

export const q6_k = runFormat({
  name: 'q6_k',
  values,
  bytes,
  headBytes: 32 + 128,
  rows: run6,
  packHead(plain, at, row, out, start) {
    packHalf(plain, at + scaleAt, out, start + 4 * row)
    for (let group = 0; group < groups; group++) out[start + scaleByte(group, row)] = plain[at + scalesAt + group]!
  },
  unpackHead(packed, start, row, out, at) {
    unpackHalf(packed, start + 4 * row, out, at + scaleAt)
    for (let group = 0; group < groups; group++) out[at + scalesAt + group] = packed[start + scaleByte(group, row)]!
  },
  readRun,
  writeRun,
  encode,
  decode,
})
