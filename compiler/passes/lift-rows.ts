// Gives a value that depends on one number v a leading axis over many v, so that a table is one evaluation instead of one per
// row. Values that do not depend on v are repeated along the axis only where they meet one that does. Knows the ops that
// position-dependence.ts knows; whatever else is needed has no table.

import { constant, isConstant, subtract, type Affine } from '../../dsl/affine.ts'
import type { NodeFactory } from '../graph/nodes.ts'
import type { Node, OpName, TensorType } from '../graph/types.ts'

interface Lift {
  readonly factory: NodeFactory
  readonly count: Affine
  /** The lifted operand, repeated along the axis if it does not depend on v. */
  lifted(node: Node): Node | undefined
  /** Lifted only if it depends on v. */
  either(node: Node): { readonly node: Node; readonly rows: boolean } | undefined
  /** v + offset as i32[count]. */
  positions(offset: number): Node
  /** `value` - start, if that is a number. */
  offset(value: Affine): number | undefined
}

type Rule<Op extends OpName> = (node: Node<Op>, lift: Lift) => Node | undefined

const pointwise: Rule<'unary' | 'binary' | 'where' | 'cast'> = (node, lift) => {
  const operands = node.operands.map((operand) => lift.lifted(operand))
  if (operands.some((operand) => !operand)) return undefined
  return lift.factory.make(node.op, operands as Node[], node.attributes, withRows(node.type, lift.count))
}

const withRows = (type: TensorType, count: Affine): TensorType => ({ dtype: type.dtype, dims: [count, ...type.dims] })
const shift = (axis: number): number => axis + 1
const shiftPairs = (pairs: readonly (readonly [number, number])[], b: number) => pairs.map(([x, y]) => [x + 1, y + b] as const)

const rules: { readonly [Op in OpName]?: Rule<Op> } = {
  size(node, lift) {
    const offset = lift.offset(node.attributes.value)
    return offset === undefined ? undefined : lift.positions(offset)
  },
  unary: pointwise as Rule<'unary'>,
  binary: pointwise as Rule<'binary'>,
  where: pointwise as Rule<'where'>,
  cast: pointwise as Rule<'cast'>,
  broadcast(node, lift) {
    const x = lift.lifted(node.operands[0]!)
    return x && lift.factory.make('broadcast', [x], { places: [0, ...node.attributes.places.map(shift)] }, withRows(node.type, lift.count))
  },
  reduce(node, lift) {
    const x = lift.lifted(node.operands[0]!)
    return (
      x &&
      lift.factory.make('reduce', [x], { fn: node.attributes.fn, axes: node.attributes.axes.map(shift) }, withRows(node.type, lift.count))
    )
  },
  dot(node, lift) {
    const [a, b] = [lift.lifted(node.operands[0]!), lift.either(node.operands[1]!)]
    if (!a || !b) return undefined
    const { contract, batch } = node.attributes
    const by = b.rows ? 1 : 0
    const rows = b.rows ? [[0, 0] as const] : []
    return lift.factory.make(
      'dot',
      [a, b.node],
      { contract: shiftPairs(contract, by), batch: [...rows, ...shiftPairs(batch, by)] },
      withRows(node.type, lift.count),
    )
  },
  split(node, lift) {
    const x = lift.lifted(node.operands[0]!)
    return x && lift.factory.make('split', [x], { ...node.attributes, axis: shift(node.attributes.axis) })
  },
  merge(node, lift) {
    const x = lift.lifted(node.operands[0]!)
    return x && lift.factory.make('merge', [x], { ...node.attributes, axis: shift(node.attributes.axis) })
  },
  transpose(node, lift) {
    const x = lift.lifted(node.operands[0]!)
    return x && lift.factory.make('transpose', [x], { order: [0, ...node.attributes.order.map(shift)] })
  },
  slice(node, lift) {
    const x = lift.lifted(node.operands[0]!)
    return x && isConstant(node.attributes.start)
      ? lift.factory.make('slice', [x], { ...node.attributes, axis: shift(node.attributes.axis) })
      : undefined
  },
  pick(node, lift) {
    const { axis, at } = node.attributes
    const x = lift.either(node.operands[0]!)
    if (x?.rows) return isConstant(at) ? lift.factory.make('pick', [x.node], { axis: shift(axis), at }) : undefined
    const offset = lift.offset(at)
    return x && offset !== undefined && axis === 0
      ? lift.factory.make('gather', [x.node, lift.positions(offset)], { axis: 0, shared: [] })
      : undefined
  },
  concat(node, lift) {
    const parts = node.operands.map((operand) => lift.lifted(operand))
    return parts.some((part) => !part) ? undefined : lift.factory.make('concat', parts as Node[], { axis: shift(node.attributes.axis) })
  },
}

/**
 * `node` for v = from ..+ count, where v is what the symbols of `start` give: a node of type [count, …]. `depends` tells which
 * nodes depend on v. Undefined if that cannot be written down.
 */
export function liftRows(
  node: Node,
  start: Affine,
  from: number,
  count: number,
  depends: (node: Node) => boolean,
  factory: NodeFactory,
): Node | undefined {
  const memo = new Map<Node, Node | undefined>()
  const rows = constant(count)
  const make = (each: Node): Node | undefined => {
    if (!memo.has(each)) memo.set(each, (rules[each.op] as Rule<OpName> | undefined)?.(each, lift))
    return memo.get(each)
  }
  // Nodes of the old graph are made again: a factory's ids must order all of its nodes.
  const copies = new Map<Node, Node>()
  const copy = (each: Node): Node => {
    const known = copies.get(each) ?? factory.make(each.op, each.operands.map(copy), each.attributes, each.type)
    copies.set(each, known)
    return known
  }
  const lift: Lift = {
    factory,
    count: rows,
    lifted(each) {
      if (each.type.dims.some((dim) => !isConstant(dim))) return undefined
      if (depends(each)) return make(each)
      const places = each.type.dims.map((_, axis) => axis + 1)
      return factory.make('broadcast', [copy(each)], { places }, withRows(each.type, rows))
    },
    either(each) {
      if (!depends(each)) return { node: copy(each), rows: false }
      const made = lift.lifted(each)
      return made && { node: made, rows: true }
    },
    positions: (offset) =>
      factory.constant(
        'i32',
        [count],
        Float64Array.from({ length: count }, (_, i) => from + i + offset),
      ),
    offset(value) {
      const rest = subtract(value, start)
      return isConstant(rest) ? rest.const : undefined
    },
  }
  return lift.lifted(node)
}
