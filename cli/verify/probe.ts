// Kernels of an artifact's own program on the real device, one launch at a time, in memory that the caller fills. Two ways: a
// launch alone, on given operands, shows whether the kernel computes right; everything up to a launch, on an entry's arguments
// and states, shows whether it finds what was meant for it (a plan that lets values overlap, a missing barrier).

import type { Binding } from '../../dsl/affine.ts'
import type { Frame } from '../../compiler/graph/paths.ts'
import { fillSource, type Launch, launchesOf } from '../../compiler/kernel/launches.ts'
import { type KernelProgram, sourceKey } from '../../compiler/kernel/program.ts'
import type { Operand } from '../../compiler/kernel/types.ts'
import { argumentKey, valueKey } from '../../compiler/plan/lifetimes.ts'
import type { EntryPlan } from '../../compiler/plan/plan.ts'

export type ProbeMode = 'alone' | 'up to'

export interface KernelProbe {
  /**
   * Puts words in place, by source key, runs, and gives the words of what the launch writes, by source key. `inputs` must hold
   * what `needed` lists.
   */
  run(entry: string, launch: number, symbols: Binding, inputs: ReadonlyMap<string, Int32Array>): Promise<ReadonlyMap<string, Int32Array>>
  dispose(): void
}

/** An operand with concrete paths. */
const filled = (operand: Operand, frames: readonly Frame[]): Operand => ({ ...operand, source: fillSource(operand.source, frames) })

const once = (operands: readonly Operand[]): Operand[] => [
  ...new Map(operands.map((operand) => [sourceKey(operand.source), operand])).values(),
]

/** What can be put in place: all but weights and tables, which the device has. */
const isPlaced = ({ source }: Operand): boolean => source.kind !== 'weight' && source.kind !== 'constant'

/** Operands that a launch reads or writes and that can be put in place, each once. */
export const placedOperands = ({ kernel, frames }: Launch): Operand[] =>
  once(kernel.operands.map((operand) => filled(operand, frames)).filter(isPlaced))

export const writtenOperands = ({ kernel, frames }: Launch): Operand[] =>
  once(kernel.operands.filter(({ access }) => access !== 'read').map((operand) => filled(operand, frames)))

/** What must be put in place before a run. */
export function neededOperands(program: KernelProgram, launch: number, mode: ProbeMode): Operand[] {
  const launches = launchesOf(program)
  if (mode === 'alone') return placedOperands(launches[launch]!)
  return once(
    launches
      .slice(0, launch + 1)
      .flatMap(placedOperands)
      .filter(({ source }) => source.kind === 'argument' || source.kind === 'state'),
  )
}

/** Offset in the arena of a value or argument. */
export function arenaOffset({ arena, info }: EntryPlan, { source }: Operand): number {
  const key = source.kind === 'value' ? valueKey(source.id) : source.kind === 'argument' ? argumentKey(source.name) : undefined
  const offset = key === undefined ? undefined : arena.offsets.get(key)
  if (offset === undefined) throw new Error(`internal: ${info.name} has no place for ${sourceKey(source)}`)
  return offset
}
