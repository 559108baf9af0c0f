// The language's meaning, held against independent numbers: every architecture of hf-golden through the checker, the graph and
// the f64 evaluator gives the published logits, in one pass and id by id through the states.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { buildGraph } from '../../compiler/graph/builder.ts'
import { createReference, type Reference, type StateValues } from '../../compiler/targets/reference/evaluate.ts'
import { bindWeights, nodeFiles, openCheckpoint } from '../../compiler/weights/index.ts'
import { decodeAll } from '../../compiler/weights/plain-tensor.ts'
import { dataFolder, load, numbered } from './read-models.ts'

interface Encoded {
  readonly dims: readonly number[]
  readonly base64: string
}
interface Sequence {
  readonly input_ids: readonly number[]
  readonly token_type_ids?: readonly number[]
  readonly decoder_input_ids?: readonly number[]
  readonly logits: Encoded
}

// Model, folder, and how many positions one pass may hold.
const cases: readonly (readonly [string, string, number])[] = [
  ['llama', 'llama', 64],
  ['llama', 'llama-gqa', 64],
  ['llama3', 'llama3-rope', 64],
  ['gpt2', 'gpt2', 64],
  ['openai_gpt', 'openai-gpt', 64],
  ['mistral', 'mistral', 64],
  ['mistral_ring', 'mistral', 8],
  ['mixtral', 'mixtral', 64],
  ['qwen2', 'qwen2', 64],
  ['gemma', 'gemma', 64],
  ['gpt_neo', 'gpt-neo', 64],
  ['bert', 'bert', 64],
  ['marian', 'marian', 64],
]

function decode({ base64 }: Encoded): Float64Array {
  const bytes = Buffer.from(base64, 'base64')
  return new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
}

function reference(name: string, folder: string): Reference {
  const checkpoint = openCheckpoint(`${dataFolder()}hf-golden/${folder}`, nodeFiles)
  const model = numbered(load(name), { ...(checkpoint.config ? { config: checkpoint.config } : {}) })
  const { table } = model.checkpoint('hf')
  if (!table) throw new Error('no table')
  const { sources, diagnostics } = bindWeights(model.weights, table, checkpoint)
  expect(diagnostics.filter((d) => d.severity === 'error')).toEqual([])
  const graphs = model.entries.map(({ name: entry }) => {
    const { graph } = buildGraph(model, entry)
    if (!graph) throw new Error(`no graph of ${entry}`)
    return graph
  })
  const read = new Map<string, { dims: readonly number[]; data: Float64Array }>()
  const weight = (path: string): { dims: readonly number[]; data: Float64Array } => {
    const source = sources.get(path)
    if (!source) throw new Error(`no weight ${path}`)
    const values = read.get(path) ?? { dims: source.dims, data: Float64Array.from(decodeAll(source)) }
    read.set(path, values)
    return values
  }
  return createReference(graphs, { weight })
}

/** Logits of every position, in each way the model can be run. */
function* runs(model: Reference, sequence: Sequence, name: string, atOnce: number): Generator<readonly number[]> {
  const { input_ids: ids, token_type_ids: segments, decoder_input_ids: target } = sequence
  if (segments) return void (yield [...(model.run('score', { seq: ids.length }, { tokens: ids, segments }).results[0]?.data ?? [])])
  if (name !== 'marian' && ids.length <= atOnce)
    yield [...(model.run('score', { seq: ids.length, start: 0 }, { tokens: ids }).results[0]?.data ?? [])]
  let states: StateValues = target ? model.run('encode', { src: ids.length }, { source: ids }).states : new Map()
  const logits: number[] = []
  for (const [start, id] of (target ?? ids).entries()) {
    const call = model.run('decode', { start, src_len: ids.length }, target ? { target: [id] } : { tokens: [id] }, states)
    states = call.states
    logits.push(...(call.results[0]?.data ?? []))
  }
  yield logits
}

test.each(cases)('%s gives the logits of %s', (name, folder, atOnce) => {
  const model = reference(name, folder)
  const golden = JSON.parse(readFileSync(`${dataFolder()}hf-golden/${folder}/golden.json`, 'utf8')) as { sequences: readonly Sequence[] }
  for (const sequence of golden.sequences) {
    const wanted = decode(sequence.logits)
    for (const logits of runs(model, sequence, name, atOnce)) {
      expect(logits.length).toBe(wanted.length)
      const worst = logits.reduce((most, value, i) => Math.max(most, Math.abs(value - (wanted[i] as number))), 0)
      expect(worst).toBeLessThan(1e-12)
    }
  }
})
