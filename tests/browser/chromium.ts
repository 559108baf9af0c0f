// The Chromium of a test file: one process, closed at the file's end (importing this file registers that). A missing browser is a
// failure, never a skip.

import { afterAll } from 'vitest'
import { type Chromium, launchChromium } from './launch.ts'

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
