// Artifacts over plain HTTP in a page: aborted halfway, and damaged on the way in every manner that a server can think of.

import type { ServerResponse } from 'node:http'
import { beforeAll, describe, expect, test } from 'vitest'
import { load } from '../../runtime/index.ts'
import type { Compiled } from '../support/compiled.ts'
import type { PageGlobals } from './page/page.ts'
import { compileStories, tryModel, visit } from './visit.ts'

let compiled: Compiled
beforeAll(async () => {
  compiled = await compileStories()
})

const isShard = (path: string): boolean => /\/weights-?\d*\.bin$/.test(path)

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
