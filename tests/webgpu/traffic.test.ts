// What a token moves on WebGPU, counted access by access: LLaMA 7B in q4_0 reads every weight and every position of its caches once,
// and little else from memory; loads again (of activations, from a cache of the GPU) are told apart.

import { expect, test } from 'vitest'
import { planGraphs } from '../../compiler/compile.ts'
import { buildGraph } from '../../compiler/graph/builder.ts'
import { buffer, builtin, constant, Emitter, load, loadHalves, ops } from '../../compiler/schedule/build-loops.ts'
import { countTraffic } from '../../compiler/schedule/count-traffic.ts'
import { dispatchTraffic, type TrafficKind } from '../../compiler/targets/webgpu/traffic.ts'
import { constant as size } from '../../dsl/affine.ts'
import { loadModel } from '../../dsl/index.ts'
import { readProject } from '../dsl/read-models.ts'

test('accesses are counted, and the bytes behind them once', () => {
  const e = new Emitter()
  const at = e.let('at', ops.add(ops.mul(builtin('group_x'), 2), builtin('invocation')))
  const sum = e.let('sum', constant('f32', 0))
  e.loop('i', 0, 8, 4, (i) => e.set(sum, ops.add(sum, ops.hmax(load('f32x4', 0, i)))))
  e.if(ops.lt(at, 5), () => e.store(1, at, ops.add(sum, load('f32', 2, load('i32', 3, at)))))
  const half = e.let('half', loadHalves('i32', 4, at))
  e.storeHalves(5, ops.mul(at, 2), half)
  const fn = {
    name: 'f',
    operands: [
      buffer('x', 0, 'read'),
      buffer('y', 1, 'write'),
      buffer('z', 2, 'read'),
      buffer('ids', 3, 'read', 'i32'),
      buffer('halves', 4, 'read', 'i32'),
      buffer('even', 5, 'write', 'i32'),
    ],
    symbols: [],
    body: e.finish(),
    workgroup: 2,
    grid: [[{ size: size(3), divisor: 1 }]],
  }
  const found = countTraffic(fn, { symbols: {}, memory: [undefined, undefined, undefined, Int32Array.of(7, 7, 2, 7, 2)] })
  expect(found).toEqual([
    { loaded: 6 * 32, stored: 0, read: 32, written: 0 },
    { loaded: 0, stored: 20, read: 0, written: 20 },
    { loaded: 20, stored: 0, read: 8, written: 0 },
    { loaded: 20, stored: 0, read: 20, written: 0 },
    { loaded: 12, stored: 0, read: 12, written: 0 },
    { loaded: 0, stored: 12, read: 0, written: 12 },
  ])
})

test.each([
  ['f32', 1.4],
  // A part is two shares of a block there, so half as many load its scales.
  ['int8', 1.2],
] as const)(
  'LLaMA 7B in q4_0, activations %s: a token reads weights and caches once',
  (activations, loadedAgain) => {
    const { model: checked } = loadModel('models/llama.dsl', readProject)
    const model = checked!.specialise({ preset: '7B' }).model!
    const graphs = model.entries.filter(({ name }) => name === 'decode').map(({ name }) => buildGraph(model, name).graph!)
    const entries = model.entries.filter(({ name }) => name === 'decode')
    const plan = planGraphs({ ...model, entries }, graphs, { targets: ['webgpu'], quant: 'q4_0', activations }).targets[0]!.plan!
    const start = 300
    const dispatches = dispatchTraffic(plan, plan.entries[0]!, { start })
    const total = (what: 'read' | 'written' | 'loaded', ...kinds: TrafficKind[]): number =>
      dispatches.reduce((sum, { times, of }) => sum + times * kinds.reduce((bytes, kind) => bytes + of[kind][what], 0), 0)
    // Of the embedding one row is read.
    const weights = plan.layout.tensors.reduce((sum, { path, bytes }) => sum + (/^embedding$|^table:/.test(path) ? 0 : bytes), 0)
    const caches = 2 * 32 * (start + 1) * 4096 * 4
    const all = total('read', 'weights', 'states', 'values') + total('written', 'states', 'values')
    expect(total('read', 'weights')).toBeGreaterThan(0.999 * weights)
    expect(total('read', 'states')).toBeGreaterThanOrEqual(caches - 2 * 32 * 4096 * 4)
    expect(all).toBeLessThan(1.05 * (weights + caches))
    expect(dispatches.filter(({ times }) => times === 32).length).toBeLessThanOrEqual(8)
    // Scales are loaded by all that share them; nothing else of a weight is loaded again.
    expect(total('loaded', 'weights')).toBeLessThan(loadedAgain * weights)
  },
  120_000,
)
