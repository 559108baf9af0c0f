// One call for the planner: a loop function and the places of its operands become a WGSL module, the byte range of each
// binding and the workgroup counts: one row of WebgpuProgram's dispatch list. The caller keeps modules with equal text once.

import type { Bounds } from '../../../dsl/affine.ts'
import type { WebgpuProgram } from '../../../runtime/artifact/manifest.ts'
import type { LoopFunction } from '../../schedule/loops.ts'
import { walkLoops } from '../../schedule/walk-loops.ts'
import {
  type BindingPlan,
  type BoundRange,
  leastOffsetsOf,
  movableOperands,
  movePlaces,
  type OperandPlace,
  planBindings,
} from './bindings.ts'
import { type EmitOptions, emitKernel } from './emit.ts'
import { type Grid, type GridFold, gridSymbols, planGrid } from './grid.ts'

export interface EntryLayout {
  /** All symbols of the entry, in its order, with their bounds. */
  readonly symbols: readonly string[]
  readonly bounds: Bounds
  /** The buffer of kind 'uniform'. */
  readonly uniform: number
}

export interface PlannedDispatch {
  /** The byte range of each binding; where places are moved, theirs comes behind them. */
  readonly bindings: readonly BoundRange[]
  readonly workgroups: Grid
  /** The module with the places of operands in it. */
  readonly wgsl: string
  /** Operands that may lie elsewhere under the same module, each with the first word that it touches in its binding. */
  readonly places: ReadonlyMap<number, number>
  /** The module with the places of these operands in a uniform: its fields are in the order of `places`. */
  moved(operands: ReadonlySet<number>): ModuleText
}

/** A module's text, and how else it may be written where a device has more to offer (ModuleForm), the best first. */
export type ModuleText = Pick<WebgpuProgram['modules'][number], 'wgsl' | 'forms'>

/** The same function for devices with subgroups, if it has another form there: launched alike, with operands at the same places. */
export interface Forms {
  readonly subgroups?: LoopFunction | undefined
  readonly emulated?: Emulated | undefined
}

/** For tests: forms are written for devices without the features that they require, with subgroups of this size. */
export interface Emulated {
  readonly subgroup: number
}

/** Plans and prints one kernel. `places[k]` tells where kernel operand k lies in `buffers` (WebgpuProgram.buffers). */
export function planDispatch(
  fn: LoopFunction,
  places: readonly OperandPlace[],
  buffers: WebgpuProgram['buffers'],
  entry: EntryLayout,
  options: EmitOptions = {},
  { subgroups, emulated }: Forms = {},
): PlannedDispatch {
  const { workgroups, fold } = planGrid(fn.grid, entry.bounds)
  const { plan, ranges } = planBindings(fn, places, buffers, { ...entry, needsUniform: readsSymbols(fn, fold) })
  const whole: BindingPlan = fold ? { ...plan, fold } : plan
  const least = leastOffsetsOf(fn)
  return {
    bindings: ranges,
    workgroups,
    places: new Map(movableOperands(fn, plan).map((operand) => [operand, plan.operands[operand]!.base + least[operand]!])),
    get wgsl() {
      return emitKernel(fn, whole, options).wgsl
    },
    moved(operands) {
      const at = movePlaces(whole, operands)
      const write = (one: LoopFunction, more: EmitOptions = {}): string => emitKernel(one, at, { ...options, ...more }).wgsl
      const f16 = emulated ? 'emulated' : 'native'
      const forms = [
        ...(subgroups ? [{ requires: ['shader-f16', 'subgroups'], wgsl: write(subgroups, { ...emulated, f16 }) }] : []),
        { requires: ['shader-f16'], wgsl: write(fn, { f16 }) },
        ...(subgroups ? [{ requires: ['subgroups'], wgsl: write(subgroups, { ...emulated }) }] : []),
      ]
      const wgsl = write(fn)
      const others = forms.filter((form, i) => form.wgsl !== wgsl && !forms.slice(i + 1).some((later) => later.wgsl === form.wgsl))
      return others.length > 0 ? { wgsl, forms: others } : { wgsl }
    },
  }
}

function readsSymbols({ body }: LoopFunction, fold: GridFold | undefined): boolean {
  let found = fold !== undefined && gridSymbols(fold.total).length > 0
  walkLoops(body, ({ kind }) => {
    found ||= kind === 'symbol'
  })
  return found
}
