// Puts kernels that do not depend on each other into one launch, so that no barrier stands between them: dots with weights
// that share their activations (q, k, v), and maps over equal axes (the copies of a ring cache). A kernel joins the first
// launch of its kind before which all that it depends on has run.

import { show } from '../../dsl/affine.ts'
import { classify } from '../kernel/shape.ts'
import { distinct, sourceKey, type KernelProgram, type KernelStep } from '../kernel/program.ts'
import type { Kernel } from '../kernel/types.ts'

/** Kernels with equal keys may share a launch. */
function keyOf(kernel: Kernel): string | undefined {
  const shape = classify(kernel)
  const extents = (ids: readonly string[]): string => ids.map((id) => show(kernel.axes.find((axis) => axis.id === id)!.extent)).join()
  if (shape === 'map') return `map ${extents(kernel.axes.map((axis) => axis.id))}`
  if (shape !== 'contract') return undefined
  for (const { body, over } of kernel.definitions) {
    if (over.length === 0 || body.kind !== 'call') continue
    for (const arg of body.args) {
      const source = arg.kind === 'load' ? kernel.operands[arg.operand]!.source : undefined
      if (source && source.kind !== 'weight') return `dot ${sourceKey(source)} ${extents(over)}`
    }
  }
  return undefined
}

interface Slot {
  readonly key: string | undefined
  readonly members: number[]
}

function mergeList(steps: readonly KernelStep[]): KernelStep[] {
  const slots: Slot[] = []
  const slotOf: number[] = []
  steps.forEach((step, i) => {
    const key = step.kind === 'kernel' ? keyOf(step.kernel) : undefined
    const earliest = Math.max(-1, ...step.dependsOn.map((j) => slotOf[j]!)) + 1
    const join = key === undefined ? -1 : slots.findIndex((slot, place) => place >= earliest && slot.key === key)
    if (join >= 0) slots[join]!.members.push(i)
    slotOf[i] = join >= 0 ? join : slots.push({ key, members: [i] }) - 1
  })
  return slots.map(({ members }): KernelStep => {
    const parts = members.map((i) => steps[i]!)
    const dependsOn = [...new Set(parts.flatMap((step) => step.dependsOn.map((j) => slotOf[j]!)))].sort((a, b) => a - b)
    const first = parts[0]!
    if (first.kind === 'loop') return { ...first, groups: first.groups.map(mergeList), dependsOn }
    if (parts.length === 1) return { ...first, dependsOn }
    const kernels = parts.flatMap((step) => (step.kind === 'kernel' ? [step.kernel] : []))
    return {
      kind: 'launch',
      kernels,
      reads: distinct(parts.flatMap((step) => step.reads)),
      writes: distinct(parts.flatMap((step) => step.writes)),
      dependsOn,
    }
  })
}

/** The program with siblings merged into launches, in loops too. */
export const mergeSiblings = (program: KernelProgram): KernelProgram => ({ ...program, steps: mergeList(program.steps) })
