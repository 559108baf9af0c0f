// What q4_k and q5_k do alike: decoding and quantising blocks of 8 runs with a scale and a minimum each (k-scales.ts).

import { type Head, newHead, readSteps, sixBits, writeHead } from './k-scales.ts'
import { type RunBlocks, runLength } from './run-blocks.ts'
import { errorOf, fitLine, fitMin, halfOf, type Line, loadRun, plainLine, writeQuants } from './search.ts'
import type { Format } from './types.ts'

const runs = 8
const quants = new Uint8Array(runLength)
const [steps, least] = [new Float32Array(runs), new Float32Array(runs)]

type Runs = Pick<RunBlocks, 'bytes' | 'values' | 'readRun' | 'writeRun'>

/** value = step * q - least: both products are exact, the difference is rounded once to float32, as in ggml. */
export function decodeRuns({ values, bytes, readRun }: Runs): Format['decode'] {
  return (stored, out) => {
    for (let b = 0, at = 0; b < out.length; b += values, at += bytes) {
      readSteps(stored, at, steps, least)
      for (let run = 0; run < runs; run++) {
        readRun(stored, at, run, quants)
        const base = b + run * runLength
        for (let i = 0; i < runLength; i++) out[base + i] = steps[run]! * quants[i]! - least[run]!
      }
    }
  }
}

const line: Line = { scale: 0, min: 0 }
const [searched, plain] = [newHead(), newHead()]

/** Gives a head the units that hold its largest step and minimum. */
function setUnits(head: Head, someSteps: Float64Array, someLeast: Float64Array): void {
  let step = 0
  let low = 0
  for (let run = 0; run < runs; run++) {
    step = Math.max(step, someSteps[run]!)
    low = Math.max(low, someLeast[run]!)
  }
  head.d = halfOf(step / 63)
  head.dmin = halfOf(low / 63)
}

/** Chooses the loaded run's 6-bit scale, with the minimum that suits it, among the nearest three. Gives the error. */
function chooseSteps(head: Head, run: number, step: number, low: number, most: number): number {
  const nearest = sixBits(step, head.d)
  let best = Number.POSITIVE_INFINITY
  for (let scale = Math.max(0, nearest - 1); scale <= Math.min(63, nearest + 1); scale++) {
    const rounded = head.d * scale
    const minimum = sixBits(-fitMin(rounded, -low, most), head.dmin)
    const error = errorOf(rounded, -head.dmin * minimum, 0, most)
    if (error >= best) continue
    best = error
    head.scales[run] = scale
    head.minima[run] = minimum
  }
  return best
}

/**
 * Quants of 0 … `most`. Each run's step and minimum are searched for on their own (search.ts), then among the 6-bit numbers around
 * them; a block that the plain rounding (each run's range, divided evenly) would make better is rounded so.
 */
export function encodeRuns({ values, bytes, writeRun }: Runs, most: number): Format['encode'] {
  const [fitSteps, fitLeast] = [new Float64Array(runs), new Float64Array(runs)]
  const [plainSteps, plainLeast] = [new Float64Array(runs), new Float64Array(runs)]
  return (given, out, importance) => {
    for (let b = 0, at = 0; b < given.length; b += values, at += bytes) {
      for (let run = 0; run < runs; run++) {
        loadRun(given, b + run * runLength, runLength, importance)
        plainLine(most, true, line)
        plainSteps[run] = line.scale
        plainLeast[run] = -line.min
        fitLine(most, true, line)
        fitSteps[run] = line.scale
        fitLeast[run] = -line.min
      }
      setUnits(searched, fitSteps, fitLeast)
      setUnits(plain, plainSteps, plainLeast)
      let more = 0
      for (let run = 0; run < runs; run++) {
        loadRun(given, b + run * runLength, runLength, importance)
        plain.scales[run] = sixBits(plainSteps[run]!, plain.d)
        plain.minima[run] = sixBits(plainLeast[run]!, plain.dmin)
        more +=
          chooseSteps(searched, run, fitSteps[run]!, fitLeast[run]!, most) -
          errorOf(plain.d * plain.scales[run]!, -plain.dmin * plain.minima[run]!, 0, most)
      }
      const head = more <= 0 ? searched : plain
      writeHead(head, out, at)
      for (let run = 0; run < runs; run++) {
        loadRun(given, b + run * runLength, runLength, importance)
        writeQuants(head.d * head.scales[run]!, -head.dmin * head.minima[run]!, 0, most, quants)
        writeRun(quants, run, out, at)
      }
    }
  }
}
