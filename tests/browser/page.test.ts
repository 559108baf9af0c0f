// What a user of a page meets: a page without shared memory, a Content-Security-Policy, downloads that are aborted or damaged,
// streamed characters, an insecure origin, a GPU with no more than the guaranteed limits, which dies. All in a real Chromium.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createSampler, load, memoryFiles, type ModelOptions } from '../../runtime/index.ts'
import { type Compiled, compileForTest } from '../support/compiled.ts'
import { foreignHost, openChromium } from './chromium.ts'
import type { PageGlobals } from './page/page.ts'
import { openPage } from './remote-model.ts'
import { type ArtifactBytes, isolation, openSite, type Site, type SiteOptions } from './server.ts'

let compiled: Compiled
const sites: Site[] = []

beforeAll(async () => {
  compiled = await compileForTest({
    model: 'llama',
    checkpoint: 'checkpoints/llama2ts.tinystories_260k_v1.bin',
    targets: ['wasm', 'webgpu'],
    math: 'fast',
  })
})
afterAll(() => {
  for (const site of sites) site.close()
})

async function visit(options: SiteOptions = {}): Promise<{ site: Site; page: Page }> {
  const site = await openSite(options)
  sites.push(site)
  return { site, page: (await openPage(site)).page }
}

interface Outcome {
  readonly text?: string
  readonly code?: string
  readonly message?: string
}

/** Loads and generates a little, as a page would. */
function tryModel(page: Page, url: string, options: Pick<ModelOptions, 'device' | 'threads'> = { device: 'wasm' }): Promise<Outcome> {
  return page.evaluate(
    async ({ url, options }): Promise<Outcome> => {
      const { load } = (globalThis as unknown as PageGlobals).runtime
      try {
        const model = await load(url, options)
        let text = ''
        for await (const piece of model.createSession().generate('Once upon', { maxTokens: 12 })) text += piece.text
        await model.dispose()
        return { text }
      } catch (error) {
        const { code, message } = error as Error & { code?: string }
        return { message, ...(code === undefined ? {} : { code }) }
      }
    },
    { url, options: options as { device: 'wasm' } },
  )
}

/** What Node makes of the same. */
async function textInNode(): Promise<string> {
  await using model = await load(memoryFiles(compiled.files), { device: 'wasm' })
  let text = ''
  for await (const piece of model.createSession().generate('Once upon', { maxTokens: 12 })) text += piece.text
  return text
}

describe('shared memory', () => {
  test.each([
    ['without it', {}, false],
    ['with it', isolation, true],
  ] as const)('%s a page runs the model', async (_, headers, shared) => {
    const { site, page } = await visit({ headers })
    expect(await page.evaluate(() => [crossOriginIsolated, typeof SharedArrayBuffer === 'function'])).toEqual([shared, shared])
    const url = site.publish(compiled.files)
    expect(await tryModel(page, url)).toEqual({ text: await textInNode() })
    expect(await tryModel(page, new URL(url).pathname), 'a path is relative to the page').toHaveProperty('text')
    // The door to node:fs stays shut.
    expect(site.requests.some((path) => path.includes('runtime/index.ts'))).toBe(true)
    expect(site.requests.filter((path) => path.includes('node-files'))).toEqual([])
  })
})

test('the published build runs in a page, alone and with threads', async () => {
  const build = mkdtempSync(join(tmpdir(), 'llamac-build-'))
  try {
    const inRoot = { cwd: fileURLToPath(new URL('../../', import.meta.url)), stdio: 'pipe' } as const
    execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', build], inRoot)
    execFileSync(process.execPath, ['scripts/finish-build.ts', build], inRoot)
    const { site, page } = await visit({ headers: isolation, build })
    // As a string: what vitest makes of import() is not for pages.
    await page.evaluate(`import('/dist/runtime/index.js').then((built) => { globalThis.runtime = built })`)
    const url = site.publish(compiled.files)
    for (const threads of [1, 2]) expect(await tryModel(page, url, { device: 'wasm', threads })).toEqual({ text: await textInNode() })
    expect(site.requests).toContain('/dist/runtime/devices/wasm-worker.js')
    expect(site.requests).not.toContain('/runtime/devices/wasm-worker.ts')
  } finally {
    rmSync(build, { recursive: true, force: true })
  }
})

describe('a Content-Security-Policy', () => {
  const wasmAllowed = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'"

  test.each(['strict', 'fast'] as const)('without wasm-unsafe-eval is named: %s', async (math) => {
    const { files } = await compileForTest({ model: 'llama', checkpoint: 'hf-golden/llama', targets: ['wasm'], math })
    const { site, page } = await visit({ headers: { 'content-security-policy': "default-src 'self'" } })
    const { code, message } = await tryModel(page, site.publish(files))
    expect(code).toBe('E_CSP')
    expect(message).toContain("'wasm-unsafe-eval'")
    expect(message).toContain('script-src')
  })

  test('that forbids workers is told of where threads are asked for, and one thread still runs', async () => {
    const { site, page } = await visit({ headers: { ...isolation, 'content-security-policy': `${wasmAllowed}; worker-src 'none'` } })
    const url = site.publish(compiled.files)
    const refused = await tryModel(page, url, { device: 'wasm', threads: 2 })
    expect(refused.code).toBe('E_DEVICE')
    expect(refused.message).toContain('worker')
    expect(await tryModel(page, url, { device: 'wasm', threads: 1 })).toEqual({ text: await textInNode() })
  })

  test('with it runs the model', async () => {
    const { site, page } = await visit({ headers: { 'content-security-policy': wasmAllowed } })
    expect(await tryModel(page, site.publish(compiled.files))).toEqual({ text: await textInNode() })
  })
})

const isShard = (path: string): boolean => /\/weights-?\d*\.bin$/.test(path)

test('a page that is no secure context is told so', async () => {
  const { site } = await visit()
  const { page } = await openPage({ ...site, origin: site.origin.replace('127.0.0.1', foreignHost) })
  expect(await page.evaluate(() => isSecureContext)).toBe(false)
  expect(
    (await tryModel(page, `${site.origin.replace('127.0.0.1', foreignHost)}${new URL(site.publish(compiled.files)).pathname}`)).code,
  ).toBe('E_INSECURE_CONTEXT')
})

test('a download that is aborted halfway ends at once, with the reason, and closes the connection', async () => {
  let halfway = (): void => {}
  const reached = new Promise<void>((resolve) => {
    halfway = resolve
  })
  let closed = (): void => {}
  const cut = new Promise<void>((resolve) => {
    closed = resolve
  })
  const stall = (path: string, bytes: Uint8Array, response: ServerResponse): boolean => {
    if (!isShard(path)) return false
    response.on('close', () => !response.writableFinished && closed())
    response.write(bytes.subarray(0, bytes.length >> 1), halfway)
    return true
  }
  const { site, page } = await visit({ intercept: stall })
  await page.evaluate((url) => {
    const { load } = (globalThis as unknown as PageGlobals).runtime
    const controller = new AbortController()
    const outcome = load(url, { device: 'wasm', signal: controller.signal }).then(
      () => 'loaded',
      (error: Error & { code: string }) => [error.code, error.cause],
    )
    Object.assign(globalThis, { controller, outcome })
  }, site.publish(compiled.files))
  await reached
  const outcome = await page.evaluate(() => {
    const { controller, outcome } = globalThis as unknown as { controller: AbortController; outcome: Promise<unknown> }
    controller.abort('the reader went away')
    return outcome
  })
  expect(outcome).toEqual(['E_ABORTED', 'the reader went away'])
  await cut
})

describe('a damaged download gives the code that it gives in Node', () => {
  const changed = (bytes: Uint8Array): Uint8Array => bytes.with(bytes.length >> 1, bytes[bytes.length >> 1]! ^ 1)
  const send = (response: ServerResponse, bytes: Uint8Array): true => {
    response.end(bytes)
    return true
  }
  type Damage = (path: string, bytes: Uint8Array, response: ServerResponse) => boolean
  const damages: readonly (readonly [string, string, Damage])[] = [
    ['a bit of the weights', 'E_ARTIFACT_HASH', (path, bytes, response) => isShard(path) && send(response, changed(bytes))],
    ['weights that end early', 'E_ARTIFACT_SIZE', (path, bytes, response) => isShard(path) && send(response, bytes.subarray(0, -300))],
    ['weights that go on', 'E_ARTIFACT_SIZE', (path, bytes, response) => isShard(path) && send(response, Buffer.concat([bytes, bytes]))],
    ['weights that are not there', 'E_ARTIFACT_FILE', (path, _, response) => isShard(path) && !!response.writeHead(404).end()],
    [
      'a connection that breaks',
      'E_ARTIFACT_FILE',
      (path, bytes, response) => {
        if (!isShard(path)) return false
        response.setHeader('content-length', bytes.length)
        response.write(bytes.subarray(0, bytes.length >> 1), () => response.destroy())
        return true
      },
    ],
    ['a bit of the program', 'E_ARTIFACT_HASH', (path, bytes, response) => path.endsWith('.wasm') && send(response, changed(bytes))],
    [
      'a bit of the tokenizer',
      'E_ARTIFACT_HASH',
      (path, bytes, response) => path.endsWith('tokenizer.json') && send(response, changed(bytes)),
    ],
    [
      'a page instead of the manifest',
      'E_ARTIFACT_MANIFEST',
      (path, _, response) => path.endsWith('manifest.json') && send(response, Buffer.from('<!doctype html>')),
    ],
  ]

  test.each(damages)('%s: %s', async (_, code, damage) => {
    const { site, page } = await visit({ intercept: damage })
    const url = site.publish(compiled.files)
    await expect(load(url, { device: 'wasm' })).rejects.toMatchObject({ code })
    expect((await tryModel(page, url)).code).toBe(code)
  })
})

/** Numbers that make the sampler choose exactly these ids, found with the same model in Node. */
async function coinsFor(files: ArtifactBytes, prompt: string, ids: readonly number[], temperature: number): Promise<number[]> {
  await using model = await load(memoryFiles(files), { device: 'wasm' })
  const session = model.createSession()
  let scores = await session.prefill(model.tokenizer!.encode(prompt))
  const coins: number[] = []
  for (const id of ids) {
    const hits = Array.from({ length: 2048 }, (_, i) => i / 2048).filter(
      (coin) => createSampler({ temperature, random: () => coin }, 0).sample(scores, 0) === id,
    )
    expect(hits.length, `coins for ${id}`).toBeGreaterThan(0)
    coins.push(hits[hits.length >> 1]!)
    scores = await session.decode(id)
  }
  return coins
}

test('streamed text never ends inside a character', async () => {
  const text = 'é€😀 und ß'
  // Hot enough for all tokens to be about equally likely.
  const temperature = 1e4
  const bytes = new TextEncoder().encode(text)
  const { pieces } = JSON.parse(new TextDecoder().decode(compiled.files.get('tokenizer.json'))) as { pieces: string[] }
  const ids = [...bytes].map((byte) => pieces.indexOf(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`))
  const coins = await coinsFor(compiled.files, 'Once', ids, temperature)
  const { site, page } = await visit()
  const shown = await page.evaluate(
    async ({ url, coins, temperature }) => {
      const { load } = (globalThis as unknown as PageGlobals).runtime
      const model = await load(url, { device: 'wasm' })
      const options = { temperature, maxTokens: coins.length, random: () => coins.shift()! }
      const found: { token: number; text: string }[] = []
      for await (const { token, text } of model.createSession().generate('Once', options)) found.push({ token, text })
      await model.dispose()
      return found
    },
    { url: site.publish(compiled.files), coins, temperature },
  )
  expect(shown.map(({ token }) => token)).toEqual(ids)
  expect(shown.map((piece) => piece.text)).toEqual(
    [...text].flatMap((character) => {
      const { length } = new TextEncoder().encode(character)
      return [...Array<string>(length - 1).fill(''), character]
    }),
  )
})

interface Devices {
  /** What requestDevice was asked for, and what it gave, in order. */
  readonly wanted: (GPUDeviceDescriptor | undefined)[]
  readonly given: GPUDevice[]
}

/** Notes the GPU devices of a page from now on as `devices`. */
async function watchDevices(page: Page): Promise<void> {
  await page.evaluate(() => {
    const devices: Devices = { wanted: [], given: [] }
    const { requestDevice } = GPUAdapter.prototype
    GPUAdapter.prototype.requestDevice = async function (descriptor) {
      const device = await requestDevice.call(this, descriptor)
      devices.wanted.push(descriptor)
      devices.given.push(device)
      return device
    }
    Object.assign(globalThis, { devices })
  })
}

describe('WebGPU', () => {
  test('on a software adapter, with no limit and no feature beyond the guaranteed ones', async () => {
    const { site, page } = await visit()
    await watchDevices(page)
    expect(await page.evaluate(async () => (await navigator.gpu.requestAdapter())?.info.description)).toContain('SwiftShader')
    expect(await tryModel(page, site.publish(compiled.files), { device: 'webgpu' })).toHaveProperty('text')
    expect(await page.evaluate(() => (globalThis as unknown as { devices: Devices }).devices.wanted)).toEqual([{ requiredFeatures: [] }])
  })

  test('whose process dies: another device takes over, and the text goes on', async () => {
    const { browser } = await openChromium()
    const { site, page } = await visit()
    const url = site.publish(compiled.files)
    const { text: wanted } = await tryModel(page, url, { device: 'webgpu' })
    await watchDevices(page)
    const begun = await page.evaluate(async (url) => {
      const { load } = (globalThis as unknown as PageGlobals).runtime
      const model = await load(url, { device: 'webgpu' })
      const generation = model.createSession().generate('Once upon', { maxTokens: 12 })
      let text = ''
      for (let count = 0; count < 5; count++) text += ((await generation.next()).value as { text: string }).text
      Object.assign(globalThis, { generation })
      return text
    }, url)
    await (await browser.newBrowserCDPSession()).send('Browser.crashGpuProcess')
    const [rest, devices] = await page.evaluate(async () => {
      const { devices, generation } = globalThis as unknown as { devices: Devices; generation: AsyncIterable<{ text: string }> }
      await devices.given[0]!.lost
      let text = ''
      for await (const piece of generation) text += piece.text
      return [text, devices.given.length] as const
    })
    expect(begun + rest).toBe(wanted)
    expect(devices).toBe(2)
  })
})

test('nothing but 127.0.0.1 is asked for anything, and an attempt would be seen', async () => {
  const { outside } = await openChromium()
  expect(outside).toEqual([])
  const { page } = await visit()
  await page.evaluate(() => fetch('http://elsewhere.test/probe').catch(() => {}))
  expect(outside).toEqual(['GET http://elsewhere.test/probe'])
})
