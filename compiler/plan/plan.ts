// What a target lowers: the entries as kernels with stored weights, their loops, and one arena that all entries share.

import type { EntryInfo } from '../../dsl/model.ts'
import { range } from '../../dsl/affine.ts'
import type { Kernel } from '../kernel/types.ts'
import type { KernelProgram } from '../kernel/program.ts'
import { kernelsOf } from '../kernel/weights.ts'
import { LlamacError } from '../../runtime/error.ts'
import { ScratchOverflow } from '../schedule/staged.ts'
import { verifyLoops } from '../schedule/verify-loops.ts'
import { schedule } from '../schedule/index.ts'
import type { LoopFunction } from '../schedule/loops.ts'
import type { Machine } from '../schedule/machine.ts'
import { type Arena, placeBuffers } from './arena.ts'
import type { Layout } from './layout.ts'
import { lifetimes } from './lifetimes.ts'

export interface EntryPlan {
  readonly info: EntryInfo
  readonly program: KernelProgram
  readonly arena: Arena
}

export interface Plan {
  readonly layout: Layout
  readonly entries: readonly EntryPlan[]
  /** Loops of each kernel, by the kernel's name. */
  readonly functions: ReadonlyMap<string, LoopFunction>
  readonly arenaBytes: number
}

/** E_SCRATCH when a kernel keeps more at once than the target has memory for. */
function scheduleFor(kernel: Kernel, machine: Machine, program: KernelProgram): LoopFunction {
  try {
    return schedule(kernel, machine, program.symbols)
  } catch (cause) {
    if (!(cause instanceof ScratchOverflow)) throw cause
    const kibibytes = (words: number): number => Math.ceil((words * 4) / 1024)
    throw new LlamacError('E_SCRATCH', `${cause.kernel} keeps ${kibibytes(cause.needed)} KiB at once (scores of one query over the whole context), the target has ${kibibytes(cause.available)} KiB: use a smaller --ctx`, { cause })
  }
}

const scratchWords = (fn: LoopFunction): number[] => fn.operands.flatMap(({ memory }) => (memory.kind === 'scratch' ? [memory.words] : []))

export function makePlan(
  layout: Layout,
  programs: readonly { readonly info: EntryInfo; readonly program: KernelProgram }[],
  machine: Machine,
): Plan {
  const functions = new Map<string, LoopFunction>()
  const entries = programs.map(({ info, program }): EntryPlan => {
    for (const kernel of kernelsOf(program.steps)) {
      const fn = scheduleFor(kernel, machine, program)
      verifyLoops(fn)
      functions.set(kernel.name, fn)
    }
    const args = info.arguments.flatMap((argument) =>
      argument.kind === 'tensor'
        ? [{ name: argument.name, bytes: argument.type.dims.reduce((product, dim) => product * range(dim, program.symbols).max, 4) }]
        : [])
    // Scratch lies in the arena where the machine has no memory of its own for it.
    const scratchOf = (kernel: Kernel): readonly number[] => (machine.rowBlocks ? scratchWords(functions.get(kernel.name)!) : [])
    return { info, program, arena: placeBuffers(lifetimes(program, args, scratchOf)) }
  })
  return { layout, entries, functions, arenaBytes: Math.max(0, ...entries.map(({ arena }) => arena.bytes)) }
}
