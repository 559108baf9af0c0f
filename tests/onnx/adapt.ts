// A case of ONNX's vectors as an entry of a model: its inputs are the entry's arguments, its nodes are told to the graph builder
// by the rows of ops/, and what it expects lies beside. Caches are states.

import type { StateInfo } from '../../dsl/sink.ts'
import type { GraphBuilder } from '../../compiler/graph/builder.ts'
import type { Node } from '../../compiler/graph/types.ts'
import { type BuiltEntry, builtEntry, type BuiltWeight, builtWeight, stateInfo } from '../support/built-model.ts'
import { rows, stateDims } from './ops/index.ts'
import { Call } from './ops/row.ts'
import { Missing, type OnnxTensor, readTensor, type StoredCase } from './read-vectors.ts'
import { finite, Translator, type Value } from './translate.ts'

export interface Case {
  /** The test's name without `test_`; the entry has the same. */
  readonly name: string
  /** The op that is tested: `Attention`, or `Attention, expanded`. */
  readonly op: string
  readonly entry: BuiltEntry
  readonly inputs: Readonly<Record<string, Float64Array>>
  readonly expected: readonly OnnxTensor[]
}

export const nameOf = ({ test }: StoredCase): string => test.replace(/^test_/, '')

/** The op of the case; where it is written out in primitives, their names begin with the op's. */
export function opOf({ test, nodes }: StoredCase): string {
  if (nodes.length === 1) return nodes[0]!.op
  const inner = nodes.flatMap(({ outputs }) => outputs).find((name) => name.includes(test))
  return test.endsWith('_expanded') && inner ? `${inner.slice(0, inner.indexOf('_test_'))}, expanded` : nodes.map(({ op }) => op).join(', ')
}

const stateOf = (stored: StoredCase): string => `${nameOf(stored)}.state`

/** The states of the ops that write into their first input, which is an input of the case. */
function statesOf(stored: StoredCase, inputs: readonly OnnxTensor[]): StateInfo[] {
  return stored.nodes.flatMap(({ op, inputs: [first], attrs = {} }) => {
    const input = inputs.find(({ name }) => name === first)
    return stateDims[op] && input ? [stateInfo(stateOf(stored), stateDims[op](input.dims, attrs))] : []
  })
}

function translate(
  stored: StoredCase,
  inputs: readonly OnnxTensor[],
  weights: readonly BuiltWeight[],
  builder: GraphBuilder,
): readonly Value[] {
  const t = new Translator(builder, inputs, weights)
  const isWeight = (name: string): boolean => weights.some(({ info }) => info.path === pathOf(stored, name))
  const values = new Map<string, Value>(
    inputs.map((input) => [input.name, isWeight(input.name) ? t.weight(pathOf(stored, input.name)) : t.argument(input)]),
  )
  for (const { op, inputs: names, outputs, attrs = {} } of stored.nodes) {
    const row = rows[op]
    if (!row) throw new Missing(`op ${op}`)
    const given = names.map((name) => values.get(name))
    const made = row(new Call(t, op, given, attrs, outputs.length, stateOf(stored)))
    outputs.forEach((name, i) => {
      if (name !== '') values.set(name, made[i] ?? missingOutput(op, i))
    })
  }
  return stored.outputs.map((name) => values.get(name)!)
}

function missingOutput(op: string, index: number): never {
  throw new Missing(`${op}: output ${index}`)
}

const pathOf = (stored: StoredCase, input: string): string => `${nameOf(stored)}.${input}`

/** Every tensor of f32 but the first input: what a model would have as weights (and more). */
const weightsOf = (stored: StoredCase, inputs: readonly OnnxTensor[]): BuiltWeight[] =>
  inputs
    .slice(1)
    .filter(({ type, dims, data }) => type === 'float32' && dims.length > 0 && data.length > 0)
    .map(({ name, dims, data }) => builtWeight(pathOf(stored, name), dims, data.map(finite)))

/** `asWeights`: inputs are weights where they can be. Throws Missing for what llamac has no primitive or type for. */
export function adapt(stored: StoredCase, asWeights = false): Case {
  const [set] = stored.sets
  const inputs = [...(stored.initializers ?? []), ...set!.inputs].map(readTensor)
  const expected = stored.outputs.map((name) => readTensor(set!.outputs.find((output) => output.name === name)!))
  if (expected.some(({ data }) => data.some(Number.isNaN))) throw new Missing('NaN')
  const weights = asWeights ? weightsOf(stored, inputs) : []
  const build = (builder: GraphBuilder): readonly Node[] => translate(stored, inputs, weights, builder).map(({ node }) => node)
  const entry = builtEntry(nameOf(stored), build, { states: statesOf(stored, inputs), weights })
  entry.info.results.forEach(({ type }, i) => {
    const [made, wanted] = [type.dims.map((dim) => dim.const), expected[i]!.dims].map((dims) => `[${dims}]`)
    if (made !== wanted) throw new Error(`internal: the result ${i} of ${stored.test} is ${made}, not ${wanted}`)
  })
  const read = entry.info.arguments.map(({ name }) => [name, inputs.find((input) => input.name === name)!.data.map(finite)] as const)
  return { name: nameOf(stored), op: opOf(stored), entry, inputs: Object.fromEntries(read), expected }
}
