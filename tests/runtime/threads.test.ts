// Threads at work in Node: teams of workers on a real artifact, with this thread among them and without it (as on a browser's
// main thread). Faults come as typed errors and never as hangs; workers do not keep a process alive, and idle ones cost nothing.

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { packArtifact } from '../../compiler/artifact/write.ts'
import { createWasmDevice } from '../../runtime/devices/wasm.ts'
import { threadCount } from '../../runtime/devices/threads.ts'
import type { WasmVariant } from '../../runtime/artifact/manifest.ts'
import { load, type Model } from '../../runtime/index.ts'
import { expectedRows, none, rows, threadedContents } from './threaded-artifact.ts'

const files = packArtifact(threadedContents())

const open = async (threads: number, takesPart: boolean): Promise<Model> =>
  takesPart
    ? load(await files, { threads })
    : load(await files, {
        device: (artifact) => createWasmDevice(artifact, artifact.manifest.variants[0] as WasmVariant, { threads, takesPart }),
      })

const go = async (session: ReturnType<Model['createSession']>, bad = none): Promise<number[]> => {
  const [result] = await session.call('go', { bad })
  return [...result!.values]
}

describe.each([
  [2, true],
  [3, true],
  [5, true],
  [1, false],
  [3, false],
] as const)('%i threads, this one among them: %s', (threads, takesPart) => {
  test('calls one after another, sessions apart, more sessions than the memory began with', async () => {
    await using model = await open(threads, takesPart)
    expect(model.device).toBe(`wasm, ${threads} threads`)
    const sessions = Array.from({ length: 1200 }, () => model.createSession())
    for (let call = 1; call <= 40; call++)
      for (const session of [sessions[0]!, sessions[1199]!]) expect(await go(session)).toEqual(expectedRows(call))
    // Calls that are asked for at once take their turns.
    expect(await Promise.all(sessions.slice(0, 50).map((session) => go(session)))).toEqual(
      sessions.slice(0, 50).map((_, i) => expectedRows(i === 0 ? 41 : 1)),
    )
    const copy = sessions[0]!.fork()
    expect(await go(copy)).toEqual(expectedRows(42))
    expect(await go(sessions[0]!)).toEqual(expectedRows(42))
  })

  test.each([0, rows - 1])('a trap in row %i is an error of the call, and of every later one', async (bad) => {
    await using model = await open(threads, takesPart)
    const session = model.createSession()
    expect(await go(session)).toEqual(expectedRows(1))
    await expect(go(session, bad)).rejects.toMatchObject({
      code: 'E_DEVICE',
      message: expect.stringContaining('memory access out of bounds'),
    })
    await expect(go(session)).rejects.toMatchObject({ code: 'E_DEVICE', message: expect.stringContaining('stopped earlier') })
    await expect(go(model.createSession())).rejects.toMatchObject({ code: 'E_DEVICE' })
  })
})

test('a large model gets the threads of the machine', async () => {
  await using model = await load(await packArtifact(threadedContents(33 * 2 ** 20)))
  const threads = Math.min(4, navigator.hardwareConcurrency)
  expect(model.device).toBe(threads > 1 ? `wasm, ${threads} threads` : 'wasm')
  expect(await go(model.createSession())).toEqual(expectedRows(1))
})

test('one thread takes the variant without threads', async () => {
  await using model = await load(await files, { threads: 1 })
  expect(model.device).toBe('wasm')
  const session = model.createSession()
  expect(await go(session)).toEqual(expectedRows(1))
  await expect(go(session, 3)).rejects.toMatchObject({ code: 'E_DEVICE' })
  // Alone, a trap leaves the device usable.
  expect(await go(session)).toEqual(expectedRows(2))
})

test('after dispose: E_DISPOSED; an aborted load leaves nothing', async () => {
  const model = await open(3, true)
  const session = model.createSession()
  await model.dispose()
  await model.dispose()
  await expect(go(session)).rejects.toMatchObject({ code: 'E_DISPOSED' })
  await expect(load(await files, { threads: 3, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'E_ABORTED' })
  const abort = new AbortController()
  const loading = load(await files, { threads: 3, signal: abort.signal })
  setImmediate(() => abort.abort())
  await loading.then(
    (late) => late.dispose(),
    (cause: unknown) => expect(cause).toMatchObject({ code: 'E_ABORTED' }),
  )
})

describe.each([true, false])('workers, this thread among them: %s', (takesPart) => {
  const library = process.getBuiltinModule('node:worker_threads')
  const { Worker } = library
  let made: InstanceType<typeof Worker>[] = []
  beforeEach(() => {
    made = []
    library.Worker = class extends Worker {
      constructor(...args: ConstructorParameters<typeof Worker>) {
        super(...args)
        made.push(this)
      }
    }
  })
  afterEach(() => {
    library.Worker = Worker
  })
  const ended = (worker: InstanceType<typeof Worker>) => (worker.threadId === -1 ? undefined : once(worker, 'exit'))

  test('end with the model', async () => {
    const model = await open(3, takesPart)
    await go(model.createSession())
    expect(made.length).toBe(takesPart ? 2 : 3)
    expect(made.every(({ threadId }) => threadId > 0)).toBe(true)
    await model.dispose()
    await Promise.all(made.map(ended))
  })

  test('that die are noticed: the next call says so and does not wait for them', async () => {
    await using model = await open(3, takesPart)
    const session = model.createSession()
    expect(await go(session)).toEqual(expectedRows(1))
    await made.at(-1)!.terminate()
    await expect(go(session)).rejects.toMatchObject({ code: 'E_DEVICE', message: expect.stringContaining('thread 2 stopped') })
  })

  test('that cannot start are an error of load', async () => {
    library.Worker = class extends Worker {
      constructor() {
        super('throw new Error("no worker today")', { eval: true })
      }
    } as typeof Worker
    await expect(open(2, takesPart)).rejects.toMatchObject({ code: 'E_DEVICE', message: expect.stringContaining('no worker today') })
    // Threads that nobody asked for are done without.
    await using model = await load(await packArtifact(threadedContents(33 * 2 ** 20)), takesPart ? {} : { threads: 'auto' })
    expect(model.device).toBe('wasm')
    expect(await go(model.createSession())).toEqual(expectedRows(1))
  })
})

test('an aborted call is skipped, and those around it run', async () => {
  await using model = await open(3, true)
  const session = model.createSession()
  const abort = new AbortController()
  const calls = [none, none].map((bad, i) => model.createSession().call('go', { bad }, i === 1 ? { signal: abort.signal } : {}))
  abort.abort(new Error('enough'))
  await expect(calls[1]).rejects.toMatchObject({ code: 'E_ABORTED', cause: abort.signal.reason })
  expect([...(await calls[0]!)[0]!.values]).toEqual(expectedRows(1))
  expect(await go(session)).toEqual(expectedRows(1))
})

test('a manifest that says wrong things of threads is refused', async () => {
  const right = JSON.parse(new TextDecoder().decode((await files).get('manifest.json'))) as {
    variants: { requires: string[]; threads?: Record<string, number> }[]
  }
  const changes: ((variant: (typeof right.variants)[number]) => void)[] = [
    (variant) => delete variant.threads,
    (variant) => variant.requires.pop(),
    (variant) => Object.assign(variant.threads!, { mailbox: 2 ** 31 }),
    (variant) => Object.assign(variant.threads!, { mailbox: 513 }),
    (variant) => Object.assign(variant.threads!, { ownBase: 16 }),
    (variant) => Object.assign(variant.threads!, { ownBytes: 2 ** 31 }),
    (variant) => Object.assign(variant.threads!, { ownBytes: -1 }),
  ]
  for (const change of changes) {
    const manifest = structuredClone(right)
    change(manifest.variants[0]!)
    const changed = new Map(await files).set('manifest.json', new TextEncoder().encode(JSON.stringify(manifest)))
    await expect(load(changed, { threads: 2 }), String(change)).rejects.toMatchObject({ code: 'E_ARTIFACT_MANIFEST' })
  }
})

test('how many threads', () => {
  const model = (bytes: number) => ({ tensors: [{ path: 'w', dims: [bytes], format: 'i8', layout: 'plain', shard: 0, offset: 0, bytes }] })
  expect(threadCount('auto', model(2 ** 20))).toBe(1)
  expect(threadCount(undefined, model(2 ** 27))).toBe(Math.min(4, navigator.hardwareConcurrency))
  expect(threadCount(7, model(1))).toBe(7)
  for (const wrong of [0, -1, 1.5, 65, Number.NaN])
    expect(() => threadCount(wrong, model(1))).toThrow(expect.objectContaining({ code: 'E_ARGUMENT' }))
})

// In a process of its own: what it prints must come, and it must end by itself though nobody disposed of the model.
test('idle workers use no processor and keep no process alive', async () => {
  const module = (path: string) => JSON.stringify(new URL(path, import.meta.url).href)
  const script = `
    import { packArtifact } from ${module('../../compiler/artifact/write.ts')}
    import { load } from ${module('../../runtime/index.ts')}
    import { threadedContents } from ${module('./threaded-artifact.ts')}
    const model = await load(await packArtifact(threadedContents()), { threads: 4 })
    const session = model.createSession()
    const [result] = await session.call('go', { bad: ${none} })
    await new Promise((resolve) => setTimeout(resolve, 100))
    const before = process.cpuUsage()
    await new Promise((resolve) => setTimeout(resolve, 1000))
    const { user, system } = process.cpuUsage(before)
    console.log(JSON.stringify({ values: [...result.values], busy: (user + system) / 1e6 }))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module-typescript', '-e', script], {
    cwd: fileURLToPath(new URL('../../', import.meta.url)),
    timeout: 60_000,
  })
  const { values, busy } = JSON.parse(stdout) as { values: number[]; busy: number }
  expect(values).toEqual(expectedRows(1))
  // Three spinning workers would have used up to three seconds, and half a second on the slowest machine.
  expect(busy).toBeLessThan(0.3)
}, 90_000)
