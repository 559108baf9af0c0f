// The hand that builds random graphs: the graph builder without places in sources, an interval for every value, and what keeps
// values finite (taming by powers of two, domains of functions). Operands are chosen from a pool of the values made so far.

import { type Affine, type Bounds, constant, equals, isConstant, range } from '../../dsl/affine.ts'
import type { Attribute, BinaryOpName, ReduceOp, UnaryOp } from '../../dsl/sink.ts'
import type { GraphBuilder } from '../../compiler/graph/builder.ts'
import type { Attributes, Dtype, Node, OpName, TensorType } from '../../compiler/graph/types.ts'
import { isFloat, type Choices, type Use } from '../../compiler/ops/op.ts'
import { sameDims } from '../../compiler/ops/shape.ts'
import { span } from './case.ts'
import { type Interval, intervalOf, sizeOf } from './intervals.ts'

/** States hold no more than this, and carried values neither. */
export const keptLimit = 8
const largestValue = 2 ** 20

type Pairs = readonly (readonly [number, number])[]

/** Reads choices from a list of numbers and gives the least behind its end: shorter lists are simpler graphs. */
export function choicesFrom(tape: readonly number[]): Choices {
  let at = 0
  return { integer: (min, max) => min + ((tape[at++] ?? 0) % (max - min + 1)) }
}

export class Grower {
  readonly builderSpan = span
  readonly builder: GraphBuilder
  readonly choices: Choices
  readonly bounds: Bounds
  pool: Node[] = []
  readonly #intervals = new Map<Node, Interval>()

  constructor(builder: GraphBuilder, choices: Choices, bounds: Bounds) {
    this.builder = builder
    this.choices = choices
    this.bounds = bounds
  }

  // ---- choices

  chance(outOf: number): boolean {
    return this.choices.integer(0, outOf - 1) === outOf - 1
  }

  pick<T>(list: readonly T[]): T {
    return list[this.choices.integer(0, list.length - 1)]!
  }

  push(...nodes: readonly Node[]): void {
    for (const node of nodes) if (!this.pool.includes(node)) this.pool.push(node)
  }

  /** A value of the pool, one of the last three that fit. */
  find(fits: (type: TensorType) => boolean): Node | undefined {
    const found = this.pool
      .filter((node) => fits(node.type))
      .slice(-3)
      .reverse()
    return found.length === 0 ? undefined : this.pick(found)
  }

  findLike(dtype: Dtype, dims: readonly Affine[]): Node | undefined {
    return this.find((type) => type.dtype === dtype && sameDims(type.dims, dims))
  }

  // ---- intervals

  interval(node: Node): Interval {
    const known = this.#intervals.get(node)
    if (!known) throw new Error(`a ${node.op} without an interval`)
    return known
  }

  given<T extends Node>(node: T, interval: Interval): T {
    this.#intervals.set(node, interval)
    return node
  }

  most(dims: readonly Affine[]): number {
    return dims.reduce((count, dim) => count * Math.max(1, range(dim, this.bounds).max), 1)
  }

  made<T extends Node>(node: T, operands: readonly Node[]): T {
    if (this.#intervals.has(node)) return node
    return this.given(
      node,
      intervalOf(
        node,
        operands.map((operand) => this.interval(operand)),
        this.bounds,
      ),
    )
  }

  /** The value, by a power of two within ± limit; integers are cut off. */
  tame(x: Node, limit = largestValue): Node {
    const size = sizeOf(this.interval(x))
    if (size <= limit) return x
    if (!isFloat(x.type.dtype)) return this.binary('max', this.binary('min', x, this.fill(limit, x)), this.fill(-limit, x))
    return this.times(x, 2 ** -Math.ceil(Math.log2(size / limit)))
  }

  // ---- primitives

  literal(value: number, dtype: Dtype = 'f32'): Node {
    return this.made(this.builder.literal(value, dtype, span), [])
  }

  fill(value: number, like: Node): Node {
    return this.broadcast(this.literal(value, like.type.dtype), like.type.dims, [])
  }

  size(value: Affine): Node {
    return this.made(this.builder.size(value, span), [])
  }

  iota(n: Affine): Node {
    return this.made(this.builder.iota(n, span), [])
  }

  unary(fn: UnaryOp, x: Node): Node {
    const safe = this.#safe(fn, [x])[0]!
    return this.made(this.builder.unary(fn, safe, span), [safe])
  }

  binary(fn: BinaryOpName, a: Node, b: Node): Node {
    const [x, y] = this.#safe(fn, [a, b]) as [Node, Node]
    return this.#kept(this.made(this.builder.binary(fn, x, y, span), [x, y]))
  }

  times(x: Node, factor: number): Node {
    return this.binary('mul', x, this.fill(factor, x))
  }

  plus(x: Node, summand: number): Node {
    return this.binary('add', x, this.fill(summand, x))
  }

  where(condition: Node, yes: Node, no: Node): Node {
    return this.made(this.builder.where(condition, yes, no, span), [condition, yes, no])
  }

  cast(x: Node, dtype: Dtype): Node {
    return this.made(this.builder.cast(x, dtype, span), [x])
  }

  broadcast(x: Node, dims: readonly Affine[], places: readonly number[]): Node {
    return this.made(this.builder.broadcast(x, dims, places, span), [x])
  }

  /** x along the axes `places` of another value's shape. */
  along(x: Node, like: Node, places: readonly number[]): Node {
    return this.broadcast(x, like.type.dims, places)
  }

  reduce(fn: ReduceOp, x: Node, axes: readonly number[]): Node {
    return this.#kept(this.made(this.builder.reduce(fn, x, axes, span), [x]))
  }

  dot(a: Node, b: Node, contract: Pairs, batch: Pairs = []): Node {
    return this.#kept(this.made(this.builder.dot(a, b, contract, batch, span), [a, b]))
  }

  split(x: Node, axis: number, sizes: readonly number[]): Node {
    return this.made(this.builder.split(x, axis, sizes.map(constant), span), [x])
  }

  merge(x: Node, axis: number, count: number): Node {
    return this.made(this.builder.merge(x, axis, count, span), [x])
  }

  transpose(x: Node, order: readonly number[]): Node {
    return this.made(this.builder.transpose(x, order, span), [x])
  }

  slice(x: Node, axis: number, start: Affine, size: Affine): Node {
    return this.made(this.builder.slice(x, axis, start, size, span), [x])
  }

  take(x: Node, axis: number, at: Affine): Node {
    return this.made(this.builder.pick(x, axis, at, span), [x])
  }

  concat(parts: readonly Node[], axis: number): Node {
    return this.made(this.builder.concat(parts, axis, span), parts)
  }

  gather(x: Node, axis: number, index: Node, shared: Pairs = []): Node {
    return this.made(this.builder.gather(x, axis, index, shared, span), [x, index])
  }

  topk(x: Node, axis: number, k: number): { values: Node; indices: Node } {
    const { values, indices } = this.builder.topk(x, axis, k, span)
    return { values: this.made(values, [x]), indices: this.made(indices, [x]) }
  }

  weight(path: string, size: number): Node {
    return this.given(this.builder.weight(path, span), { lo: -size, hi: size })
  }

  state(path: string): Node {
    const node = this.builder.readState(path, span)
    return this.given(node, node.type.dtype === 'i32' ? { lo: -1000, hi: 1000 } : { lo: -keptLimit, hi: keptLimit })
  }

  store(path: string, axis: number, start: Affine, value: Node): void {
    this.builder.storeState(path, axis, start, this.tame(value, value.type.dtype === 'i32' ? 1000 : keptLimit), span)
  }

  scatter(path: string, axis: number, index: Node, value: Node): void {
    this.builder.scatterState(path, axis, index, this.tame(value, value.type.dtype === 'i32' ? 1000 : keptLimit), span)
  }

  /** What an op's own generator chose, its operands made safe. Undefined where the result would be too large to test often. */
  use<Op extends OpName>(op: Op, use: Use<Op>, mostElements: number): Node | undefined {
    const operands = use.operands.map((place) => this.pool[place]!)
    const safe = this.#safe((use.attributes as { fn?: UnaryOp | BinaryOpName }).fn, operands)
    const node = this.made(this.builder.make(op, safe, use.attributes as Attributes[Op], span, use.declared), safe)
    const { dims } = node.type
    const symbolic = dims.filter((dim) => !isConstant(dim)).length
    return this.most(dims) > mostElements || dims.length > 5 || symbolic > 2 ? undefined : this.#kept(node)
  }

  composite(
    name: string,
    attributes: Readonly<Record<string, Attribute>>,
    operands: readonly Node[],
    body: (params: readonly Node[]) => readonly Node[],
  ): readonly Node[] {
    let inner: readonly Interval[] = []
    const results = this.builder.composite(
      name,
      attributes,
      operands,
      (params) => {
        for (const [i, param] of params.entries()) this.given(param, this.interval(operands[i]!))
        const made = body(params)
        inner = made.map((node) => this.interval(node))
        return made
      },
      span,
    )
    for (const [i, node] of results.entries()) this.given(node, inner[i]!)
    return results
  }

  /** What bodies give, to carry or to keep, is made to stay within `keptLimit`. */
  loop(
    array: string,
    order: readonly number[],
    groups: number,
    carried: readonly Node[],
    body: (group: number, params: readonly Node[]) => readonly Node[],
  ): readonly Node[] {
    const kept: Interval = { lo: -keptLimit, hi: keptLimit }
    const results = this.builder.loop({
      array,
      order,
      groups,
      span,
      carried: carried.map((node) => this.tame(node, keptLimit)),
      body: (group, params) => {
        for (const param of params) this.given(param, kept)
        return body(group, params).map((node) => this.tame(node, keptLimit))
      },
    })
    for (const node of results) this.given(node, kept)
    return results
  }

  #kept(node: Node): Node {
    return isFloat(node.type.dtype) ? this.tame(node) : node
  }

  #positive(x: Node): Node {
    return this.interval(x).lo >= 0.1 ? x : this.plus(this.unary('abs', x), 0.5)
  }

  #safe(fn: UnaryOp | BinaryOpName | undefined, operands: readonly Node[]): readonly Node[] {
    const [a, b] = operands as [Node, Node]
    if (fn === undefined || !a || !isFloat(a.type.dtype)) return operands
    switch (fn) {
      case 'log':
      case 'rsqrt':
        return [this.#positive(a)]
      case 'sqrt':
        return [this.interval(a).lo >= 0 ? a : this.unary('abs', a)]
      case 'exp':
        return [this.tame(a, 8)]
      case 'sin':
      case 'cos':
        return [this.tame(a, 64)]
      case 'div':
      case 'mod':
        return [a, this.#positive(b)]
      case 'pow':
        return [this.#positive(this.tame(a, 4)), this.tame(b, 3)]
      default:
        return operands
    }
  }
}

export const isRow = (type: TensorType, width: number, rows: Affine): boolean =>
  type.dtype === 'f32' && type.dims.length === 2 && equals(type.dims[0]!, rows) && equals(type.dims[1]!, constant(width))
