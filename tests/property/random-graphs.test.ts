// Random graphs through every level of the WASM target in every pass configuration: text, reference, optimised graph, kernels,
// loops, module, each against the one above within a bound per element. The histogram shows that nothing was left out.

import { expect, test } from 'vitest'
import { opNames } from '../../compiler/ops/index.ts'
import { optionalPasses } from '../../compiler/passes/pipeline.ts'
import { checkRandom, replay, show } from './replay.ts'

const levels = new Set(['wasm'] as const)
const runs = 2000

test('cases that failed once', () => replay({ levels }))

test(`${runs} random graphs`, async () => {
  const summary = await checkRandom(runs, { levels })
  show('WASM', summary)
  const { report, nodes, dynamic } = summary
  expect(nodes.length).toBe(runs)
  expect(nodes[runs / 2]).toBeGreaterThanOrEqual(12)
  expect(opNames.filter((op) => (report.ops.get(op) ?? 0) < 100)).toEqual([])
  expect(dynamic).toBeGreaterThanOrEqual(100)
  // Passes that change next to nothing would be tested by next to nothing; cutting weights is WebGPU's.
  const changes = new Map([...report.changed].map(([name, n]) => [name.replace(/ \(.*/, ''), n]))
  expect(optionalPasses.filter((pass) => !['split-weights', 'fold-after-tables'].includes(pass) && (changes.get(pass) ?? 0) < 100)).toEqual(
    [],
  )
  // Loops whose instances store a weight in different formats.
  expect(changes.get('split groups') ?? 0).toBeGreaterThanOrEqual(15)
  // Rounding decides some comparisons, and half floats overflow: neither may hide much.
  expect(report.unknown / report.elements).toBeLessThan(0.05)
  expect(report.notFinite / report.elements).toBeLessThan(0.05)
  const refusals = [...report.refused.values()].reduce((sum, n) => sum + n, 0)
  expect(refusals / report.configurations).toBeLessThan(0.03)
})
