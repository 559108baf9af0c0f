// What a call has to do, and how fast a machine could be at best: the larger of the time that its bytes take to be read and of the time that
// its arithmetic takes at its peak. No program is faster; how near one comes is what `bench` measures.

import type { PlannedTarget } from '../../compiler/compile.ts'
import type { KernelProgram } from '../../compiler/kernel/program.ts'
import type { TargetName } from '../../compiler/targets/index.ts'
import type { ReadingEntry, Roles } from '../../runtime/roles.ts'
import type { Ceilings } from './ceilings.ts'
import { type Work, workOfCall } from './work.ts'

/** The work of one call that reads `tokens` ids from position `position` on. */
export interface CallWork extends Work {
  readonly entry: string
  readonly position: number
  readonly tokens: number
}

export interface TargetWork {
  readonly target: TargetName
  readonly calls: readonly CallWork[]
}

/** A full call of prefill at the start, and decode when the context is empty, at 511, and full. */
export function workOfTarget({ target, programs }: PlannedTarget, { prefill, decode }: Roles): TargetWork {
  const lastOf = (entry: ReadingEntry): number => {
    const start = entry.entry.symbols.find(({ name }) => name === 'start')
    return entry.positioned && start ? start.max : 0
  }
  const step = decode ?? prefill
  return {
    target,
    calls: [
      ...(prefill ? [workAt(programs, prefill, 0, prefill.most)] : []),
      ...(step ? [...new Set([0, Math.min(511, lastOf(step)), lastOf(step)])].map((position) => workAt(programs, step, position, 1)) : []),
    ],
  }
}

function workAt(programs: readonly KernelProgram[], reading: ReadingEntry, position: number, tokens: number): CallWork {
  const { entry, size, positioned } = reading
  const binding = {
    ...Object.fromEntries(entry.symbols.map(({ name, max }) => [name, max])),
    ...(size === undefined ? {} : { [size]: tokens }),
    ...(positioned ? { start: position } : {}),
  }
  const work = workOfCall(programs.find((one) => one.entry === entry.name)!, binding)
  return { entry: entry.name, position, tokens, ...work }
}

/** Tokens per second that a call cannot exceed on such a machine, and what bounds it. */
export function boundOf(
  { bytes, dots, madds, tokens }: CallWork,
  machine: Ceilings,
): { readonly rate: number; readonly by: 'memory' | 'arithmetic' } {
  const reading = bytes / (machine.readBytes * 1e9)
  const computing = dots / (machine.dot * 1e9) + madds / (machine.madd * 1e9)
  return { rate: tokens / Math.max(reading, computing), by: reading >= computing ? 'memory' : 'arithmetic' }
}
