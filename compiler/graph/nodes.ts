// The node factory: interns nodes (same op, operands, attributes, type → same object) and gives regions their identity.
// Operands always have smaller ids than their users, so increasing id is a topological order, and program order for loops.

import { show, type Affine } from '../../dsl/affine.ts'
import { opDef } from '../ops/index.ts'
import { showType } from '../ops/shape.ts'
import { is, type Attributes, type Constant, type Dtype, type Node, type OpName, type Region, type TensorType } from './types.ts'

const isAffine = (value: object): value is Affine => 'terms' in value && 'const' in value
const isRegion = (value: object): value is Region => 'params' in value && 'results' in value

/** Canonical text of an attribute record, for interning. Regions count by identity. */
export function attributeKey(value: unknown): string {
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'undefined'
  if (Array.isArray(value)) return `[${value.map(attributeKey).join()}]`
  if (isAffine(value)) return `<${show(value)}>`
  if (isRegion(value)) return `region${value.id}`
  return `{${Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, item]) => `${key}:${attributeKey(item)}`)
    .join()}}`
}

/** By a constant's values, which nobody writes again: what was hashed of them. Entries have their tables in common. */
const hashed = new WeakMap<Float64Array, { readonly type: string; readonly hash: string }>()

function contentHash(dtype: Dtype, dims: readonly number[], data: Float64Array): string {
  const type = `${dtype}[${dims.join()}]`
  const before = hashed.get(data)
  if (before?.type === type) return before.hash
  const hash = hashOf(type, data)
  hashed.set(data, { type, hash })
  return hash
}

/** 128 bits over the f64 values (four FNV-like lanes): names a constant by its content. */
function hashOf(type: string, data: Float64Array): string {
  const words = new Uint32Array(data.buffer, data.byteOffset, data.length * 2)
  let [a, b, c, d] = [0x811c9dc5, 0x01000193, 0x9e3779b9, 0x85ebca6b] as [number, number, number, number]
  // Tables have a million words: the lanes are locals.
  const feed = (list: ArrayLike<number>): void => {
    for (let i = 0; i < list.length; i++) {
      const word = list[i]!
      a = Math.imul(a ^ word, 0x01000193)
      a ^= a >>> 15
      b = Math.imul(b ^ word, 0x85ebca6b)
      b ^= b >>> 15
      c = Math.imul(c ^ word, 0xc2b2ae35)
      c ^= c >>> 15
      d = Math.imul(d ^ word, 0x27d4eb2f)
      d ^= d >>> 15
    }
  }
  feed(Array.from(type, (char) => char.codePointAt(0)!))
  feed(words)
  return [a, b, c, d].map((lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('')
}

export interface NodeFactory {
  /**
   * The node for this use of an op; its type is inferred. `declared` is needed where the type says more than operands and
   * attributes (literal, constant, leaves, cast, broadcast) and for a wide dot or sum. Throws `internal: …` on a bad use.
   */
  make<Op extends OpName>(op: Op, operands: readonly Node[], attributes: Attributes[Op], declared?: TensorType): Node<Op>
  /** A new region identity for `param` nodes. */
  region(): number
  param(region: number, index: number, type: TensorType): Node<'param'>
  /** Interns a tensor by content. */
  constant(dtype: Dtype, dims: readonly number[], data: Float64Array): Node<'constant'>
  readonly constants: ReadonlyMap<string, Constant>
  /** Nodes so far: the next new one has this id. */
  count(): number
}

/** `constants` are carried over from an older graph of the same family. */
export function nodeFactory(constants: Iterable<Constant> = []): NodeFactory {
  const nodes = new Map<string, Node>()
  const table = new Map<string, Constant>()
  for (const constant of constants) table.set(constant.id, constant)
  let nextId = 0
  let nextRegion = 1

  const make = <Op extends OpName>(op: Op, operands: readonly Node[], attributes: Attributes[Op], declared?: TensorType): Node<Op> => {
    const inferred = opDef(op).infer(
      operands.map((node) => node.type),
      attributes,
      declared,
    )
    const types = 'dtype' in inferred ? undefined : inferred
    const type = 'dtype' in inferred ? inferred : (inferred[0] ?? { dtype: 'i32', dims: [] })
    const key = `${op}(${operands.map((node) => node.id).join()})${attributeKey(attributes)}:${showType(type)}`
    const known = nodes.get(key)
    if (known) return known as Node<Op>
    const node: Node<Op> = { id: nextId++, op, operands, attributes, type, ...(types && { types }) }
    nodes.set(key, node)
    return node
  }

  return {
    make,
    count: () => nextId,
    region: () => nextRegion++,
    param: (region, index, type) => make('param', [], { index, region }, type),
    constant(dtype, dims, data) {
      const id = contentHash(dtype, dims, data)
      const known = table.get(id)
      if (known && known.data !== data && known.data.some((value, i) => !Object.is(value, data[i])))
        throw new Error('internal: two constants have one hash')
      if (!known) table.set(id, { id, dtype, dims, data })
      return make('constant', [], { id }, { dtype, dims: dims.map((size) => ({ const: size, terms: [] })) })
    },
    constants: table,
  }
}

/** The values of a call: the node itself for one result, `result` nodes for several. */
export function resultsOf(factory: NodeFactory, call: Node): readonly Node[] {
  const types = call.types ?? [call.type]
  if (types.length === 1) return [call]
  return types.map((type, index) => factory.make('result', [call], { index }, type))
}

/** Regions that a node owns. */
export function regionsOf(node: Node): readonly Region[] {
  if (is(node, 'composite')) return [node.attributes.region]
  return is(node, 'loop') ? node.attributes.groups : []
}

/** Nodes that a region or graph needs, operands first. Does not enter regions. */
export function reachable(roots: Iterable<Node>): readonly Node[] {
  const seen = new Set<Node>()
  const stack = [...roots]
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (seen.has(node)) continue
    seen.add(node)
    stack.push(...node.operands)
  }
  return [...seen].sort((a, b) => a.id - b.id)
}

/** What a region (or a graph) must compute. */
export const rootsOf = (owner: { readonly results: readonly Node[]; readonly states: ReadonlyMap<string, Node> }): readonly Node[] => [
  ...owner.results,
  ...owner.states.values(),
]
