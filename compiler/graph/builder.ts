// Listens to the checker's walk over one entry and builds its graph. Each scope (scopes.ts) keeps the newest version of its states; what
// the walk makes inside one is made in terms of that scope's own values.

import { constant, isConstant, type Affine } from '../../dsl/affine.ts'
import { diagnose } from '../../dsl/codes.ts'
import type { Diagnostic } from '../../dsl/diagnostics.ts'
import type { SpecialisedModel } from '../../dsl/model.ts'
import type {
  Attribute,
  BinaryOpName,
  Dtype,
  LoopSpec,
  ReduceOp,
  Sink,
  StateInfo,
  TensorType,
  UnaryOp,
  WeightInfo,
} from '../../dsl/sink.ts'
import { position, type Span } from '../../dsl/source.ts'
import { isFloat } from '../ops/op.ts'
import { within } from '../limits.ts'
import { sameDims } from '../ops/shape.ts'
import { nodeFactory, regionsOf, resultsOf, type NodeFactory } from './nodes.ts'
import { fillPath } from './paths.ts'
import { type Scope, Scopes } from './scopes.ts'
import { type Tap, tapName, type TapPatterns } from './taps.ts'
import { is, type Attributes, type Graph, type Node, type OpName, type Region } from './types.ts'

export interface BuilderModel {
  readonly weights: readonly WeightInfo[]
  readonly states: readonly StateInfo[]
  /** What `real` is; f32 unless told. */
  readonly real?: Dtype
}

type Make = <Op extends OpName>(
  op: Op,
  operands: readonly Node[],
  attributes: Attributes[Op],
  span: Span,
  declared?: TensorType,
) => Node<Op>

const constants = (dims: readonly number[]): Affine[] => dims.map(constant)
const dimsType = (dtype: Dtype, dims: readonly Affine[]): TensorType => ({ dtype, dims })

/** Builds one entry's graph: give it to `elaborate` as the sink, then call `finish`. */
export class GraphBuilder implements Sink<Node> {
  readonly factory: NodeFactory = nodeFactory()
  readonly diagnostics: Diagnostic[] = []
  readonly #weights: ReadonlyMap<string, WeightInfo>
  readonly #states: ReadonlyMap<string, StateInfo>
  readonly #real: Dtype
  readonly #scopes = new Scopes(this.factory)
  /** Length of the longest chain of operands that ends in a node, those inside its regions counted. */
  readonly #chain = new Map<Node, number>()
  readonly #spans = new Map<number, Span>()
  readonly #arguments: { name: string; type: TensorType }[] = []
  readonly #taps: TapPatterns | undefined

  /** `taps`: which values by path become results behind the entry's own. */
  constructor(model: BuilderModel, taps?: TapPatterns) {
    this.#taps = taps
    this.#weights = new Map(model.weights.map((info) => [info.path, info]))
    this.#states = new Map(model.states.map((info) => [info.path, info]))
    this.#real = model.real ?? 'f32'
  }

  /** The finished graph. */
  finish(entry: string, symbols: Graph['symbols'], results: readonly Node[], limits: NonNullable<Graph['limits']> = []): Graph {
    const { versions: states, tapped } = this.#scopes.at(0)
    const all = [...results, ...tapped.map(({ node }) => node)]
    return {
      entry,
      arguments: this.#arguments,
      symbols,
      limits,
      results: all,
      states,
      constants: this.factory.constants,
      spans: this.#spans,
    }
  }

  /** What `finish` adds to the entry's results. */
  get taps(): readonly Tap[] {
    const times = new Map<string, number>()
    return this.#scopes.at(0).tapped.map(({ path, node, labels }) => {
      const name = tapName(path)
      const time = (times.get(name) ?? 0) + 1
      times.set(name, time)
      return { name: time === 1 ? name : `${name}#${time}`, type: node.type, labels }
    })
  }

  called(path: string, result: Node, labels: readonly string[]): void {
    if (!this.#taps?.mayWant(path)) return
    const scope = this.#scopes.innermost
    if (path.includes('[*]') || this.#taps.wants(path)) scope.tapped.push({ path, node: this.#scopes.use(result), labels })
  }

  type(value: Node): TensorType {
    return value.type
  }

  literal(value: number, dtype: Dtype, span: Span): Node {
    return this.make('literal', [], { value }, span, { dtype, dims: [] })
  }

  size(value: Affine, span: Span): Node {
    return isConstant(value) ? this.literal(value.const, 'i32', span) : this.make('size', [], { value }, span)
  }

  iota(n: Affine, span: Span): Node {
    return this.make('iota', [], { n }, span)
  }

  unary(fn: UnaryOp, x: Node, span: Span): Node {
    return this.make('unary', [x], { fn }, span)
  }

  binary(fn: BinaryOpName, a: Node, b: Node, span: Span): Node {
    return this.make('binary', [a, b], { fn }, span)
  }

  where(condition: Node, yes: Node, no: Node, span: Span): Node {
    return this.make('where', [condition, yes, no], {}, span)
  }

  /** `f32(dot(…))` and `f32(sum(…))` of half floats take the wide accumulator: the op itself then gives f32. */
  cast(x: Node, dtype: Dtype, span: Span): Node {
    if (x.type.dtype === dtype) return x
    const type = { dtype, dims: x.type.dims }
    const half = dtype === 'f32' && isFloat(x.type.dtype)
    if (half && is(x, 'dot')) return this.make('dot', x.operands, x.attributes, span, type)
    if (half && is(x, 'reduce') && x.attributes.fn === 'sum') return this.make('reduce', x.operands, x.attributes, span, type)
    return this.make('cast', [x], {}, span, type)
  }

  broadcast(x: Node, dims: readonly Affine[], places: readonly number[], span: Span): Node {
    if (sameDims(dims, x.type.dims)) return x
    return this.make('broadcast', [x], { places }, span, { dtype: x.type.dtype, dims })
  }

  reduce(fn: ReduceOp, x: Node, axes: readonly number[], span: Span): Node {
    return this.make('reduce', [x], { fn, axes: [...axes].sort((a, b) => a - b) }, span)
  }

  dot(a: Node, b: Node, contract: readonly (readonly [number, number])[], batch: readonly (readonly [number, number])[], span: Span): Node {
    return this.make('dot', [a, b], { contract, batch }, span)
  }

  split(x: Node, axis: number, sizes: readonly Affine[], span: Span): Node {
    return this.make('split', [x], { axis, sizes }, span)
  }

  merge(x: Node, axis: number, count: number, span: Span): Node {
    return this.make('merge', [x], { axis, count }, span)
  }

  transpose(x: Node, order: readonly number[], span: Span): Node {
    return order.every((axis, i) => axis === i) ? x : this.make('transpose', [x], { order }, span)
  }

  slice(x: Node, axis: number, start: Affine, size: Affine, span: Span): Node {
    return this.make('slice', [x], { axis, start, size }, span)
  }

  pick(x: Node, axis: number, at: Affine, span: Span): Node {
    return this.make('pick', [x], { axis, at }, span)
  }

  concat(parts: readonly Node[], axis: number, span: Span): Node {
    return parts.length === 1 ? parts[0]! : this.make('concat', parts, { axis }, span)
  }

  pad(x: Node, axis: number, before: Affine, after: Affine, value: number, span: Span): Node {
    return this.make('pad', [x], { axis, before, after, value }, span)
  }

  gather(x: Node, axis: number, index: Node, shared: readonly (readonly [number, number])[], span: Span): Node {
    return this.make('gather', [x, index], { axis, shared }, span)
  }

  topk(x: Node, axis: number, k: number, span: Span): { values: Node; indices: Node } {
    const [values, indices] = (['values', 'indices'] as const).map((part) => this.make('topk', [x], { axis, k, part }, span))
    return { values: values!, indices: indices! }
  }

  argument(name: string, type: TensorType, span: Span): Node {
    if (!this.#arguments.some((known) => known.name === name)) this.#arguments.push({ name, type })
    const node = this.make('argument', [], { name }, span, type)
    return this.#scopes.place(node, 0)
  }

  weight(path: string, span: Span): Node {
    const info = this.#find(this.#weights, path)
    if (info.tied === undefined) return this.make('weight', [], { path }, span, dimsType(this.#real, constants(info.dims)))
    // An alias reads the tied weight; in a loop the same instance of it, if the alias points inside the array.
    const scope = this.#scopes.loopOf(path)
    const own = scope && this.#scopes.concrete(`${scope.array}[*]`)
    return this.weight(own && info.tied.startsWith(own) ? `${scope.array}[*]${info.tied.slice(own.length)}` : info.tied, span)
  }

  readState(path: string, span: Span): Node {
    const depth = this.#scopes.ofState(path)
    const known = this.#scopes.at(depth).versions.get(path)
    if (known) return known
    const info = this.#find(this.#states, path)
    return this.#scopes.place(this.make('state', [], { path }, span, dimsType(info.dtype, constants(info.dims))), depth)
  }

  storeState(path: string, axis: number, start: Affine, value: Node, span: Span): void {
    this.#write(path, this.make('store', [this.readState(path, span), value], { axis, start }, span), span)
  }

  scatterState(path: string, axis: number, index: Node, value: Node, span: Span): void {
    this.#write(path, this.make('scatter', [this.readState(path, span), index, value], { axis }, span), span)
  }

  composite(
    name: string,
    attributes: Readonly<Record<string, Attribute>>,
    operands: readonly Node[],
    body: (operands: readonly Node[]) => readonly Node[],
    span: Span,
  ): readonly Node[] {
    const outer = operands.map((node) => this.#scopes.use(node))
    const { scope, built } = this.#scopes.inside('composite', {}, (inner) => {
      const params = outer.map((node, index) => this.#scopes.param(inner, index, node.type))
      return { params, results: body(params).map((node) => this.#scopes.use(node)) }
    })
    const { params, results } = built
    const captured = this.#scopes.captured(scope, outer.length)
    const region: Region = {
      id: scope.region,
      params: [...params, ...captured.map((node, i) => this.#scopes.param(scope, outer.length + i, node.type))],
      results,
      states: new Map(),
    }
    const call = this.make('composite', [...outer, ...captured], { name, attributes, region }, span)
    return resultsOf(this.factory, call).map((node) => this.#scopes.place(node, this.#scopes.homeOf(call)))
  }

  loop(spec: LoopSpec<Node>): readonly Node[] {
    const carried = spec.carried.map((node) => this.#scopes.use(node))
    const captured = new Map<Node, number>()
    const bodies = [...Array(spec.groups).keys()].map((group) => {
      const loop = { array: spec.array, instance: spec.order.indexOf(group), captured }
      const { scope, built } = this.#scopes.inside('loop', loop, (inner) => {
        const params = carried.map((node, index) => this.#scopes.param(inner, index, node.type))
        const results = [...spec.body(group, params), ...inner.tapped.map(({ node }) => node)].map((node) => this.#scopes.use(node))
        return { params, results }
      })
      return { scope, ...built }
    })
    const invariants = this.#scopes.captured({ captured }, carried.length)
    const groups = bodies.map(
      ({ scope, params, results }): Region => ({
        id: scope.region,
        params: [...params, ...invariants.map((node, i) => this.#scopes.param(scope, carried.length + i, node.type))],
        results,
        states: scope.versions,
      }),
    )
    const call = this.make(
      'loop',
      [...carried, ...invariants],
      { array: spec.array, groups, order: spec.order, carried: carried.length },
      spec.span,
    )
    this.#scopes.place(call, this.#scopes.depth)
    for (const path of new Set(groups.flatMap((region) => [...region.states.keys()]))) this.#write(path, call, spec.span)
    const results = resultsOf(this.factory, call).map((node) => this.#scopes.place(node, this.#scopes.depth))
    return this.#withoutTapped(spec, bodies, results)
  }

  /** The results that the walk asked for; those of taps are noted, by instance. */
  #withoutTapped(
    { array, order, carried }: LoopSpec<Node>,
    bodies: readonly { readonly scope: Scope; readonly results: readonly Node[] }[],
    results: readonly Node[],
  ): readonly Node[] {
    const own = results.slice(0, carried.length)
    let next = own.length
    for (const [i, group] of order.entries()) {
      const { scope, results: yielded } = bodies[group]!
      const kept = results.slice(next, (next += yielded.length - carried.length))
      own.push(...kept.slice(0, kept.length - scope.tapped.length))
      for (const [k, node] of kept.slice(kept.length - scope.tapped.length).entries()) {
        const { path, labels } = scope.tapped[k]!
        const filled = fillPath(path, [{ array, index: i }])
        if (filled.includes('[*]') || this.#taps!.wants(filled)) this.#scopes.innermost.tapped.push({ path: filled, node, labels })
      }
    }
    return own
  }

  /** Makes any node in the current scope, outer values captured: what every method above does. E_PROGRAM_TOO_LARGE. */
  readonly make: Make = (op, operands, attributes, span, declared) => {
    const used = operands.map((node) => this.#scopes.use(node))
    const node = this.factory.make(op, used, attributes, declared)
    if (!this.#spans.has(node.id)) this.#spans.set(node.id, span)
    const chains = [...used, ...regionsOf(node).flatMap(({ results }) => results)].map((each) => this.#chain.get(each) ?? 0)
    const chain = 1 + Math.max(0, ...chains)
    within('chain', chain, () => placeOf(span))
    within('nodes', this.#spans.size, () => placeOf(span))
    this.#chain.set(node, chain)
    this.#scopes.placeBy(node, used)
    return node
  }

  #find<T>(table: ReadonlyMap<string, T>, path: string): T {
    const info = table.get(path) ?? table.get(this.#scopes.concrete(path))
    if (!info) throw new Error(`internal: the model has no ${path}`)
    return info
  }

  #write(path: string, version: Node, span: Span): void {
    const depth = this.#scopes.ofState(path)
    if (depth !== this.#scopes.depth) {
      this.#refuse(`\`${path}\` is stored inside a loop or op that does not own it`, span)
      return
    }
    const { versions } = this.#scopes.at(depth)
    if (version.op === 'loop' && versions.has(path)) this.#refuse(`two loops store to \`${path}\``, span)
    versions.set(path, version)
  }

  #refuse(message: string, span: Span): void {
    this.diagnostics.push(diagnose('L330', { message, labels: [{ span }] }))
  }
}

function placeOf({ source, start }: Span): string {
  const { line, column } = position(source, start)
  return `${source.path}:${line}:${column}`
}

/** The unoptimised graph of one entry, with what `taps` wants behind its results; without a graph, the diagnostics say why. */
export function buildGraph(
  model: SpecialisedModel,
  entry: string,
  taps?: TapPatterns,
): { readonly graph?: Graph; readonly taps: readonly Tap[]; readonly diagnostics: readonly Diagnostic[] } {
  const info = model.entries.find((each) => each.name === entry)
  if (!info) throw new Error(`internal: the model ${model.name} has no entry ${entry}`)
  const builder = new GraphBuilder(model, taps)
  const { results, diagnostics } = model.elaborate(entry, builder)
  const all = [...diagnostics, ...builder.diagnostics]
  if (all.some((each) => each.severity === 'error')) return { taps: [], diagnostics: all }
  return { graph: builder.finish(entry, info.symbols, results, info.limits), taps: builder.taps, diagnostics: all }
}
