// A model whose entries are told to the graph builder by functions instead of a `.dsl` file, with sizes that are numbers: for
// tests that need graphs which no model has, on the way that every model goes.

import type { EntryInfo, SpecialisedModel } from '../../dsl/model.ts'
import type { Sink, StateInfo, TensorType, WeightInfo } from '../../dsl/sink.ts'
import { packArtifact } from '../../compiler/artifact/write.ts'
import { compileModel } from '../../compiler/compile.ts'
import type { FormatName } from '../../compiler/formats/index.ts'
import { buildGraph, GraphBuilder } from '../../compiler/graph/builder.ts'
import { reachable } from '../../compiler/graph/nodes.ts'
import { type Graph, is, type Node } from '../../compiler/graph/types.ts'
import { createReference, type Reference } from '../../compiler/targets/reference/evaluate.ts'
import type { Mode } from '../../compiler/ops/op.ts'
import type { Activations } from '../../compiler/targets/index.ts'
import type { BoundWeight } from '../../compiler/weights/bind.ts'
import { load, memoryFiles } from '../../runtime/index.ts'
import type { TensorResult } from '../../runtime/entry-call.ts'

export const span = { source: { path: 'built', text: '' }, start: 0, end: 0 }

/** Values of f32, row-major. */
export interface BuiltWeight {
  readonly info: WeightInfo
  readonly data: Float64Array
  /** How a file would hold them: kept so. Absent: as f32. */
  readonly stored?: { readonly format: FormatName; readonly bytes: Uint8Array }
}

export interface BuiltEntry {
  readonly info: EntryInfo
  readonly states: readonly StateInfo[]
  readonly weights: readonly BuiltWeight[]
  /** Tells the builder every primitive; gives the results. */
  build(builder: GraphBuilder): readonly Node[]
}

const labelled = (type: TensorType) => ({ type, labels: type.dims.map((_, axis) => `axis${axis}`) })

/** An entry with the arguments and results that its graph turns out to have. */
export function builtEntry(
  name: string,
  build: BuiltEntry['build'],
  { states = [], weights = [] }: Partial<Pick<BuiltEntry, 'states' | 'weights'>> = {},
): BuiltEntry {
  const results = build(new GraphBuilder({ weights: weights.map(({ info }) => info), states }))
  const types = new Map(reachable(results).flatMap((node) => (is(node, 'argument') ? [[node.attributes.name, node.type] as const] : [])))
  return {
    info: {
      name,
      arguments: [...types].map(([argument, type]) => ({ kind: 'tensor', name: argument, ...labelled(type) })),
      symbols: [],
      limits: [],
      results: results.map(({ type }) => labelled(type)),
    },
    states,
    weights,
    build,
  }
}

const stored = (path: string, dims: readonly number[]) => ({ path, dims, labels: dims.map((_, axis) => `axis${axis}`), span })

export const stateInfo = (path: string, dims: readonly number[]): StateInfo => ({ ...stored(path, dims), dtype: 'f32' })

export const builtWeight = (path: string, dims: readonly number[], data: Float64Array, kept?: BuiltWeight['stored']): BuiltWeight => ({
  info: { ...stored(path, dims), quant: true },
  data,
  ...(kept ? { stored: kept } : {}),
})

/** One model of all the entries. */
export function builtModel(entries: readonly BuiltEntry[]): SpecialisedModel {
  const byName = new Map(entries.map((entry) => [entry.info.name, entry]))
  return {
    name: 'built',
    module: 'built',
    config: {},
    weights: entries.flatMap(({ weights }) => weights.map(({ info }) => info)),
    states: entries.flatMap(({ states }) => states),
    entries: entries.map(({ info }) => info),
    parameters: 0,
    checkpoint: () => ({ diagnostics: [] }),
    elaborate<V>(entry: string, sink: Sink<V>) {
      if (!(sink instanceof GraphBuilder)) throw new Error('a built model is told to graph builders only')
      return { results: byName.get(entry)!.build(sink) as unknown as readonly V[], diagnostics: [] }
    },
  }
}

export function builtGraph(entry: BuiltEntry): Graph {
  const { graph, diagnostics } = buildGraph(builtModel([entry]), entry.info.name)
  if (!graph) throw new Error(diagnostics.map(({ message }) => message).join('; '))
  return graph
}

/** The reference over the graph as it was built. */
export const builtReference = (entry: BuiltEntry, mode: Mode = 'exact'): Reference =>
  createReference([builtGraph(entry)], { weight: (path) => ({ dims: [], data: weightData(entry, path) }), mode })

export const weightData = ({ weights }: BuiltEntry, path: string): Float64Array => weights.find(({ info }) => info.path === path)!.data

/** The weights of all entries as a file would give them. */
export const builtWeights = (entries: readonly BuiltEntry[]): ReadonlyMap<string, BoundWeight> =>
  new Map(
    entries
      .flatMap((entry) => entry.weights)
      .map(({ info: { path, dims }, data, stored: kept }): [string, BoundWeight] => [
        path,
        kept
          ? { path, dims, format: kept.format, read: () => kept.bytes }
          : { path, dims, format: 'f32', read: () => new Uint8Array(Float32Array.from(data).buffer) },
      ]),
  )

export interface CompiledOn {
  readonly target: 'wasm' | 'webgpu'
  readonly gpu?: GPU | undefined
  readonly math?: 'strict' | 'fast'
  readonly activations?: Activations
}

export type Call = (entry: string, inputs: Readonly<Record<string, ArrayLike<number>>>) => Promise<TensorResult[]>

/** Compiles all entries into one artifact, loads it, and lets `use` call them on one session. */
export async function withCompiled<T>(entries: readonly BuiltEntry[], on: CompiledOn, use: (call: Call) => Promise<T>): Promise<T> {
  const { target, gpu, math = 'strict', activations } = on
  const { compilation, diagnostics } = compileModel(builtModel(entries), {
    targets: [target],
    math,
    ...(activations ? { activations } : {}),
    quant: 'keep',
    weights: builtWeights(entries),
    verify: true,
  })
  if (!compilation) throw new Error(diagnostics.map(({ message }) => message).join('; '))
  const model = await load(memoryFiles(await packArtifact(compilation.contents)), { device: target, ...(gpu ? { gpu } : {}) })
  try {
    const session = model.createSession()
    return await use((entry, inputs) => session.call(entry, inputs))
  } finally {
    await model.dispose()
  }
}
