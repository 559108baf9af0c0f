// What a user of a page meets: a page without shared memory, the published build, a Content-Security-Policy, an insecure origin,
// streamed characters, a GPU with no more than the guaranteed limits, which dies. All in a real Chromium.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { beforeAll, describe, expect, test } from 'vitest'
import { compile, packageSources } from '../../compiler/index.ts'
import { createSampler, load, memoryFiles } from '../../runtime/index.ts'
import { type Compiled, compileForTest } from '../support/compiled.ts'
import { openChromium } from './chromium.ts'
import { foreignHost } from './launch.ts'
import type { PageGlobals } from './page/page.ts'
import { openPage } from './remote-model.ts'
import { type ArtifactBytes, isolation } from './site.ts'
import { compileStories, tryModel, visit } from './visit.ts'

let compiled: Compiled
beforeAll(async () => {
  compiled = await compileStories()
})

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

  test('that forbids workers costs nothing but threads where nobody asked for any', async () => {
    // Large enough for threads by default.
    const large = await compile(packageSources(), {
      entry: 'models/llama.dsl',
      preset: 'tiny',
      set: { vocab: '70000', embed: '128' },
      seedWeights: 1,
      target: ['wasm'],
    })
    if (!large.ok) throw new Error(large.diagnostics.map(({ message }) => message).join('\n'))
    for (const [policy, device] of [
      [wasmAllowed, 'wasm, 2 threads'],
      [`${wasmAllowed}; worker-src 'none'`, 'wasm'],
    ] as const) {
      const { site, page } = await visit({ headers: { ...isolation, 'content-security-policy': policy } })
      const found = await page.evaluate(async (url) => {
        Object.defineProperty(navigator, 'hardwareConcurrency', { value: 2 })
        const model = await (globalThis as unknown as PageGlobals).runtime.load(url)
        return [model.device, (await model.createSession().prefill([1, 2, 3])).length] as const
      }, site.publish(large.artifact))
      expect(found).toEqual([device, 70000])
    }
  })

  test('with it runs the model', async () => {
    const { site, page } = await visit({ headers: { 'content-security-policy': wasmAllowed } })
    expect(await tryModel(page, site.publish(compiled.files))).toEqual({ text: await textInNode() })
  })
})

test('a page that is no secure context is told so', async () => {
  const { site } = await visit()
  const { browser } = await openChromium()
  const { page } = await openPage(browser, { ...site, origin: site.origin.replace('127.0.0.1', foreignHost) })
  expect(await page.evaluate(() => isSecureContext)).toBe(false)
  expect(
    (await tryModel(page, `${site.origin.replace('127.0.0.1', foreignHost)}${new URL(site.publish(compiled.files)).pathname}`)).code,
  ).toBe('E_INSECURE_CONTEXT')
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
  test('on a software adapter, with no limit beyond the guaranteed ones, and the features of the form that runs', async () => {
    const { site, page } = await visit()
    await watchDevices(page)
    expect(await page.evaluate(async () => (await navigator.gpu.requestAdapter())?.info.description)).toContain('SwiftShader')
    expect(await tryModel(page, site.publish(compiled.files), { device: 'webgpu' })).toHaveProperty('text')
    expect(await page.evaluate(() => (globalThis as unknown as { devices: Devices }).devices.wanted)).toEqual([
      // Once to try that subgroups are what kernels take them for.
      { requiredFeatures: ['subgroups'] },
      { requiredFeatures: ['subgroups'] },
    ])
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

/** Shared libraries in a process's memory. */
const librariesOf = (pid: string): string[] => [...new Set(readFileSync(`/proc/${pid}/maps`, 'utf8').match(/\/\S+\.so[.\d]*$/gm))]

test('the browser takes no library from the system that Node does not take', async () => {
  const { folder } = await openChromium()
  const { site, page } = await visit()
  expect(await tryModel(page, site.publish(compiled.files), { device: 'webgpu' })).toHaveProperty('text')
  const ours = new Set(librariesOf('self'))
  const taken = readdirSync('/proc').flatMap((pid) => {
    try {
      return readlinkSync(`/proc/${pid}/exe`) === join(folder, 'chromium') ? librariesOf(pid) : []
    } catch {
      return [] // no process, or one that has ended
    }
  })
  expect(taken.some((library) => library.startsWith(folder))).toBe(true)
  expect(taken.filter((library) => !library.startsWith(folder) && !ours.has(library))).toEqual([])
})

test('nothing but 127.0.0.1 is asked for anything, and an attempt would be seen', async () => {
  const { outside } = await openChromium()
  expect(outside).toEqual([])
  const { page } = await visit()
  await page.evaluate(() => fetch('http://elsewhere.test/probe').catch(() => {}))
  expect(outside).toEqual(['GET http://elsewhere.test/probe'])
})
