// What the test files share: the kept cases first, then so many random ones, and the histogram. The seed is the same in every run, so
// that a change is judged by what it changes; LLAMAC_SEED takes another one, and `npm run fuzz` goes on. Files that share out many graphs
// each have a `part` of their own.

import fc from 'fast-check'
import { expect } from 'vitest'
import { checkCase } from './check-case.ts'
import type { CheckOptions } from './check-levels.ts'
import { type CheckReport, newReport } from './check-report.ts'
import { corpus } from './corpus.ts'
import { featuresOf, randomCase, tapes } from './random-graph.ts'

const seed = Number(process.env['LLAMAC_SEED'] ?? 20261124)

export interface Summary {
  readonly report: CheckReport
  /** Nodes of each random graph, ascending. */
  readonly nodes: readonly number[]
  readonly dynamic: number
}

/** Replays the corpus. */
export async function replay(options: Omit<CheckOptions, 'report'>): Promise<void> {
  for (const { file, case: known } of corpus())
    await checkCase(known, options).catch((cause: Error) => expect.fail(`${file}: ${cause.message}`))
}

/** Random cases until one fails; fast-check prints the seed and the smallest case. */
export async function checkRandom(runs: number, options: Omit<CheckOptions, 'report'>, part = 0): Promise<Summary> {
  const report = newReport()
  const nodes: number[] = []
  let dynamic = 0
  await fc.assert(
    fc.asyncProperty(tapes, async (tape) => {
      const random = randomCase(tape)
      const features = featuresOf(random.graph)
      nodes.push(features.nodes)
      if (features.dynamic) dynamic++
      await checkCase(random, { ...options, report })
    }),
    { numRuns: runs, seed: seed + part },
  )
  return { report, nodes: nodes.sort((a, b) => a - b), dynamic }
}

export function show(title: string, { report, nodes, dynamic }: Summary): void {
  const list = (counts: ReadonlyMap<string, number>): string =>
    [...counts]
      .sort(([, a], [, b]) => a - b)
      .map(([name, n]) => `${name} ${n}`)
      .join(', ')
  console.log(
    [
      `${title}, seed ${seed}: ${nodes.length} graphs (${nodes[nodes.length >> 1]} nodes in the median, ${nodes.at(-1)} at most; ${dynamic} with dynamic sizes), ${report.programs} programs of ${report.configurations} configurations`,
      `elements: ${report.elements} compared, ${report.unknown} that rounding may decide, ${report.notFinite} not finite`,
      `graphs by op: ${list(report.ops)}`,
      `graphs by what passes changed: ${list(report.changed)}; refused: ${list(report.refused) || 'none'}`,
    ].join('\n'),
  )
}
