// wllama: llama.cpp compiled to WebAssembly, in Chromium. By default its 32-bit build (the package calls it `compat`), which is the
// faster one: the 64-bit build checks every address. Rates are those that the engine gives itself.
//
//   llamac bench … --compare "wllama=node bench/peers/wllama.ts GGUF [64] [--peers DIR]"

import { launchChromium } from '../../tests/browser/launch.ts'
import { isolation, serveSite } from '../../tests/browser/site.ts'
import { type PeerRates, runAsPeer } from './peer.ts'

const version = '3.13.0'

/** What is used of the package. */
interface WllamaModule {
  readonly Wllama: new (
    paths: { default: string },
    options: object,
  ) => {
    setCompat(compat: { worker: string; wasm: string } | null): void
    loadModel(blobs: readonly Blob[], options: object): Promise<void>
    isMultithread(): boolean
    getNumThreads(): number
    createCompletion(options: object): Promise<{
      timings: { prompt_n: number; prompt_per_second: number; predicted_n: number; predicted_per_second: number }
    }>
  }
}

interface Order {
  readonly prefill: number
  readonly decode: number
  readonly threads: number
  readonly compat: boolean
}

async function inPage({ prefill, decode, threads, compat }: Order): Promise<PeerRates> {
  const at = (name: string): string => new URL(`/wllama/${name}`, location.href).href
  // A name that tools do not resolve.
  const { Wllama } = (await import(at('index.js'))) as WllamaModule
  // The package takes its 32-bit build where promises cannot be awaited inside WebAssembly.
  if (compat) for (const name of ['promising', 'Suspending']) Reflect.deleteProperty(WebAssembly, name)
  const wllama = new Wllama({ default: at('wllama.wasm') }, { suppressNativeLog: true })
  wllama.setCompat(compat ? { worker: at('compat.js'), wasm: at('compat.wasm') } : null)
  const gguf = await (await fetch('/model.gguf')).blob()
  const room = { n_ctx: prefill + decode + 8, n_batch: prefill, n_ubatch: prefill }
  await wllama.loadModel([gguf], { ...room, n_threads: threads, n_gpu_layers: 0, n_parallel: 1, warmup: false })
  if (threads > 1 && wllama.getNumThreads() !== threads) throw new Error(`wllama runs on ${wllama.getNumThreads()} threads`)
  // A prompt is a text here; one word more is one token more.
  const run = async (words: number, tokens: number): Promise<{ read: number; rates: PeerRates }> => {
    const { timings } = await wllama.createCompletion({
      prompt: ' a'.repeat(words),
      max_tokens: tokens,
      temperature: 0,
      ignore_eos: true,
      cache_prompt: false,
      stream: false,
    })
    if (timings.predicted_n !== tokens) throw new Error(`wllama wrote ${timings.predicted_n} tokens, not ${tokens}`)
    return { read: timings.prompt_n, rates: { prefill: timings.prompt_per_second, decode: timings.predicted_per_second } }
  }
  const warmUp = 8
  const added = (await run(warmUp, 4)).read - warmUp
  const { read, rates } = await run(prefill - added, decode)
  if (read !== prefill) throw new Error(`wllama read ${read} tokens, not ${prefill}`)
  return rates
}

await runAsPeer(
  { '@wllama/wllama': version, '@wllama/wllama-compat': version },
  async ({ model, prefill, decode, threads, file, words }) => {
    const site = await serveSite({
      headers: isolation,
      disk: new Map([
        ['/model.gguf', model],
        ['/wllama/index.js', file('@wllama/wllama/esm/index.min.js')],
        ['/wllama/wllama.wasm', file('@wllama/wllama/esm/wasm/wllama.wasm')],
        ['/wllama/compat.js', file('@wllama/wllama-compat/wasm/wllama.js')],
        ['/wllama/compat.wasm', file('@wllama/wllama-compat/wasm/wllama.wasm')],
      ]),
    })
    const { browser, close } = await launchChromium()
    try {
      const page = await browser.newPage()
      await page.goto(`${site.origin}/`)
      return await page.evaluate(inPage, { prefill, decode, threads, compat: !words.includes('64') })
    } finally {
      await close()
      site.close()
    }
  },
)
