// Random graphs through every level of the WASM target in every pass configuration: text, reference, optimised graph, kernels,
// loops, module, each against the one above within a bound per element. The histogram shows that nothing was left out.
// Two test files have a half each, since files run side by side.

import { expect, test } from 'vitest'
import { opNames } from '../../compiler/ops/index.ts'
import { optionalPasses } from '../../compiler/passes/pipeline.ts'
import { checkRandom, show } from './replay.ts'

const runs = 400

/** Defines the test of one half of the random graphs. */
export function testRandomGraphs(part: 0 | 1): void {
  test(`${runs} random graphs, part ${part + 1} of 2`, async () => {
    const summary = await checkRandom(runs, { levels: new Set(['wasm'] as const) }, part)
    show('WASM', summary)
    const { report, nodes, dynamic } = summary
    expect(nodes.length).toBe(runs)
    expect(nodes[runs / 2]).toBeGreaterThanOrEqual(12)
    expect(opNames.filter((op) => (report.ops.get(op) ?? 0) < 30)).toEqual([])
    expect(dynamic).toBeGreaterThanOrEqual(30)
    // Passes that change next to nothing would be tested by next to nothing; cutting weights is WebGPU's.
    const changes = new Map([...report.changed].map(([name, n]) => [name.replace(/ \(.*/, ''), n]))
    const fewest: Readonly<Record<string, number>> = { 'split-weights': 0, 'fold-after-tables': 0, 'quantise-states': 8 }
    expect(optionalPasses.filter((pass) => (changes.get(pass) ?? 0) < (fewest[pass] ?? 30))).toEqual([])
    // Loops whose instances store a weight in different formats.
    expect(changes.get('split groups') ?? 0).toBeGreaterThanOrEqual(4)
    // Rounding decides some comparisons, and half floats overflow: neither may hide much.
    expect(report.unknown / report.elements).toBeLessThan(0.05)
    expect(report.notFinite / report.elements).toBeLessThan(0.05)
    const refusals = [...report.refused.values()].reduce((sum, n) => sum + n, 0)
    expect(refusals / report.configurations).toBeLessThan(0.03)
  })
}
