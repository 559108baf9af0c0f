// How loops read weights packed in groups of 8 rows (layout r8): one row of the table per storage format, each with the
// blocks' shape, the multiply-add of one block against f32 activations and, for block formats, against 8-bit activations.
// Byte layouts are those of compiler/formats.

import { run4, run5, run6 } from '../formats/run-rows.ts'
import type { Operand } from '../kernel/types.ts'
import { type Emitter, ops } from './build-loops.ts'
import type { LoopExpr } from './loops.ts'
import { denseFormats } from './packed-dense.ts'
import { runBlocks } from './packed-runs.ts'
import { signedBytes } from './packed-signed.ts'
import type { PackedFormat } from './packed-words.ts'
import { runQuants } from './run-quants.ts'
import { runScales } from './run-scales.ts'

const [nibbles, fives, sixes] = [runQuants(run4), runQuants(run5), runQuants(run6)]

/** Weight formats by name. */
const packedFormats: Readonly<Record<string, PackedFormat>> = {
  ...denseFormats,
  q8_0: signedBytes,
  q4_0: runBlocks(nibbles, runScales.scaleOnly(8)),
  q4_1: runBlocks(nibbles, runScales.scaleAndMinimum),
  q5_0: runBlocks(fives, runScales.scaleOnly(16)),
  q5_1: runBlocks(fives, runScales.scaleAndMinimum),
  q4_k: runBlocks(nibbles, runScales.sixBitScales),
  q5_k: runBlocks(fives, runScales.sixBitScales),
  q6_k: runBlocks(sixes, runScales.byteScales),
}

export function packedFormat(name: string): PackedFormat {
  const format = packedFormats[name]
  if (!format) throw new Error(`internal: no loops for the weight format ${name}`)
  return format
}

/** One element of a packed matrix as f32: for embedding rows and shapes that no vector schedule takes. */
export function loadElement(operand: Operand, index: number, place: { row: LoopExpr; column: LoopExpr }, emitter: Emitter): LoopExpr {
  const format = packedFormat(operand.format)
  const row = emitter.value('row', place.row)
  const column = emitter.value('column', place.column)
  const blocks = operand.matrix!.k / format.k
  const group = ops.mul(ops.shr_u(row, 3), blocks * format.words)
  const shift = Math.log2(format.k)
  const block = emitter.value('block', ops.add(group, ops.mul(ops.shr_u(column, shift), format.words)))
  return format.element(index, block, ops.and(row, 7), ops.and(column, format.k - 1), emitter)
}
