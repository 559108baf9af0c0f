// How subgroups are written: WGSL's own operations, which need the feature, or the same through workgroup memory for subgroups of a given
// size, so that tests can run a kernel with sizes that their device does not have.

import type { SubgroupStmt, SubgroupType } from '../../schedule/loops.ts'
import { wgslTypes } from './literals.ts'

/** What a kernel's text gets before `main`: what it has is told by name. */
export interface SubgroupText {
  /** An expression: what a statement's value becomes. */
  exchange(how: SubgroupStmt['how'], type: SubgroupType, value: string): string
  /** An expression: the invocations of the subgroup. */
  readonly lanes: string
  /** Directives, and declarations behind those of bindings, once all was asked for. */
  readonly enable: readonly string[]
  declarations(): readonly string[]
}

const joins = { sum: 'subgroupAdd', max: 'subgroupMax', min: 'subgroupMin' } as const

/** Invocations that are active when a kernel begins are those that it has, whatever size the device names. */
export const nativeSubgroups: SubgroupText = {
  exchange: (how, _, value) => (typeof how === 'object' ? `subgroupShuffleXor(${value}, ${how.by}u)` : `${joins[how]}(${value})`),
  lanes: 'subgroupAdd(1i)',
  enable: ['enable subgroups;'],
  declarations: () => [],
}

/** Subgroups of `size` invocations, or of the whole workgroup where that is smaller. Exchanges are barriers. */
export function emulatedSubgroups(size: number, workgroup: number): SubgroupText {
  const lanes = Math.min(size, workgroup)
  const shown = new Map<SubgroupType, string>()
  const functions = new Map<string, string>()
  const step = {
    sum: (other: string) => `all + ${other}`,
    max: (other: string) => `max(all, ${other})`,
    min: (other: string) => `min(all, ${other})`,
  }
  return {
    exchange(how, type, value) {
      const T = wgslTypes[type]
      shown.set(type, `var<workgroup> shown_${type}: array<${T}, ${workgroup}>;`)
      const name = `exchange_${typeof how === 'object' ? `by_${how.by}` : how}_${type}`
      const read =
        typeof how === 'object'
          ? [`  let all = shown_${type}[(at ^ ${how.by}u) % ${workgroup}u];`]
          : [
              `  let first = at - at % ${lanes}u;`,
              `  var all = shown_${type}[first];`,
              `  for (var i = 1u; i < ${lanes}u; i++) {`,
              `    all = ${step[how](`shown_${type}[first + i]`)};`,
              '  }',
            ]
      const body = [`  shown_${type}[at] = v;`, '  workgroupBarrier();', ...read, '  workgroupBarrier();', '  return all;']
      functions.set(name, [`fn ${name}(v: ${T}, at: u32) -> ${T} {`, ...body, '}'].join('\n'))
      return `${name}(${value}, local_index)`
    },
    lanes: `${lanes}i`,
    enable: [],
    declarations: () => [...shown.values(), ...functions.values()],
  }
}
