// Evaluates a graph as it stands, in f64: the definition of every result. Algorithm: each region is planned once (nodes in
// order of id, with the last use of each), then nodes are evaluated by their OpDef and dropped after their last use. Regions of
// loops run once per instance, with `[*]` of their paths filled in. In typed mode each float result is rounded to its dtype.

import type { Binding } from '../../../dsl/affine.ts'
import { reachable, rootsOf } from '../../graph/nodes.ts'
import { fillPath, type Frame } from '../../graph/paths.ts'
import { is, type Graph, type Node, type Region } from '../../graph/types.ts'
import { opDef } from '../../ops/index.ts'
import type { EvaluateContext, Mode } from '../../ops/op.ts'
import { sizes } from '../../ops/shape.ts'
import { elements, roundAll, type Tensor } from '../../ops/tensor.ts'

export type { Tensor } from '../../ops/tensor.ts'

/** A weight's values by concrete path (`layers[3].attn.wq`), row-major. The array is only read. */
export type WeightSource = (path: string) => { readonly dims: readonly number[]; readonly data: Float64Array }

export interface ReferenceOptions {
  readonly weight: WeightSource
  /** 'exact' unless told. */
  readonly mode?: Mode
  /** Sees every node's results as they are computed; `instances` are the running loops' instances, outermost first. */
  readonly observe?: (node: Node, results: readonly Tensor[], instances: readonly number[]) => void
}

export type StateValues = ReadonlyMap<string, Float64Array>

export interface Reference {
  /**
   * Runs one entry. `inputs` are the tensor arguments, row-major; a state that is not in `states` is zero. Gives the results
   * and the new values of all states that are known afterwards (`states` itself is not changed).
   */
  run(
    entry: string,
    symbols: Binding,
    inputs: Readonly<Record<string, ArrayLike<number>>>,
    states?: StateValues,
  ): { results: readonly Tensor[]; states: Map<string, Float64Array> }
}

interface Step {
  readonly node: Node
  /** Values that nobody needs after this step. */
  readonly dead: readonly Node[]
}

type Owner = Pick<Region, 'results' | 'states'>

const plans = new WeakMap<Owner, readonly Step[]>()

function planOf(owner: Owner): readonly Step[] {
  const known = plans.get(owner)
  if (known) return known
  const roots = rootsOf(owner)
  const nodes = reachable(roots)
  const last = new Map<Node, Node>()
  for (const node of nodes) for (const operand of node.operands) last.set(operand, node)
  for (const root of roots) last.delete(root)
  const dead = new Map<Node, Node[]>()
  for (const [operand, user] of last) dead.set(user, [...(dead.get(user) ?? []), operand])
  const plan = nodes.map((node) => ({ node, dead: dead.get(node) ?? [] }))
  plans.set(owner, plan)
  return plan
}

class Run {
  readonly written = new Map<string, Float64Array>()
  readonly #graph: Graph
  readonly #options: ReferenceOptions
  readonly #binding: Binding
  readonly #inputs: Readonly<Record<string, ArrayLike<number>>>
  readonly #states: StateValues
  readonly #rounded: WeakMap<Float64Array, Float64Array>

  constructor(
    graph: Graph,
    options: ReferenceOptions,
    binding: Binding,
    inputs: Readonly<Record<string, ArrayLike<number>>>,
    states: StateValues,
    rounded: WeakMap<Float64Array, Float64Array>,
  ) {
    this.#graph = graph
    this.#options = options
    this.#binding = binding
    this.#inputs = inputs
    this.#states = states
    this.#rounded = rounded
  }

  /** Evaluates a graph or region and writes its states. */
  owner(owner: Owner, params: readonly Tensor[], frames: readonly Frame[]): readonly Tensor[] {
    const values = new Map<Node, readonly Tensor[]>()
    for (const { node, dead } of planOf(owner)) {
      const results = this.#node(node, values, params, frames)
      values.set(node, results)
      this.#options.observe?.(
        node,
        results,
        frames.map((frame) => frame.index),
      )
      for (const operand of dead) values.delete(operand)
    }
    for (const [path, node] of owner.states) {
      if (node.op !== 'loop') this.written.set(fillPath(path, frames), values.get(node)![0]!.data)
    }
    return owner.results.map((node) => values.get(node)![0]!)
  }

  #node(node: Node, values: ReadonlyMap<Node, readonly Tensor[]>, params: readonly Tensor[], frames: readonly Frame[]): readonly Tensor[] {
    const mode = this.#options.mode ?? 'exact'
    const context: EvaluateContext = {
      mode,
      binding: this.#binding,
      type: node.type,
      constant: (id) => this.#graph.constants.get(id) ?? fault(`no constant ${id}`),
      argument: (name) => this.#argument(name, node),
      weight: (path) => this.#options.weight(fillPath(path, frames)),
      state: (path) => this.#state(fillPath(path, frames), node),
      param: (index) => params[index]!,
      results: () => values.get(node.operands[0]!)!,
      region: (region, operands, instance) =>
        this.owner(region, operands, instance ? [...frames, { array: fillPath(instance.array, frames), index: instance.index }] : frames),
    }
    const operands = node.operands.map((operand) => values.get(operand)![0]!)
    const def = opDef(node.op)
    const value = def.evaluate(operands, node.attributes, context)
    if (!('data' in value)) return value
    if (mode === 'typed' && def.rounds)
      return [is(node, 'weight') ? this.#roundedWeight(value) : { ...value, data: roundAll(value.data, value.dtype) }]
    return [value]
  }

  // The weight source keeps its array; the rounded copy is kept beside it.
  #roundedWeight(value: Tensor): Tensor {
    const data = this.#rounded.get(value.data) ?? roundAll(value.data.slice(), value.dtype)
    this.#rounded.set(value.data, data)
    return { ...value, data }
  }

  #argument(name: string, node: Node): Tensor {
    const input = this.#inputs[name] ?? fault(`the call gives no argument ${name}`)
    const dims = sizes(node.type.dims, this.#binding)
    if (input.length !== elements(dims)) fault(`argument ${name} has ${input.length} values, not [${dims}]`)
    return { dtype: node.type.dtype, dims, data: Float64Array.from(input) }
  }

  #state(path: string, node: Node): Tensor {
    const dims = sizes(node.type.dims, this.#binding)
    const data = this.written.get(path) ?? this.#states.get(path) ?? new Float64Array(elements(dims))
    return { dtype: node.type.dtype, dims, data }
  }
}

function fault(message: string): never {
  throw new Error(`internal: reference: ${message}`)
}

/** The reference evaluator over a model's graphs, by entry. */
export function createReference(graphs: Iterable<Graph>, options: ReferenceOptions): Reference {
  const entries = new Map([...graphs].map((graph) => [graph.entry, graph]))
  const rounded = new WeakMap<Float64Array, Float64Array>()
  return {
    run(entry, symbols, inputs, states = new Map()) {
      const graph = entries.get(entry) ?? fault(`no entry ${entry}`)
      const run = new Run(graph, options, symbols, inputs, states, rounded)
      const results = run.owner(graph, [], [])
      return { results, states: new Map([...states, ...run.written]) }
    },
  }
}
