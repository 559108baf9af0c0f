// Maps a graph into a new interned graph through a node function, regions included. Demand-driven from results and stored
// states, so values that nobody needs are gone afterwards; so are a loop's invariants that no body reads, invariants given twice,
// and invariants that are free of context (a literal, `start + iota(seq)`), which the bodies then hold themselves. A rule sees
// an old node before its operands are mapped and may answer with new nodes; without an answer the node is copied.

import { nodeFactory, reachable, resultsOf, rootsOf, type NodeFactory } from './nodes.ts'
import { fillPath, type Frame } from './paths.ts'
import { is, type Graph, type LoopAttributes, type Node, type Region } from './types.ts'

/** What a rule may do. Nodes that it makes belong to the new graph. */
export interface Rewrite {
  readonly factory: NodeFactory
  /** The graph that is being mapped. */
  readonly graph: Graph
  /** The new value of an old one, in the region that is being mapped. */
  map(node: Node): Node
  /** Copies the region's body here, with these new values for its parameters. */
  inline(region: Region, params: readonly Node[]): readonly Node[]
  /** The node with mapped operands: what happens without a rule. */
  copy(node: Node): Node
  /** The loop with other groups of instances; one old body may serve several of them. */
  regroup(node: Node<'loop'>, groups: Pick<LoopAttributes, 'groups' | 'order'>): readonly Node[]
  /** A path of the region that is being mapped, in the first instance that runs it. */
  concrete(path: string): string
  /**
   * Makes a value of the region that is being mapped a further result of the graph, by the path of what it tells about: in a loop's
   * body the value of every instance. A composite's body cannot keep anything: `inline` it.
   */
  keep(path: string, node: Node): void
}

/** A further result, by concrete path. */
export interface Kept {
  readonly path: string
  readonly node: Node
}

/**
 * New value for an old node; a list for a composite or loop with several results; undefined to copy it.
 * Rules must keep types.
 */
export type Rule = (node: Node, rewrite: Rewrite) => Node | readonly Node[] | undefined

/** Integers and truth values made from sizes and positions alone: cheaper to make again than to hand into a loop. */
function isFreeIndex(node: Node): boolean {
  if (node.op === 'literal') return true
  if (node.type.dtype !== 'i32' && node.type.dtype !== 'bool') return false
  if (node.op === 'size' || node.op === 'iota') return true
  if (!['unary', 'binary', 'where', 'cast', 'broadcast'].includes(node.op)) return false
  return node.operands.every(isFreeIndex)
}

/** Parameters that a region's results and states need. */
function usedParams(region: Region): ReadonlySet<number> {
  return new Set(reachable(rootsOf(region)).flatMap((node) => (is(node, 'param') ? [node.attributes.index] : [])))
}

class Mapper implements Rewrite {
  readonly factory: NodeFactory
  readonly graph: Graph
  readonly #rule: Rule
  readonly #spans = new Map<number, NonNullable<ReturnType<Graph['spans']['get']>>>()
  /** New loop calls: a stored state of a loop is the call itself, not one of its results. */
  readonly #loops = new Map<Node, Node>()
  /** The loops around, each with the first instance of the group that is being mapped. */
  #frames: readonly Frame[] = []
  #memo = new Map<Node, readonly Node[]>()
  /** What the region that is being mapped keeps, paths with `[*]`. */
  #kept: Kept[] = []

  constructor(graph: Graph, rule: Rule) {
    this.graph = graph
    this.#rule = rule
    this.factory = nodeFactory(graph.constants.values())
  }

  /** What the rule keeps comes behind the graph's own results. */
  run(): { readonly graph: Graph; readonly kept: readonly Kept[] } {
    const { graph } = this
    const own = graph.results.map((node) => this.map(node))
    const states = this.#states(graph)
    const results = [...own, ...this.#kept.map(({ node }) => node)]
    const live = new Set<string>()
    const collect = (owner: Pick<Region, 'results' | 'states'>): void => {
      for (const node of reachable(rootsOf(owner))) {
        if (is(node, 'constant')) live.add(node.attributes.id)
        if (is(node, 'composite')) collect(node.attributes.region)
        if (is(node, 'loop')) node.attributes.groups.forEach(collect)
      }
    }
    collect({ results, states })
    const constants = new Map([...this.factory.constants].filter(([id]) => live.has(id)))
    return { graph: { ...graph, results, states, constants, spans: this.#spans }, kept: this.#kept }
  }

  map(node: Node): Node {
    return this.#values(node)[0]!
  }

  copy(node: Node): Node {
    return this.#copy(node)[0]!
  }

  regroup(node: Node<'loop'>, { groups, order }: Pick<LoopAttributes, 'groups' | 'order'>): readonly Node[] {
    return this.#loop(node, { ...node.attributes, groups, order })
  }

  concrete(path: string): string {
    return fillPath(path, this.#frames)
  }

  keep(path: string, node: Node): void {
    if (!this.#kept.some((known) => known.path === path && known.node === node)) this.#kept.push({ path, node })
  }

  inline(region: Region, params: readonly Node[]): readonly Node[] {
    return this.#inside(() => {
      for (const [i, param] of region.params.entries()) this.#memo.set(param, [params[i]!])
      return region.results.map((node) => this.map(node))
    })
  }

  #values(node: Node): readonly Node[] {
    const known = this.#memo.get(node)
    if (known) return known
    const first = this.factory.count()
    const answer = this.#rule(node, this)
    const values = answer === undefined ? this.#copy(node) : 'op' in answer ? [answer] : answer
    const span = this.graph.spans.get(node.id)
    if (span) {
      // What a rule made on the way belongs to the same place as its answer.
      for (let id = first; answer !== undefined && id < this.factory.count(); id++) if (!this.#spans.has(id)) this.#spans.set(id, span)
      for (const value of values) if (!this.#spans.has(value.id)) this.#spans.set(value.id, span)
    }
    this.#memo.set(node, values)
    return values
  }

  #copy(node: Node): readonly Node[] {
    if (is(node, 'result')) {
      const values = this.#values(node.operands[0]!)
      return [values[node.attributes.index]!]
    }
    if (is(node, 'composite')) {
      const { region, kept } = this.#region(node.attributes.region, (id, param) =>
        this.factory.param(id, param.attributes.index, param.type),
      )
      if (kept.length > 0) throw new Error('internal: a rule keeps values of a composite that it does not inline')
      const call = this.factory.make(
        'composite',
        node.operands.map((operand) => this.map(operand)),
        { ...node.attributes, region },
      )
      return resultsOf(this.factory, call)
    }
    if (is(node, 'loop')) return this.#loop(node, node.attributes)
    return [
      this.factory.make(
        node.op,
        node.operands.map((operand) => this.map(operand)),
        node.attributes,
        node.type,
      ),
    ]
  }

  #loop(node: Node<'loop'>, attributes: LoopAttributes): readonly Node[] {
    const { array, carried, groups, order } = attributes
    const used = new Set(groups.flatMap((region) => [...usedParams(region)]))
    // Old parameter index → place in the new operand list, or the free value that stands for it.
    const places = new Map<number, number | Node>()
    const operands = node.operands.slice(0, carried).map((operand) => this.map(operand))
    node.operands.forEach((operand, index) => {
      if (index < carried) places.set(index, index)
      else if (used.has(index)) {
        const value = this.map(operand)
        const same = operands.indexOf(value, carried)
        if (isFreeIndex(value)) places.set(index, value)
        else if (same >= 0) places.set(index, same)
        else places.set(index, operands.push(value) - 1)
      }
    })
    const outer = this.#frames
    const bodies = groups.map((group, number) => {
      this.#frames = [...outer, { array: fillPath(array, outer), index: order.indexOf(number) }]
      const { region, kept } = this.#region(group, (id, param) => {
        const place = places.get(param.attributes.index)
        return typeof place === 'number' ? this.factory.param(id, place, param.type) : (place ?? this.factory.param(id, -1, param.type))
      })
      const params = operands.map((operand, index) => this.factory.param(region.id, index, operand.type))
      return { region: { ...region, params, results: [...region.results, ...kept.map(({ node: value }) => value)] }, kept }
    })
    this.#frames = outer
    const call = this.factory.make('loop', operands, { ...attributes, groups: bodies.map(({ region }) => region) })
    this.#loops.set(node, call)
    // Behind what is carried lie the values of one instance after the other, of each those it keeps last.
    const results = resultsOf(this.factory, call)
    const own = results.slice(0, carried)
    let next = carried
    for (const [index, number] of order.entries()) {
      const { region, kept } = bodies[number]!
      const end = next + region.results.length - carried
      own.push(...results.slice(next, end - kept.length))
      for (const [i, { path }] of kept.entries()) this.keep(fillPath(path, [{ array, index }]), results[end - kept.length + i]!)
      next = end
    }
    return own
  }

  #region(old: Region, param: (region: number, param: Node<'param'>) => Node): { readonly region: Region; readonly kept: readonly Kept[] } {
    const id = this.factory.region()
    const outer = this.#kept
    this.#kept = []
    try {
      return this.#inside(() => {
        const params = old.params.map((each) => param(id, each))
        for (const [i, each] of old.params.entries()) this.#memo.set(each, [params[i]!])
        const results = old.results.map((node) => this.map(node))
        return { region: { id, params: params as Node<'param'>[], results, states: this.#states(old) }, kept: this.#kept }
      })
    } finally {
      this.#kept = outer
    }
  }

  #states(owner: Pick<Region, 'states'>): ReadonlyMap<string, Node> {
    return new Map(
      [...owner.states].map(([path, node]) => {
        const value = this.map(node)
        const loop = this.#loops.get(node)
        // A rule may answer a version of a state with a cast of it: what is kept is the version.
        return [path, loop ?? (is(value, 'cast') ? value.operands[0]! : value)]
      }),
    )
  }

  // Nodes of a region are mapped apart from those outside: one without context may be shared, and is interned again.
  #inside<T>(work: () => T): T {
    const outer = this.#memo
    this.#memo = new Map()
    try {
      return work()
    } finally {
      this.#memo = outer
    }
  }
}

/** Maps a graph through a rule. */
export const rewriteGraph = (graph: Graph, rule: Rule): Graph => new Mapper(graph, rule).run().graph

/** The same, and what the rule kept: results behind the graph's own, in this order. */
export const rewriteKeeping = (graph: Graph, rule: Rule): { readonly graph: Graph; readonly kept: readonly Kept[] } =>
  new Mapper(graph, rule).run()
