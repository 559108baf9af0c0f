// What a call has to do, and how fast a machine could be at best: the larger of the time that its bytes take to be read and of the time that
// its arithmetic takes at its peak. No program is faster; how near one comes is what `bench` measures. Devices that are not at hand
// are those of the cost model, which counts launches and idle parts too.

import type { PlannedTarget } from '../../compiler/compile.ts'
import {
  callCost,
  costsOf,
  type CallCost,
  describedDevices,
  type DescribedDevice,
  type DispatchCost,
  sustained,
} from '../../compiler/cost-model.ts'
import { eachKernel, type TargetName, targets } from '../../compiler/targets/index.ts'
import type { ReadingEntry, Roles } from '../../runtime/roles.ts'
import type { Ceilings } from './ceilings.ts'
import { noWork, sumWork, timesWork, type Work } from '../../compiler/kernel/work.ts'

/** The work of one call that reads `tokens` ids from position `position` on. */
export interface CallWork extends Work {
  readonly entry: string
  readonly position: number
  readonly tokens: number
  /** Of the call, those of a loop's instances together. */
  readonly dispatches: readonly DispatchCost[]
}

export interface TargetWork {
  readonly target: TargetName
  readonly calls: readonly CallWork[]
}

/** A full call of prefill at the start, and decode when the context is empty, at 511, and full. */
export function workOfTarget({ target, programs, plan }: PlannedTarget, { prefill, decode }: Roles): TargetWork {
  const lastOf = (entry: ReadingEntry): number => {
    const start = entry.entry.symbols.find(({ name }) => name === 'start')
    return entry.positioned && start ? start.max : 0
  }
  const partsOf = (targets[target].dispatches ?? eachKernel)(plan!.functions)
  const workAt = ({ entry, size, positioned }: ReadingEntry, position: number, tokens: number): CallWork => {
    const binding = {
      ...Object.fromEntries(entry.symbols.map(({ name, max }) => [name, max])),
      ...(size === undefined ? {} : { [size]: tokens }),
      ...(positioned ? { start: position } : {}),
    }
    const dispatches = costsOf(programs.find((one) => one.entry === entry.name)!, partsOf, binding, { withLoads: true })
    const work = dispatches.reduce((sum, one) => sumWork(sum, timesWork(one, one.launches)), noWork)
    return { entry: entry.name, position, tokens, dispatches, ...work }
  }
  const step = decode ?? prefill
  return {
    target,
    calls: [
      ...(prefill ? [workAt(prefill, 0, prefill.most)] : []),
      ...(step ? [...new Set([0, Math.min(511, lastOf(step)), lastOf(step)])].map((position) => workAt(step, position, 1)) : []),
    ],
  }
}

/** The calls of a target on the devices that are described for it; the longest dispatch as generated code may take it. */
export const onDevices = ({ target, calls }: TargetWork): { readonly device: DescribedDevice; readonly costs: readonly CallCost[] }[] =>
  describedDevices
    .filter((device) => device.target === target)
    .map((device) => ({
      device,
      costs: calls.map(({ dispatches }) => ({
        ...callCost(dispatches, device),
        longest: callCost(dispatches, device, sustained).longest,
      })),
    }))

/** Tokens per second that a call cannot exceed on such a machine, and what bounds it. */
export function boundOf(
  { bytes, dots, madds, tokens }: Pick<CallWork, 'bytes' | 'dots' | 'madds' | 'tokens'>,
  machine: Ceilings,
): { readonly rate: number; readonly by: 'memory' | 'arithmetic' } {
  const reading = bytes / (machine.readBytes * 1e9)
  const computing = dots / (machine.dot * 1e9) + madds / (machine.madd * 1e9)
  return { rate: tokens / Math.max(reading, computing), by: reading >= computing ? 'memory' : 'arithmetic' }
}
