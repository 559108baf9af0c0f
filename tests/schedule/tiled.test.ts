// Axes that do not fit scratch memory, walked in tiles of a few values: chains of reductions along them give what the reference gives
// for any length and tile, softmax takes one walk whatever is fused into it, and what no rewrite knows takes several.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { constant } from '../../dsl/affine.ts'
import { planGraphs } from '../../compiler/compile.ts'
import type { GraphBuilder } from '../../compiler/graph/builder.ts'
import type { Node } from '../../compiler/graph/types.ts'
import { kernelsOf } from '../../compiler/kernel/weights.ts'
import type { LoopStmt } from '../../compiler/schedule/loops.ts'
import { webgpuMachine } from '../../compiler/schedule/machine.ts'
import { type BuiltEntry, builtEntry, builtGraph, builtModel, builtReference, span } from '../support/built-model.ts'
import { runPlannedLoops } from '../support/planned-loops.ts'

const rows = 2
const few = 3

/** A chain over x [rows, n], with v [n, few] and mask [rows, n]. */
interface Chain {
  readonly walks: number
  make(m: Maker): Node
}

/** Short words for a builder; v is [n, few]. */
class Maker {
  readonly b: GraphBuilder
  readonly n: number
  readonly x: Node
  constructor(b: GraphBuilder, n: number) {
    this.b = b
    this.n = n
    this.x = this.given('x', rows, n)
  }
  given = (name: string, ...dims: number[]): Node => this.b.argument(name, { dtype: 'f32', dims: dims.map(constant) }, span)
  is = (name: 'add' | 'sub' | 'mul' | 'div' | 'max' | 'le' | 'gt', a: Node, b: Node): Node => this.b.binary(name, a, b, span)
  all = (value: number, like: Node): Node => this.b.broadcast(this.b.literal(value, 'f32', span), like.type.dims, [], span)
  /** [rows] over [rows, …]. */
  wide = (x: Node, like: Node = this.x): Node => this.b.broadcast(x, like.type.dims, [0], span)
  over = (how: 'sum' | 'max' | 'min', x: Node): Node => this.b.reduce(how, x, [1], span)
  exp = (x: Node): Node => this.b.unary('exp', x, span)
  /** Σ p·v */
  mix = (p: Node): Node => this.b.dot(p, this.given('v', this.n, few), [[1, 0]], [], span)
  masked = (x: Node): Node =>
    this.b.where(this.is('gt', this.given('mask', rows, this.n), this.all(0, x)), x, this.all(-3.4028234663852886e38, x), span)
  /** The library's: 0 instead of the maximum of nothing. */
  guarded = (m: Node): Node => {
    const least = this.all(-3.4028234663852886e38, m)
    return this.b.where(this.is('le', m, least), this.all(0, m), m, span)
  }
  softmax = (x: Node, guard = true): Node => {
    const m = this.over('max', x)
    const e = this.exp(this.is('sub', x, this.wide(guard ? this.guarded(m) : m)))
    return this.is('div', e, this.wide(this.over('sum', e)))
  }
}

const chains: Readonly<Record<string, Chain>> = {
  'softmax and a weighted sum': { walks: 1, make: (m) => m.mix(m.softmax(m.masked(m.x))) },
  'softmax without a guard': { walks: 1, make: (m) => m.mix(m.softmax(m.x, false)) },
  'scores that are capped and biased': {
    walks: 1,
    make: (m) => {
      const capped = m.is('mul', m.b.unary('tanh', m.is('mul', m.x, m.all(0.1, m.x)), span), m.all(8, m.x))
      return m.mix(m.softmax(m.masked(m.is('add', capped, m.given('bias', rows, m.n)))))
    },
  },
  'a sink beside the scores': {
    walks: 1,
    make: (m) => {
      const most = m.over('max', m.x)
      const e = m.exp(m.is('sub', m.x, m.wide(most)))
      const sink = m.exp(m.is('sub', m.all(0.5, most), most))
      return m.mix(m.is('div', e, m.wide(m.is('add', m.over('sum', e), sink))))
    },
  },
  'scores that are products': {
    walks: 1,
    make: (m) => m.mix(m.softmax(m.masked(m.b.dot(m.given('q', rows, 2), m.given('k', m.n, 2), [[1, 1]], [], span)))),
  },
  'a maximum that lowers exponents twice': {
    walks: 2,
    make: (m) => {
      const most = m.over('max', m.x)
      const e = m.exp(m.is('sub', m.x, m.wide(m.is('add', most, m.b.unary('abs', most, span)))))
      return m.mix(e)
    },
  },
  'rows between least and most': {
    walks: 2,
    make: (m) => {
      const [least, most] = [m.over('min', m.x), m.over('max', m.x)]
      return m.mix(m.is('div', m.is('sub', m.x, m.wide(least)), m.wide(m.is('add', m.is('sub', most, least), m.all(1, most)))))
    },
  },
}

const entryOf = (chain: Chain, n: number): BuiltEntry => builtEntry('chain', (b) => [chain.make(new Maker(b, n))])

const sizeOf = (argument: BuiltEntry['info']['arguments'][number]): number =>
  argument.kind === 'tensor' ? argument.type.dims.reduce((count, dim) => count * dim.const, 1) : 1

/** With room for `words` beside the tree of the workgroup. */
function planned(entry: BuiltEntry, words: number) {
  const machines = { webgpu: { ...webgpuMachine, scratchWords: webgpuMachine.threads + words } }
  const { targets } = planGraphs(builtModel([entry]), [builtGraph(entry)], { targets: ['webgpu'], machines, verify: true })
  return targets[0]!.plan!
}

const walksIn = (body: readonly LoopStmt[]): number =>
  body.reduce((count, s) => {
    if (s.kind === 'loop') return count + (s.variable.startsWith('tile') ? 1 : 0) + walksIn(s.body)
    return s.kind === 'if' ? count + walksIn(s.yes) + walksIn(s.no ?? []) : count
  }, 0)

const list = (length: number, most: number) => fc.array(fc.integer({ min: -most, max: most }), { minLength: length, maxLength: length })

/** Maxima that rise, fall and stay; rows in which everything, or the beginning, is masked. */
function inputs(n: number) {
  const cells = rows * Math.max(n, few)
  const slopes = fc.constantFrom(-300, -3, 3, 300).map((slope) => Array.from({ length: cells }, (_, i) => (i % n) * slope))
  const beginnings = fc.nat(n).map((seen) => Array.from({ length: cells }, (_, i) => (i % n >= seen ? 1 : 0)))
  return fc.record({
    x: fc.oneof(list(cells, 10), slopes),
    mask: fc.oneof(list(cells, 1), beginnings),
    v: list(n * few, 9),
    q: list(rows * 2, 5),
    k: list(n * 2, 30),
    bias: list(cells, 5),
  })
}

test.each(Object.entries(chains))('%s', (_, chain) => {
  const lengths = fc
    .integer({ min: 1, max: 40 })
    .chain((n) => fc.record({ n: fc.constant(n), drawn: inputs(n), size: fc.integer({ min: 1, max: 9 }) }))
  fc.assert(
    fc.property(lengths, ({ n, drawn, size }) => {
      const entry = entryOf(chain, n)
      const given = Object.fromEntries(
        entry.info.arguments.map((each) => [each.name, drawn[each.name as keyof typeof drawn].slice(0, sizeOf(each))]),
      )
      const wanted = builtReference(entry).run('chain', {}, given).results[0]!.data
      const plan = planned(entry, few + size)
      const walks = kernelsOf(plan.entries[0]!.program.steps).map(({ name }) => walksIn(plan.functions.get(name)!.body))
      // Short rows fit without tiles.
      if (n > 3 * (few + size)) expect(Math.max(...walks)).toBe(chain.walks)
      const tensor = (): Int32Array => expect.fail('there is none')
      const [got] = runPlannedLoops(plan, plan.entries[0]!, { tensor, state: tensor }, {}, given)
      const scale = Math.max(1, ...wanted.map(Math.abs), ...drawn.v.map(Math.abs))
      for (const [i, value] of wanted.entries()) expect(Math.abs(got![i]! - value), `element ${i}`).toBeLessThan(3e-6 * scale)
    }),
    { numRuns: 40 },
  )
})
