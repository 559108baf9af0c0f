// One case of the random-graph tests: a graph, the weights and states that it speaks of, and the calls of one session. A case is
// plain data (its graph as text), so that a failure can be written to a file and replayed after the generator has changed. All
// numbers follow from names and patterns; none is stored.

import { formats, type FormatName } from '../../compiler/formats/index.ts'
import type { GraphModel } from '../../compiler/compile.ts'
import { parseGraph } from '../../compiler/graph/parse.ts'
import { printGraph } from '../../compiler/graph/print.ts'
import type { Dtype, Graph } from '../../compiler/graph/types.ts'
import type { BoundWeight } from '../../compiler/weights/bind.ts'
import { type Binding, evaluate } from '../../dsl/affine.ts'
import type { Span } from '../../dsl/source.ts'

/** Shapes of data that find different mistakes: exact sums, any fraction, no positive value, wide range, rows of zeros. */
export const patterns = ['quarters', 'waves', 'negative', 'large', 'tiny', 'sparse'] as const
export type Pattern = (typeof patterns)[number]

/** No value of a pattern is larger. */
export const largest: Readonly<Record<Pattern, number>> = { quarters: 2, waves: 1, negative: 3, large: 40, tiny: 0.01, sparse: 2 }

export interface WeightSpec {
  readonly path: string
  readonly dims: readonly number[]
  readonly pattern: Pattern
  /** As the checkpoint stores it. */
  readonly format: FormatName
  readonly tied?: string
}

export interface StateSpec {
  readonly path: string
  readonly dtype: Dtype
  readonly dims: readonly number[]
}

export interface Case {
  readonly graph: Graph
  readonly weights: readonly WeightSpec[]
  readonly states: readonly StateSpec[]
  /** Symbols of each call, in the order of one session. */
  readonly calls: readonly Binding[]
  /** Patterns of the tensor arguments; i32 arguments are ids. */
  readonly inputs: Pattern
  /** Largest binding of the target that cuts weights; 0: the target's own. */
  readonly bindingBytes: number
}

export const span: Span = { source: { path: 'random', text: '' }, start: 0, end: 0 }

export const product = (dims: readonly number[]): number => dims.reduce((count, dim) => count * dim, 1)

function hashOf(name: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** Uniform in [0, 1), from a stream's hash and a place. */
function uniform(hash: number, i: number): number {
  let x = hash ^ Math.imul(i + 1, 0x9e3779b1)
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32
}

const draw: Readonly<Record<Pattern, (u: number, v: number) => number>> = {
  quarters: (u) => (Math.floor(u * 17) - 8) / 4,
  waves: (u) => Math.fround(2 * u - 1),
  negative: (u) => -(Math.floor(u * 9) + 4) / 4,
  large: (u) => Math.fround(80 * u - 40),
  tiny: (u) => Math.fround((2 * u - 1) * 0.01),
  sparse: (u, v) => (v < 0.7 ? 0 : (Math.floor(u * 17) - 8) / 4),
}

/** Values of a named tensor; f32 numbers. */
export function dataOf(name: string, pattern: Pattern, count: number): Float32Array {
  const hash = hashOf(name)
  return Float32Array.from({ length: count }, (_, i) => draw[pattern](uniform(hash, i), uniform(hash ^ 0x5bd1e995, i)))
}

/** The weight's bytes in its checkpoint's format. */
export function bytesOf({ path, dims, pattern, format }: WeightSpec): Uint8Array {
  const values = dataOf(path, pattern, product(dims))
  const out = new Uint8Array((values.length / formats[format].values) * formats[format].bytes)
  formats[format].encode(values, out)
  return out
}

/** What the weight is: its bytes, decoded. */
export function valuesOf(weight: WeightSpec): Float64Array {
  const out = new Float32Array(product(weight.dims))
  formats[weight.format].decode(bytesOf(weight), out)
  return Float64Array.from(out)
}

/** Tensor arguments of call `number`. Ids may lie a little outside of any table: kernels clamp. */
export function inputsOf({ graph, inputs, calls }: Case, number: number): Record<string, Float64Array> {
  return Object.fromEntries(
    graph.arguments.map(({ name, type }) => {
      const count = product(type.dims.map((dim) => evaluate(dim, calls[number]!)))
      const key = `${name}/${number}`
      const data =
        type.dtype === 'i32' ? dataOf(key, 'quarters', count).map((value) => Math.trunc(value * 4) + 4) : dataOf(key, inputs, count)
      return [name, Float64Array.from(data)]
    }),
  )
}

/** The case as the compiler is given a model. */
export function modelOf({ graph, weights, states }: Case): GraphModel {
  return {
    name: 'Random',
    config: {},
    weights: weights.map(({ path, dims, tied }) => ({
      path,
      dims,
      labels: dims.map((_, i) => `a${i}`),
      quant: true,
      span,
      ...(tied === undefined ? {} : { tied }),
    })),
    states: states.map(({ path, dtype, dims }) => ({ path, dtype, dims, labels: dims.map((_, i) => `a${i}`), span })),
    parameters: 0,
    entries: [
      {
        name: graph.entry,
        arguments: [
          ...graph.arguments.map(({ name, type }) => ({ kind: 'tensor' as const, name, type, labels: type.dims.map((_, i) => `a${i}`) })),
          ...graph.symbols.filter(({ kind }) => kind === 'index').map(({ name }) => ({ kind: 'index' as const, name })),
        ],
        symbols: graph.symbols,
        limits: graph.limits ?? [],
        results: graph.results.map(({ type }) => ({ type, labels: type.dims.map((_, i) => `a${i}`) })),
      },
    ],
  }
}

export const boundWeights = ({ weights }: Case): ReadonlyMap<string, BoundWeight> =>
  new Map(
    weights
      .filter(({ tied }) => tied === undefined)
      .map((weight) => [weight.path, { path: weight.path, dims: weight.dims, format: weight.format, read: () => bytesOf(weight) }]),
  )

/** Text of a case, for the corpus and for reports. */
export function caseText({ graph, ...rest }: Case, why: string): string {
  return `${JSON.stringify({ why, ...rest, graph: printGraph(graph).trimEnd().split('\n') }, undefined, 1)}\n`
}

/** Reads `caseText` back. */
export function parseCase(text: string): Case & { readonly why: string } {
  const { graph, ...rest } = JSON.parse(text) as Omit<Case, 'graph'> & { readonly why: string; readonly graph: readonly string[] }
  return { ...rest, graph: parseGraph(`${graph.join('\n')}\n`) }
}
