// Laws of blocks: both sides are results of one graph, compiled together by the default passes, and equal within the sum of their
// bounds. Cutting a weight's rows and joining the products; cutting the contracted axis and adding the parts; transposing twice.

import { tensorBytes } from '../../compiler/artifact/contents.ts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { planGraphs } from '../../compiler/compile.ts'
import { formatNames, formats } from '../../compiler/formats/index.ts'
import { GraphBuilder } from '../../compiler/graph/builder.ts'
import type { Node } from '../../compiler/graph/types.ts'
import { lowerWasm } from '../../compiler/targets/wasm/lower.ts'
import { buildModule } from '../../compiler/targets/wasm/module.ts'
import { constant, symbol } from '../../dsl/affine.ts'
import { BoundedRun } from './bounded-evaluation.ts'
import { boundWeights, type Case, inputsOf, modelOf, span, valuesOf } from './case.ts'
import { choicesFrom, Grower } from './grower.ts'
import { openWasm } from './run-wasm.ts'

interface Block {
  readonly g: Grower
  readonly x: Node
  readonly w: Node
  readonly width: number
  readonly rows: number
  /** Where to cut. */
  readonly at: number
}

const part = (g: Grower, node: Node, axis: number, from: number, to: number): Node =>
  g.slice(node, axis, constant(from), constant(to - from))

const laws: Readonly<Record<string, (block: Block) => readonly [Node, Node]>> = {
  'rows cut and joined': ({ g, x, w, rows, at }) => {
    const cut = Math.min(at, rows - 1)
    return [
      g.dot(x, w, [[1, 1]]),
      g.concat(
        [part(g, w, 0, 0, cut), part(g, w, 0, cut, rows)].map((rowsOf) => g.dot(x, rowsOf, [[1, 1]])),
        1,
      ),
    ]
  },
  'the contracted axis cut and added': ({ g, x, w, width, at }) => {
    const cut = Math.min(at, width - 1)
    const parts = [[0, cut] as const, [cut, width] as const].map(([from, to]) =>
      g.dot(part(g, x, 1, from, to), part(g, w, 1, from, to), [[1, 1]]),
    )
    return [g.dot(x, w, [[1, 1]]), g.binary('add', parts[0]!, parts[1]!)]
  },
  'a product transposed': ({ g, x, w }) => [g.transpose(g.dot(x, w, [[1, 1]]), [1, 0]), g.dot(w, x, [[1, 1]])],
  'a scale taken out of the product': ({ g, x, w }) => [g.dot(g.times(x, 4), w, [[1, 1]]), g.times(g.dot(x, w, [[1, 1]]), 4)],
  'a mean over split axes': ({ g, x, width }) => [
    g.reduce('sum', x, [1]),
    width % 2 === 0 ? g.reduce('sum', g.split(x, 1, [2, width / 2]), [1, 2]) : g.reduce('sum', x, [1]),
  ],
}

test.each(Object.entries(laws))('%s', (_name, law) => {
  const sizes = fc.record({
    width: fc.constantFrom(2, 5, 8, 32, 33, 64, 256),
    rows: fc.constantFrom(2, 3, 8, 9, 16, 35),
    at: fc.integer({ min: 1, max: 40 }),
    format: fc.constantFrom(...formatNames),
    seq: fc.integer({ min: 1, max: 5 }),
  })
  fc.assert(
    fc.property(sizes, ({ width, rows, at, format, seq: length }) => {
      const seq = symbol('seq')
      const stored = width % formats[format].values === 0 ? format : 'f32'
      const weight = { path: 'w', dims: [rows, width], pattern: 'waves' as const, format: stored }
      const builder = new GraphBuilder({ weights: [{ ...weight, labels: ['a', 'b'], quant: true, span }], states: [] })
      const symbols = [{ name: 'seq', kind: 'size' as const, min: 1, max: 5 }]
      const g = new Grower(builder, choicesFrom([]), new Map(symbols.map(({ name, min, max }) => [name, { min, max }])))
      const x = g.given(builder.argument('x', { dtype: 'f32', dims: [seq, constant(width)] }, span), { lo: -1, hi: 1 })
      const pair = law({ g, x, w: g.weight('w', 1), width, rows, at })
      const random: Case = {
        graph: builder.finish('block', symbols, pair),
        weights: [weight],
        states: [],
        calls: [{ seq: length }],
        inputs: 'waves',
        bindingBytes: 0,
      }
      const planned = planGraphs(modelOf(random), [random.graph], {
        targets: ['wasm'],
        math: 'strict',
        weights: boundWeights(random),
        verify: true,
      })
      const { plan } = planned.targets[0]!
      const lowered = lowerWasm(plan!)
      const { binary } = buildModule(lowered.program, { relaxed: false })
      const session = openWasm(binary, lowered, plan!.entries[0]!.info, [], planned.tensors.map(tensorBytes))
      const inputs = inputsOf(random, 0)
      const [left, right] = session.call(random.calls[0]!, inputs)
      const values = valuesOf(weight)
      const size = /^q[456]/.test(stored) ? 2 ** -19 : 0
      const bounds = new BoundedRun(
        random.graph,
        { weight: () => ({ data: values, error: new Float64Array(values.length).fill(size) }), unit: 2 ** -24, rounds: true },
        random.calls[0]!,
        inputs,
        new Map(),
      ).run()
      const [one, other] = bounds as [(typeof bounds)[number], (typeof bounds)[number]]
      expect(left!.length).toBe(right!.length)
      left!.forEach((value, i) => {
        expect(Math.abs(value - right![i]!)).toBeLessThanOrEqual(one.error[i]! + other.error[i]!)
      })
    }),
    { numRuns: 25 },
  )
})
