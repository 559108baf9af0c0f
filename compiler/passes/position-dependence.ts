// On what a value depends that is made of literals, constants, sizes and positions alone: on nothing; or on one number v, which is an
// affine size everywhere (`start`) or runs along one axis (`start + i`). Such a value can be read from a table over v.
// Found bottom-up: a rule per op says where the axis of v goes. Values that are exactly affine (`start + iota(seq)`) are known as
// such, because their parts depend on different numbers while the sum depends on one.

import { add, constant, equals, isConstant, subtract, type Affine } from '../../dsl/affine.ts'
import { is, type Node, type OpName } from '../graph/types.ts'
import { binaryRow, unaryRow } from '../ops/scalar.ts'

/** v = start + i along `axis`; everywhere v = start if there is no axis. */
export interface Position {
  readonly start: Affine
  readonly axis: number | undefined
}

export interface Dependence {
  /** Undefined: the value is the same for all symbols. */
  readonly on: Position | undefined
  /** The value is exactly this position. */
  readonly affine?: Position
  /** Contains a function that is worth a table. */
  readonly heavy: boolean
}

type Find = (node: Node) => Dependence | undefined
/** Undefined: the value does not fit the scheme. */
type Rule<Op extends OpName> = (node: Node<Op>, find: Find) => Dependence | undefined

const nothing: Dependence = { on: undefined, heavy: false }

const samePosition = (a: Position, b: Position): boolean => a.axis === b.axis && equals(a.start, b.start)

function isSettled(position: Position): boolean {
  return position.axis === undefined && isConstant(position.start)
}

const fromAffine = (affine: Position): Dependence => ({ on: isSettled(affine) ? undefined : affine, affine, heavy: false })

/** Parts that are combined point by point, each with its axis already where the result has it. */
function combine(parts: readonly (Dependence | undefined)[], affine?: Position): Dependence | undefined {
  if (parts.some((part) => part === undefined)) return undefined
  const heavy = parts.some((part) => part!.heavy)
  const positions = parts.flatMap((part) => part!.on ?? [])
  const first = positions[0]
  const known = affine && { affine }
  if (positions.every((position) => samePosition(position, first!))) return { on: first, heavy, ...known }
  return affine && { ...fromAffine(affine), heavy }
}

/** The dependence with its axis moved; `to` gives undefined where the axis is lost. */
function moved(part: Dependence | undefined, to: (axis: number) => number | undefined): Dependence | undefined {
  if (!part) return undefined
  const move = (position: Position | undefined): Position | undefined | null => {
    if (position?.axis === undefined) return position
    const axis = to(position.axis)
    return axis === undefined ? null : { ...position, axis }
  }
  const on = move(part.on)
  const affine = move(part.affine)
  return on === null ? undefined : { on, heavy: part.heavy, ...(affine && { affine }) }
}

function affineSum(a: Position | undefined, b: Position | undefined, sign: 1 | -1): Position | undefined {
  if (!a || !b || (a.axis !== undefined && b.axis !== undefined) || (sign < 0 && b.axis !== undefined)) return undefined
  return { start: sign > 0 ? add(a.start, b.start) : subtract(a.start, b.start), axis: a.axis ?? b.axis }
}

const isSymbolic = (node: Node, axis: number): boolean => !isConstant(node.type.dims[axis]!)

const rules: { readonly [Op in OpName]?: Rule<Op> } = {
  literal: (node) =>
    node.type.dtype === 'i32' ? { ...nothing, affine: { start: constant(node.attributes.value), axis: undefined } } : nothing,
  constant: () => nothing,
  size: (node) => fromAffine({ start: node.attributes.value, axis: undefined }),
  iota: (node) => {
    const affine: Position = { start: constant(0), axis: 0 }
    return isConstant(node.attributes.n) ? { ...nothing, affine } : fromAffine(affine)
  },
  unary(node, find) {
    const x = find(node.operands[0]!)
    return x && { on: x.on, heavy: x.heavy || unaryRow(node.attributes.fn).transcendental === true }
  },
  binary(node, find) {
    const [a, b] = node.operands.map(find)
    const { fn } = node.attributes
    const affine = fn === 'add' ? affineSum(a?.affine, b?.affine, 1) : fn === 'sub' ? affineSum(a?.affine, b?.affine, -1) : undefined
    const both = combine([a, b], affine)
    return both && { ...both, heavy: both.heavy || binaryRow(fn).transcendental === true }
  },
  where: (node, find) => combine(node.operands.map(find)),
  // An i32 position stays what it is as a float: contexts are far below 2^24.
  cast(node, find) {
    const x = find(node.operands[0]!)
    return x && (node.type.dtype === 'f32' || node.type.dtype === 'i32' ? x : { on: x.on, heavy: x.heavy })
  },
  broadcast: (node, find) => moved(find(node.operands[0]!), (axis) => node.attributes.places[axis]!),
  transpose: (node, find) => moved(find(node.operands[0]!), (axis) => node.attributes.order.indexOf(axis)),
  split(node, find) {
    const { axis, sizes } = node.attributes
    if (isSymbolic(node.operands[0]!, axis)) return undefined
    return moved(find(node.operands[0]!), (from) => (from < axis ? from : from === axis ? undefined : from + sizes.length - 1))
  },
  merge(node, find) {
    const { axis, count } = node.attributes
    if (isSymbolic(node, axis)) return undefined
    return moved(find(node.operands[0]!), (from) => (from < axis ? from : from < axis + count ? undefined : from - count + 1))
  },
  reduce(node, find) {
    const { axes } = node.attributes
    if (axes.some((axis) => isSymbolic(node.operands[0]!, axis))) return undefined
    const x = moved(find(node.operands[0]!), (from) => (axes.includes(from) ? undefined : from - axes.filter((axis) => axis < from).length))
    return x && { on: x.on, heavy: x.heavy }
  },
  dot(node, find) {
    const [a, b] = [node.operands[0]!, node.operands[1]!]
    const { contract, batch } = node.attributes
    if (contract.some(([x]) => isSymbolic(a, x))) return undefined
    const kept = [...a.type.dims.keys()].filter((axis) => !contract.some(([x]) => x === axis))
    const own = [...b.type.dims.keys()].filter((axis) => ![...contract, ...batch].some(([, y]) => y === axis))
    const place = (list: readonly number[], axis: number, base = 0): number | undefined =>
      list.includes(axis) ? base + list.indexOf(axis) : undefined
    const left = moved(find(a), (axis) => place(kept, axis))
    const right = moved(find(b), (axis) => {
      const pair = batch.find(([, y]) => y === axis)
      return pair ? place(kept, pair[0]) : place(own, axis, kept.length)
    })
    const both = combine([left, right])
    return both && { on: both.on, heavy: both.heavy }
  },
  slice(node, find) {
    const x = find(node.operands[0]!)
    const { axis, start } = node.attributes
    if (!x) return undefined
    const shifted = { start: add(x.on?.axis === axis ? x.on.start : constant(0), start), axis }
    if (x.on?.axis === axis) return { on: shifted, heavy: x.heavy }
    if (isConstant(start)) return { on: x.on, heavy: x.heavy }
    return x.on ? undefined : { on: shifted, heavy: x.heavy }
  },
  pick(node, find) {
    const x = find(node.operands[0]!)
    const { axis, at } = node.attributes
    if (!x) return undefined
    if (x.on?.axis === axis) return { on: { start: add(x.on.start, at), axis: undefined }, heavy: x.heavy }
    if (!isConstant(at)) return x.on ? undefined : { on: { start: at, axis: undefined }, heavy: x.heavy }
    const rest = moved(x, (from) => (from > axis ? from - 1 : from))
    return rest && { on: rest.on, heavy: rest.heavy }
  },
  concat(node, find) {
    if (isSymbolic(node, node.attributes.axis)) return undefined
    const parts = combine(node.operands.map(find))
    return parts?.on?.axis === node.attributes.axis ? undefined : parts
  },
}

/** The dependence of a node, or undefined if it needs more than literals, constants, sizes and positions. */
export function dependenceFinder(): Find {
  const known = new Map<Node, Dependence | undefined>()
  const find: Find = (node) => {
    if (known.has(node)) return known.get(node)
    const rule = rules[node.op] as Rule<OpName> | undefined
    const found = rule?.(node, find)
    known.set(node, found)
    return found
  }
  return find
}

/** Ops that only arrange or repeat values. */
export const isArrangement = (node: Node): boolean =>
  ['broadcast', 'split', 'merge', 'transpose', 'slice', 'pick', 'concat', 'constant', 'cast'].includes(node.op) && !is(node, 'literal')
