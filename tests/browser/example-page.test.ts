// The page of examples/page as its readers meet it: built, served as plain files, in a real Chromium. It writes by itself when it is
// opened, on either device; a dropped GGUF is compiled in it; what goes wrong is shown with its code.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { build } from 'vite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { defaultModel } from '../../compiler/package-sources.ts'
import { nodeFiles, openCheckpoint } from '../../compiler/weights/index.ts'
import { folderFiles } from '../../runtime/artifact/node-files.ts'
import { load } from '../../runtime/index.ts'
import { dataPath } from '../support/goldens.ts'
import { asLlamaCpp } from '../weights/llama-cpp-files.ts'
import { openChromium } from './chromium.ts'
import { openSite } from './server.ts'
import { isolation, type SiteHeaders } from './site.ts'

const project = fileURLToPath(new URL('../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'llamac-page-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
beforeAll(async () => {
  await build({ configFile: join(project, 'examples/page/vite.config.ts'), logLevel: 'error', build: { outDir: folder } })
})

/** The page as any server of files gives it, and all that went wrong in it unseen. */
async function visitPage(headers: SiteHeaders = {}): Promise<{ page: Page; problems: string[] }> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((one) => one.isFile())
  const disk = new Map(files.map(({ parentPath, name }) => join(parentPath, name)).map((path) => [path.slice(folder.length), path]))
  const site = await openSite({ headers, disk })
  const page = await (await openChromium()).browser.newPage()
  page.setDefaultTimeout(0)
  const problems: string[] = []
  page.on('pageerror', ({ message }) => problems.push(message))
  page.on('response', (response) => response.status() >= 400 && problems.push(`${response.status()} ${response.url()}`))
  await page.goto(`${site.origin}/index.html`)
  return { page, problems }
}

/** When the worker has finished what it does. */
const settled = (page: Page): Promise<unknown> => page.waitForSelector('body[aria-busy="false"]')
const shown = (page: Page, id: string): Promise<string> => page.locator(`#${id}`).innerText()

async function expectWriting(page: Page, fields: Readonly<Record<string, string>>): Promise<string> {
  for (const [id, value] of Object.entries(fields)) await page.fill(`#${id}`, value)
  await page.click('#generate')
  await settled(page)
  expect(await page.locator('#error').isVisible()).toBe(false)
  return shown(page, 'text')
}

async function expectKernelTimes(page: Page): Promise<void> {
  await page.click('#kernels')
  await settled(page)
  const rows = await page.locator('#times tr').allInnerTexts()
  expect(rows.length).toBeGreaterThan(5)
  for (const row of rows.slice(1)) expect(row).toMatch(/^\w+\t\d+\t\d+\.\d{3}\t/)
  expect(Number(rows.at(-1)!.split('\t')[2])).toBeGreaterThan(0)
}

/** What the artifact that the page was built with writes in Node. */
async function textInNode(prompt: string, options: { maxTokens: number; temperature: number; seed: number }): Promise<string> {
  await using model = await load(await folderFiles(join(folder, 'model')), { device: 'wasm' })
  let text = prompt
  for await (const piece of model.createSession(options).generate(prompt, options)) text += piece.text
  return text
}

const golden = readFileSync(join(project, 'tests/golden/default-model.fast.txt'), 'utf8')
const goldenTask = { prompt: 'To be, or not', temperature: '0', count: '24' }

test('without any headers the page writes by itself, on one thread', async () => {
  const { page, problems } = await visitPage()
  const firstText = await page.evaluate(async () => {
    const text = document.getElementById('text')!
    while (text.childNodes.length < 2) await new Promise(requestAnimationFrame)
    return performance.now()
  })
  console.log(`first text ${Math.round(firstText)} ms after the page began to load`)
  await settled(page)
  expect(await shown(page, 'text')).toBe(await textInNode('ROMEO:', { maxTokens: 250, temperature: 0.8, seed: 1 }))
  expect(await shown(page, 'model')).toMatch(/^Llama, 2,226,240 parameters, on wasm \(one thread: no COOP and COEP headers\)/)
  expect(await shown(page, 'status')).toMatch(/^250 tokens, the first after \d+\.\d+ s, then \d+\.\d tokens\/s$/)
  expect(problems).toEqual([])
})

test('either device writes the same; kernels are timed; stopping stops', async () => {
  const { page, problems } = await visitPage(isolation)
  await settled(page)
  expect(await shown(page, 'model')).toContain('on wasm; opened in')
  expect(golden).toContain(await expectWriting(page, goldenTask))
  await expectKernelTimes(page)

  await page.selectOption('#device', 'webgpu')
  await settled(page)
  expect(await shown(page, 'model')).toContain('on webgpu')
  expect(golden).toContain(await shown(page, 'text'))
  await expectKernelTimes(page)

  await page.fill('#count', '240')
  await page.click('#generate')
  await page.waitForFunction(() => document.getElementById('text')!.childNodes.length > 3)
  await page.click('#stop')
  await settled(page)
  expect(await shown(page, 'status')).toMatch(/; stopped$/)
  expect(problems).toEqual([])
})

test('a dropped GGUF is compiled in the page, by the model file that takes it', async () => {
  const { page, problems } = await visitPage()
  await settled(page)
  await page.setInputFiles('#file', defaultModel().weights)
  await settled(page)
  expect(await shown(page, 'model')).toMatch(/^model\.gguf: Llama, 2,226,240 parameters/)
  expect(golden).toContain(await expectWriting(page, goldenTask))
  await expectKernelTimes(page)

  // No tokenizer came with this one: text cannot be read, which is said.
  const buffer = Buffer.from(asLlamaCpp(openCheckpoint(dataPath('hf-golden/qwen2'), nodeFiles)))
  await page.setInputFiles('#file', { name: 'other.gguf', mimeType: 'application/octet-stream', buffer })
  await settled(page)
  expect(await shown(page, 'model')).toMatch(/^other\.gguf: Qwen2,/)
  expect(await shown(page, 'error')).toMatch(/^E_NO_TOKENIZER\n/)
  expect(problems).toEqual([])
})

test('what cannot be opened is told with its code, and the page goes on', async () => {
  const { page, problems } = await visitPage()
  await settled(page)
  await page.setInputFiles('#file', { name: 'notes.gguf', mimeType: 'text/plain', buffer: Buffer.from('no checkpoint at all') })
  await settled(page)
  expect(await shown(page, 'error')).toMatch(/^E_CHECKPOINT_UNKNOWN\n/)

  await page.fill('#context', '100000000')
  await page.setInputFiles('#file', defaultModel().weights)
  await settled(page)
  expect(await shown(page, 'error')).toMatch(/^L601\n[\s\S]*memory/)
  await page.fill('#context', '64')
  await page.locator('#context').blur()
  await settled(page)
  expect(await page.locator('#error').isVisible()).toBe(false)
  expect(await shown(page, 'status')).toContain('the context is full')
  expect(problems).toEqual([])
})
