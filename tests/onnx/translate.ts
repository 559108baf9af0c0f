// Builds a graph of llamac's primitives for a case of ONNX's vectors. ONNX broadcasts, counts axes from the end and computes
// shapes at run time; here all sizes are numbers, so a Translator has what the rows of ops/ need to say the same in our terms.
// A value that must be known while the graph is built (a shape, an axis, a count) is asked of the reference evaluator.

import { constant } from '../../dsl/affine.ts'
import type { BinaryOpName, Dtype, ReduceOp, UnaryOp } from '../../dsl/sink.ts'
import type { GraphBuilder } from '../../compiler/graph/builder.ts'
import type { Node } from '../../compiler/graph/types.ts'
import { isFloat } from '../../compiler/ops/op.ts'
import { createReference } from '../../compiler/targets/reference/evaluate.ts'
import { type BuiltWeight, span } from '../support/built-model.ts'
import { type AttributeValue, elementType, type OnnxTensor } from './read-vectors.ts'

/** A tensor of the case: the graph's value, and ONNX's name of its element type. */
export interface Value {
  readonly node: Node
  readonly type: string
}

export type Attributes = Readonly<Record<string, AttributeValue>>

/** The largest finite f32: what ±inf is in llamac. */
export const f32Max = 3.4028234663852886e38
export const finite = (value: number): number => (Math.abs(value) === Number.POSITIVE_INFINITY ? Math.sign(value) * f32Max : value)

export const dimsOf = (x: Node): number[] => x.type.dims.map((dim) => dim.const)
export const rank = (x: Node): number => x.type.dims.length
export const count = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1)

/** An axis that may be counted from the end. */
export const axisOf = (axis: number, of: number): number => (axis < 0 ? axis + of : axis)

export class Translator {
  readonly builder: GraphBuilder
  readonly #inputs: Readonly<Record<string, ArrayLike<number>>>
  readonly #weights: readonly BuiltWeight[]

  constructor(builder: GraphBuilder, inputs: readonly OnnxTensor[], weights: readonly BuiltWeight[]) {
    this.builder = builder
    this.#weights = weights
    this.#inputs = Object.fromEntries(inputs.map(({ name, data }) => [name, data.map(finite)]))
  }

  // ---- leaves

  argument({ name, type, dims }: OnnxTensor): Value {
    return { node: this.builder.argument(name, { dtype: elementType(type).dtype, dims: dims.map(constant) }, span), type }
  }

  weight(path: string): Value {
    return { node: this.builder.weight(path, span), type: 'float32' }
  }

  literal(value: number, dtype: Dtype): Node {
    return this.builder.literal(finite(value), dtype, span)
  }

  /** A tensor that is known while compiling. */
  tensor(dtype: Dtype, dims: readonly number[], data: ArrayLike<number>): Node {
    if (dims.length === 0) return this.literal(data[0]!, dtype)
    if (data.length > 0 && Array.from(data).every((value) => value === data[0])) return this.expand(this.literal(data[0]!, dtype), dims)
    return this.builder.factory.constant(dtype, dims, Float64Array.from(data, finite))
  }

  /** i32[dims[axis]] along one axis of a tensor of these dims. */
  positions(dims: readonly number[], axis: number): Node {
    return this.place(this.builder.iota(constant(dims[axis]!), span), dims, [axis])
  }

  /** The numbers of a value that does not have to wait for a run. */
  known(x: Node): number[] {
    const graph = { ...this.builder.finish('known', [], [x]), states: new Map() }
    const weight = (path: string) => ({ dims: [], data: this.#weights.find(({ info }) => info.path === path)!.data })
    return [...createReference([graph], { weight }).run('known', {}, this.#inputs).results[0]!.data]
  }

  // ---- elements

  unary(fn: UnaryOp, x: Node): Node {
    return this.builder.unary(fn, x, span)
  }

  /** Operands are broadcast as ONNX does: axes lie against the last one, those of size 1 repeat. */
  binary(fn: BinaryOpName, a: Node, b: Node): Node {
    const [left, right] = this.aligned(a, b) as [Node, Node]
    return this.builder.binary(fn, left, right, span)
  }

  /** As `binary`, with a number of the operand's type. */
  with(fn: BinaryOpName, a: Node, value: number): Node {
    return this.binary(fn, a, this.literal(value, a.type.dtype))
  }

  where(condition: Node, yes: Node, no: Node): Node {
    const [c, y, n] = this.aligned(condition, yes, no) as [Node, Node, Node]
    return this.builder.where(c, y, n, span)
  }

  cast(x: Node, dtype: Dtype): Node {
    return this.builder.cast(x, dtype, span)
  }

  aligned(...nodes: readonly Node[]): Node[] {
    const size = Math.max(...nodes.map(rank))
    const dims = Array.from({ length: size }, (_, i) => {
      const sizes = nodes.flatMap((node) => dimsOf(node)[i - size + rank(node)] ?? [])
      return sizes.find((each) => each !== 1) ?? 1
    })
    return nodes.map((node) => this.expand(node, dims))
  }

  // ---- shapes

  /** Broadcast in ONNX's sense: to dims that x's fit from the right. */
  expand(x: Node, dims: readonly number[]): Node {
    const from = dimsOf(x)
    const skip = dims.length - from.length
    const kept = from.flatMap((dim, axis) => (dim === dims[axis + skip] ? [axis] : []))
    const dropped = from.flatMap((_, axis) => (kept.includes(axis) ? [] : [axis]))
    return this.place(
      this.squeeze(x, dropped),
      dims,
      kept.map((axis) => axis + skip),
    )
  }

  /** Axis i of x becomes axis places[i] of a tensor of these dims. */
  place(x: Node, dims: readonly number[], places: readonly number[]): Node {
    return this.builder.broadcast(x, dims.map(constant), places, span)
  }

  squeeze(x: Node, axes: readonly number[]): Node {
    return [...axes].sort((a, b) => b - a).reduce((node, axis) => this.builder.pick(node, axis, constant(0), span), x)
  }

  unsqueeze(x: Node, axes: readonly number[]): Node {
    const dims = dimsOf(x)
    for (const axis of [...axes].sort((a, b) => a - b)) dims.splice(axis, 0, 1)
    return this.place(
      x,
      dims,
      dims.flatMap((_, axis) => (axes.includes(axis) ? [] : [axis])),
    )
  }

  split(x: Node, axis: number, ...sizes: readonly number[]): Node {
    return this.builder.split(x, axis, sizes.map(constant), span)
  }

  merge(x: Node, axis: number, many: number): Node {
    return many === 1 ? x : this.builder.merge(x, axis, many, span)
  }

  /** Runs of axes that hold the same elements before and after are merged and split; the rest stays as it is. */
  reshape(x: Node, dims: readonly number[]): Node {
    let node = this.squeeze(
      x,
      dimsOf(x).flatMap((dim, axis) => (dim === 1 ? [axis] : [])),
    )
    const to = dims.filter((dim) => dim !== 1)
    for (let axis = 0; axis < to.length || axis < rank(node); axis++) {
      const from = dimsOf(node)
      let [some, many, left, right] = [1, 1, from[axis] ?? 1, to[axis] ?? 1]
      while (left !== right || left === 0) {
        if (left === 0 || right === 0) {
          some = from.length - axis
          many = to.length - axis
          break
        }
        if (left < right) left *= from[axis + some++]!
        else right *= to[axis + many++]!
      }
      node = this.merge(node, axis, some)
      if (many > 1) node = this.split(node, axis, ...to.slice(axis, axis + many))
      axis += many - 1
    }
    return this.place(
      node,
      dims,
      dims.flatMap((dim, axis) => (dim === 1 ? [] : [axis])),
    )
  }

  transpose(x: Node, order: readonly number[]): Node {
    return this.builder.transpose(x, order, span)
  }

  /** `size` positions of one axis, `step` apart. */
  slice(x: Node, axis: number, start: number, size: number, step = 1): Node {
    if (step === 1) return this.builder.slice(x, axis, constant(start), constant(size), span)
    const index = this.with('add', this.with('mul', this.builder.iota(constant(size), span), step), start)
    return this.gather(x, axis, index)
  }

  pick(x: Node, axis: number, at: number): Node {
    return this.builder.pick(x, axis, constant(at), span)
  }

  concat(parts: readonly Node[], axis: number): Node {
    return this.builder.concat(parts, axis, span)
  }

  pad(x: Node, axis: number, before: number, after: number, value: number): Node {
    return before === 0 && after === 0 ? x : this.builder.pad(x, axis, constant(before), constant(after), finite(value), span)
  }

  gather(x: Node, axis: number, index: Node, shared: readonly (readonly [number, number])[] = []): Node {
    return this.builder.gather(x, axis, index, shared, span)
  }

  // ---- sums

  /** With `keep`, the reduced axes stay with size 1. */
  reduce(fn: ReduceOp, x: Node, axes: readonly number[], keep: boolean): Node {
    const reduced = axes.length === 0 ? x : this.builder.reduce(fn, x, axes, span)
    return keep ? this.unsqueeze(reduced, axes) : reduced
  }

  mean(x: Node, axes: readonly number[], keep: boolean): Node {
    return this.with('div', this.reduce('sum', x, axes, keep), count(axes.map((axis) => dimsOf(x)[axis]!)))
  }

  dot(a: Node, b: Node, contract: readonly (readonly [number, number])[], batch: readonly (readonly [number, number])[]): Node {
    return this.builder.dot(a, b, contract, batch, span)
  }

  topk(x: Node, axis: number, k: number): { values: Node; indices: Node } {
    return this.builder.topk(x, axis, k, span)
  }

  /** A tensor with some positions of one axis replaced: by way of a state, which is what our stores write to. */
  scattered(x: Node, axis: number, index: Node, value: Node, path: string): Node {
    this.builder.storeState(path, 0, constant(0), x, span)
    this.builder.scatterState(path, axis, index, value, span)
    return this.builder.readState(path, span)
  }

  // ---- composed

  softmax(x: Node, axis: number): Node {
    const e = this.unary('exp', this.binary('sub', x, this.reduce('max', x, [axis], true)))
    return this.binary('div', e, this.reduce('sum', e, [axis], true))
  }

  sigmoid(x: Node): Node {
    const one = this.literal(1, x.type.dtype)
    return this.binary('div', one, this.binary('add', one, this.unary('exp', this.unary('neg', x))))
  }

  /** Halves to even: floor(x + 1/2), less one where that was a tie that went to an odd number. */
  round(x: Node): Node {
    const up = this.unary('floor', this.with('add', x, 0.5))
    const tie = this.with('eq', this.binary('sub', up, x), 0.5)
    const odd = this.binary('sub', up, this.with('mul', this.unary('floor', this.with('mul', up, 0.5)), 2))
    return this.where(tie, this.binary('sub', up, odd), up)
  }

  clip(x: Node, low: number, high: number): Node {
    return this.with('min', this.with('max', x, low), high)
  }

  /** Where an index counts from the end. */
  nonNegative(index: Node, size: number): Node {
    return this.where(this.with('lt', index, 0), this.with('add', index, size), index)
  }

  isFloat(x: Node): boolean {
    return isFloat(x.type.dtype)
  }
}
