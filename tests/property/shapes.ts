// Sizes, weights and states that a random graph may use. Sizes are small, odd more often than not, and around the places where
// schedules have their edges: 4 lanes, groups of 8 rows, blocks of 32 values, 64 threads. The list of weights is a menu:
// what the graph does not read is left out of the case.

import { formats, type FormatName } from '../../compiler/formats/index.ts'
import type { Choices } from '../../compiler/ops/op.ts'
import { largest, type Pattern, patterns, type StateSpec, type WeightSpec } from './case.ts'

export interface Sizes {
  readonly width: number
  readonly heads: number
  readonly groups: number
  readonly head: number
  readonly inner: number
  readonly vocab: number
  readonly ctx: number
  readonly ring: number
  readonly experts: number
  readonly odd: number
  /** Bounds of `seq`. */
  readonly fewest: number
  readonly longest: number
  /** Group of each layer. */
  readonly order: readonly number[]
  readonly tied: boolean
  readonly weights: readonly WeightSpec[]
  readonly states: readonly StateSpec[]
  /** No value of a weight is larger. Paths may hold `[*]`. */
  magnitude(path: string): number
}

const pattern = (choices: Choices): Pattern => patterns[[0, 1, 1, 1, 0, 2, 3, 4, 5][choices.integer(0, 8)]!]!

/** `blocky`: sizes that packed formats can cut into blocks. */
export function chooseSizes(choices: Choices): Sizes {
  const pick = <T>(list: readonly T[]): T => list[choices.integer(0, list.length - 1)]!
  const blocky = choices.integer(0, 2) > 0
  // Rows of 256 are what some formats need; they cost eight times as much, so they are few.
  const width = blocky ? pick([...Array.from({ length: 16 }, () => [32, 32, 64, 32]).flat(), 256]) : pick([4, 6, 8, 5, 1, 12, 33, 7])
  const [heads, groups] = pick([
    [2, 1],
    [2, 2],
    [1, 1],
    [4, 2],
    [3, 1],
  ] as const)
  const size = pick([4, 2, 6, 8, 5])
  // Rows of whole blocks, which caches may be stored in.
  const head = blocky && (size === 8 || size === 4) ? 32 : size
  const inner = blocky ? pick([32, 35, 64]) : pick([8, 5, 9, 3, 16, 13])
  const longest = pick([3, 2, 4, 5, 1])
  const fewest = choices.integer(0, 9) === 9 ? 0 : 1
  const ctx = longest + pick([3, 1, 6, 0])
  const ring = longest + pick([1, 0, 2])
  const vocab = pick([7, 16, 13, 1, 33])
  const count = pick([3, 2, 4, 5])
  const odd = pick([3, 1, 2, 7])
  const order = pick([[0, 0], [0, 1], [0], [0, 1, 0]])
  const tied = choices.integer(0, 2) === 2

  const formatFor = (row: number): FormatName => {
    const format: FormatName =
      row % 256 === 0 && row > 0
        ? pick(['q6_k', 'q4_k', 'q5_k', 'f32'])
        : pick(['f32', 'q8_0', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'f16', 'bf16', 'f32'])
    return row % formats[format].values === 0 ? format : 'f32'
  }
  const own = (dims: readonly number[], row: number): Pick<WeightSpec, 'dims' | 'pattern' | 'format'> => {
    const format = formatFor(row)
    return { dims, pattern: pattern(choices), format }
  }
  const block = (): readonly (readonly [string, Pick<WeightSpec, 'dims' | 'pattern' | 'format'>])[] => [
    ['wq', own([heads, head, width], width)],
    ['wk', own([groups, head, width], width)],
    ['wv', own([groups, head, width], width)],
    ['wo', own([width, heads, head], heads * head)],
    ['up', own([inner, width], width)],
    ['gate', own([inner, width], width)],
    ['down', own([width, inner], inner)],
    ['gain', { dims: [width], pattern: 'waves', format: 'f32' }],
    ['bias', { dims: [width], pattern: 'quarters', format: 'f32' }],
    ['taps', { dims: [width, 3], pattern: 'waves', format: 'f32' }],
    ['router', own([count, width], width)],
    ['expertsup', own([count, inner, width], width)],
    ['expertsdown', own([count, width, inner], inner)],
    ['embedding', own([vocab, width], width)],
    ['positions', own([ctx, width], width)],
    ['square', own([odd, odd], odd)],
    ['cube', own([2, 3, 5], 5)],
  ]
  const state = (prefix: string): StateSpec[] => [
    { path: `${prefix}keys`, dtype: 'f32', dims: [ctx, groups, head] },
    { path: `${prefix}values`, dtype: 'f32', dims: [ctx, groups, head] },
    { path: `${prefix}ringkeys`, dtype: 'f32', dims: [ring, groups, head] },
    { path: `${prefix}ringvalues`, dtype: 'f32', dims: [ring, groups, head] },
    { path: `${prefix}filled`, dtype: 'i32', dims: [ring] },
    { path: `${prefix}tail`, dtype: 'f32', dims: [2, width] },
    { path: `${prefix}mean`, dtype: 'f32', dims: [width] },
    { path: `${prefix}count`, dtype: 'i32', dims: [odd] },
  ]
  const alone = block().map(([name, spec]): WeightSpec => ({ path: name, ...spec }))
  const embedding = alone.find(({ path }) => path === 'embedding')!
  const layer = block()
  // Most files have instances whose formats differ.
  const mixed = choices.integer(0, 3) > 0
  const instance = (i: number): typeof layer =>
    i === 0 || !mixed
      ? layer
      : layer.map(([name, spec]) => [name, choices.integer(0, 1) > 0 ? spec : { ...spec, format: formatFor(spec.dims.at(-1)!) }])
  const weights: WeightSpec[] = [
    ...alone,
    ...(tied ? [{ ...embedding, path: 'unembedding', tied: 'embedding' }] : []),
    ...order.flatMap((_, i) => instance(i).map(([name, spec]): WeightSpec => ({ path: `layers[${i}].${name}`, ...spec }))),
  ]
  const patternOf = new Map(weights.map(({ path, pattern: of }) => [path.replace(/\[\d+\]/, '[*]'), of]))
  return {
    width,
    heads,
    groups,
    head,
    inner,
    vocab,
    ctx,
    ring,
    experts: count,
    odd,
    fewest,
    longest,
    order,
    tied,
    weights,
    states: [...state(''), ...order.flatMap((_, i) => state(`layers[${i}].`))],
    magnitude: (path) => largest[patternOf.get(path)!] * 1.2,
  }
}
