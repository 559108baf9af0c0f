// The general schedule: for every point of the outer axes, the definitions one after another, then the outputs. It serves maps,
// rows (norms, softmax) and attention (scores in scratch memory, then maximum, exponentials, sum and weighted sum),
// and whatever contract no other schedule takes.
//
// Outer axes are those that every reduction and every output runs over. A definition with further free axes gets scratch
// memory over them; one without becomes a local. With lanes, loops are written in vectors along an axis whose loads are
// contiguous: a free axis if there is one (no horizontal sums), else a reduced one. With threads, invocations stride over
// the free axes, or over the last reduced axis followed by a tree in scratch memory.

import * as affine from '../../dsl/affine.ts'
import type { AxisId, Kernel, KernelAxis } from '../kernel/types.ts'
import { a8 } from './activation-blocks.ts'
import { builtin, Emitter, ops } from './build-loops.ts'
import { axisOf, innerAxes, uses } from './definitions.ts'
import type { LoopFunction } from './loops.ts'
import type { Machine } from './machine.ts'
import { isContiguous, isInBlocks, kernelFunction, storeBlockAlong, storeOutput } from './outputs.ts'
import { overRows } from './rows.ts'
import { unflatten } from './affine-loops.ts'
import { Scope } from './scope.ts'
import { cannotWriteBlocks, emitDefinition, emitOutput, type Staged } from './stages.ts'

/** `alone`: no other kernel is in the launch, so that workgroups may have any size. */
export function scheduleStaged(kernel: Kernel, given: Machine, bounds: affine.Bounds, alone = false): LoopFunction {
  const machine = alone ? withMoreThreads(kernel, given, bounds) : given
  const scope = new Scope(kernel, new Emitter(), bounds)
  const reductions = kernel.definitions.filter((definition) => definition.over.length > 0)
  const common = commonAxes(kernel)
  if (reductions.length === 0 && machine.threads > 1) return scheduleFlat(kernel, given, scope)
  // A map keeps its contiguous axis inside, to be written in vectors; so does whatever writes blocks of 8 bits.
  const inBlocks = kernel.outputs.some((output) => isInBlocks(kernel, output))
  const keeps = inBlocks || (machine.lanes > 1 && reductions.length === 0)
  const lane = keeps ? common.findLast((axis) => kernel.outputs.some((output) => isContiguous(scope.index, output, axis.id))) : undefined
  const outer = common.filter((axis) => axis !== lane)
  const { slots, words } = assignScratch(kernel, outer, (axis) => affine.range(axis.extent, bounds).max)
  const base = kernel.operands.length
  const scratch = new Map([...slots].map(([definition, slot]) => [definition, base + slot] as const))
  const treeWords = machine.threads > 1 && reductions.length > 0 ? [machine.threads] : []
  const total = sum([...words, ...treeWords])
  if (total > machine.scratchWords) throw new ScratchOverflow(kernel.name, total, machine.scratchWords)
  const staged: Staged = { kernel, machine, scope, outer, scratch, tree: base + words.length }
  if (machine.threads > 1) return scheduleGroups(staged, [...words, ...treeWords], () => emitStages(staged))
  const rows = overRows(scope, outer, () => emitStages(staged))
  return kernelFunction(kernel, scope.emitter, { scratch: words, ...(rows ? { rows } : {}) })
}

/** Fewer numbers of a row than these are not worth an invocation more. */
const fewestEach = 4

/**
 * More invocations a workgroup where rows are few and long: a norm of one token is one workgroup, and what it has to wait for is memory,
 * once for each number that an invocation has of the row.
 */
function withMoreThreads(kernel: Kernel, machine: Machine, bounds: affine.Bounds): Machine {
  const extents = (ids: readonly AxisId[]): number =>
    ids.reduce((product, id) => product * affine.range(axisOf(kernel, id).extent, bounds).max, 1)
  const outer = commonAxes(kernel).map(({ id }) => id)
  const rows = extents(outer)
  const long = Math.max(
    ...kernel.definitions.map(({ over }) => extents(over.slice(-1))),
    ...kernel.outputs.map(({ axes }) => extents(axes.filter((id) => !outer.includes(id)))),
  )
  let { threads } = machine
  while (threads < machine.mostThreads && rows * threads < machine.busyThreads && fewestEach * 2 * threads <= long) threads *= 2
  return { ...machine, threads }
}

export const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

/** Axes that every reduction and every output runs over. */
export function commonAxes({ axes, definitions, outputs }: Kernel): KernelAxis[] {
  const spaces = [...definitions.filter(({ over }) => over.length > 0).map(({ free }) => free), ...outputs.map((output) => output.axes)]
  return axes.filter(({ id }) => spaces.every((space) => space.includes(id)))
}

/** A kernel needs more scratch memory than the target has; the caller makes a message of it. */
export class ScratchOverflow extends Error {
  readonly kernel: string
  readonly needed: number
  readonly available: number

  constructor(kernel: string, needed: number, available: number) {
    super(`internal: ${kernel} needs ${needed} words of scratch memory, there are ${available}`)
    this.kernel = kernel
    this.needed = needed
    this.available = available
  }
}

/** Threads without reductions: one invocation an element of the largest output space, or a block of it where it is made of those. */
function scheduleFlat(kernel: Kernel, machine: Machine, scope: Scope): LoopFunction {
  const e = scope.emitter
  const block = kernel.outputs.find((output) => isInBlocks(kernel, output))
  const lane = block && kernel.axes.find(({ id }) => isContiguous(scope.index, block, id))
  if (
    block &&
    (!lane ||
      lane.extent.const % a8.k !== 0 ||
      kernel.outputs.length > 1 ||
      (block.guard && kernel.operands[block.operand]!.format === 's8'))
  )
    return cannotWriteBlocks(kernel)
  const axes = kernel.axes
    .filter((axis) => kernel.outputs.some((output) => output.axes.includes(axis.id)))
    .map((axis) => (axis === lane ? { ...axis, extent: affine.constant(axis.extent.const / a8.k) } : axis))
  const fixed = axes.filter((axis) => affine.isConstant(axis.extent))
  const moving = axes.filter((axis) => !affine.isConstant(axis.extent))
  if (moving.length > 2) throw new Error(`internal: ${kernel.name} has more symbolic axes than a grid has dimensions`)
  const count = fixed.reduce((product, axis) => product * axis.extent.const, 1)
  const flat = e.value('flat', ops.add(ops.mul(builtin('group_x'), machine.threads), builtin('invocation')))
  e.if(ops.lt(flat, count), () => {
    const at = unflatten(e, flat, fixed)
    for (const [i, axis] of moving.entries()) at.push([axis.id, builtin(i === 0 ? 'group_y' : 'group_z')])
    scope.at(
      at.map(([id, value]) => [id, id === lane?.id ? ops.mul(value, a8.k) : value] as const),
      () => {
        if (block) storeBlockAlong(scope, block, lane!.id)
        else for (const output of kernel.outputs) storeOutput(scope, output)
      },
    )
  })
  const x = [{ size: affine.constant(count), divisor: machine.threads }]
  return kernelFunction(kernel, e, { workgroup: machine.threads, grid: [x, ...moving.map((axis) => [{ size: axis.extent, divisor: 1 }])] })
}

/** Threads with reductions: one workgroup a point of the outer axes. */
export function scheduleGroups(staged: Staged, words: readonly number[], body: () => void): LoopFunction {
  const { kernel, machine, scope, outer } = staged
  const e = scope.emitter
  const fixed = outer.filter((axis) => affine.isConstant(axis.extent))
  const moving = outer.filter((axis) => !affine.isConstant(axis.extent))
  if (moving.length > 2) throw new Error(`internal: ${kernel.name} has more symbolic axes than a grid has dimensions`)
  const at = unflatten(e, builtin('group_x'), fixed)
  for (const [i, axis] of moving.entries()) at.push([axis.id, builtin(i === 0 ? 'group_y' : 'group_z')])
  scope.at(at, body)
  const one = (axes: readonly KernelAxis[]) => axes.map((axis) => ({ size: axis.extent, divisor: 1 }))
  return kernelFunction(kernel, e, { workgroup: machine.threads, grid: [one(fixed), ...moving.map((axis) => one([axis]))], scratch: words })
}

/**
 * Scratch slots: a definition over inner axes takes a slot of its own, or the slot of a value with the same axes that it reads
 * point by point and nobody reads later.
 */
export function assignScratch(
  kernel: Kernel,
  outer: readonly KernelAxis[],
  extentOf: (axis: KernelAxis) => number,
): { slots: Map<number, number>; words: number[] } {
  const slots = new Map<number, number>()
  const words: number[] = []
  const lastUse = new Map<number, number>()
  for (const [id, definition] of kernel.definitions.entries()) for (const used of uses(definition.body)) lastUse.set(used, id)
  for (const output of kernel.outputs) {
    for (const used of [...uses(output.value), ...(output.guard ? uses(output.guard) : [])]) lastUse.set(used, Number.POSITIVE_INFINITY)
  }
  for (const [id, definition] of kernel.definitions.entries()) {
    const inner = innerAxes(definition, outer)
    if (inner.length === 0) continue
    const reusable =
      definition.over.length > 0
        ? undefined
        : [...uses(definition.body)].find(
            (used) => slots.has(used) && lastUse.get(used) === id && innerAxes(kernel.definitions[used]!, outer).join() === inner.join(),
          )
    if (reusable !== undefined) {
      slots.set(id, slots.get(reusable)!)
      continue
    }
    slots.set(id, words.length)
    words.push(inner.reduce((product, axis) => product * extentOf(axisOf(kernel, axis)), 1))
  }
  return { slots, words }
}

function emitStages(staged: Staged): void {
  const { kernel, scope } = staged
  for (const id of kernel.definitions.keys()) emitDefinition(staged, id)
  for (const output of kernel.outputs) emitOutput(staged, output)
  for (const id of kernel.definitions.keys()) scope.places.delete(id)
}
