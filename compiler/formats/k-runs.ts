// What q4_k and q5_k do alike: decoding and quantising blocks of 8 runs with a scale and a minimum each (k-scales.ts).

import { readSteps, writeHead } from './k-scales.ts'
import { type RunBlocks, runLength } from './run-blocks.ts'
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

/** Quants of 0 … `most`, with the steps that the head keeps. */
export function encodeRuns({ values, bytes, writeRun }: Runs, most: number): Format['encode'] {
  return (given, out) => {
    for (let b = 0, at = 0; b < given.length; b += values, at += bytes) {
      writeHead(given, b, most, out, at)
      readSteps(out, at, steps, least)
      for (let run = 0; run < runs; run++) {
        const [step, low] = [steps[run]!, least[run]!]
        const base = b + run * runLength
        for (let i = 0; i < runLength; i++) {
          quants[i] = step === 0 ? 0 : Math.min(most, Math.max(0, Math.round((given[base + i]! + low) / step)))
        }
        writeRun(quants, run, out, at)
      }
    }
  }
}
