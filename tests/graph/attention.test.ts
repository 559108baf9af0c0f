// Prefill equals token by token on a hand-built attention model, before and after all passes.

import { describe, expect, it } from 'vitest'
import { verifyGraph } from '../../compiler/graph/verify.ts'
import { runGraphPasses } from '../../compiler/passes/pipeline.ts'
import { createReference, type StateValues } from '../../compiler/targets/reference/evaluate.ts'
import { handmadeGraphs, handmadeWeight, shape } from './handmade-attention.ts'

const tokens = [3, 1, 4, 1, 5, 9, 2]

describe('hand-built attention', () => {
  it('is a valid graph', () => {
    for (const graph of handmadeGraphs()) expect(verifyGraph(graph)).toEqual([])
  })

  it.each(['as built', 'after all passes'])('gives the same scores in one pass, in two, and token by token, %s', (which) => {
    const built = handmadeGraphs()
    const graphs = which === 'as built' ? built : built.map((graph) => runGraphPasses(graph, { verify: true }))
    const reference = createReference(graphs, { weight: handmadeWeight })
    const whole = reference.run('score', { seq: tokens.length, start: 0 }, { tokens }).results[0]!.data
    const head = reference.run('score', { seq: 3, start: 0 }, { tokens: tokens.slice(0, 3) })
    const tail = reference.run('score', { seq: 4, start: 3 }, { tokens: tokens.slice(3) }, head.states)
    const chunks = [...head.results[0]!.data, ...tail.results[0]!.data]
    let states: StateValues = new Map()
    const single = tokens.flatMap((token, start) => {
      const step = reference.run('decode', { start }, { tokens: [token] }, states)
      states = step.states
      return [...step.results[0]!.data]
    })
    expect(whole.length).toBe(tokens.length * shape.vocab)
    for (const other of [chunks, single]) for (const [i, value] of other.entries()) expect(value).toBeCloseTo(whole[i]!, 12)
    expect(states.size).toBe(2 * shape.depth)
  })
})
