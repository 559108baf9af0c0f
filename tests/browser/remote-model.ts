// A model that runs in a page of Chromium and is used from Node as if it were here: what the conformance suite calls, method by
// method, each in the page (or in a worker of it).

import type { Browser, Page } from 'playwright-core'
import { type AnyErrorCode, LlamacError } from '../../runtime/error.ts'
import type { GeneratedPiece, GenerateOptions, ModelOptions, Session } from '../../runtime/index.ts'
import { createTokenizer } from '../../runtime/index.ts'
import type { PlaceModel, PlaceSession } from '../support/places.ts'
import type { Answer, Call } from './page/objects.ts'
import type { PageGlobals } from './page/page.ts'
import type { Site } from './site.ts'

export interface TestPage {
  readonly site: Site
  readonly page: Page
  /** Messages of errors that nobody in the page catches. */
  readonly errors: readonly string[]
}

/** An empty page with the runtime in it, or with a worker that has it. */
export async function openPage(browser: Browser, site: Site, worker = false): Promise<TestPage> {
  const page = await browser.newPage()
  // A slow machine is no failure; what hangs is for the test's own limit to end.
  page.setDefaultTimeout(0)
  const errors: string[] = []
  page.on('pageerror', ({ message }) => errors.push(message))
  page.on('crash', () => errors.push('it crashed'))
  await page.goto(`${site.origin}/${worker ? '#worker' : ''}`)
  await page.waitForFunction(() => 'ask' in globalThis)
  return { site, page, errors }
}

/** Loads an artifact's files in a page. Errors of the runtime are thrown here with their codes. */
export async function loadInPage(
  { site, page, errors }: TestPage,
  files: ReadonlyMap<string, Uint8Array>,
  options: Pick<ModelOptions, 'device' | 'threads'>,
): Promise<PlaceModel> {
  const tokenizer = files.get('tokenizer.json')

  async function ask(target: number, method: string, ...args: unknown[]): Promise<{ value?: unknown; kept?: number }> {
    const answer = await page.evaluate((call: Call) => (globalThis as unknown as PageGlobals).ask(call), { target, method, args })
    if (errors.length > 0) throw new Error(`the page failed: ${errors.join('; ')}`)
    return 'error' in answer ? raise(answer.error) : answer
  }
  const kept = async (answer: Promise<{ kept?: number }>): Promise<number> => (await answer).kept!

  const model = await kept(ask(0, 'load', site.publish(files), options))
  const device = (await ask(0, 'device', model)).value as string
  const ending: Promise<unknown>[] = []

  function createSession(sessionOptions: { readonly seed?: number } = {}): PlaceSession {
    const session = kept(ask(model, 'createSession', sessionOptions))
    // Whoever uses the session first learns why there is none.
    session.catch(() => {})
    const value = async (method: string, ...args: unknown[]): Promise<unknown> => (await ask(await session, method, ...args)).value
    return {
      prefill: (ids, read) => value('prefill', [...ids], read) as ReturnType<Session['prefill']>,
      decode: (id, read) => value('decode', id, read) as ReturnType<Session['decode']>,
      score: (ids, read) => value('score', [...ids], read) as ReturnType<Session['score']>,
      call: (name, args, read) => value('call', name, args, read) as ReturnType<Session['call']>,
      async *generate(prompt = '', generateOptions = {}) {
        const generation = await kept(
          ask(await session, 'generate', typeof prompt === 'string' ? prompt : [...prompt], sendable(generateOptions)),
        )
        try {
          for (;;) {
            const { done, value: piece } = (await ask(generation, 'next')).value as IteratorResult<GeneratedPiece, void>
            if (done) return
            yield piece
          }
        } finally {
          await ask(generation, 'return')
        }
      },
      dispose: () => void ending.push(value('dispose')),
    }
  }

  return {
    tokenizer: tokenizer && createTokenizer(JSON.parse(new TextDecoder().decode(tokenizer))),
    device,
    createSession,
    async [Symbol.asyncDispose]() {
      await Promise.all(ending)
      await ask(0, 'forget', model)
    },
  }
}

/** Functions cannot be sent: `random` is asked here for a coin a token. */
function sendable({ signal, random, ...options }: GenerateOptions): unknown {
  if (signal) throw new Error('internal: a signal cannot be sent to a page')
  if (!random) return options
  if (random.length > 0 || options.maxTokens === undefined) throw new Error('internal: coins are drawn ahead, without their positions')
  return { ...options, coins: Array.from({ length: options.maxTokens }, () => random(0)) }
}

function raise({ name, message, code }: Extract<Answer, { error: unknown }>['error']): never {
  if (code !== undefined) throw new LlamacError(code as AnyErrorCode, message)
  throw new Error(`${name} in the page: ${message}`)
}
