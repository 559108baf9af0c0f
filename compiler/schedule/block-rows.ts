// Blocks of 8-bit activations of what needs a reduction for each number, where no contract takes it: a workgroup computes the 32 numbers
// of a block, an invocation each, into scratch memory; one rounds them.

import * as affine from '../../dsl/affine.ts'
import type { Kernel, KernelAxis } from '../kernel/types.ts'
import { a8 } from './activation-blocks.ts'
import { builtin, Emitter, load, ops } from './build-loops.ts'
import { innerAxes } from './definitions.ts'
import type { LoopFunction } from './loops.ts'
import type { Machine } from './machine.ts'
import { isContiguous, isInBlocks, storeDotBlock } from './outputs.ts'
import { Scope } from './scope.ts'
import { commonAxes, scheduleGroups } from './staged.ts'
import { emitDefinition, type Staged } from './stages.ts'

/** The schedule, or undefined where blocks have their reductions in common or none. */
export function scheduleBlockRows(kernel: Kernel, machine: Machine, bounds: affine.Bounds): LoopFunction | undefined {
  const [output] = kernel.outputs
  if (machine.threads === 1 || !output || !isInBlocks(kernel, output) || !kernel.definitions.some(({ over }) => over.length > 0))
    return undefined
  const scope = new Scope(kernel, new Emitter(), bounds)
  const common = commonAxes(kernel)
  const lane = common.find((axis) => isContiguous(scope.index, output, axis.id))
  if (!lane || lane.extent.const % a8.k !== 0 || common.length < output.axes.length) return undefined
  if (kernel.definitions.some((definition) => innerAxes(definition, common).length > 0)) return undefined
  const blocks: KernelAxis = { id: `${lane.id}_blocks`, extent: affine.constant(lane.extent.const / a8.k) }
  const e = scope.emitter
  const numbers = kernel.operands.length
  const alone: Staged = { kernel, machine: { ...machine, threads: 1 }, scope, outer: common, scratch: new Map(), tree: numbers }
  const outer = [...common.filter((axis) => axis !== lane), blocks]
  return scheduleGroups({ ...alone, machine, outer }, [a8.k], () => {
    const first = e.value('first', ops.mul(scope.axes.get(blocks.id)!, a8.k))
    e.loop('place', builtin('invocation'), a8.k, machine.threads, (place) =>
      scope.at([[lane.id, ops.add(first, place)]], () => {
        for (const id of kernel.definitions.keys()) emitDefinition(alone, id)
        e.store(numbers, place, scope.scalar(output.value))
        for (const id of kernel.definitions.keys()) scope.places.delete(id)
      }),
    )
    e.barrier()
    e.if(ops.eq(builtin('invocation'), 0), () =>
      scope.at([[lane.id, first]], () => storeDotBlock(scope, output, (place) => load('f32', numbers, place))),
    )
  })
}
