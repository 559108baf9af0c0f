// Random valid graphs: the ops' own generators and whole compositions by turns, in the entry, in composites and in a loop over
// layers, with states between. Two lists of numbers make one case; shorter lists and smaller numbers make simpler ones.

import fc from 'fast-check'
import { constant, isConstant } from '../../dsl/affine.ts'
import { GraphBuilder } from '../../compiler/graph/builder.ts'
import { reachable, regionsOf, rootsOf } from '../../compiler/graph/nodes.ts'
import { is, type Graph, type Node, type OpName, type Region } from '../../compiler/graph/types.ts'
import { opDef, opNames } from '../../compiler/ops/index.ts'
import { sameType } from '../../compiler/ops/shape.ts'
import type { Binding, Bounds } from '../../dsl/affine.ts'
import { type Case, largest, patterns, span } from './case.ts'
import { compositions, type Place, rows, seq } from './compositions.ts'
import { choicesFrom, Grower } from './grower.ts'
import { chooseSizes, type Sizes } from './shapes.ts'

/** Elements of one value, at most. */
const mostElements = 500

/** Ops that a pool of values is enough for; the compositions make the others. */
export const generated: readonly OpName[] = opNames.filter((op) => opDef(op).generate !== null)

/** No composition has these: they are chosen more often. */
const frequent: readonly OpName[] = [...generated, 'pad', 'quantise', 'pad', 'quantise']

class Maker {
  readonly #g: Grower
  readonly #sizes: Sizes
  #looped = false

  constructor(g: Grower, sizes: Sizes) {
    this.#g = g
    this.#sizes = sizes
  }

  grow(prefix: string, stores: boolean, steps: number): void {
    const g = this.#g
    const place: Place = { g, sizes: this.#sizes, prefix, stores }
    for (let i = 0; i < steps; i++) {
      const kind = g.choices.integer(0, 9)
      if (kind === 9 && prefix === '' && stores && !this.#looped) this.#loop()
      else if (kind === 8 && stores) this.#composite(prefix)
      else if (kind >= 4) g.pick(compositions)(place)
      else this.#op()
    }
  }

  #op(): void {
    const g = this.#g
    const op = g.pick(frequent)
    const use = opDef(op).generate!(
      g.choices,
      g.pool.map((node) => node.type),
    )
    const node = use && g.use(op, use, mostElements)
    if (node) g.push(node)
  }

  #composite(prefix: string): void {
    const g = this.#g
    const operands = [rows({ g, sizes: this.#sizes, prefix, stores: false }), g.find(() => true)!]
    const outer = g.pool
    const results = g.composite('some', { eps: 0.5, name: null }, operands, (params) => {
      g.pool = [...outer.slice(0, 4), ...params.slice(1), params[0]!]
      this.grow(prefix, false, g.choices.integer(1, 2))
      return g.choices.integer(0, 1) === 0 ? [g.pool.at(-1)!] : [...new Set(g.pool.slice(-2))]
    })
    g.pool = outer
    g.push(...results)
  }

  /** Only once: a second loop over the array could not store to the same states. */
  #loop(): void {
    const g = this.#g
    this.#looped = true
    const { order } = this.#sizes
    const outer = g.pool
    const x = rows({ g, sizes: this.#sizes, prefix: '', stores: true })
    const other = g.chance(3) ? g.find((type) => type.dtype === 'f32' && type.dims.length > 0) : undefined
    const carried = other && other !== x ? [x, other] : [x]
    // What every instance reads, and nobody before or after the loop.
    const invariant = g.unary('tanh', x)
    const results = g.loop('layers', order, Math.max(...order) + 1, carried, (_group, params) => {
      g.pool = [...outer.slice(0, 3), invariant, ...params.slice(1), params[0]!]
      this.grow('layers[*].', true, g.choices.integer(1, 3))
      const next = params.map((param) => g.pool.findLast((node) => sameType(node.type, param.type)) ?? param)
      // What each instance leaves behind: anything, also what it carries on or was given.
      const kept = Array.from({ length: g.choices.integer(0, 2) }, () => g.pick(g.pool))
      return [...next, ...kept]
    })
    g.pool = outer
    g.push(...results)
  }
}

/** Calls of one session: positions go on, then start anew somewhere. */
function chooseCalls(g: Grower, { fewest, longest, ctx }: Sizes): Binding[] {
  const first = Math.max(fewest, Math.min(longest, g.choices.integer(0, longest)))
  const second = Math.max(fewest, Math.min(1 + g.choices.integer(0, 1), ctx - first, longest))
  const third = Math.max(fewest, g.choices.integer(0, longest))
  const calls = [
    { seq: first, start: 0 },
    { seq: second, start: Math.min(first, ctx - second) },
    { seq: third, start: g.choices.integer(0, ctx - third) },
  ]
  return calls
    .slice(0, g.chance(4) ? 3 : 2)
    .map((call) => ({ ...call, start: Math.min(call.start, ctx - 1) }))
    .filter((call) => call.seq + call.start <= ctx)
}

/** All nodes, those in regions too. */
export const nodesOf = (owner: Pick<Region, 'results' | 'states'>): Node[] =>
  reachable(rootsOf(owner)).flatMap((node) => [node, ...regionsOf(node).flatMap(nodesOf)])

const numbers = fc.nat(5039)

/** Tapes of a case: its sizes, and its graph. Without bias: every run is as large as every other. */
export const tapes = fc.noBias(
  fc.tuple(fc.array(numbers, { minLength: 130, maxLength: 130 }), fc.array(numbers, { minLength: 10, maxLength: 300, size: 'max' })),
)

export function randomCase([sizesTape, graphTape]: readonly [readonly number[], readonly number[]]): Case {
  const sizes = chooseSizes(choicesFrom(sizesTape))
  const choices = choicesFrom(graphTape)
  const { fewest, longest, ctx, width } = sizes
  const symbols = [
    { name: 'seq', kind: 'size' as const, min: fewest, max: longest },
    { name: 'start', kind: 'index' as const, min: 0, max: ctx - 1 },
  ]
  const bounds: Bounds = new Map(symbols.map(({ name, min, max }) => [name, { min, max }]))
  const builder = new GraphBuilder({
    weights: sizes.weights.map((each) => ({ ...each, labels: each.dims.map((_, i) => `a${i}`), quant: true, span })),
    states: sizes.states.map((each) => ({ ...each, labels: each.dims.map((_, i) => `a${i}`), span })),
  })
  const g = new Grower(builder, choices, bounds)
  const calls = chooseCalls(g, sizes)
  const inputs = patterns[choices.integer(0, patterns.length - 1)]!
  const long = choices.integer(0, 7) === 7
  const size = largest[inputs]
  g.pool = [
    g.given(builder.argument('ids', { dtype: 'i32', dims: [seq] }, span), { lo: -4, hi: 12 }),
    g.given(builder.argument('scale', { dtype: 'f32', dims: [constant(sizes.odd)] }, span), { lo: -size, hi: size }),
    g.weight('square', sizes.magnitude('square')),
    g.given(builder.argument('x', { dtype: 'f32', dims: [seq, constant(width)] }, span), { lo: -size, hi: size }),
  ]
  new Maker(g, sizes).grow('', true, choices.integer(1, long ? 7 : 3))
  const graph = builder.finish('test', symbols, resultsOf(g), [
    {
      left: {
        const: 0,
        terms: [
          ['seq', 1],
          ['start', 1],
        ],
      },
      right: ctx,
      why: 'context',
    },
  ])
  return { graph, ...usedOf(graph, sizes), calls, inputs, bindingBytes: [0, 2048, 0, 512][choices.integer(0, 3)]! }
}

/** The newest values, and a few of the older ones. */
function resultsOf(g: Grower): Node[] {
  const made = g.pool.slice(4)
  const few = [...new Set([...made.slice(-3), ...made.filter(() => g.choices.integer(0, 3) === 3)])]
  return few.length === 0 ? [g.pool.at(-1)!] : few.slice(0, 8)
}

/** What the graph reads, and what that is tied to. */
function usedOf(graph: Graph, { weights, states }: Sizes): Pick<Case, 'weights' | 'states'> {
  const paths = new Set<string>()
  for (const node of nodesOf(graph)) if (is(node, 'weight') || is(node, 'state')) paths.add(node.attributes.path)
  const used = (path: string): boolean => paths.has(path) || paths.has(path.replace(/\[\d+\]/, '[*]'))
  const ties = new Set(weights.flatMap(({ path, tied }) => (tied !== undefined && used(path) ? [tied] : [])))
  return {
    weights: weights.filter(({ path, tied }) => (used(path) || ties.has(path)) && (tied === undefined || used(path))),
    states: states.filter(({ path }) => used(path)),
  }
}

export interface Features {
  readonly nodes: number
  readonly ops: ReadonlySet<OpName>
  readonly dynamic: boolean
}

export function featuresOf(graph: Graph): Features {
  const nodes = nodesOf(graph)
  return {
    nodes: nodes.length,
    ops: new Set(nodes.map(({ op }) => op)),
    dynamic: nodes.some(({ type }) => type.dims.some((dim) => !isConstant(dim))),
  }
}
