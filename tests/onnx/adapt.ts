// A case of ONNX's vectors as an entry of a model: many cases make one model, which then goes the way of every other model. Only
// the text of a `.dsl` file is missing: where its walk would tell the sink each primitive, the Translator does.

import { constant } from '../../dsl/affine.ts'
import type { EntryInfo, SpecialisedModel } from '../../dsl/model.ts'
import type { Sink, StateInfo } from '../../dsl/sink.ts'
import { GraphBuilder } from '../../compiler/graph/builder.ts'
import { reachable } from '../../compiler/graph/nodes.ts'
import { is, type Node } from '../../compiler/graph/types.ts'
import { cacheDims } from './ops/attention.ts'
import { rows } from './ops/index.ts'
import { Call } from './ops/row.ts'
import { Missing, type OnnxTensor, readTensor, type StoredCase } from './read-vectors.ts'
import { dimsOf, finite, Translator, type Value } from './translate.ts'

export interface Case {
  /** The test's name without `test_`; the entry has the same. */
  readonly name: string
  /** The op that is tested: `Attention`, or `Attention, expanded`. */
  readonly op: string
  readonly info: EntryInfo
  readonly states: readonly StateInfo[]
  readonly inputs: readonly OnnxTensor[]
  readonly expected: readonly OnnxTensor[]
  /** Tells the sink every primitive. */
  build(builder: GraphBuilder): readonly Node[]
}

export const nameOf = ({ test }: StoredCase): string => test.replace(/^test_/, '')

const span = { source: { path: 'onnx', text: '' }, start: 0, end: 0 }

/** The op of the case; where it is written out in primitives, their names begin with the op's. */
export function opOf({ test, nodes }: StoredCase): string {
  if (nodes.length === 1) return nodes[0]!.op
  const inner = nodes.flatMap(({ outputs }) => outputs).find((name) => name.includes(test))
  return test.endsWith('_expanded') && inner ? `${inner.slice(0, inner.indexOf('_test_'))}, expanded` : nodes.map(({ op }) => op).join(', ')
}

/** Caches that TensorScatter writes to are states: dims from the input that they begin with. */
function statesOf(stored: StoredCase, inputs: readonly OnnxTensor[]): StateInfo[] {
  return stored.nodes.flatMap(({ op, inputs: [cache], attrs }) => {
    const input = inputs.find(({ name }) => name === cache)
    if (op !== 'TensorScatter' || !input) return []
    const dims = cacheDims(input.dims, Number(attrs?.['axis'] ?? -2))
    return [{ path: `${nameOf(stored)}.cache`, dtype: 'f32' as const, dims, labels: dims.map((_, i) => `axis${i}`), span }]
  })
}

function translate(stored: StoredCase, inputs: readonly OnnxTensor[], builder: GraphBuilder): readonly Value[] {
  const t = new Translator(builder, inputs)
  const values = new Map<string, Value>(inputs.map((input) => [input.name, t.argument(input)]))
  for (const { op, inputs: names, outputs, attrs = {} } of stored.nodes) {
    const row = rows[op]
    if (!row) throw new Missing(`op ${op}`)
    const given = names.map((name) => values.get(name))
    const made = row(new Call(t, op, given, attrs, outputs.length, `${nameOf(stored)}.cache`))
    outputs.forEach((name, i) => {
      if (name !== '') values.set(name, made[i] ?? missingOutput(op, i))
    })
  }
  return stored.outputs.map((name) => values.get(name)!)
}

function missingOutput(op: string, index: number): never {
  throw new Missing(`${op}: output ${index}`)
}

/** Throws Missing for what llamac has no primitive or type for. */
export function adapt(stored: StoredCase): Case {
  const [set] = stored.sets
  const inputs = [...(stored.initializers ?? []), ...set!.inputs].map(readTensor)
  const expected = stored.outputs.map((name) => readTensor(set!.outputs.find((output) => output.name === name)!))
  const states = statesOf(stored, inputs)
  const build = (builder: GraphBuilder): readonly Node[] => translate(stored, inputs, builder).map(({ node }) => node)
  const results = build(new GraphBuilder({ weights: [], states }))
  const used = new Set(reachable(results).flatMap((node) => (is(node, 'argument') ? [node.attributes.name] : [])))
  const types = new Map(reachable(results).flatMap((node) => (is(node, 'argument') ? [[node.attributes.name, node.type] as const] : [])))
  const read = inputs.filter(({ name }) => used.has(name))
  results.forEach((node, i) => {
    const [made, wanted] = [dimsOf(node), expected[i]!.dims].map((dims) => `[${dims}]`)
    if (made !== wanted) throw new Error(`internal: the result ${i} of ${stored.test} is ${made}, not ${wanted}`)
  })
  const labels = (dims: readonly number[]): string[] => dims.map((_, axis) => `axis${axis}`)
  return {
    name: nameOf(stored),
    op: opOf(stored),
    info: {
      name: nameOf(stored),
      arguments: read.map(({ name, dims }) => ({ kind: 'tensor', name, type: types.get(name)!, labels: labels(dims) })),
      symbols: [],
      limits: [],
      results: results.map((node) => ({ type: { dtype: node.type.dtype, dims: dimsOf(node).map(constant) }, labels: labels(dimsOf(node)) })),
    },
    states,
    inputs: read.map((input) => ({ ...input, data: input.data.map(finite) })),
    expected,
    build,
  }
}

/** One model of all the cases. */
export function modelOf(cases: readonly Case[]): SpecialisedModel {
  const byName = new Map(cases.map((each) => [each.name, each]))
  return {
    name: 'onnx',
    module: 'onnx',
    config: {},
    weights: [],
    states: cases.flatMap(({ states }) => states),
    entries: cases.map(({ info }) => info),
    parameters: 0,
    checkpoint: () => ({ diagnostics: [] }),
    elaborate<V>(entry: string, sink: Sink<V>) {
      if (!(sink instanceof GraphBuilder)) throw new Error('internal: the vectors are told to graph builders only')
      return { results: byName.get(entry)!.build(sink) as unknown as readonly V[], diagnostics: [] }
    },
  }
}
