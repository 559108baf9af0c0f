// Pages to try a model in, as a user's page would: loading it from a URL and generating a few tokens, or learning why not.

import type { Page } from 'playwright-core'
import type { ModelOptions } from '../../runtime/index.ts'
import { type Compiled, compileForTest } from '../support/compiled.ts'
import { openChromium } from './chromium.ts'
import type { PageGlobals } from './page/page.ts'
import { openPage } from './remote-model.ts'
import { openSite } from './server.ts'
import type { Site, SiteOptions } from './site.ts'

/** A trained model with a tokenizer, 1 MB. */
export const compileStories = (): Promise<Compiled> =>
  compileForTest({ model: 'llama', checkpoint: 'checkpoints/llama2ts.tinystories_260k_v1.bin', targets: ['wasm', 'webgpu'], math: 'fast' })

/** A site of its own and a page on it. */
export async function visit(options: SiteOptions = {}): Promise<{ site: Site; page: Page }> {
  const { browser } = await openChromium()
  const site = await openSite(options)
  return { site, page: (await openPage(browser, site)).page }
}

export interface Outcome {
  readonly text?: string
  readonly code?: string
  readonly message?: string
}

/** Loads and generates a little, as a page would. */
export function tryModel(
  page: Page,
  url: string,
  options: Pick<ModelOptions, 'device' | 'threads'> = { device: 'wasm' },
): Promise<Outcome> {
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
