// Random valid graphs from the ops' own generators, with loops, composites and states around them. Operands of functions that
// are undefined somewhere (log, division …) are made safe, so that almost all values are finite.

import { add, constant, subtract, evaluate, symbol, type Binding } from '../../dsl/affine.ts'
import type { StateInfo, WeightInfo } from '../../dsl/sink.ts'
import { GraphBuilder } from '../../compiler/graph/builder.ts'
import type { Graph, Node, OpName } from '../../compiler/graph/types.ts'
import { opDef, opNames } from '../../compiler/ops/index.ts'
import { isFloat, type Choices } from '../../compiler/ops/op.ts'
import { sameType } from '../../compiler/ops/shape.ts'
import { span } from './handmade-attention.ts'

const seq = symbol('seq')
export const context = 6
export const longest = 3
const mostElements = 1500

const weights: WeightInfo[] = ['w', 'layers[0].w', 'layers[1].w'].map((path) => ({
  path,
  dims: [4, 3],
  labels: ['a', 'b'],
  quant: true,
  span,
}))
const states: StateInfo[] = ['s', 'layers[0].s', 'layers[1].s'].map((path) => ({
  path,
  dtype: 'f32',
  dims: [context, 4],
  labels: ['a', 'b'],
  span,
}))

/** Reads choices from a list of numbers and gives 0 behind its end: shorter lists are simpler graphs. */
export function choicesFrom(tape: readonly number[]): Choices {
  let at = 0
  return { integer: (min, max) => min + ((tape[at++] ?? 0) % (max - min + 1)) }
}

const generating = opNames.filter((op) => opDef(op).generate !== null)

class Maker {
  readonly builder = new GraphBuilder({ weights, states })
  readonly #choices: Choices
  #looped = false

  constructor(choices: Choices) {
    this.#choices = choices
  }

  graph(): Graph {
    const { builder } = this
    const pool: Node[] = [
      builder.argument('x', { dtype: 'f32', dims: [seq, constant(4)] }, span),
      builder.argument('n', { dtype: 'i32', dims: [seq] }, span),
      builder.weight('w', span),
    ]
    // A third of the graphs are mostly about positions, which become tables.
    if (this.#choices.integer(0, 2) === 2) this.#positions(pool)
    this.#grow(pool, 14, 's')
    const results = [...new Set([...pool.slice(0, 5), ...pool.slice(-4)])]
    const symbols = [
      { name: 'seq', kind: 'size' as const, min: 1, max: longest },
      { name: 'start', kind: 'index' as const, min: 0, max: context - 1 },
    ]
    return builder.finish('test', symbols, results, [
      {
        left: {
          const: 0,
          terms: [
            ['seq', 1],
            ['start', 1],
          ],
        },
        right: context,
        why: 'context',
      },
    ])
  }

  #grow(pool: Node[], most: number, state: string): void {
    const steps = this.#choices.integer(2, most)
    for (let i = 0; i < steps; i++) {
      const kind = this.#choices.integer(0, 15)
      if (kind === 15 && state === 's' && most > 6) this.#loop(pool)
      else if (kind === 14 && most > 5) this.#composite(pool)
      else if (kind >= 12 && state !== '') this.#state(pool, state, kind === 12)
      else this.#op(pool)
    }
  }

  #positions(pool: Node[]): void {
    const { builder } = this
    const start = [symbol('start'), constant(0), add(symbol('start'), constant(2)), subtract(constant(context), symbol('start'))][
      this.#choices.integer(0, 3)
    ]!
    const count = [seq, constant(1), constant(2)][this.#choices.integer(0, 2)]!
    const places = builder.broadcast(builder.size(start, span), [count], [], span)
    const pos = builder.binary(this.#choices.integer(0, 2) === 2 ? 'sub' : 'add', places, builder.iota(count, span), span)
    const rates = builder.unary('exp', builder.cast(builder.iota(constant(4), span), 'f32', span), span)
    const angle = builder.dot(builder.cast(pos, 'f32', span), rates, [], [], span)
    const sine = builder.unary('sin', angle, span)
    const cosine = builder.unary('cos', builder.slice(angle, 1, constant(1), constant(2), span), span)
    const last = builder.unary('tanh', builder.pick(angle, 0, subtract(count, constant(1)), span), span)
    const made = [rates, angle, sine, cosine, last]
    pool.splice(0, pool.length, ...made.slice(this.#choices.integer(0, 2)), pool[0]!)
  }

  #op(pool: Node[]): void {
    const op: OpName = generating[this.#choices.integer(0, generating.length - 1)]!
    const def = opDef(op)
    const use = def.generate!(
      this.#choices,
      pool.map((node) => node.type),
    )
    if (!use) return
    const operands = use.operands.map((place) => pool[place]!)
    const safe = this.#safe((use.attributes as { fn?: string }).fn, operands)
    const node = this.builder.make(op, safe, use.attributes as never, span, use.declared)
    const binding = { seq: longest, start: context - longest }
    if (node.type.dims.reduce((product, dim) => product * evaluate(dim, binding), 1) <= mostElements && node.type.dims.length <= 5)
      pool.push(node)
  }

  #fill(value: number, like: Node): Node {
    return this.builder.broadcast(this.builder.literal(value, like.type.dtype, span), like.type.dims, [], span)
  }

  #safe(fn: string | undefined, operands: readonly Node[]): readonly Node[] {
    const { builder } = this
    const positive = (x: Node): Node => builder.binary('add', builder.unary('abs', x, span), this.#fill(0.5, x), span)
    if (fn === undefined || !operands[0] || !isFloat(operands[0].type.dtype)) return operands
    if (['log', 'sqrt', 'rsqrt'].includes(fn)) return [positive(operands[0])]
    if (fn === 'exp') return [builder.binary('min', operands[0], this.#fill(4, operands[0]), span)]
    if (fn === 'div' || fn === 'mod') return [operands[0], positive(operands[1]!)]
    return fn === 'pow' ? [positive(builder.unary('tanh', operands[0], span)), builder.unary('tanh', operands[1]!, span)] : operands
  }

  #state(pool: Node[], path: string, scatter: boolean): void {
    const { builder } = this
    const fitting = pool.filter(
      (node) =>
        node.type.dtype === 'f32' &&
        node.type.dims.length === 2 &&
        node.type.dims[0]!.terms.length === 1 &&
        evaluate(node.type.dims[0]!, { seq: 1, start: 9 }) === 1 &&
        node.type.dims[1]!.const === 4,
    )
    const value = fitting.at(-1)
    const index = pool.find(
      (node) =>
        node.type.dtype === 'i32' &&
        node.type.dims.length === 1 &&
        node.type.dims[0]!.terms.length === 1 &&
        evaluate(node.type.dims[0]!, { seq: 1, start: 9 }) === 1,
    )
    if (value && scatter && index) builder.scatterState(path, 0, index, value, span)
    else if (value) builder.storeState(path, 0, symbol('start'), value, span)
    pool.push(builder.readState(path, span))
  }

  #composite(pool: Node[]): void {
    const operands = [pool.at(-1)!, pool[this.#choices.integer(0, pool.length - 1)]!]
    pool.push(
      ...this.builder.composite(
        'some',
        { eps: 0.5, name: null },
        operands,
        (params) => {
          const inner = [...params, ...pool.slice(0, 4)]
          this.#grow(inner, 5, '')
          return this.#choices.integer(0, 1) === 0 ? [inner.at(-1)!] : inner.slice(-2)
        },
        span,
      ),
    )
  }

  /** Only once: a second loop over the array could not store to the same states. */
  #loop(pool: Node[]): void {
    if (this.#looped) return
    this.#looped = true
    const carried = [pool.at(-1)!, pool[0]!].slice(0, this.#choices.integer(1, 2))
    pool.push(
      ...this.builder.loop({
        array: 'layers',
        order: [0, 1],
        groups: 2,
        carried,
        span,
        body: (_group, params) => {
          const inner = [...params, this.builder.weight('layers[*].w', span), ...pool.slice(0, 3)]
          this.#grow(inner, 6, 'layers[*].s')
          return params.map((param) => inner.findLast((node) => sameType(node.type, param.type)) ?? param)
        },
      }),
    )
  }
}

export const randomGraph = (tape: readonly number[]): Graph => new Maker(choicesFrom(tape)).graph()

/** Inputs that depend on the binding only. */
export function randomInputs(binding: Binding): Record<string, number[]> {
  const n = binding['seq']!
  return { x: Array.from({ length: n * 4 }, (_, i) => Math.sin(3 * i + 1)), n: Array.from({ length: n }, (_, i) => (7 * i + 2) % context) }
}

export function randomWeight(path: string): { dims: readonly number[]; data: Float64Array } {
  return { dims: [4, 3], data: Float64Array.from({ length: 12 }, (_, i) => Math.cos(path.length * i + i * i)) }
}
