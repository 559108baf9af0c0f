// Threads: the plan's barriers on made-up steps and on real models. The check for races finds each barrier that is taken away;
// and a team whose threads run one after the other between barriers, in any order, leaves the bits that one thread leaves.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { placeBarriers } from '../../compiler/plan/barriers.ts'
import { findRace, type KernelTouches, type SharedStep, type Touch } from '../../compiler/plan/races.ts'
import { compileForTest, type CompileRequest } from '../support/compiled.ts'
import { callsOf, tensorsOf } from '../support/model-calls.ts'
import { runPlannedLoops } from '../support/planned-loops.ts'

// ---- made-up steps

const memories = ['arena', 'arena', 'arena', 'layers[*].keys', 'layers[*].values', 'total'] as const

const touch: fc.Arbitrary<Touch> = fc
  .record({
    memory: fc.constantFrom(...memories),
    from: fc.integer({ min: 0, max: 12 }),
    size: fc.integer({ min: 1, max: 4 }),
    write: fc.boolean(),
  })
  .map(({ memory, from, size, write }) =>
    memory === 'arena' ? { memory, from, to: from + size, write } : { memory, from: 0, to: 1, write },
  )

const clear = (a: Touch, b: Touch): boolean => a.memory !== b.memory || a.to <= b.from || b.to <= a.from || (!a.write && !b.write)

/** A kernel that is right by itself: 'each' writes nothing shared, and no operand of 'split' overlaps another that is written. */
const kernel = fc
  .record({ share: fc.constantFrom('split', 'split', 'each', 'one'), touches: fc.array(touch, { minLength: 1, maxLength: 4 }) })
  .map(({ share, touches }): Omit<KernelTouches, 'name'> => {
    if (share === 'each') return { kind: 'kernel', share, touches: touches.map((each) => ({ ...each, write: false })) }
    if (share === 'one') return { kind: 'kernel', share, touches }
    const apart: Touch[] = []
    for (const each of touches) if (apart.every((other) => clear(other, each))) apart.push(each)
    return { kind: 'kernel', share: 'split', touches: apart }
  })

const body = fc.array(kernel, { minLength: 1, maxLength: 6 })
const loop = fc
  .record({ groups: fc.array(body, { minLength: 1, maxLength: 2 }), order: fc.array(fc.nat(1), { maxLength: 5 }) })
  .map(({ groups, order }) => ({ kind: 'loop' as const, groups, order: order.map((group) => group % groups.length) }))

/** Programs with a name for every kernel. */
const program = fc
  .array(fc.oneof({ weight: 3, arbitrary: kernel }, { weight: 1, arbitrary: loop }), { minLength: 1, maxLength: 10 })
  .map((steps): SharedStep[] => {
    let count = 0
    const named = (each: Omit<KernelTouches, 'name'>): SharedStep => ({ ...each, name: `k${count++}` })
    return steps.map((step) => (step.kind === 'loop' ? { ...step, groups: step.groups.map((group) => group.map(named)) } : named(step)))
  })

const without = (barriers: ReadonlySet<string>, name: string): Set<string> => new Set([...barriers].filter((other) => other !== name))

test('planned barriers leave no race, and each of them is needed', () => {
  let [placed, programs] = [0, 0]
  fc.assert(
    fc.property(program, (steps) => {
      const barriers = placeBarriers(steps)
      expect(findRace(steps, barriers)).toBeUndefined()
      for (const name of barriers) expect(findRace(steps, without(barriers, name)), `without the barrier before ${name}`).toBeDefined()
      placed += barriers.size
      programs++
    }),
    { numRuns: 2000 },
  )
  expect(placed).toBeGreaterThan(programs)
})

test('the race between the end of a loop body and its next round is seen', () => {
  const write = { memory: 'arena', from: 0, to: 4, write: true }
  const read = { ...write, write: false }
  const steps: SharedStep[] = [
    {
      kind: 'loop',
      order: [0, 0],
      groups: [
        [
          { kind: 'kernel', name: 'first', share: 'split', touches: [read] },
          { kind: 'kernel', name: 'middle', share: 'split', touches: [] },
          { kind: 'kernel', name: 'last', share: 'split', touches: [{ ...write, from: 0 }] },
        ],
      ],
    },
  ]
  expect(findRace(steps, new Set(['last']))).toContain('first of instance 1')
  expect(placeBarriers(steps)).toEqual(new Set(['first', 'last']))
  const states = (name: string, touches: Touch[]): SharedStep => ({ kind: 'kernel', name, share: 'split', touches })
  const own = { memory: 'layers[*].keys', from: 0, to: 1, write: true }
  expect(
    placeBarriers([{ kind: 'loop', order: [0, 0], groups: [[states('store', [own])]] }]),
    'every instance has states of its own',
  ).toEqual(new Set())
})

test('kernels that cannot be right are refused', () => {
  const write: Touch = { memory: 'arena', from: 0, to: 8, write: true }
  const step = (share: 'split' | 'each', touches: Touch[]): SharedStep[] => [{ kind: 'kernel', name: 'k', share, touches }]
  expect(() => placeBarriers(step('each', [write]))).toThrow('internal: every thread would write the shared output of k')
  expect(() => placeBarriers(step('split', [write, { ...write, from: 4, write: false }]))).toThrow('internal: operands of k overlap')
})

// ---- models

const models: readonly (readonly [string, CompileRequest])[] = (
  [
    ['llama', 'llama-gqa', 'strict', 'none'],
    ['llama', 'llama-gqa', 'fast', 'q8_0'],
    ['gpt2', 'gpt2', 'strict', 'none'],
    ['mixtral', 'mixtral', 'strict', 'none'],
    ['mistral_ring', 'mistral', 'strict', 'none'],
    ['marian', 'marian', 'strict', 'none'],
  ] as const
).map(([model, folder, math, quant]) => [
  `${model} ${math} ${quant}`,
  { model, checkpoint: `hf-golden/${folder}`, targets: ['wasm'], maxSeq: 4, math, quant },
])

describe.each(models)('%s', (_, request) => {
  test('has no race, and each barrier is needed', async () => {
    const { plan } = (await compileForTest(request)).compilation.results[0]!
    for (const { touches, barriers, info } of plan!.entries) {
      expect(findRace(touches, barriers)).toBeUndefined()
      expect(barriers.size, info.name).toBeGreaterThan(0)
      for (const name of barriers) expect(findRace(touches, without(barriers, name)), name).toBeDefined()
    }
  })

  test('a team leaves the same bits in any order', async () => {
    const compiled = await compileForTest(request)
    const { plan } = compiled.compilation.results[0]!
    const tensor = await tensorsOf(compiled)
    const play = (threads: number, order: (epoch: number) => readonly number[]) => {
      const states = new Map(
        compiled.compilation.model.states.map(({ path, dims }) => [path, new Float32Array(dims.reduce((a, b) => a * b, 1))]),
      )
      const results = callsOf(compiled).map((call) => {
        const entry = plan!.entries.find(({ info }) => info.name === call.entry.name)!
        return runPlannedLoops(plan!, entry, { tensor, state: (path) => states.get(path)! }, call.binding, call.inputs, { threads, order })
      })
      // Bits: NaNs and the sign of zero count.
      return [...results.flat(), ...states.values()].map(
        (values) => new Uint32Array(values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength)),
      )
    }
    const alone = play(1, () => [0])
    const threads = [0, 1, 2]
    for (const turn of [0, 1, 2])
      expect(play(3, (epoch) => threads.map((thread) => (thread * (epoch % 2 ? 1 : 2) + turn) % 3))).toEqual(alone)
    expect(play(2, () => [1, 0])).toEqual(alone)
  })
})
