// What must hold of barriers: between two of them, no byte that one thread may write is read or written by another. The check
// walks the steps in the order in which they run, every instance of a loop one after the other with its own states, and keeps
// what was touched since the last barrier. Within one step: 'split' threads write rows of their own, so a byte that the
// step writes may belong to no other operand of it; a step of 'each' writes nothing that is shared. Two steps of thread 0
// alone follow each other anyway. Memory that every thread has for itself is not listed.

import type { Share } from './share.ts'

/** Bytes [from, to) of a memory that all threads share: the arena, or a state (`layers[*].keys` in the body of a loop). */
export interface Touch {
  readonly memory: string
  readonly from: number
  readonly to: number
  readonly write: boolean
  /** In a loop's body, where each instance has a range of its own: where that begins; as long as the one above. */
  readonly starts?: readonly number[]
}

export type SharedStep =
  | { readonly kind: 'kernel'; readonly name: string; readonly share: Share; readonly touches: readonly Touch[] }
  | { readonly kind: 'loop'; readonly order: readonly number[]; readonly groups: readonly (readonly SharedStep[])[] }

export type KernelTouches = Extract<SharedStep, { kind: 'kernel' }>

const clash = (a: Touch, b: Touch): boolean => a.memory === b.memory && (a.write || b.write) && a.from < b.to && b.from < a.to

/** Whether threads may run `a` and `b` at once and meet in a byte that one of them writes. */
export const stepsClash = (a: KernelTouches, b: KernelTouches): boolean =>
  !(a.share === 'one' && b.share === 'one') && a.touches.some((x) => b.touches.some((y) => clash(x, y)))

/** The step as one instance of its loop runs it, but for the paths of states. */
export const ofInstance = (step: KernelTouches, instance: number): KernelTouches =>
  step.touches.some(({ starts }) => starts)
    ? {
        ...step,
        touches: step.touches.map(({ starts, ...touch }) =>
          starts ? { ...touch, from: starts[instance]!, to: starts[instance]! + touch.to - touch.from } : touch,
        ),
      }
    : step

/** The first race as text, or undefined. `barriers`: names of the kernels before which all threads meet. */
export function findRace(steps: readonly SharedStep[], barriers: ReadonlySet<string>): string | undefined {
  let since: KernelTouches[] = []
  const visit = (list: readonly SharedStep[], instance: number | undefined): string | undefined => {
    for (const step of list) {
      if (step.kind === 'loop') {
        for (const [i, group] of step.order.entries()) {
          const race = visit(step.groups[group]!, i)
          if (race) return race
        }
        continue
      }
      const here = instance === undefined ? step : inStates(ofInstance(step, instance), instance)
      const alone = raceInside(here)
      if (alone) return alone
      if (barriers.has(step.name)) since = []
      const other = since.find((before) => stepsClash(before, here))
      if (other)
        return `${step.name}${instance === undefined ? '' : ` of instance ${instance}`} may meet ${other.name} in memory that one of them writes`
      since.push(here)
    }
    return undefined
  }
  return visit(steps, undefined)
}

const inStates = (step: KernelTouches, instance: number): KernelTouches => ({
  ...step,
  touches: step.touches.map((touch) => ({ ...touch, memory: touch.memory.replace('[*]', `[${instance}]`) })),
})

function raceInside({ name, share, touches }: KernelTouches): string | undefined {
  if (share === 'each' && touches.some(({ write }) => write)) return `every thread would write the shared output of ${name}`
  if (share !== 'split') return undefined
  for (const [i, a] of touches.entries()) {
    for (const b of touches.slice(i + 1)) {
      // In place: rows of the same operand, each read and written by one thread.
      if (clash(a, b) && (a.from !== b.from || a.to !== b.to)) return `operands of ${name} overlap`
    }
  }
  return undefined
}
