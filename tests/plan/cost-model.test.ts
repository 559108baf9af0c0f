// The cost model: its laws, what it says of cut dispatches, and that no dispatch of a large model holds the slowest described GPU for
// longer than a tenth of a second.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { buildGraphs, type CompileOptions, planGraphs, type PlannedTarget } from '../../compiler/compile.ts'
import { fitForCalls } from '../../compiler/call-size.ts'
import {
  callCost,
  type CallCost,
  costsOf,
  describedDevices,
  type DispatchCost,
  longestDispatchSeconds,
  slowestGpu,
  sustained,
  timeOf,
} from '../../compiler/cost-model.ts'
import { webgpuMachine } from '../../compiler/schedule/machine.ts'
import { targets } from '../../compiler/targets/index.ts'
import { kernelsOf } from '../../compiler/kernel/weights.ts'
import type { Numbers } from '../../dsl/index.ts'
import { load, numbered, program } from '../dsl/read-models.ts'

const amount = fc.double({ min: 0, max: 1e12, noNaN: true })
const dispatch = fc.record({
  kernel: fc.constant('k'),
  shape: fc.constant('contract' as const),
  launches: fc.integer({ min: 1, max: 100 }),
  invocations: fc.integer({ min: 1, max: 1e7 }),
  bytes: amount,
  values: amount,
  madds: amount,
  dots: amount,
})
const device = fc.constantFrom(...describedDevices)

test('a dispatch takes as long as its bytes, its arithmetic and its launch, and shorter only on more of the device', () => {
  fc.assert(
    fc.property(dispatch, device, fc.double({ min: 0.1, max: 1, noNaN: true }), (cost, on, share) => {
      const { seconds } = timeOf(cost, on)
      expect(seconds).toBeGreaterThanOrEqual(on.launchSeconds + (cost.bytes + cost.values) / (on.readBytes * 1e9))
      expect(seconds).toBeGreaterThanOrEqual(on.launchSeconds + (cost.madds / on.madd + cost.dots / on.dot) / 1e9)
      expect(timeOf(cost, on, share).seconds - on.launchSeconds).toBeCloseTo((seconds - on.launchSeconds) / share, 6)
      expect(timeOf({ ...cost, invocations: 2 * cost.invocations }, on).seconds).toBeLessThanOrEqual(seconds)
      if (cost.invocations >= on.invocations) expect(timeOf({ ...cost, invocations: 1e9 }, on).seconds).toBe(seconds)
    }),
  )
})

test('a call takes as long as its dispatches one after the other', () => {
  fc.assert(
    fc.property(fc.array(dispatch, { minLength: 1, maxLength: 20 }), device, (costs, on) => {
      const { dispatches, seconds, longest } = callCost(costs, on)
      expect(dispatches).toBe(costs.reduce((sum, { launches }) => sum + launches, 0))
      const times = costs.map((cost) => timeOf(cost, on).seconds)
      expect(seconds).toBeCloseTo(
        costs.reduce((sum, { launches }, i) => sum + launches * times[i]!, 0),
        6,
      )
      expect(longest).toBe(Math.max(...times))
    }),
  )
})

test('what has no work at some sizes is no dispatch there', () => {
  const size = { const: 0, terms: [['past', 1]] } as const
  const planned = plannedFor({ preset: 'tiny' })
  const [step] = planned.programs[0]!.steps
  const parts = targets.webgpu.dispatches!(planned.plan!.functions)
  const cost = (past: number): CallCost => {
    const binding = { seq: 1, start: 0, past }
    const of = costsOf(
      { steps: [step!] },
      (one) => parts(one).map((part) => ({ ...part, fn: { ...part.fn, grid: [[{ size, divisor: 8 }]] } })),
      binding,
    )
    return callCost(of, slowestGpu)
  }
  expect(cost(0)).toEqual({ dispatches: 0, seconds: 0, by: 'launches', longest: 0 })
  expect(cost(1).dispatches).toBeGreaterThan(0)
  expect(cost(9).seconds).toBeGreaterThan(slowestGpu.launchSeconds)
})

function plannedFor(numbers: Numbers, options: Partial<CompileOptions> = {}): PlannedTarget {
  const { model } = fitForCalls(load('llama'), numbers, {})
  const built = buildGraphs(model!)
  return planGraphs(built.model!, built.graphs, { targets: ['webgpu'], quant: 'q4_0', ...options }).targets[0]!
}

/** Of every entry, at the largest sizes and the last position. */
const costsAtMost = ({ programs, plan }: PlannedTarget): DispatchCost[] =>
  programs.flatMap((program) =>
    costsOf(
      program,
      targets.webgpu.dispatches!(plan!.functions),
      Object.fromEntries([...program.symbols].map(([name, { max }]) => [name, max])),
    ),
  )

test.each(['7B', '13B', '33B', '65B'])('LLaMA %s: no dispatch holds the slowest GPU for more than a tenth of a second', (preset) => {
  const costs = costsAtMost(plannedFor({ preset }))
  const long = costs.filter((cost) => timeOf(cost, slowestGpu, sustained).seconds > longestDispatchSeconds)
  expect(long.map(({ kernel }) => kernel)).toEqual([])
  // Without the cuts there are such.
  const machines = { webgpu: { ...webgpuMachine, dispatchMadds: Number.POSITIVE_INFINITY } }
  const whole = costsAtMost(plannedFor({ preset }, { machines }))
  expect(callCost(whole, slowestGpu, sustained).longest).toBeGreaterThan(longestDispatchSeconds)
  // The same work, in more parts.
  const madds = (list: readonly DispatchCost[]): number => list.reduce((sum, one) => sum + one.launches * one.madds, 0)
  expect(madds(costs) / madds(whole)).toBeCloseTo(1, 3)
  expect(callCost(costs, slowestGpu).seconds).toBeLessThan(1.01 * callCost(whole, slowestGpu).seconds)
})

test('decoding is never cut for time, and its bytes are those of weights and caches', () => {
  const { programs, plan } = plannedFor({ preset: '7B' })
  const decode = programs.find(({ entry }) => entry === 'decode')!
  const costs = costsOf(decode, targets.webgpu.dispatches!(plan!.functions), { start: 2047 })
  expect(costs.filter(({ kernel }) => kernel.includes('_part'))).toEqual([])
  const { layout } = plan!
  const weights = layout.tensors.reduce((sum, { path, bytes }) => sum + (path.startsWith('table:') ? 0 : bytes), 0)
  const embedding = layout.tensors[layout.tensor('embedding')]?.bytes ?? 0
  const bytes = costs.reduce((sum, one) => sum + one.launches * one.bytes, 0)
  expect(bytes / (weights - embedding + layout.stateBytes)).toBeGreaterThan(0.999)
  expect(bytes / (weights - embedding + layout.stateBytes)).toBeLessThan(1.01)
})

const ways = program(`module ways
config Sizes { embed: dim = 32  width: dim = 64 }
model Ways uses Sizes {
  weight rows:    [width, embed]
  weight columns: [embed, width]
  entry by_rows(x: f32[seq, embed]) -> f32[seq, width] { return f32(dot(real(x), rows, over: embed)) }
  entry by_columns(x: f32[seq, embed]) -> f32[seq, width] { return f32(dot(real(x), columns, over: embed)) }
  runtime seq: 1 ..= 4
}`)

test('only rows that no sum goes over are cut: for time where it can be done, for bindings else not at all', () => {
  const { model, graphs } = buildGraphs(numbered(ways, {}))
  const plan = (limits: Partial<typeof webgpuMachine>): readonly string[] => {
    const { targets: planned } = planGraphs(model!, graphs, {
      targets: ['webgpu'],
      quant: 'none',
      machines: { webgpu: { ...webgpuMachine, ...limits } },
    })
    return planned[0]!.programs
      .flatMap(({ steps }) => kernelsOf(steps))
      .flatMap(({ operands }) =>
        operands.flatMap(({ source }) => (source.kind === 'weight' ? [`${source.path} ${source.rows?.join('-') ?? 'whole'}`] : [])),
      )
  }
  expect(plan({}).toSorted()).toEqual(['columns whole', 'rows whole'])
  // Each has 4 x 32 x 64.
  expect(plan({ dispatchMadds: 4096 }).toSorted()).toEqual(['columns whole', 'rows 0-32', 'rows 32-64'])
  expect(() => plan({ bindingBytes: 4096 })).toThrow(/columns is larger than a binding/)
})
