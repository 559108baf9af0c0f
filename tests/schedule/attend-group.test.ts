// Attention by workgroups, on the evaluator: any number of rows and positions, vectors of any length that is a multiple of four, whole and
// in chunks that a second function joins, gives what the reference gives; masked rows and the highest score at any place among them.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { constant } from '../../dsl/affine.ts'
import { planGraphs } from '../../compiler/compile.ts'
import { kernelsOf } from '../../compiler/kernel/weights.ts'
import { webgpuMachine } from '../../compiler/schedule/machine.ts'
import { type BuiltEntry, builtEntry, builtGraph, builtModel, builtReference, span } from '../support/built-model.ts'
import { runPlannedLoops } from '../support/planned-loops.ts'

interface Sizes {
  readonly rows: number
  readonly positions: number
  readonly query: number
  readonly value: number
}

const lowest = -3.4028234663852886e38

/** softmax(where(mask, q·k, lowest))·v; a row without a position is 0. */
const attention = ({ rows, positions, query, value }: Sizes): BuiltEntry =>
  builtEntry('attention', (b) => {
    const given = (name: string, ...dims: number[]) => b.argument(name, { dtype: 'f32', dims: dims.map(constant) }, span)
    const all = (number: number, like: ReturnType<typeof given>) => b.broadcast(b.literal(number, 'f32', span), like.type.dims, [], span)
    const scores = b.dot(given('q', rows, query), given('k', positions, query), [[1, 1]], [], span)
    const seen = b.binary('gt', given('mask', rows, positions), all(0, scores), span)
    const x = b.where(seen, scores, all(lowest, scores), span)
    const wide = (one: ReturnType<typeof given>) => b.broadcast(one, x.type.dims, [0], span)
    const most = b.reduce('max', x, [1], span)
    const level = b.where(b.binary('le', most, all(lowest, most), span), all(0, most), most, span)
    const e = b.unary('exp', b.binary('sub', x, wide(level), span), span)
    const p = b.binary('div', e, wide(b.reduce('sum', e, [1], span)), span)
    return [b.dot(p, given('v', positions, value), [[1, 0]], [], span)]
  })

const quarter = (most: number) => fc.integer({ min: 1, max: most }).map((n) => 4 * n)
const list = (length: number, most: number) => fc.array(fc.integer({ min: -most, max: most }), { minLength: length, maxLength: length })
const cases = fc
  .record({ rows: fc.integer({ min: 1, max: 11 }), positions: fc.integer({ min: 1, max: 90 }), query: quarter(10), value: quarter(10) })
  .chain((sizes) =>
    fc.record({
      sizes: fc.constant(sizes),
      shortestChunk: fc.constantFrom(1, 2, 4, 16, Number.POSITIVE_INFINITY),
      given: fc.record({
        q: list(sizes.rows * sizes.query, 3),
        k: list(sizes.positions * sizes.query, 3),
        v: list(sizes.positions * sizes.value, 9),
        mask: fc.oneof(
          fc.constant(Array.from({ length: sizes.rows * sizes.positions }, () => 1)),
          list(sizes.rows * sizes.positions, 1),
          fc
            .nat(sizes.positions)
            .map((n) => Array.from({ length: sizes.rows * sizes.positions }, (_, i) => (i % sizes.positions >= n ? 1 : 0))),
        ),
      }),
    }),
  )

test('attention of any size', () => {
  const found = { joined: 0, whole: 0 }
  fc.assert(
    fc.property(cases, ({ sizes, shortestChunk, given }) => {
      const entry = attention(sizes)
      const wanted = builtReference(entry).run('attention', {}, given).results[0]!.data
      const machines = { webgpu: { ...webgpuMachine, shortestChunk } }
      const plan = planGraphs(builtModel([entry]), [builtGraph(entry)], { targets: ['webgpu'], machines, verify: true }).targets[0]!.plan!
      const fns = kernelsOf(plan.entries[0]!.program.steps).map(({ name }) => plan.functions.get(name)!)
      if (fns.length === 1) found[fns[0]!.join ? 'joined' : 'whole']++
      const none = (): Int32Array => expect.fail('there is none')
      const [got] = runPlannedLoops(plan, plan.entries[0]!, { tensor: none, state: none }, {}, given)
      const scale = Math.max(1, ...given.v.map(Math.abs))
      for (const [i, value] of wanted.entries()) expect(Math.abs(got![i]! - value), `element ${i}`).toBeLessThan(2e-5 * scale)
    }),
    { numRuns: 80 },
  )
  expect(Math.min(found.joined, found.whole)).toBeGreaterThan(15)
})
