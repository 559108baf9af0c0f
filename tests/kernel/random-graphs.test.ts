// Kernels mean what the graph means: random graphs, reference evaluation against the evaluation of their kernel program.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { evaluateSteps } from '../../compiler/kernel/evaluate.ts'
import { printProgram } from '../../compiler/kernel/print.ts'
import { buildKernels } from '../../compiler/kernel/steps.ts'
import { verifyProgram } from '../../compiler/kernel/verify.ts'
import { mergeSiblings } from '../../compiler/passes/merge-siblings.ts'
import { createReference } from '../../compiler/targets/reference/evaluate.ts'
import { anyCase, dataOf, leaves, type RandomCase, stateDims } from './random-graphs.ts'

const size = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1)

function same(actual: ArrayLike<number>, expected: ArrayLike<number>, what: () => string): void {
  if (actual.length !== expected.length) expect.fail(`${actual.length} elements instead of ${expected.length}\n${what()}`)
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[i]!, expected[i]!]
    if (Object.is(a, b) || a === b || Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(b))) continue
    expect.fail(`element ${i} is ${a} instead of ${b}\n${what()}`)
  }
}

function compare({ graph, binding, seed }: RandomCase, mode: 'exact' | 'typed'): void {
  const inputs = { x: dataOf('x', binding.seq * 6, seed), ids: dataOf('ids', binding.seq, seed).map((v) => Math.abs(Math.trunc(v * 2))) }
  const weight = (path: string): Float64Array => dataOf(path, size(leaves[path]!), seed)
  const initial = new Map(['p', 'q'].map((path) => [path, dataOf(path, size(stateDims), seed)] as const))
  const reference = createReference([graph], { weight: (path) => ({ dims: leaves[path]!, data: weight(path) }), mode })
  const expected = reference.run('random', binding, inputs, initial)
  const program = mergeSiblings(buildKernels(graph))
  const text = (): string => printProgram(program)
  expect(verifyProgram(program), text()).toEqual([])
  const states = new Map([...initial].map(([path, data]) => [path, data.slice()] as const))
  const actual = evaluateSteps(program, {
    weight, mode, binding, state: (path) => states.get(path)!, argument: (name) => inputs[name as 'x' | 'ids'], constant: (id) => graph.constants.get(id)!.data,
  })
  expected.results.forEach((result, i) => same(actual[i]!, result.data, text))
  for (const path of graph.states.keys()) same(states.get(path)!, expected.states.get(path)!, () => `state ${path}\n${text()}`)
}

describe('random graphs', () => {
  it('have the same results and states as kernels (1,000 small)', () => {
    fc.assert(fc.property(anyCase(4), (random) => compare(random, 'exact')), { numRuns: 1000 })
  })
  it('have the same results and states as kernels (600 larger)', () => {
    fc.assert(fc.property(anyCase(14), (random) => compare(random, 'exact')), { numRuns: 600 })
  })
  it('round activations to 8 bits as the graph does (200)', () => {
    fc.assert(fc.property(anyCase(2, ['quantise', 'transpose']), (random) => compare(random, 'typed')), { numRuns: 200 })
  })
})
