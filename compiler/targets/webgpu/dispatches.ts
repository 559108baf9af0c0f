// The dispatches of a step: kernels of one launch share as few as bindings allow, since each costs time of the CPU and a wait on the
// GPU. A kernel of a weight that was cut for its size keeps its own: its module serves all parts.

import { type KernelStep, sourceKey } from '../../kernel/program.ts'
import type { Kernel } from '../../kernel/types.ts'
import { canJoin, joinLaunch } from '../../schedule/join-launch.ts'
import { type LoopFunction, partsOf } from '../../schedule/loops.ts'
import { hasStatement } from '../../schedule/walk-loops.ts'
import { scratchKey } from '../../plan/lifetimes.ts'
import { guaranteed } from './bindings.ts'

export interface DispatchPart {
  /** Its operands are those of the kernels, one after the other, then what its parts share. */
  readonly fn: LoopFunction
  /** What does the same by subgroups, where there is something to exchange. */
  readonly subgroups?: LoopFunction | undefined
  readonly kernels: readonly Kernel[]
  /** Scratch memory in the arena, by key. */
  readonly shared: readonly { readonly key: string; readonly bytes: number }[]
  /** It joins what the dispatch before it left there. */
  readonly joins: boolean
}

/** Storage bindings: all that lies in the arena is one. */
const storageOf = (kernels: readonly Kernel[]): number =>
  new Set(
    kernels.flatMap(({ operands }) =>
      operands.map(({ source }) => (source.kind === 'value' || source.kind === 'argument' ? 'arena' : sourceKey(source))),
    ),
  ).size

const isCut = ({ operands }: Kernel): boolean => operands.some(({ source }) => source.kind === 'weight' && source.rows !== undefined)

type Functions = ReadonlyMap<string, LoopFunction>
type KernelsStep = Exclude<KernelStep, { kind: 'loop' }>

/**
 * The dispatches of a step; instances of a loop are given the same ones. `functions`: the loops of every kernel, by name; `others`: those
 * for a machine with subgroups.
 */
export function dispatcher(functions: Functions, others?: Functions): (step: KernelsStep) => readonly DispatchPart[] {
  const known = new Map<KernelsStep, readonly DispatchPart[]>()
  return (step) => {
    const parts = known.get(step) ?? (others ? withSubgroups(step, functions, others) : dispatchesOf(step, functions))
    known.set(step, parts)
    return parts
  }
}

/** All that the dispatch list says of a function. */
const launchOf = ({ workgroup, grid, operands, symbols }: LoopFunction): string =>
  JSON.stringify([workgroup, grid, symbols, operands.filter(({ memory }) => memory.kind === 'buffer')])

function withSubgroups(step: KernelsStep, functions: Functions, others: Functions): readonly DispatchPart[] {
  const second = dispatchesOf(step, others)
  return dispatchesOf(step, functions).map((part, i) => {
    const { fn } = second[i]!
    if (launchOf(fn) !== launchOf(part.fn)) throw new Error(`internal: ${fn.name} is not launched alike with and without subgroups`)
    return exchanges(fn) ? { ...part, subgroups: fn } : part
  })
}

const exchanges = ({ body }: LoopFunction): boolean => hasStatement(body, ({ kind }) => kind === 'subgroup')

function dispatchesOf(step: KernelsStep, functions: Functions): readonly DispatchPart[] {
  const kernels = step.kind === 'kernel' ? [step.kernel] : step.kernels
  const fnOf = ({ name }: Kernel): LoopFunction => functions.get(name)!
  const groups: Kernel[][] = []
  for (const kernel of kernels) {
    const group = groups.find((others) => {
      const all = [...others, kernel]
      return storageOf(all) <= guaranteed.storageBuffers && !all.some(isCut) && canJoin(all.map(fnOf))
    })
    if (group) group.push(kernel)
    else groups.push([kernel])
  }
  return groups.flatMap((group): DispatchPart[] =>
    group.length > 1
      ? [{ fn: joinLaunch(group.map(fnOf)), kernels: group, shared: [], joins: false }]
      : partsOf(fnOf(group[0]!)).map((fn, part) => withShared(fn, group[0]!, part > 0)),
  )
}

/** Scratch memory that a second function finds is memory like any other. */
function withShared(fn: LoopFunction, kernel: Kernel, joins: boolean): DispatchPart {
  const shared: { key: string; bytes: number }[] = []
  let place = 0
  const operands = fn.operands.map((operand) => {
    const { memory } = operand
    if (memory.kind !== 'scratch') return operand
    const key = scratchKey(kernel.name, place++)
    if (!memory.shared) return operand
    const number = kernel.operands.length + shared.push({ key, bytes: memory.words * 4 }) - 1
    return { ...operand, memory: { kind: 'buffer' as const, operand: number } }
  })
  return { fn: { ...fn, operands }, kernels: [kernel], shared, joins }
}

/** For each kernel in the order in which they run, loops unrolled: the dispatches that compute it, from … to - 1. */
export function dispatchPlaces(steps: readonly KernelStep[], functions: Functions): { readonly from: number; readonly to: number }[] {
  const places: { readonly from: number; readonly to: number }[] = []
  const partsOfStep = dispatcher(functions)
  let next = 0
  const visit = (list: readonly KernelStep[]): void => {
    for (const step of list) {
      if (step.kind === 'loop') {
        for (const group of step.order) visit(step.groups[group]!)
        continue
      }
      const parts = partsOfStep(step).map(({ kernels }, i) => ({ kernels, number: next + i }))
      next += parts.length
      for (const kernel of step.kind === 'kernel' ? [step.kernel] : step.kernels) {
        const own = parts.filter(({ kernels }) => kernels.includes(kernel)).map(({ number }) => number)
        places.push({ from: own[0]!, to: own.at(-1)! + 1 })
      }
    }
  }
  visit(steps)
  return places
}
