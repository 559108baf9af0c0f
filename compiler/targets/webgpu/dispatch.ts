// One call for the planner: a loop function and the places of its operands become a WGSL module, the byte range of each
// binding and the workgroup counts: one row of WebgpuProgram's dispatch list. The caller keeps modules with equal text once.

import type { Bounds } from '../../../dsl/affine.ts'
import type { WebgpuProgram } from '../../../runtime/artifact/manifest.ts'
import type { LoopExpr, LoopFunction, LoopStmt } from '../../schedule/loops.ts'
import { type BoundRange, type OperandPlace, planBindings } from './bindings.ts'
import { type EmitOptions, emitKernel } from './emit.ts'
import { type Grid, gridSymbols, planGrid } from './grid.ts'

export interface EntryLayout {
  /** All symbols of the entry, in its order, with their bounds. */
  readonly symbols: readonly string[]
  readonly bounds: Bounds
  /** The buffer of kind 'uniform'. */
  readonly uniform: number
}

export interface PlannedDispatch {
  readonly wgsl: string
  readonly bindings: readonly BoundRange[]
  readonly workgroups: Grid
}

/** Plans and prints one kernel. `places[k]` tells where kernel operand k lies in `buffers` (WebgpuProgram.buffers). */
export function planDispatch(
  fn: LoopFunction,
  places: readonly OperandPlace[],
  buffers: WebgpuProgram['buffers'],
  entry: EntryLayout,
  options: EmitOptions = {},
): PlannedDispatch {
  const { workgroups, fold } = planGrid(fn.grid, entry.bounds)
  const needsUniform = usesSymbols(fn.body) || (fold !== undefined && gridSymbols(fold.total).length > 0)
  const { plan, ranges } = planBindings(fn, places, buffers, { symbols: entry.symbols, uniform: entry.uniform, needsUniform })
  const { wgsl } = emitKernel(fn, fold ? { ...plan, fold } : plan, options)
  return { wgsl, bindings: ranges, workgroups }
}

const readsSymbol = (e: LoopExpr): boolean =>
  e.kind === 'symbol' || (e.kind === 'load' && readsSymbol(e.at)) || (e.kind === 'op' && e.args.some(readsSymbol))

const usesSymbols = (body: readonly LoopStmt[]): boolean =>
  body.some((s) => {
    if (s.kind === 'let' || s.kind === 'set') return readsSymbol(s.value)
    if (s.kind === 'store') return readsSymbol(s.at) || readsSymbol(s.value)
    if (s.kind === 'loop') return readsSymbol(s.from) || readsSymbol(s.to) || usesSymbols(s.body)
    if (s.kind === 'if') return readsSymbol(s.condition) || usesSymbols(s.yes) || usesSymbols(s.no ?? [])
    return false
  })
