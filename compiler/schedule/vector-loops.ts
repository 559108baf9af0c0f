// Loops along an axis in vectors: whole vectors, then what is left one by one.

import * as affine from '../../dsl/affine.ts'
import type { KernelAxis } from '../kernel/types.ts'
import { emitAffine } from './affine-loops.ts'
import { constant, ops } from './build-loops.ts'
import type { LoopExpr } from './loops.ts'
import type { Scope } from './scope.ts'

/** Loops over axes with the last one in vectors where `lane` says so: `body(true)` for four at once, `body(false)` for one. */
export function vectorLoop(scope: Scope, axis: KernelAxis, body: (lanes: boolean) => void): void {
  const e = scope.emitter
  const extent = emitAffine(axis.extent)
  const whole = affine.isConstant(axis.extent) && axis.extent.const % 4 === 0
  const full = whole ? extent : e.value('full', ops.mul(ops.shr_u(extent, 2), 4))
  e.loop(axis.id, 0, full, 4, (value) => scope.at([[axis.id, value]], () => body(true)))
  if (!whole) e.loop(axis.id, full, extent, 1, (value) => scope.at([[axis.id, value]], () => body(false)))
}

/** A single chain of additions waits for itself: four accumulators where the extent allows. */
export const chainsOf = (axis: KernelAxis): number =>
  affine.isConstant(axis.extent) ? ([4, 2].find((n) => axis.extent.const % (4 * n) === 0) ?? 1) : 1

export function chainLoop(
  scope: Scope,
  axis: KernelAxis,
  parts: readonly LoopExpr[],
  vector: (part: LoopExpr) => void,
  single: () => void,
): void {
  if (parts.length === 1) return vectorLoop(scope, axis, (lanes) => (lanes ? vector(parts[0]!) : single()))
  scope.emitter.loop(axis.id, 0, emitAffine(axis.extent), 4 * parts.length, (value) => {
    for (const [i, part] of parts.entries()) scope.at([[axis.id, ops.add(value, 4 * i)]], () => vector(part))
  })
}

/** Blocks of up to 4 vectors along an axis, then single vectors, then single elements. */
export function vectorBlocks(scope: Scope, axis: KernelAxis, block: (vectors: number) => void, single: () => void): void {
  const e = scope.emitter
  const extent = emitAffine(axis.extent)
  const known = affine.isConstant(axis.extent) ? axis.extent.const : undefined
  const end = (width: number): LoopExpr =>
    known === undefined ? e.value('end', ops.mul(ops.div(extent, width), width)) : constant('i32', known - (known % width))
  const [wide, whole] = [end(16), end(4)]
  e.loop(axis.id, 0, wide, 16, (value) => scope.at([[axis.id, value]], () => block(4)))
  e.loop(axis.id, wide, whole, 4, (value) => scope.at([[axis.id, value]], () => block(1)))
  e.loop(axis.id, whole, extent, 1, (value) => scope.at([[axis.id, value]], single))
}
