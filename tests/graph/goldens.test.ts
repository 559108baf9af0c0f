// The published models' graphs, unoptimised and after all passes, against transformers' f64 logits (Hugging Face goldens).

import { describe, expect, it } from 'vitest'
import { toF32 } from '../../compiler/weights/plain-tensor.ts'
import { bindWeights, nodeFiles, openCheckpoint } from '../../compiler/weights/index.ts'
import { buildGraph } from '../../compiler/graph/builder.ts'
import { parseGraph } from '../../compiler/graph/parse.ts'
import { printGraph } from '../../compiler/graph/print.ts'
import type { Graph } from '../../compiler/graph/types.ts'
import { verifyGraph } from '../../compiler/graph/verify.ts'
import { runGraphPasses } from '../../compiler/passes/pipeline.ts'
import { createReference, type StateValues, type WeightSource } from '../../compiler/targets/reference/evaluate.ts'
import type { SpecialisedModel } from '../../dsl/index.ts'
import { load, numbered } from '../dsl/read-models.ts'
import { dataPath, dataText } from '../weights/data.ts'

interface Golden {
  readonly sequences: readonly {
    readonly input_ids: readonly number[]
    readonly token_type_ids?: readonly number[]
    readonly decoder_input_ids?: readonly number[]
    readonly logits: { readonly dims: readonly number[]; readonly base64: string }
  }[]
}

const decode = (base64: string): Float64Array => {
  const bytes = Buffer.from(base64, 'base64')
  return new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
}

function open(dsl: string, folder: string): { model: SpecialisedModel; weight: WeightSource; golden: Golden } {
  const path = dataPath(`hf-golden/${folder}`)
  const checkpoint = openCheckpoint(path, nodeFiles)
  const model = numbered(load(dsl), {
    config: checkpoint.config!,
    hasTensorFor: (name) => name !== 'lm_head' || checkpoint.tensors.has('lm_head.weight'),
  })
  const { table } = model.checkpoint('hf')
  const { sources, diagnostics } = bindWeights(model.weights, table!, checkpoint)
  expect(diagnostics).toEqual([])
  const values = new Map(
    [...sources].map(([name, bound]) => {
      const bytes = toF32(bound).read()
      return [name, { dims: bound.dims, data: Float64Array.from(new Float32Array(bytes.slice().buffer)) }]
    }),
  )
  return { model, weight: (name) => values.get(name)!, golden: JSON.parse(dataText(`hf-golden/${folder}/golden.json`)) as Golden }
}

/** Built and optimised graphs of all entries, each verified and read back from its text. */
function bothGraphs(model: SpecialisedModel): Graph[][] {
  const graphs = model.entries.map(({ name }) => {
    const { graph, diagnostics } = buildGraph(model, name)
    expect(diagnostics).toEqual([])
    return graph!
  })
  const optimised = graphs.map((graph) => runGraphPasses(graph, { verify: true, quantised: () => true }))
  for (const graph of [...graphs, ...optimised]) {
    expect(verifyGraph(graph)).toEqual([])
    const text = printGraph(graph)
    expect(printGraph(parseGraph(text, graph.constants))).toBe(text)
  }
  return [graphs, optimised]
}

function expectClose(got: ArrayLike<number>, wanted: Float64Array, from: number): void {
  for (let i = 0; i < got.length; i++) {
    if (!(Math.abs(got[i]! - wanted[from + i]!) < 1e-9)) expect.fail(`${i}: ${got[i]} is not ${wanted[from + i]}`)
  }
}

const models = [
  ['llama', 'llama'],
  ['llama', 'llama-gqa'],
  ['llama3', 'llama3-rope'],
  ['mistral', 'mistral'],
  ['mistral_ring', 'mistral'],
  ['mixtral', 'mixtral'],
  ['qwen2', 'qwen2'],
  ['gemma', 'gemma'],
  ['gpt2', 'gpt2'],
  ['gpt_neo', 'gpt-neo'],
  ['openai_gpt', 'openai-gpt'],
] as const

describe('reference against Hugging Face goldens', () => {
  it.each(models)('%s.dsl on %s', (dsl, folder) => {
    const { model, weight, golden } = open(dsl, folder)
    for (const list of bothGraphs(model)) {
      const reference = createReference(list, { weight })
      for (const { input_ids: tokens, logits } of golden.sequences) {
        const wanted = decode(logits.base64)
        expectClose(reference.run('score', { seq: tokens.length, start: 0 }, { tokens }).results[0]!.data, wanted, 0)
        let states: StateValues = new Map()
        tokens.forEach((token, start) => {
          const step = reference.run('decode', { start }, { tokens: [token] }, states)
          states = step.states
          expectClose(step.results[0]!.data, wanted, start * logits.dims[1]!)
        })
      }
    }
  })

  it('bert.dsl on bert', () => {
    const { model, weight, golden } = open('bert', 'bert')
    for (const list of bothGraphs(model)) {
      const reference = createReference(list, { weight })
      for (const { input_ids: tokens, token_type_ids: segments, logits } of golden.sequences) {
        const { results } = reference.run('score', { seq: tokens.length }, { tokens, segments: segments! })
        expectClose(results[0]!.data, decode(logits.base64), 0)
      }
    }
  })

  it('marian.dsl on marian: encode once, then prefill and decode', () => {
    const { model, weight, golden } = open('marian', 'marian')
    for (const list of bothGraphs(model)) {
      const reference = createReference(list, { weight })
      for (const { input_ids: source, decoder_input_ids: target, logits } of golden.sequences) {
        const wanted = decode(logits.base64)
        const encoded = reference.run('encode', { src: source.length }, { source }).states
        const width = logits.dims[1]!
        const all = reference.run('prefill', { seq: target!.length, start: 0, src_len: source.length }, { target: target! }, encoded)
        expectClose(all.results[0]!.data, wanted, (target!.length - 1) * width)
        let states: StateValues = encoded
        target!.forEach((token, start) => {
          const step = reference.run('decode', { start, src_len: source.length }, { target: [token] }, states)
          states = step.states
          expectClose(step.results[0]!.data, wanted, start * width)
        })
      }
    }
  })
})
