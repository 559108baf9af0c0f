// Puts what depends only on constants and positions, and holds a transcendental function, into tables computed in f64:
// RoPE's cos and sin become [ctx, r] and a slice at `start`. No trigonometry is left in kernels. Chosen are the largest such
// values that do not repeat smaller ones (a broadcast stays behind the table). Tables above the limit are left as they are.

import { add, constant, evaluate as affine, isConstant, range, subtract, type Affine, type Binding, type Bounds } from '../../dsl/affine.ts'
import { attributeKey, nodeFactory, reachable, regionsOf } from '../graph/nodes.ts'
import { rewriteGraph, type Rewrite } from '../graph/rewrite.ts'
import { is, type Graph, type Node } from '../graph/types.ts'
import { sameType, showType } from '../ops/shape.ts'
import { elements, permute, type Tensor } from '../ops/tensor.ts'
import { createReference } from '../targets/reference/evaluate.ts'
import { liftRows } from './lift-rows.ts'
import { dependenceFinder, isArrangement, type Dependence, type Position } from './position-dependence.ts'

/** Bytes of f32. */
const largestTable = 64 * 2 ** 20

/** The largest value of an affine under bounds and the entry's limits. */
function upper(value: Affine, bounds: Bounds, graph: Graph): number {
  const limits = (graph.limits ?? []).flatMap(({ left, right }) => {
    const rest = subtract(value, left)
    return isConstant(rest) ? [right + rest.const] : []
  })
  return Math.min(range(value, bounds).max, ...limits)
}

/** Repeats smaller values: no operand, seen through broadcasts, is as large as the result. */
function isRepetition(node: Node): boolean {
  if (isArrangement(node)) return true
  if (node.op === 'dot') return false
  const size = (each: Node): string => each.type.dims.map((dim) => (isConstant(dim) ? dim.const : '?')).join()
  const bare = (each: Node): Node => (each.op === 'broadcast' ? bare(each.operands[0]!) : each)
  return node.operands.length > 1 && node.operands.every((operand) => size(bare(operand)) !== size(node))
}

interface Rows {
  /** Smallest v, and how many. */
  readonly from: number
  readonly count: number
  /** Axis of v in the value; undefined if it has none. */
  readonly axis: number | undefined
}

function evaluate(node: Node, graph: Graph, constants: Graph['constants'], binding: Binding): Tensor {
  const reference = createReference([{ ...graph, results: [node], states: new Map(), constants }], {
    weight: () => {
      throw new Error('internal: tabulate: a table needs a weight')
    },
  })
  return reference.run(graph.entry, binding, {}).results[0]!
}

/** By what is computed, its values: entries have most of their tables in common. */
export type Tables = Map<string, Float64Array | undefined>

/** What `make` gives for these nodes and sizes, which depends on nothing else. */
function kept(tables: Tables, node: Node, sizes: readonly unknown[], make: () => Float64Array | undefined): Float64Array | undefined {
  const nodes = reachable([node])
  // Regions are told apart within one graph only.
  if (nodes.some((each) => regionsOf(each).length > 0)) return make()
  const numbers = new Map(nodes.map((each, i) => [each, i]))
  const lines = nodes.map(
    (each) =>
      `${each.op}(${each.operands.map((operand) => numbers.get(operand)).join()})${attributeKey(each.attributes)}:${showType(each.type)}`,
  )
  const key = [...lines, attributeKey(sizes)].join('\n')
  if (!tables.has(key)) tables.set(key, make())
  return tables.get(key)
}

/** Values of `node` for v = from ..+ count, with v along `rows.axis` (in front if there is none). */
function rowsOf(
  node: Node,
  position: Position,
  rows: Rows,
  find: (node: Node) => Dependence | undefined,
  rewrite: Rewrite,
  bounds: Bounds,
): Float64Array | undefined {
  const { graph } = rewrite
  const lowest: Record<string, number> = Object.fromEntries([...bounds].map(([name, { min }]) => [name, min]))
  const size = position.axis === undefined ? constant(1) : node.type.dims[position.axis]!
  if (!isConstant(size)) {
    // One run in which the axis is as long as the table.
    for (const [name, factor] of size.terms) {
      if (factor !== 1) continue
      const binding = { ...lowest, [name]: lowest[name]! + rows.count - affine(size, lowest) }
      if (affine(position.start, binding) === rows.from) return evaluate(node, graph, graph.constants, binding).data
    }
    return undefined
  }
  // The axis has a fixed length: one run over a leading axis of all starts, of which the first position is the row.
  const factory = nodeFactory(graph.constants.values())
  const all = liftRows(node, position.start, rows.from, rows.count, (each) => find(each)?.on !== undefined, factory)
  if (!all) return undefined
  const firsts = position.axis === undefined ? all : factory.make('pick', [all], { axis: position.axis + 1, at: constant(0) })
  const table = evaluate(firsts, graph, factory.constants, lowest)
  const front = rows.axis ?? 0
  return permute(
    table,
    table.dims.map((_, axis) => (axis < front ? axis + 1 : axis === front ? 0 : axis)),
  ).data
}

function replacement(
  node: Node,
  found: Dependence,
  find: (node: Node) => Dependence | undefined,
  rewrite: Rewrite,
  bounds: Bounds,
  tables: Tables,
): Node | undefined {
  const { graph, factory } = rewrite
  const { dtype } = node.type
  if (!found.on) {
    const dims = node.type.dims.map((dim) => dim.const)
    if (elements(dims) * 4 > largestTable) return undefined
    return factory.constant(dtype, dims, kept(tables, node, [], () => evaluate(node, graph, graph.constants, {}).data)!)
  }
  const { start } = found.on
  // Without an axis of its own, v takes an axis of length 1, so that one token and many read the same table.
  const single = node.type.dims.findIndex((dim) => isConstant(dim) && dim.const === 1)
  const axis = found.on.axis ?? (single < 0 ? undefined : single)
  const size = axis === undefined ? constant(1) : node.type.dims[axis]!
  const from = range(start, bounds).min
  const count = upper(add(start, size), bounds, graph) - from
  const dims = node.type.dims.map((dim, i) => (i === axis ? count : dim.const))
  if (axis === undefined) dims.unshift(count)
  if (count < 1 || elements(dims) * 4 > largestTable) return undefined
  const data = kept(tables, node, [start, found.on.axis, from, count, axis, [...bounds]], () =>
    rowsOf(node, found.on!, { from, count, axis }, find, rewrite, bounds),
  )
  if (!data) return undefined
  const table = factory.constant(dtype, dims, data)
  const offset = subtract(start, constant(from))
  return axis === undefined
    ? factory.make('pick', [table], { axis: 0, at: offset })
    : factory.make('slice', [table], { axis, start: offset, size })
}

/** The graph with tables. `tables`: those of graphs before, to which its own are added. */
export function tabulate(graph: Graph, tables: Tables = new Map()): Graph {
  const find = dependenceFinder()
  const bounds: Bounds = new Map(graph.symbols.map(({ name, min, max }) => [name, { min, max }]))
  const fits = (node: Node, found: Dependence): boolean => node.type.dims.every((dim, axis) => isConstant(dim) || axis === found.on?.axis)
  return rewriteGraph(graph, (node, rewrite) => {
    if (is(node, 'literal') || is(node, 'constant')) return undefined
    const found = find(node)
    if (!found?.heavy || !fits(node, found) || isRepetition(node)) return undefined
    const made = replacement(node, found, find, rewrite, bounds, tables)
    if (made && !sameType(made.type, node.type)) {
      throw new Error('internal: tabulate: the table has another shape than the value')
    }
    return made
  })
}
