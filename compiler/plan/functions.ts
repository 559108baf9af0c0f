// The loops of every kernel of a plan. Kernels share them where they differ in nothing but the places of their operands: entries have
// most of a layer in common (those that give the scores of one position or of all), and so have groups of instances (those that
// store one weight otherwise, or attend to a window). Code, and the time to make it, is for what differs.

import { LlamacError } from '../../runtime/error.ts'
import type { KernelProgram, KernelStep } from '../kernel/program.ts'
import type { Kernel } from '../kernel/types.ts'
import { schedule } from '../schedule/index.ts'
import { type LoopFunction, partsOf } from '../schedule/loops.ts'
import type { Machine } from '../schedule/machine.ts'
import { ScratchOverflow } from '../schedule/staged.ts'
import { verifyLoops } from '../schedule/verify-loops.ts'

/** By kernel name. A shared function has the name of its first kernel. Errors: E_SCRATCH. */
export function functionsOf(programs: readonly KernelProgram[], machine: Machine): ReadonlyMap<string, LoopFunction> {
  const functions = new Map<string, LoopFunction>()
  const shared = new Map<number, LoopFunction>()
  const numberOf = structureNumbers()
  const numbers = new Map<Kernel, number>()
  const numberOfKernel = (kernel: Kernel): number => {
    const number = numbers.get(kernel) ?? numberOf(withoutPlaces(kernel))
    numbers.set(kernel, number)
    return number
  }
  const visit = (steps: readonly KernelStep[], program: KernelProgram): void => {
    for (const step of steps) {
      if (step.kind === 'loop') {
        for (const group of step.groups) visit(group, program)
        continue
      }
      const together = step.kind === 'kernel' ? [step.kernel] : step.kernels
      for (const kernel of together) {
        const key = numberOf([...program.symbols, ...[kernel, ...(machine.rowBlocks ? [] : together)].map(numberOfKernel)])
        const fn = shared.get(key) ?? scheduleFor(kernel, machine, program, together)
        shared.set(key, fn)
        functions.set(kernel.name, fn)
      }
    }
  }
  for (const program of programs) visit(program.steps, program)
  return functions
}

/** What a schedule reads of a kernel, but for its name. */
const withoutPlaces = ({ axes, operands, definitions, outputs, select }: Kernel): unknown => ({
  axes,
  operands: operands.map(({ source: _, ...operand }) => operand),
  definitions,
  outputs,
  select: select ?? null,
})

/** Equal numbers for equal structures; parts that expressions share are visited once. */
function structureNumbers(): (value: unknown) => number {
  const numbers = new Map<string, number>()
  const known = new Map<object, number>()
  const numberOf = (value: unknown): number => {
    if (typeof value !== 'object' || value === null) return intern(Object.is(value, -0) ? '-0' : `${typeof value} ${String(value)}`)
    const before = known.get(value)
    if (before !== undefined) return before
    const parts = Array.isArray(value)
      ? value.map(numberOf)
      : Object.keys(value)
          .sort()
          .map((key) => `${key}:${numberOf((value as Record<string, unknown>)[key])}`)
    const number = intern(`${Array.isArray(value) ? '[' : '{'}${parts.join()}`)
    known.set(value, number)
    return number
  }
  const intern = (text: string): number => {
    const number = numbers.get(text) ?? numbers.size
    numbers.set(text, number)
    return number
  }
  return numberOf
}

/** E_SCRATCH when a kernel keeps more at once than the target has memory for. */
function scheduleFor(kernel: Kernel, machine: Machine, program: KernelProgram, together: readonly Kernel[]): LoopFunction {
  try {
    const fn = schedule(kernel, machine, program.symbols, together)
    partsOf(fn).forEach(verifyLoops)
    return fn
  } catch (cause) {
    if (!(cause instanceof ScratchOverflow)) throw cause
    const kibibytes = (words: number): number => Math.ceil((words * 4) / 1024)
    throw new LlamacError(
      'E_SCRATCH',
      `${cause.kernel} keeps ${kibibytes(cause.needed)} KiB at once (scores of one query over the whole context), the target has ${kibibytes(cause.available)} KiB: use a smaller --ctx`,
      { cause },
    )
  }
}
