// Flattening puts everything that a declaration inherits into one table, and both configs and blocks are asked for theirs again
// and again. Here each is made once per report (a report is one load or one specialisation), circles are found, and lines of
// ancestors end at a limit: without this a file of n small declarations could cost n² or n³ copies.

import { beyond, limits } from '../limits.ts'
import type { Report } from '../check/report.ts'
import type { Declared } from './modules.ts'

/** `make` asks `parent` for the flattened form of what the declaration extends; undefined after a message. */
export function flattenOnce<Flat extends { readonly chain: readonly Declared[] }>(
  make: (declared: Declared, report: Report, parent: (found: Declared, name: Named) => Flat | undefined) => Flat | undefined,
): (declared: Declared, report: Report) => Flat | undefined {
  const made = new WeakMap<Report, Map<Declared, Flat | undefined>>()
  const flatten = (declared: Declared, report: Report, below: readonly Declared[]): Flat | undefined => {
    const known = made.get(report) ?? new Map<Declared, Flat | undefined>()
    made.set(report, known)
    if (known.has(declared)) return known.get(declared)
    const flat = make(declared, report, (found, { text, span }) => {
      if (found === declared || below.includes(found)) {
        report.add('L203', `${found.tree.kind === 'config' ? 'config ' : ''}${text} extends itself in a circle`, [{ span }])
        return undefined
      }
      const flat = below.length < limits.ancestors.most ? flatten(found, report, [...below, declared]) : undefined
      // Whether the line was followed from its leaf or found made must not matter.
      if (below.length < limits.ancestors.most && (flat?.chain.length ?? 0) < limits.ancestors.most) return flat
      report.exceeds(beyond('ancestors'), span)
      return undefined
    })
    known.set(declared, flat)
    return flat
  }
  return (declared, report) => flatten(declared, report, [])
}

interface Named {
  readonly text: string
  readonly span: Declared['tree']['span']
}
