// Folds and simplifies: arithmetic of literals and of sizes, neutral elements, casts and views that undo or follow each other,
// and pointwise work on repeated values, which is done before repeating. One table of rules by op; each rule sees a node whose
// operands are simple already and may answer with a simpler node of the same type. Arrays are left to `tabulate`: index
// arithmetic over iota is worth more to kernels than a constant table.

import { add, constant, equals, evaluate, isConstant, multiply, subtract, type Affine } from '../../dsl/affine.ts'
import type { BinaryOpName } from '../../dsl/sink.ts'
import { rewriteGraph } from '../graph/rewrite.ts'
import type { NodeFactory } from '../graph/nodes.ts'
import { is, type Attributes, type Dtype, type Graph, type Node, type OpName, type TensorType } from '../graph/types.ts'
import { opDef } from '../ops/index.ts'
import { isFloat, type EvaluateContext } from '../ops/op.ts'
import { sameDims, sameType } from '../ops/shape.ts'
import type { Tensor } from '../ops/tensor.ts'

/** Makes a node and simplifies it. */
type Make = <Op extends OpName>(op: Op, operands: readonly Node[], attributes: Attributes[Op], declared?: TensorType) => Node
type Simplify<Op extends OpName> = (node: Node<Op>, make: Make) => Node | undefined

const literal = (make: Make, value: number, dtype: Dtype): Node => make('literal', [], { value }, { dtype, dims: [] })

/** The literal that fills a node: its own, or the one that it repeats. */
function filled(node: Node): number | undefined {
  if (is(node, 'literal')) return node.attributes.value
  return is(node, 'broadcast') && node.operands[0]!.op === 'literal' ? filled(node.operands[0]!) : undefined
}

function affineOf(node: Node): Affine | undefined {
  if (is(node, 'size')) return node.attributes.value
  return is(node, 'literal') && node.type.dtype === 'i32' ? constant(node.attributes.value) : undefined
}

/** All operands literals: the value by the op's own definition. Infinities stay symbolic and are not folded. */
function foldScalars(node: Node, make: Make): Node | undefined {
  if (node.operands.some((operand) => !is(operand, 'literal') || !Number.isFinite(operand.attributes.value))) return undefined
  const operands = node.operands.map(
    (operand): Tensor => ({ dtype: operand.type.dtype, dims: [], data: Float64Array.of((operand as Node<'literal'>).attributes.value) }),
  )
  const value = opDef(node.op).evaluate(operands, node.attributes, {
    mode: 'exact',
    binding: {},
    type: node.type,
  } as EvaluateContext) as Tensor
  return Number.isFinite(value.data[0]!) ? literal(make, value.data[0]!, node.type.dtype) : undefined
}

/** f(repeat(a), repeat(b)) = repeat(f(a, b)), where all repeat in the same way or are filled by one number. */
function beforeBroadcast(node: Node, make: Make): Node | undefined {
  const sources: Node<'broadcast'>[] = []
  for (const operand of node.operands) {
    if (!is(operand, 'broadcast')) return undefined
    sources.push(operand)
  }
  const wide = sources.find((source) => source.operands[0]!.type.dims.length > 0) ?? sources[0]!
  const { dims } = wide.operands[0]!.type
  const { places } = wide.attributes
  const inner = sources.map((source) => {
    const x = source.operands[0]!
    if (x.type.dims.length === 0) return make('broadcast', [x], { places: [] }, { dtype: x.type.dtype, dims })
    return sameDims(x.type.dims, dims) && source.attributes.places.join() === places.join() ? x : undefined
  })
  if (inner.some((x) => x === undefined)) return undefined
  const small = make(node.op, inner as Node[], node.attributes, { dtype: node.type.dtype, dims })
  return make('broadcast', [small], { places }, node.type)
}

/** Neutral right-hand sides; for those that commute, left-hand ones too. */
const neutral: Readonly<Partial<Record<BinaryOpName, { readonly value: number; readonly left: boolean }>>> = {
  add: { value: 0, left: true },
  sub: { value: 0, left: false },
  mul: { value: 1, left: true },
  div: { value: 1, left: false },
  pow: { value: 1, left: false },
  and: { value: 1, left: true },
  or: { value: 0, left: true },
}

function addSizes(node: Node<'binary'>, make: Make): Node | undefined {
  const [a, b] = node.operands.map(affineOf)
  if (!a || !b) return undefined
  const { fn } = node.attributes
  const value = fn === 'add' ? add(a, b) : fn === 'sub' ? subtract(a, b) : fn === 'mul' ? multiply(a, b) : undefined
  return value && make('size', [], { value })
}

// Casts whose second step sees everything that the first one saw.
const lossless: readonly (readonly [Dtype, Dtype])[] = [
  ['f16', 'f32'],
  ['bf16', 'f32'],
  ['i8', 'i32'],
  ['u8', 'i32'],
  ['bool', 'i32'],
  ['bool', 'f32'],
  ['i8', 'f32'],
  ['u8', 'f32'],
]

/**
 * 1 + tanh y = 2 / (1 + e^(−2y)): half the work of tanh, and right where tanh is nearly −1 and the sum would cancel. GELU's tanh form
 * stands so.
 */
function onePlusTanh(node: Node<'binary'>, make: Make): Node | undefined {
  if (node.attributes.fn !== 'add') return undefined
  const other = node.operands.find((_, i) => filled(node.operands[1 - i]!) === 1)
  if (!other || !is(other, 'unary') || other.attributes.fn !== 'tanh' || !isFloat(other.type.dtype)) return undefined
  const { dtype } = node.type
  const fill = (value: number): Node => make('broadcast', [literal(make, value, dtype)], { places: [] }, node.type)
  const decay = make('unary', [make('binary', [other.operands[0]!, fill(-2)], { fn: 'mul' })], { fn: 'exp' })
  return make('binary', [fill(2), make('binary', [fill(1), decay], { fn: 'add' })], { fn: 'div' })
}

const pointwise = (node: Node, make: Make): Node | undefined => foldScalars(node, make) ?? beforeBroadcast(node, make)

const rules: { readonly [Op in OpName]?: Simplify<Op> } = {
  size: (node, make) => (isConstant(node.attributes.value) ? literal(make, node.attributes.value.const, 'i32') : undefined),
  iota(node, make) {
    const { n } = node.attributes
    return isConstant(n) && n.const === 1 ? make('broadcast', [literal(make, 0, 'i32')], { places: [] }, node.type) : undefined
  },
  unary(node, make) {
    const x = node.operands[0]!
    const { fn } = node.attributes
    if ((fn === 'neg' || fn === 'not') && is(x, 'unary') && x.attributes.fn === fn) return x.operands[0]
    if (fn === 'neg' && is(x, 'literal') && isFloat(x.type.dtype)) return literal(make, -x.attributes.value, x.type.dtype)
    return pointwise(node, make)
  },
  binary(node, make) {
    const [a, b] = [node.operands[0]!, node.operands[1]!]
    const { fn } = node.attributes
    const rule = neutral[fn]
    if (rule && filled(b) === rule.value) return a
    if (rule?.left && filled(a) === rule.value) return b
    if (fn === 'pow' && filled(b) === 2) return make('binary', [a, a], { fn: 'mul' })
    return addSizes(node, make) ?? onePlusTanh(node, make) ?? pointwise(node, make)
  },
  where(node, make) {
    const condition = filled(node.operands[0]!)
    if (condition !== undefined) return node.operands[condition !== 0 ? 1 : 2]
    return node.operands[1] === node.operands[2] ? node.operands[1] : beforeBroadcast(node, make)
  },
  cast(node, make) {
    const x = node.operands[0]!
    if (x.type.dtype === node.type.dtype) return x
    if (is(x, 'cast')) {
      const from = x.operands[0]!
      if (lossless.some(([a, b]) => a === from.type.dtype && b === x.type.dtype)) {
        return from.type.dtype === node.type.dtype ? from : make('cast', [from], {}, node.type)
      }
    }
    return pointwise(node, make)
  },
  broadcast(node, make) {
    const x = node.operands[0]!
    if (sameDims(x.type.dims, node.type.dims)) return x
    if (!is(x, 'broadcast')) return undefined
    return make('broadcast', [x.operands[0]!], { places: x.attributes.places.map((place) => node.attributes.places[place]!) }, node.type)
  },
  reduce: (node) =>
    node.attributes.axes.length === 0 && node.attributes.fn === 'sum' && sameType(node.type, node.operands[0]!.type)
      ? node.operands[0]
      : undefined,
  split(node) {
    const x = node.operands[0]!
    if (node.attributes.sizes.length === 1) return x
    const undone = is(x, 'merge') && x.attributes.axis === node.attributes.axis && sameType(x.operands[0]!.type, node.type)
    return undone ? x.operands[0] : undefined
  },
  merge(node, make) {
    const x = node.operands[0]!
    const { axis, count } = node.attributes
    if (count === 1) return x
    const inside = is(x, 'merge') && x.attributes.axis >= axis && x.attributes.axis < axis + count
    if (inside) return make('merge', [x.operands[0]!], { axis, count: count + x.attributes.count - 1 })
    const undone = is(x, 'split') && x.attributes.axis === axis && x.attributes.sizes.length === count
    return undone ? x.operands[0] : undefined
  },
  transpose(node, make) {
    const x = node.operands[0]!
    const { order } = node.attributes
    if (order.every((axis, i) => axis === i)) return x
    return is(x, 'transpose') ? make('transpose', [x.operands[0]!], { order: order.map((axis) => x.attributes.order[axis]!) }) : undefined
  },
  slice(node, make) {
    const x = node.operands[0]!
    const { axis, start, size } = node.attributes
    if (isConstant(start) && start.const === 0 && equals(size, x.type.dims[axis]!)) return x
    if (!is(x, 'slice') || x.attributes.axis !== axis) return undefined
    return make('slice', [x.operands[0]!], { axis, start: add(x.attributes.start, start), size })
  },
  pick(node, make) {
    const x = node.operands[0]!
    const { axis, at } = node.attributes
    if (!is(x, 'slice') || x.attributes.axis !== axis) return undefined
    return make('pick', [x.operands[0]!], { axis, at: add(x.attributes.start, at) })
  },
  concat: (node) => (node.operands.length === 1 ? node.operands[0] : undefined),
  pad(node) {
    const { before, after } = node.attributes
    const none = isConstant(before) && isConstant(after) && evaluate(before, {}) === 0 && evaluate(after, {}) === 0
    return none ? node.operands[0] : undefined
  },
}

/** A factory whose nodes come out simple. Every rule makes the node smaller, moves a broadcast outwards or takes a tanh away, so this ends. */
function simplifier(factory: NodeFactory): Make {
  const make: Make = (op, operands, attributes, declared) => simplify(factory.make(op, operands, attributes, declared), make)
  return make
}

function simplify<Op extends OpName>(node: Node<Op>, make: Make): Node {
  const rule = rules[node.op] as Simplify<Op> | undefined
  return rule?.(node, make) ?? node
}

/** Folded and simplified; dead values are gone. Results keep their types. */
export function foldConstants(graph: Graph): Graph {
  const made = new WeakMap<NodeFactory, Make>()
  return rewriteGraph(graph, (node, rewrite) => {
    if (!rules[node.op]) return undefined
    const make = made.get(rewrite.factory) ?? simplifier(rewrite.factory)
    made.set(rewrite.factory, make)
    return simplify(rewrite.copy(node), make)
  })
}
