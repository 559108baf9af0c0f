// Random graphs of the primitives, through each op's own generator: a pool of values grows, the last ones are results. Symbols
// `seq` and `start`; two states with stores between reads; data are small multiples of 1/4, so that sums are exact.

import fc from 'fast-check'
import { constant, symbol } from '../../dsl/affine.ts'
import { nodeFactory } from '../../compiler/graph/nodes.ts'
import type { Graph, Node, OpName } from '../../compiler/graph/types.ts'
import { opDef } from '../../compiler/ops/index.ts'
import type { Choices } from '../../compiler/ops/op.ts'

export const leaves: Readonly<Record<string, readonly number[]>> = { square: [6, 6], cube: [4, 2, 6], row: [6], few: [2, 3] }
const kinds: readonly OpName[] = [
  'unary', 'binary', 'binary', 'where', 'cast', 'broadcast', 'reduce', 'reduce', 'dot', 'dot', 'split', 'merge', 'transpose', 'slice', 'pick', 'concat', 'pad', 'gather', 'topk',
]

export const symbols = [{ name: 'seq', kind: 'size' as const, min: 1, max: 5 }, { name: 'start', kind: 'index' as const, min: 0, max: 3 }]
export const stateDims = [8, 6]

export interface RandomCase {
  readonly graph: Graph
  readonly binding: { readonly seq: number; readonly start: number }
  readonly seed: number
}

/** Deterministic data of a leaf. */
export function dataOf(name: string, count: number, seed: number): Float64Array {
  let hash = [...name].reduce((h, c) => (h * 31 + c.charCodeAt(0)) | 0, seed | 0)
  return Float64Array.from({ length: count }, () => {
    hash = (Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0
    return ((hash >>> 8) % 17) / 4 - 2
  })
}

export const anyCase = (steps: number, ops: readonly OpName[] = kinds): fc.Arbitrary<RandomCase> =>
  fc.tuple(fc.infiniteStream(fc.nat(1 << 20)), fc.integer({ min: 1, max: 5 }), fc.nat(3), fc.nat(1000)).map(([stream, seq, start, seed]) => {
    const choices: Choices = { integer: (min, max) => min + (stream.next().value! % (max - min + 1)) }
    const factory = nodeFactory()
    const of = (dims: readonly number[]) => ({ dtype: 'f32' as const, dims: dims.map(constant) })
    const pool: Node[] = [
      factory.make('argument', [], { name: 'x' }, { dtype: 'f32', dims: [symbol('seq'), constant(6)] }),
      factory.make('argument', [], { name: 'ids' }, { dtype: 'i32', dims: [symbol('seq')] }),
      ...Object.entries(leaves).map(([name, dims]) => factory.make('weight', [], { path: name }, of(dims))),
      factory.make('iota', [], { n: symbol('seq') }), factory.make('iota', [], { n: constant(6) }),
    ]
    const states = new Map<string, Node>()
    for (const path of ['p', 'q']) pool.push(factory.make('state', [], { path }, of(stateDims)))
    let attempts = 0
    for (let made = 0; made < steps && attempts < steps * 4; attempts++) {
      if (choices.integer(0, 9) === 0) {
        const path = ['p', 'q'][choices.integer(0, 1)]!
        const version = states.get(path) ?? factory.make('state', [], { path }, of(stateDims))
        const values = pool.filter((node) => node.type.dtype === 'f32' && node.type.dims.length === 2 && node.type.dims[0]!.terms.length === 1 &&
          node.type.dims[0]!.terms[0]![1] === 1 && node.type.dims[0]!.const === 0 && node.type.dims[1]!.const === 6 && node.type.dims[1]!.terms.length === 0)
        const value = values[choices.integer(0, values.length - 1)]!
        const next = factory.make('store', [version, value], { axis: 0, start: symbol('start') })
        states.set(path, next)
        pool.push(next)
        made++
        continue
      }
      const op = ops[choices.integer(0, ops.length - 1)]!
      const def = opDef(op)
      const use = def.generate?.(choices, pool.map((node) => node.type))
      if (!use) continue
      let node: Node
      try {
        node = factory.make(op, use.operands.map((i) => pool[i]!), use.attributes as never, use.declared)
      } catch {
        continue // a use whose size is not affine, for instance
      }
      const { dims } = node.type
      if (dims.slice(1).some((dim) => dim.terms.length > 0) || dims.reduce((n, dim) => n * (dim.const + 5 * dim.terms.length), 1) > 3000) continue
      pool.push(node)
      made++
    }
    const results = [...new Set([pool.at(-1)!, pool.at(-2)!, pool[choices.integer(0, pool.length - 1)]!])]
    return {
      graph: { entry: 'random', arguments: [{ name: 'x', type: pool[0]!.type }, { name: 'ids', type: pool[1]!.type }], symbols, results, states, constants: factory.constants, spans: new Map() },
      binding: { seq, start }, seed,
    }
  })

