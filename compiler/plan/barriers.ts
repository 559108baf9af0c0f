// Where the threads of a team must meet: before a kernel that touches memory which another thread may have written since the
// last meeting, or may still be reading while this kernel writes. Judged by bytes, so that a slot of the arena that two values
// use one after the other counts. The walk goes over every instance of a loop, so what the last step of a body leaves counts
// for the first step of the next one. Barriers that turn out to be needless are taken out again (plan/races.ts decides).

import { findRace, type KernelTouches, ofInstance, type SharedStep, stepsClash } from './races.ts'

/** Names of the kernels before which all threads meet. Throws `internal:` when no barrier can make the steps right. */
export function placeBarriers(steps: readonly SharedStep[]): ReadonlySet<string> {
  const barriers = new Set<string>()
  let since: KernelTouches[] = []
  const visit = (list: readonly SharedStep[], instance = 0): void => {
    for (const each of list) {
      if (each.kind === 'loop') {
        for (const [i, group] of each.order.entries()) visit(each.groups[group]!, i)
        continue
      }
      const step = ofInstance(each, instance)
      if (!barriers.has(step.name) && since.some((before) => stepsClash(before, step))) barriers.add(step.name)
      if (barriers.has(step.name)) since = []
      since.push(step)
    }
  }
  visit(steps)
  for (const name of [...barriers]) {
    barriers.delete(name)
    if (findRace(steps, barriers)) barriers.add(name)
  }
  const race = findRace(steps, barriers)
  if (race) throw new Error(`internal: ${race}`)
  return barriers
}
