// Tokens that are drawn on a device which runs one ahead: the same as those that are drawn here, whatever happens in between; what a step costs;
// a device that is lost at any call; no memory for any buffer. On a GPU that a test plays (support/fake-gpu.ts).
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ArtifactFiles, type GenerateOptions, load, memoryFiles, type Model, type Session } from '../../runtime/index.ts'
import { newWatch, type Watch, watchedGpu } from '../support/watched-gpu.ts'
import { FakeDevice, pack, vocab } from './fake-model.ts'
import { gpu, packForGpu } from './fake-gpu-model.ts'

const files = await pack()
const gpuFiles = await packForGpu()
const here = (): Promise<Model> => load(files, { device: new FakeDevice() })
const there = (watch: Watch = newWatch()): Promise<Model> => load(gpuFiles, { device: 'webgpu', gpu: watchedGpu(gpu(), watch) })

type Shown = readonly [token: number, position: number, text: string, stop: string]

async function generated(
  session: Session,
  prompt: string | readonly number[],
  options: GenerateOptions,
  leaveAfter = Infinity,
): Promise<Shown[]> {
  const pieces: Shown[] = []
  for await (const { token, position, text, stop = '' } of session.generate(prompt, options)) {
    pieces.push([token, position, text, stop])
    if (pieces.length >= leaveAfter) break
  }
  return pieces
}

const id = fc.integer({ min: 3, max: vocab - 1 })
const options = fc.record(
  {
    maxTokens: fc.integer({ min: 0, max: 12 }),
    temperature: fc.constantFrom(0, 0.7, 1.3, 1e-40),
    topK: fc.constantFrom(0, 1, 5),
    topP: fc.constantFrom(0.5, 1),
    minP: fc.constantFrom(0, 0.2),
    repetitionPenalty: fc.constantFrom(1, 1.5),
    repetitionWindow: fc.constantFrom(0, 3, 64),
    stop: fc.constantFrom('ab', 'c', ['k', 'e']),
  },
  { requiredKeys: [] },
)
const action = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('generate'),
      prompt: fc.array(id, { maxLength: 7 }),
      options,
      leaveAfter: fc.integer({ min: 1, max: 15 }),
    }),
  },
  fc.record({ kind: fc.constant('read'), ids: fc.array(id, { minLength: 1, maxLength: 3 }) }),
  fc.record({ kind: fc.constant('rewind'), by: fc.nat(4) }),
  fc.record({ kind: fc.constant('fork'), seed: fc.nat(3) }),
)
const script = fc.array(fc.tuple(fc.nat(2), action), { minLength: 1, maxLength: 7 })

/** What happens, errors included, and where each session is then. */
async function play(
  model: Model,
  steps: readonly (readonly [number, typeof action extends fc.Arbitrary<infer A> ? A : never])[],
): Promise<unknown[]> {
  const sessions = [model.createSession({ seed: 1 }), model.createSession({ seed: 2 }), model.createSession({ seed: 3 })]
  const log: unknown[] = []
  for (const [which, step] of steps) {
    const session = sessions[which]!
    try {
      if (step.kind === 'generate') log.push(await generated(session, step.prompt, step.options, step.leaveAfter))
      else if (step.kind === 'read') log.push([...(await session.prefill(step.ids))])
      else if (step.kind === 'rewind') session.rewind(-Math.min(step.by, session.position))
      else sessions[(which + 1) % 3] = session.fork({ seed: step.seed })
    } catch (cause) {
      log.push((cause as { code?: string }).code ?? cause)
    }
    log.push(sessions.map(({ tokens }) => [...tokens]))
  }
  return log
}

describe('a device that draws, one token ahead', () => {
  test('sessions that generate, read, go back and fork in any order: as with scores that are drawn from here', async () => {
    const models = [await here(), await there()] as const
    await fc.assert(
      fc.asyncProperty(script, async (steps) => {
        const [wanted, got] = [await play(models[0], steps), await play(models[1], steps)]
        expect(got).toEqual(wanted)
      }),
      { numRuns: 150 },
    )
  })

  test('generations side by side do not see each other', async () => {
    const prompts = [[3, 4], [5], [6, 7, 8, 9, 10, 11, 12], [13, 3]]
    const how = { temperature: 0.9, maxTokens: 12, stopTokens: [], repetitionPenalty: 1.3 }
    const both = await Promise.all(
      [await here(), await there()].map((model) =>
        Promise.all(prompts.map((prompt, seed) => generated(model.createSession({ seed }), prompt, how))),
      ),
    )
    expect(both[1]).toEqual(both[0])
  })

  test('a step is one encoder, pass, submit and write; nothing is made; four bytes come back; it is submitted before the token is known', async () => {
    const watch = newWatch()
    const session = (await there(watch)).createSession()
    const steps: Record<string, number>[] = []
    for await (const _ of session.generate([3, 4, 5], { maxTokens: 16, stopTokens: [] })) {
      steps.push({ ...Object.fromEntries(watch.calls), bytesBack: watch.bytesBack })
      watch.reset()
    }
    // When the first token is known the second step has long been submitted.
    expect(steps[0]!['submit']).toBe(2)
    const step = { writeBuffer: 1, createCommandEncoder: 1, beginComputePass: 1, setPipeline: 2, setBindGroup: 2, dispatchWorkgroups: 2 }
    const readback = { copyBufferToBuffer: 1, mapAsync: 1, getMappedRange: 1, unmap: 1, bytesBack: 4 }
    for (const one of steps.slice(2, -1)) expect(one).toEqual({ ...step, end: 1, finish: 1, submit: 1, ...readback })
    expect(watch.errors).toEqual([])
  })

  test('an abort leaves the session where it was, and it can go on', async () => {
    const [model, other] = [await there(), await here()]
    const [session, wanted] = [model.createSession(), other.createSession()]
    const abort = new AbortController()
    const pieces: number[] = []
    const run = async (): Promise<void> => {
      for await (const { token } of session.generate([3, 4], { signal: abort.signal, stopTokens: [] })) {
        pieces.push(token)
        if (pieces.length === 4) abort.abort()
      }
    }
    await expect(run()).rejects.toMatchObject({ code: 'E_ABORTED' })
    pieces.push(...(await generated(session, [], { maxTokens: 6, stopTokens: [] })).map(([token]) => token))
    expect(pieces).toEqual((await generated(wanted, [3, 4], { maxTokens: 10, stopTokens: [] })).map(([token]) => token))
  })
})

/** Twenty-one tokens of a session and of its fork, begun with a prompt of several calls. */
async function twenty(model: Model): Promise<unknown> {
  const session = model.createSession({ seed: 5 })
  const how = { temperature: 0.9, maxTokens: 7, stopTokens: [], repetitionPenalty: 1.2 }
  const first = await generated(session, [3, 4, 5, 6, 7, 8, 9], how)
  const fork = session.fork()
  const scores = [...(await model.createSession().prefill([9, 8]))]
  return [first, scores, await generated(session, [10], how), await generated(fork, [], how), [...(await session.decode(3))]]
}

describe('a GPU that goes wrong', () => {
  test('lost at any call of twenty-one tokens: another one takes over, and the same tokens come', async () => {
    const wanted = await twenty(await here())
    const calm = newWatch()
    const model = await there(calm)
    expect(await twenty(model)).toEqual(wanted)
    await model.dispose()
    expect(calm.buffers.size).toBe(0)
    expect(calm.total).toBeGreaterThan(400)
    for (let at = 0; at < calm.total; at++) {
      const watch = newWatch()
      watch.loseAt = at
      const again = await there(watch)
      expect(await twenty(again), `lost at call ${at}`).toEqual(wanted)
      await again.dispose()
      expect(watch.buffers.size, `lost at call ${at}`).toBe(0)
    }
  })

  test('lost again and again, or where the device was given: an error says so', async () => {
    const watch = newWatch()
    const model = await there(watch)
    const session = model.createSession()
    await session.prefill([3])
    const lose = { get: () => watch.total - 1 }
    Object.defineProperty(watch, 'loseAt', lose)
    await expect(session.decode(4)).rejects.toMatchObject({ code: 'E_DEVICE_LOST' })
    await model.dispose()
    expect(watch.buffers.size).toBe(0)
    const mine = await (await gpu().requestAdapter())!.requestDevice()
    const theirs = await load(gpuFiles, { device: 'webgpu', gpu: mine })
    const running = theirs.createSession()
    await running.prefill([3])
    mine.destroy()
    await expect(generated(running, [4], {})).rejects.toMatchObject({
      code: 'E_DEVICE_LOST',
      message: expect.stringContaining('load with a GPU'),
    })
    await theirs.dispose()
  })

  test('weights that cannot be read again: the error says that too', async () => {
    const watch = newWatch()
    let reads = 0
    const once: ArtifactFiles = {
      ...memoryFiles(gpuFiles),
      stream: (name) => (reads++ === 0 ? memoryFiles(gpuFiles).stream(name) : memoryFiles(new Map()).stream(name)),
    }
    const model = await load(once, { device: 'webgpu', gpu: watchedGpu(gpu(), watch) })
    const session = model.createSession()
    await session.prefill([3])
    watch.devices[0]!.destroy()
    const message = expect.stringMatching(/lost.*no other device could be made: the artifact has no file/)
    await expect(session.decode(4)).rejects.toMatchObject({ code: 'E_DEVICE_LOST', message })
    await model.dispose()
  })

  test('no memory for any one buffer: an error with a code, and all is freed', async () => {
    const wanted = await twenty(await here())
    let failures = 0
    for (let buffer = 0; ; buffer++) {
      const watch = newWatch()
      watch.failBuffer = buffer
      let model: Model | undefined
      const outcome = await (async () => {
        model = await there(watch)
        return twenty(model)
      })().catch((cause: unknown) => cause)
      await model?.dispose()
      expect(watch.buffers.size, `buffer ${buffer}`).toBe(0)
      expect(watch.errors).toEqual([])
      if (watch.failBuffer >= 0) {
        expect(outcome).toEqual(wanted)
        break
      }
      expect(outcome, `buffer ${buffer}`).toMatchObject({ code: 'E_OUT_OF_MEMORY' })
      failures++
    }
    expect(failures).toBeGreaterThan(8)
  })
})
