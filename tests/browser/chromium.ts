// The Chromium of a test file: one process, closed at the file's end (importing this file registers that), and its pages. A missing
// browser is a failure, never a skip.

import { afterAll } from 'vitest'
import type { ModelOptions } from '../../runtime/index.ts'
import type { PlaceModel } from '../support/places.ts'
import { type Chromium, launchChromium } from './launch.ts'
import { loadInPage, openPage, type TestPage } from './remote-model.ts'
import { openSite } from './server.ts'
import type { SiteHeaders } from './site.ts'

let opened: Promise<Chromium> | undefined

/** The browser of this test file. E_NO_WEBGPU when the packages that carry it are missing. */
export function openChromium(): Promise<Chromium> {
  opened ??= launchChromium()
  return opened
}

afterAll(async () => {
  const running = await opened?.catch(() => undefined)
  opened = undefined
  await running?.close()
})

export interface PageOptions {
  /** Headers of the page: `isolation` gives it shared memory. */
  readonly headers?: SiteHeaders
  /** Run in a module worker instead of the page's own thread. */
  readonly worker?: boolean
}

const pages = new Map<string, Promise<TestPage>>()

/** The page for these options: one for all models of a test file, as a page would do that loads one model after another. */
function pageWith({ headers = {}, worker = false }: PageOptions): Promise<TestPage> {
  const key = JSON.stringify([headers, worker])
  const page = pages.get(key) ?? open({ headers, worker })
  pages.set(key, page)
  return page
}

async function open({ headers = {}, worker = false }: PageOptions): Promise<TestPage> {
  const { browser } = await openChromium()
  return openPage(browser, await openSite({ headers }), worker)
}

/** Loads an artifact's files in a page of the browser. Errors of the runtime are thrown here with their codes. */
export const loadInChromium = async (
  files: ReadonlyMap<string, Uint8Array>,
  options: Pick<ModelOptions, 'device' | 'threads'>,
  where: PageOptions = {},
): Promise<PlaceModel> => loadInPage(await pageWith(where), files, options)
