// The sampler on a GPU (SwiftShader, guaranteed limits) against the CPU's: ten thousand draws with every option, over several
// vocabularies and shapes of scores. They may differ in at most one of a thousand, and only where the coin lies within 1e-5 of a
// boundary of the cumulative distribution. The loop evaluator runs the same functions.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { evaluateLoops } from '../../compiler/schedule/evaluate-loops.ts'
import { verifyLoops } from '../../compiler/schedule/verify-loops.ts'
import { chooseToken } from '../../compiler/sampler/choose.ts'
import { blocksOf } from '../../compiler/sampler/parts.ts'
import { adjustScores, weighScores } from '../../compiler/sampler/weigh.ts'
import { withSampler } from '../../compiler/targets/webgpu/sampling.ts'
import type { EntryInfo } from '../../dsl/model.ts'
import { samplingWords } from '../../runtime/artifact/webgpu-program.ts'
import { drawWords } from '../../runtime/devices/draw-words.ts'
import { bufferBytes } from '../../runtime/devices/webgpu-buffers.ts'
import { buildPipelines } from '../../runtime/devices/webgpu-pipelines.ts'
import { uniform } from '../../runtime/philox.ts'
import { createSampler, type SamplingNumbers, samplingNumbers } from '../../runtime/sampling.ts'
import { toBoundary } from '../support/boundaries.ts'
import { createSoftwareGpu, openDevice, type TestDevice } from '../support/dawn.ts'

let software: TestDevice
beforeAll(async () => {
  software = await openDevice(await createSoftwareGpu())
})
afterAll(() => software.device.destroy())

interface Draw {
  readonly scores: Float32Array<ArrayBuffer>
  readonly how: SamplingNumbers & { readonly seed: number; readonly position: number }
  readonly seen: readonly number[]
}

/** Numbers of a test's own, by the generator that the sampler has too. */
function numbers(seed: number): { next(): number; pick<T>(of: readonly T[]): T } {
  let at = 0
  const next = (): number => uniform(seed, at++)
  return { next, pick: (of) => of[Math.floor(next() * of.length)]! }
}

type Numbers = ReturnType<typeof numbers>
const normal = ({ next }: Numbers): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())

/** What scores of models look like, and what they seldom do. */
const shapes: Readonly<Record<string, (g: Numbers, id: number) => number>> = {
  /** As SmolLM2's: a wide bell, some leaders. */
  model: (g, id) => 10 + 2.5 * normal(g) + (id % 97 === 3 ? 5 : 0),
  peaked: (g, id) => normal(g) + (id === 5 ? 20 : 0),
  even: () => -3,
  ties: (g) => Math.round(2 * normal(g)) / 2,
  masked: (g) => (g.next() < 0.7 ? -1e30 : 4 * normal(g)),
}

function* draws(vocab: number, count: number, g: Numbers): Generator<Draw> {
  const each = 20
  // Thousands of equal addends are more than f32 sums bear, on the CPU.
  const names = Object.keys(shapes).filter((name) => vocab < 2000 || !['even', 'ties'].includes(name))
  for (let i = 0; i < count; i += each) {
    const shape = shapes[g.pick(names)]!
    const scores = Float32Array.from({ length: vocab }, (_, id) => shape(g, id))
    const seen = Array.from({ length: Math.floor(g.next() * 90) }, () => Math.floor(g.next() * vocab))
    for (let j = 0; j < each && i + j < count; j++) {
      const how = samplingNumbers({
        temperature: g.pick([0, 0.3, 0.8, 1, 1.5]),
        topK: g.pick([0, 0, 1, 2, 40, vocab, 2 * vocab]),
        // Of equal probabilities round numbers are boundaries.
        topP: g.pick([1, 1, 0, 0.1037, 0.5019, 0.8971, 0.9503]),
        minP: g.pick([0, 0, 0.02, 0.1, 1]),
        repetitionPenalty: g.pick([1, 1.1, 0.8, 2]),
        repetitionWindow: g.pick([0, 1, 64, 1000]),
      })
      const position = seen.length
      yield { scores, seen, how: { ...how, seed: Math.floor(g.next() * 2 ** 50), position } }
    }
  }
}

/** One more than where each id was last. */
function placesOf(vocab: number, seen: readonly number[]): Int32Array<ArrayBuffer> {
  const places = new Int32Array(vocab)
  for (const [at, id] of seen.entries()) places[id] = at + 1
  return places
}

/** Draws on the GPU, many a submit, through the dispatches that a program gets. */
async function drawAll(device: GPUDevice, vocab: number, all: readonly Draw[]): Promise<Int32Array> {
  const scores = { type: { dtype: 'f32', dims: [{ const: vocab, terms: [] }] }, labels: ['vocab'] } as const
  const tokens = { kind: 'tensor', name: 'tokens', type: { dtype: 'i32', dims: [{ const: 1, terms: [] }] }, labels: ['one'] } as const
  const info: EntryInfo = { name: 'decode', arguments: [tokens], symbols: [], limits: [], results: [scores] }
  const place = (offset: number) => ({ buffer: 0, offset })
  const program = withSampler(
    {
      modules: [],
      buffers: [
        { kind: 'arena', bytes: vocab * 4 + 16 },
        { kind: 'uniform', bytes: 16 },
      ],
      entries: { decode: { symbols: [], arguments: { tokens: place(vocab * 4) }, results: [place(0)], dispatches: [] } },
    },
    [info],
  )
  const sampler = program.sampler!
  const dispatches = (await buildPipelines(device, program)).get('decode')!.draw
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC
  const make = (size: number): GPUBuffer => device.createBuffer({ size, usage })
  const buffers = program.buffers.map((buffer) => make(bufferBytes(buffer)))
  const groups = dispatches.map(({ layout, bindings }) =>
    device.createBindGroup({
      layout,
      entries: bindings.map(({ buffer, offset, bytes }, binding) => ({
        binding,
        resource: { buffer: buffers[buffer]!, offset, size: Math.ceil(bytes / 16) * 16 },
      })),
    }),
  )
  const words = make(all.length * 256)
  const places = make(vocab * 4)
  const results = device.createBuffer({ size: all.length * 8, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ })
  for (const [i, { how }] of all.entries()) device.queue.writeBuffer(words, i * 256, drawWords(how))
  let given: Float32Array | undefined
  let encoder = device.createCommandEncoder()
  const submit = (): void => {
    device.queue.submit([encoder.finish()])
    encoder = device.createCommandEncoder()
  }
  for (const [i, { scores: values, seen }] of all.entries()) {
    if (values !== given) {
      submit()
      given = values
      device.queue.writeBuffer(buffers[0]!, 0, values)
      device.queue.writeBuffer(places, 0, placesOf(vocab, seen))
    }
    // Every draw writes its own place there.
    encoder.copyBufferToBuffer(places, 0, buffers[sampler.seen]!, 0, vocab * 4)
    encoder.copyBufferToBuffer(words, i * 256, buffers[1]!, sampler.parameters, 48)
    const pass = encoder.beginComputePass()
    for (const [d, { pipeline, workgroups }] of dispatches.entries()) {
      pass.setPipeline(pipeline)
      pass.setBindGroup(0, groups[d]!)
      pass.dispatchWorkgroups(workgroups[0]!.reduce((n, { size, divisor }) => n * Math.ceil(size.const / divisor), 1))
    }
    pass.end()
    encoder.copyBufferToBuffer(buffers[sampler.chosen.buffer]!, sampler.chosen.offset, results, i * 8, 4)
    encoder.copyBufferToBuffer(buffers[0]!, vocab * 4, results, i * 8 + 4, 4)
  }
  submit()
  await results.mapAsync(GPUMapMode.READ)
  const found = new Int32Array(results.getMappedRange().slice(0))
  for (const buffer of [...buffers, words, places, results]) buffer.destroy()
  return found
}

test('ten thousand draws', async () => {
  const seed = Math.floor(Math.random() * 2 ** 32)
  const g = numbers(seed)
  let [total, different] = [0, 0]
  for (const [vocab, count] of [
    [5, 3000],
    [100, 6000],
    [1003, 980],
    [8192, 16],
    [49152, 4],
  ] as const) {
    const all = [...draws(vocab, count, g)]
    const found = await drawAll(software.device, vocab, all)
    for (const [i, draw] of all.entries()) {
      const wanted = createSampler(draw.how, draw.how.seed).sample(draw.scores, draw.how.position, draw.seen)
      const [token, next] = found.subarray(2 * i)
      expect(next).toBe(token)
      total++
      if (token === wanted) continue
      different++
      const distance =
        draw.how.temperature === 0 ? 1 : toBoundary(draw.scores, draw.seen, draw.how, uniform(draw.how.seed, draw.how.position))
      if (distance > 1e-5)
        expect.fail(`seed ${seed}, vocab ${vocab}: ${token} is not ${wanted}, ${distance} from a boundary, ${JSON.stringify(draw.how)}`)
    }
  }
  expect(software.errors).toEqual([])
  expect(total).toBe(10_000)
  expect(different, `seed ${seed}`).toBeLessThanOrEqual(total / 1000)
})

test('scores that are not finite are told', async () => {
  const how = { ...samplingNumbers({}), seed: 1, position: 0 }
  const all = [NaN, Infinity, -Infinity, 1].flatMap((odd) =>
    [0, 1].map((temperature): Draw => {
      const scores = Float32Array.from({ length: 70 }, (_, id) => (id === 40 ? odd : id / 70))
      return { scores, seen: [], how: { ...how, temperature } }
    }),
  )
  const found = await drawAll(software.device, 70, all)
  expect([0, 1, 2, 3].map((i) => found[2 * i])).toEqual([-1, -1, -1, -1])
  expect(found[8]).toBe(69)
  for (const i of [5, 6, 7]) expect(found[2 * i]).toBeGreaterThanOrEqual(0)
})

test('the loop evaluator draws the same', () => {
  const vocab = 300
  const functions = [adjustScores(vocab), weighScores(vocab), chooseToken(vocab, false)]
  functions.forEach(verifyLoops)
  const [adjust, weigh, choose] = functions
  for (const { scores, seen, how } of draws(vocab, 24, numbers(7))) {
    const symbols = Object.fromEntries(samplingWords.map((name, i) => [name, drawWords(how)[i]!]))
    const places = placesOf(vocab, seen)
    const [keys, chosen] = [new Float32Array(vocab), new Int32Array(1)]
    const [tops, largest, sums] = [0, 1, 2].map(() => new Float32Array(blocksOf(vocab)))
    evaluateLoops(adjust!, { memory: [scores, places, keys, tops], symbols })
    evaluateLoops(weigh!, { memory: [tops, keys, largest, sums, undefined], symbols })
    evaluateLoops(choose!, { memory: [keys, largest, sums, chosen, places, undefined, undefined, undefined], symbols })
    expect(chosen[0]).toBe(createSampler(how, how.seed).sample(scores, how.position, seen))
    expect(places[chosen[0]!]).toBe(how.position + 1)
  }
})
