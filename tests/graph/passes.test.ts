// What the passes are for, on a model of the project: no trigonometry and no calls left, one table for all entries, one rounding
// for all dots that share an activation; and the pipeline's options.

import { describe, expect, it } from 'vitest'
import { LlamacError } from '../../runtime/error.ts'
import { buildGraph } from '../../compiler/graph/builder.ts'
import { reachable, regionsOf, rootsOf } from '../../compiler/graph/nodes.ts'
import { is, type Graph, type Node, type Region } from '../../compiler/graph/types.ts'
import { graphPasses, runGraphPasses } from '../../compiler/passes/pipeline.ts'
import { createReferenceDevice } from '../../compiler/targets/reference/device.ts'
import { load, numbered } from '../dsl/read-models.ts'
import { handmadeGraphs, handmadeWeight, shape } from './handmade-attention.ts'

function allNodes(owner: Pick<Region, 'results' | 'states'>): Node[] {
  return reachable(rootsOf(owner)).flatMap((node) => [node, ...regionsOf(node).flatMap(allNodes)])
}

const model = numbered(load('llama'), { preset: 'tiny' })
const graphOf = (entry: string): Graph => buildGraph(model, entry).graph!

describe('graph passes', () => {
  it('leave no calls and no trigonometry, and one pair of tables for all entries', () => {
    const graphs = ['prefill', 'decode', 'score'].map((entry) => runGraphPasses(graphOf(entry), { verify: true }))
    for (const graph of graphs) {
      const nodes = allNodes(graph)
      expect(nodes.filter((node) => node.op === 'composite')).toEqual([])
      expect(nodes.filter((node) => is(node, 'unary') && ['sin', 'cos', 'log'].includes(node.attributes.fn))).toEqual([])
      expect([...graph.constants.values()].map(({ dims }) => dims)).toEqual([
        [128, 8],
        [128, 8],
      ])
    }
    expect(new Set(graphs.flatMap((graph) => [...graph.constants.keys()])).size).toBe(2)
  })

  it('make one exponential of the tanh in GELU', () => {
    const gpt2 = numbered(load('gpt2'), { set: { ctx: '8' } })
    const graph = runGraphPasses(buildGraph(gpt2, 'decode').graph!, { verify: true })
    const functions = allNodes(graph).flatMap((node) => (is(node, 'unary') ? [node.attributes.fn] : []))
    expect(functions).not.toContain('tanh')
    expect(functions).toContain('exp')
  })

  it('round an activation once for all quantised weights that read it', () => {
    const own = (pattern: RegExp): number =>
      allNodes(runGraphPasses(graphOf('prefill'), { quantised: (path) => pattern.test(path) })).filter((node) => node.op === 'quantise')
        .length
    // q, k, v; o; gate, up; lm_head. `down` contracts over 172 values, which is no multiple of 32.
    expect(own(/./)).toBe(4)
    expect(own(/attn\.w[qkv]$/)).toBe(1)
    expect(own(/mlp\.down$/)).toBe(0)
  })

  it('can be left out and watched by name', () => {
    const seen: string[] = []
    const graph = runGraphPasses(graphOf('decode'), {
      disabledPasses: ['tabulate'],
      printAfter: ['all'],
      print: (pass, _graph, text) => {
        seen.push(pass)
        expect(text).toContain('entry "decode"')
      },
    })
    expect(seen).toEqual(graphPasses.map(({ name }) => name).filter((name) => name !== 'tabulate'))
    expect(graph.constants.size).toBe(0)
    expect(() => runGraphPasses(graph, { disabledPasses: ['tabulat'] })).toThrow(LlamacError)
  })

  it('run on the reference device, whose sessions fork', async () => {
    const device = createReferenceDevice(
      handmadeGraphs().map((graph) => runGraphPasses(graph, { verify: true })),
      { weight: handmadeWeight },
    )
    const tokens = Int32Array.of(3, 1, 4, 1)
    const [first, second] = [device.createStates(), device.createStates()]
    const whole = (await device.run('score', { seq: 4, start: 0 }, { tokens }, first))[0]!
    await device.run('score', { seq: 3, start: 0 }, { tokens: tokens.subarray(0, 3) }, second)
    const fork = device.copyStates(second)
    await device.run('decode', { start: 3 }, { tokens: Int32Array.of(9) }, second)
    const last = (await device.run('decode', { start: 3 }, { tokens: tokens.subarray(3) }, fork))[0]!
    for (const [i, value] of last.entries()) expect(value).toBeCloseTo(whole[3 * shape.vocab + i]!, 12)
  })
})
