// Laws of random graphs: built graphs are valid, their text is a fixpoint, and every pass, alone and in the pipeline, keeps
// what the reference computes.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseGraph } from '../../compiler/graph/parse.ts'
import { printGraph } from '../../compiler/graph/print.ts'
import { dropDeadValues } from '../../compiler/graph/rewrite.ts'
import type { Graph } from '../../compiler/graph/types.ts'
import { verifyGraph } from '../../compiler/graph/verify.ts'
import { opNames, opDef } from '../../compiler/ops/index.ts'
import { graphPasses, runGraphPasses } from '../../compiler/passes/pipeline.ts'
import { createReference } from '../../compiler/targets/reference/evaluate.ts'
import { randomGraph, randomInputs, randomWeight } from './random-graph.ts'

const tapes = fc.array(fc.nat(5039), { minLength: 10, maxLength: 240, size: 'max' })
const bindings = [
  { seq: 1, start: 0 },
  { seq: 3, start: 2 },
]

function valuesOf(graph: Graph, mode: 'exact' | 'typed' = 'exact'): number[] {
  const reference = createReference([graph], { weight: randomWeight, mode })
  return bindings.flatMap((binding) => {
    const { results, states } = reference.run('test', binding, randomInputs(binding))
    return [
      ...results.flatMap(({ data }) => [...data]),
      ...[...states].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, data]) => [...data]),
    ]
  })
}

function expectSame(got: readonly number[], wanted: readonly number[]): void {
  expect(got.length).toBe(wanted.length)
  got.forEach((value, i) => {
    const other = wanted[i]!
    const same =
      value === other || (Number.isNaN(value) && Number.isNaN(other)) || Math.abs(value - other) <= 1e-9 * Math.max(1, Math.abs(other))
    if (!same) expect.fail(`value ${i} is ${value}, not ${other}`)
  })
}

describe('random graphs', () => {
  it('are valid, and print, parse, print is a fixpoint that keeps their values', () => {
    fc.assert(
      fc.property(tapes, (tape) => {
        const graph = randomGraph(tape)
        expect(verifyGraph(graph)).toEqual([])
        const text = printGraph(graph)
        const read = parseGraph(text)
        expect(verifyGraph(read)).toEqual([])
        expect(printGraph(read)).toBe(text)
        expectSame(valuesOf(read), valuesOf(graph))
      }),
      { numRuns: 150 },
    )
  })

  it('keep their values under every pass and under all of them', () => {
    let finite = 0
    let all = 0
    fc.assert(
      fc.property(tapes, (tape) => {
        const graph = randomGraph(tape)
        const wanted = valuesOf(graph)
        all++
        if (wanted.every(Number.isFinite)) finite++
        const options = { quantised: () => true, verify: true }
        const changed = [dropDeadValues(graph), ...graphPasses.map((pass) => pass.run(graph, options)), runGraphPasses(graph, options)]
        for (const other of changed) {
          expect(verifyGraph(other)).toEqual([])
          expectSame(valuesOf(other), wanted)
        }
        const text = printGraph(changed.at(-1)!)
        expect(printGraph(parseGraph(text, changed.at(-1)!.constants))).toBe(text)
        valuesOf(changed.at(-1)!, 'typed')
      }),
      { numRuns: 200 },
    )
    expect(finite / all).toBeGreaterThan(0.95)
  })

  it('have a generator for every op that can stand alone', () => {
    const structural = ['constant', 'argument', 'weight', 'state', 'store', 'scatter', 'composite', 'loop', 'result', 'param']
    expect(opNames.filter((op) => opDef(op).generate === null)).toEqual(opNames.filter((op) => structural.includes(op)))
  })
})
