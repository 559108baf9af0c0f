// One call for the planner: a loop function and the places of its operands become a WGSL module, the byte range of each
// binding and the workgroup counts: one row of WebgpuProgram's dispatch list. The caller keeps modules with equal text once.

import type { Bounds } from '../../../dsl/affine.ts'
import type { WebgpuProgram } from '../../../runtime/artifact/manifest.ts'
import type { LoopFunction } from '../../schedule/loops.ts'
import {
  type BindingPlan,
  type BoundRange,
  leastOffsetsOf,
  movableOperands,
  movePlaces,
  type OperandPlace,
  planBindings,
  readsSymbols,
} from './bindings.ts'
import { type EmitOptions, emitKernel, type TextForm } from './emit.ts'
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
  { form, ...options }: EmitOptions & { readonly form?: TextForm } = {},
  { subgroups, emulated }: Forms = {},
): PlannedDispatch {
  const { workgroups, fold } = planGrid(fn.grid, entry.bounds)
  const { plan, ranges } = planBindings(fn, places, buffers, { ...entry, needsUniform: readsSymbols(fn) || readsFold(fold) })
  const whole: BindingPlan = fold ? { ...plan, fold } : plan
  const least = leastOffsetsOf(fn)
  return {
    bindings: ranges,
    workgroups,
    places: new Map(movableOperands(fn, plan).map((operand) => [operand, plan.operands[operand]!.base + least[operand]!])),
    get wgsl() {
      return emitKernel(fn, whole, options).wgsl(form)
    },
    moved(operands) {
      const at = movePlaces(whole, operands)
      const plain = emitKernel(fn, at, options)
      const exchanging = subgroups && emitKernel(subgroups, at, { ...options, ...emulated })
      const f16 = emulated ? 'emulated' : 'native'
      // Who has the other features has packed dots too: what multiplies bytes has no form for those without.
      const needs = plain.dotsBytes ? [packedDots] : []
      const [inHalves, inFloats] = [{ f16, packedDots: !emulated }, { packedDots: !emulated }] as const
      const forms = [
        ...(exchanging?.readsHalves ? [{ requires: ['shader-f16', 'subgroups', ...needs], wgsl: exchanging.wgsl(inHalves) }] : []),
        ...(plain.readsHalves ? [{ requires: ['shader-f16', ...needs], wgsl: plain.wgsl(inHalves) }] : []),
        ...(exchanging ? [{ requires: ['subgroups', ...needs], wgsl: exchanging.wgsl(inFloats) }] : []),
        ...(plain.dotsBytes ? [{ requires: needs, wgsl: plain.wgsl(inFloats) }] : []),
      ]
      return forms.length > 0 ? { wgsl: plain.wgsl(), forms } : { wgsl: plain.wgsl() }
    },
  }
}

const readsFold = (fold: GridFold | undefined): boolean => fold !== undefined && gridSymbols(fold.total).length > 0

/** What WGSL calls its dot products of bytes, among features of the language. */
export const packedDots = 'packed_4x8_integer_dot_product'
