// `llamac estimate` and `--emit plan`: what people read, held by goldens over made-up figures and over a model of two layers; and the
// command itself, on a model that no machine here could hold.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { EstimateReport } from '../../cli/estimate-report.ts'
import { textOf } from '../../cli/estimate-text.ts'
import { boundOf } from '../../cli/measure/floors.ts'
import { planText } from '../../cli/plan-text.ts'
import { buildGraphs, planGraphs } from '../../compiler/compile.ts'
import { numbered, program } from '../dsl/read-models.ts'
import { llamac } from './llamac.ts'

const report: EstimateReport = {
  model: 'Llama',
  preset: '7B',
  parameters: 6_738_415_616,
  math: 'fast',
  context: 8192,
  most_tokens_in_a_call: 128,
  threads: 2,
  parts: [
    { part: 'embedding', values: 131_072_000, formats: { q8_0: 139_264_000 }, bytes: 139_264_000 },
    { part: 'layers[*].attn', values: 2_147_483_648, formats: { q4_0: 1_207_959_552 }, bytes: 1_207_959_552 },
    { part: 'out_norm', values: 4096, formats: { f32: 16_384 }, bytes: 16_384 },
  ],
  states: [
    {
      state: 'layers[*].attn.keys',
      count: 32,
      dtype: 'f32',
      axes: [
        ['ctx', 8192],
        ['kv_heads', 32],
        ['head_dim', 128],
      ],
      bytes: 2 ** 32,
      bytes_per_position: 2 ** 19,
    },
    { state: 'layers[*].attn.filled', count: 1, dtype: 'i32', axes: [['ring', 4096]], bytes: 16_384, bytes_per_position: 0 },
  ],
  targets: [
    {
      target: 'wasm',
      memory: { weights: 1_347_239_936, tables: 2_097_152, states: 4_294_983_680, arena: 18_258_048, rest: 5734, further_threads: 38_528 },
      total: 5_662_623_078,
      limit: 2 ** 32,
      program_bytes: 152_800,
      arena_lower_bound: 18_228_736,
      entries: [
        { entry: 'prefill', bytes: 14_776_832, lower_bound: 14_776_832, peak: ['prefill_11_quantise'] },
        { entry: 'score', bytes: 18_228_736, lower_bound: 18_228_736, peak: ['score_2_dot', 'score_3_max'] },
      ],
      fits: false,
      problems: [
        { message: 'Llama needs 5.3 GiB; the memory of wasm is 4.0 GiB', notes: ['weights 1.3 GiB'], help: 'use a shorter context' },
      ],
      calls: [
        {
          entry: 'prefill',
          position: 0,
          tokens: 128,
          bytes: 1_400_000_000,
          multiply_adds: 4_328_525_824,
          byte_multiply_adds: 829_059_760_128,
          dispatches: 419,
          classes: [
            { class: 'row', dispatches: 65, bytes: 1_000_000, values: 7_000_000 },
            { class: 'contract', dispatches: 354, bytes: 1_399_000_000, values: 9_000_000, loaded: { bytes: 5e9, values: 1e9 } },
          ],
          at_most: { tokens_per_second: 4.93, bound_by: 'arithmetic' },
        },
        {
          entry: 'decode',
          position: 8191,
          tokens: 1,
          bytes: 5_600_000_000,
          multiply_adds: 134_483_968,
          byte_multiply_adds: 6_607_077_376,
          dispatches: 227,
          classes: [],
          at_most: { tokens_per_second: 1234.5, bound_by: 'memory' },
        },
      ],
    },
    {
      target: 'webgpu',
      memory: { weights: 1_347_239_936, tables: 2_097_152, states: 4_294_983_680, arena: 18_481_664, rest: 16, further_threads: 0 },
      total: 5_662_802_448,
      largest_buffer: 2 ** 27,
      arena_lower_bound: 18_481_664,
      entries: [],
      fits: true,
      problems: [],
      calls: [],
    },
  ],
  devices: [
    {
      device: 'server CPU, 1 thread',
      target: 'wasm',
      memory: 2 ** 34,
      fits: false,
      calls: [
        { tokens_per_second: 15.1, bound_by: 'arithmetic', longest_dispatch_ms: 385 },
        { tokens_per_second: 3.15, bound_by: 'memory', longest_dispatch_ms: 12.5 },
      ],
    },
    { device: 'old integrated GPU', target: 'webgpu', memory: 2 ** 32, fits: false, calls: [] },
  ],
  machine: { dot: 43.6, madd: 25.9, readBytes: 15.6 },
  notes: ['out_norm.gain: f32, as the model declares'],
}

test('an estimate for people', async () => {
  await expect(`${textOf(report)}\n`).toMatchFileSnapshot('../golden/estimate.txt')
  // Without a machine, states, calls: fewer tables, never empty ones.
  const { machine: _, ...rest } = report
  const bare = textOf({ ...rest, states: [], notes: [], targets: rest.targets.map((one) => ({ ...one, calls: [] })) })
  expect(bare).not.toMatch(/this machine|old integrated|at most \d+ tokens\/s|states {2}|work|note:/)
})

const two = program(`module two
config Sizes { embed: dim = 64  width: dim = 96  depth: int = 2  ctx: dim = 32 }
block Widen() uses Sizes {
  weight up:   [width, embed]
  weight down: [embed, width]
  state past:  real[ctx, embed]
  fn forward(x: real[seq, embed], start: index) -> real[seq, embed] {
    store past[ctx: start ..+ seq] = x
    return x + dot(max(dot(x, up, over: embed), 0.0), down, over: width)
  }
}
model Two uses Sizes {
  part layers[i < depth]: Widen()
  entry widen(x: f32[seq, embed], start: index) -> f32[seq, embed] {
    let y = real(x)
    for layer in layers { y = layer.forward(y, start) }
    return f32(y)
  }
  runtime seq: 1 ..= 8
}`)

test('a memory plan for people', async () => {
  const { model, graphs } = buildGraphs(numbered(two, {}))
  const { targets } = planGraphs(model!, graphs, { targets: ['wasm', 'webgpu'], quant: 'q8_0' })
  const texts = targets.map(({ target, plan }) => `==== ${target}\n\n${planText(plan!)}\n`)
  await expect(texts.join('\n')).toMatchFileSnapshot('../golden/plan.txt')
})

test('bounds are what bandwidth and arithmetic allow, and no more', () => {
  const amount = fc.double({ min: 1, max: 1e12, noNaN: true })
  const rate = fc.double({ min: 0.1, max: 1e4, noNaN: true })
  fc.assert(
    fc.property(
      amount,
      amount,
      amount,
      rate,
      rate,
      rate,
      fc.integer({ min: 1, max: 512 }),
      (bytes, dots, madds, dot, madd, readBytes, tokens) => {
        const call = { entry: 'e', position: 0, tokens, bytes, dots, madds }
        const { rate: most, by } = boundOf(call, { dot, madd, readBytes })
        const seconds = tokens / most
        expect((bytes / seconds / 1e9 / readBytes).toFixed(6) <= '1.000000').toBe(true)
        expect(dots / dot / 1e9 + madds / madd / 1e9).toBeLessThanOrEqual(seconds * 1.000001)
        // One of the two is met.
        const used = by === 'memory' ? bytes / readBytes / 1e9 : dots / dot / 1e9 + madds / madd / 1e9
        expect(used / seconds).toBeCloseTo(1, 6)
      },
    ),
  )
})

test('the command knows a model of 65 billion parameters without having it', { timeout: 60_000 }, () => {
  const run = (...args: readonly string[]) => llamac('estimate', 'models/llama.dsl', '--preset', '65B', ...args)
  const { status, stdout, stderr } = run('--quant', 'q4_0', '--ctx', '1024', '--threads', '2', '--json')
  expect([status, stderr]).toEqual([0, ''])
  const { targets, states, parts, ...rest } = JSON.parse(stdout) as EstimateReport
  expect(rest).toMatchObject({
    model: 'Llama',
    preset: '65B',
    parameters: 65_285_660_672,
    context: 1024,
    most_tokens_in_a_call: 128,
    threads: 2,
  })
  // 80 layers of keys and values with 8192 values a position.
  expect(states.reduce((sum, { bytes_per_position }) => sum + bytes_per_position, 0)).toBe(2 * 80 * 8192 * 4)
  expect(parts.map(({ part }) => part)).toContain('layers[*].attn')
  const [wasm, webgpu] = targets
  expect([wasm?.target, wasm?.fits, webgpu?.target, webgpu?.fits]).toEqual(['wasm', false, 'webgpu', true])
  for (const { memory, total, calls } of targets) {
    expect(total).toBe(Object.values(memory).reduce((a, b) => a + b, 0))
    const [first, , last] = calls.filter(({ entry }) => entry === 'decode')
    // Every weight is read but the embedding's other rows; and at the end all positions of the caches.
    expect(last!.bytes - first!.bytes).toBe(1023 * 2 * 80 * 8192 * 4)
  }
  expect(wasm!.memory.further_threads).toBeGreaterThan(0)
  // 34 GiB of weights and caches: one of the devices has room, and decoding there reads them at its bandwidth at best.
  const { devices } = JSON.parse(stdout) as EstimateReport
  expect(devices.filter(({ fits }) => fits).map(({ device }) => device)).toEqual(['server GPU'])
  for (const { device, target, memory, calls } of devices) {
    const of = targets.find((one) => one.target === target)!
    expect(calls.length, device).toBe(of.calls.length)
    expect(memory).toBeGreaterThan(0)
    for (const { tokens_per_second: rate } of calls) expect(rate).toBeGreaterThan(0)
  }
  const server = devices.find(({ device }) => device === 'server GPU')!
  const last = webgpu!.calls.at(-1)!
  expect(server.calls.at(-1)!.tokens_per_second).toBeLessThan(2039e9 / last.bytes)
  // Eight a layer, and few outside of them.
  expect(last.dispatches).toBeLessThan(8 * 80 + 8)
  const wrong = run('--set', 'ctx=5', '--ctx', '7')
  expect([wrong.status, wrong.stdout]).toEqual([2, ''])
})
