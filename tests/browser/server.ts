// The sites of a test file: open until its end (importing this file registers that).

import { afterAll } from 'vitest'
import { serveSite, type Site, type SiteOptions } from './site.ts'

const open: Site[] = []

afterAll(() => {
  for (const site of open.splice(0)) site.close()
})

/** Open until the end of the test file. */
export async function openSite(options: SiteOptions = {}): Promise<Site> {
  const site = await serveSite(options)
  open.push(site)
  return site
}
