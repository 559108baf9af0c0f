// Kernel → loops: picks the schedule by what the kernel is. The order is the order of preference.

import { type Bounds, isConstant } from '../../dsl/affine.ts'
import type { Kernel } from '../kernel/types.ts'
import { scheduleAttend } from './attend.ts'
import { scheduleAttendGroup } from './attend-group.ts'
import { scheduleBlockRows } from './block-rows.ts'
import { Emitter } from './build-loops.ts'
import { planContract } from './contract-plan.ts'
import { scheduleContract } from './contract.ts'
import { scheduleContractGroup } from './contract-group.ts'
import { scheduleContractTile } from './contract-tile.ts'
import type { LoopFunction } from './loops.ts'
import type { Machine } from './machine.ts'
import { kernelFunction } from './outputs.ts'
import { scheduleSelect } from './select.ts'
import { ScratchOverflow, scheduleStaged } from './staged.ts'
import { scheduleTiled } from './tiled.ts'

/** Every output runs over an axis of size 0. */
const writesNothing = ({ axes, outputs }: Kernel): boolean =>
  outputs.every((output) => axes.some(({ id, extent }) => output.axes.includes(id) && isConstant(extent) && extent.const === 0))

/** The loops of one kernel on one machine; `bounds` are those of the entry's symbols, `together` the kernels of its launch. */
export function schedule(kernel: Kernel, machine: Machine, bounds: Bounds, together?: readonly Kernel[]): LoopFunction {
  if (kernel.select) return scheduleSelect(kernel, machine, bounds)
  if (writesNothing(kernel)) return kernelFunction(kernel, new Emitter(), {})
  const alone = together === undefined || together.length === 1
  const attend = machine.threads > 1 ? scheduleAttendGroup(kernel, machine, bounds, alone) : scheduleAttend(kernel, machine, bounds)
  if (attend) return attend
  const contract = planContract(kernel, bounds)
  if (contract && machine.threads > 1) {
    return (
      scheduleContractTile(kernel, contract, machine, bounds, together) ??
      scheduleContractGroup(kernel, contract, machine, bounds, together)
    )
  }
  if (contract) return scheduleContract(kernel, contract, machine, bounds)
  const blocks = scheduleBlockRows(kernel, machine, bounds)
  if (blocks) return blocks
  try {
    return scheduleStaged(kernel, machine, bounds, machine.threads > 1 && alone)
  } catch (cause) {
    const tiled = cause instanceof ScratchOverflow ? scheduleTiled(kernel, machine, bounds) : undefined
    if (tiled) return tiled
    throw cause
  }
}
