// A program's kernels in the order in which a device runs them, loops over instances unrolled: what tools walk that look at one
// kernel after the other (verification, times, traffic).

import { fillPath, type Frame } from '../graph/paths.ts'
import type { KernelProgram, KernelStep } from './program.ts'
import type { Kernel, OperandSource } from './types.ts'

export interface Launch {
  readonly kernel: Kernel
  /** The instances that it runs for, outermost first; empty outside of loops. */
  readonly frames: readonly Frame[]
}

/** The source with a concrete path; a kept value is named by a path too. */
export function fillSource<Source extends OperandSource>(source: Source, frames: readonly Frame[]): Source {
  if (frames.length === 0) return source
  if ('path' in source) return { ...source, path: fillPath(source.path, frames) }
  return source.kind === 'value' ? { ...source, id: fillPath(source.id, frames) } : source
}

/** Every launch of an entry, in order. */
export function launchesOf({ steps }: Pick<KernelProgram, 'steps'>): Launch[] {
  const launches: Launch[] = []
  const visit = (list: readonly KernelStep[], frames: readonly Frame[]): void => {
    for (const step of list) {
      if (step.kind === 'kernel') launches.push({ kernel: step.kernel, frames })
      else if (step.kind === 'launch') for (const kernel of step.kernels) launches.push({ kernel, frames })
      else {
        const array = fillPath(step.array, frames)
        for (const [index, group] of step.order.entries()) visit(step.groups[group]!, [...frames, { array, index }])
      }
    }
  }
  visit(steps, [])
  return launches
}
