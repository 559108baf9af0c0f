// Emission of one kernel: a loop function becomes a wasm function whose parameters are the byte address of every operand
// (scratch included; i64 in a wide module), then `from` and `to` where it has rows, then its entry symbols; all i32, no result. Addresses may be any
// multiple of 4; a negative word index is possible only above the operand's start, so no operand may lie at address 0.

import type binaryen from 'binaryen'
import type { LoopFunction } from '../../schedule/loops.ts'
import { type EmitOptions, FunctionEmitter, symbolName } from './functions.ts'
import { mathOf } from './math.ts'

/** Adds `fn` under its own name. The function must have passed verify-loops and be written for one invocation. */
export function emitKernel(module: binaryen.Module, fn: LoopFunction, options: EmitOptions): void {
  const names = [...(fn.rows ? ['from', 'to'] : []), ...fn.symbols]
  const params = names.map((name) => ({ name: symbolName(name), type: 'i32' as const }))
  new FunctionEmitter(module, options, fn.operands, params, mathOf(module, options.relaxed)).add(fn.name, fn.body)
}
