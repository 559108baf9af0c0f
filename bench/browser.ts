// The same program in Chromium and in Node, in turn: prefill and decode on one thread and on two, in a page (whose own thread may not
// wait for others) and in a worker of it, with shared memory and without. Prints rates and their ratio to Node's by round.
//
//   node bench/browser.ts MODEL [--weights FILE] [--preset P --seed-weights N] [--ctx N] [--prefill N] [--decode N] [--rounds N] [--threads 1,2]
//
// MODEL is a .dsl. Chromium is that of the development packages; the runtime is served as the tests do it.

import { parseArgs } from 'node:util'
import { spreadOf } from '../cli/measure/spread.ts'
import { compile, nodeFiles, openCheckpoint, packageSources, render } from '../compiler/index.ts'
import { load, type Model, memoryFiles } from '../runtime/index.ts'
import { launchChromium } from '../tests/browser/launch.ts'
import { isolation, serveSite } from '../tests/browser/site.ts'

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    weights: { type: 'string' },
    preset: { type: 'string' },
    'seed-weights': { type: 'string' },
    ctx: { type: 'string', default: '512' },
    prefill: { type: 'string', default: '128' },
    decode: { type: 'string', default: '32' },
    rounds: { type: 'string', default: '5' },
    threads: { type: 'string', default: '1,2' },
  },
})
const [entry] = positionals
if (entry === undefined) throw new Error('usage: node bench/browser.ts MODEL --weights FILE | --seed-weights N')

interface Sizes {
  readonly prefill: number
  readonly decode: number
}
interface Rates {
  readonly prefill: number
  readonly decode: number
  readonly fastest: number
}

/** One round. Its text also runs in pages and workers, so it may use nothing of this file. */
async function measure(model: Pick<Model, 'createSession'>, { prefill, decode }: Sizes): Promise<Rates> {
  const session = model.createSession()
  const largest = (scores: ArrayLike<number>): number => {
    let best = 0
    for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i
    return best
  }
  const started = performance.now()
  let next = largest(await session.prefill(Array.from({ length: prefill }, (_, i) => (i * 7919 + 101) % 30_000)))
  const read = performance.now()
  let [last, shortest] = [read, Infinity]
  for (let t = 0; t < decode; t++) {
    next = largest(await session.decode(next))
    const now = performance.now()
    shortest = Math.min(shortest, now - last)
    last = now
  }
  session.dispose()
  return { prefill: (prefill * 1000) / (read - started), decode: (decode * 1000) / (last - read), fastest: 1000 / shortest }
}

/** A place where a loaded model is measured round by round. */
interface Place {
  readonly name: string
  readonly threads: number
  round(sizes: Sizes): Promise<Rates>
}

const result = await compile(packageSources(), {
  entry,
  target: 'wasm',
  set: { ctx: flags.ctx },
  ...(flags.weights === undefined ? {} : { checkpoint: openCheckpoint(flags.weights, nodeFiles) }),
  ...(flags.preset === undefined ? {} : { preset: flags.preset }),
  ...(flags['seed-weights'] === undefined ? {} : { seedWeights: Number(flags['seed-weights']) }),
})
if (!result.ok) throw new Error(result.diagnostics.map((each) => render(each)).join('\n'))
const files = memoryFiles(result.artifact)
const browser = await launchChromium()

async function inNode(threads: number): Promise<Place> {
  const model = await load(files, { device: 'wasm', threads })
  return { name: 'Node', threads, round: (sizes) => measure(model, sizes) }
}

/** What a page or a worker of it keeps. */
type Rounds = (sizes: Sizes) => Promise<Rates>

async function inChromium(threads: number, where: { readonly shared: boolean; readonly worker: boolean }): Promise<Place> {
  const site = await serveSite({ headers: where.shared ? isolation : {} })
  const page = await browser.browser.newPage()
  page.setDefaultTimeout(0)
  await page.goto(`${site.origin}/`)
  const device = await page.evaluate(
    async ({ url, runtime, threads, worker, text }) => {
      const module = `
        import { load } from '${runtime}'
        const measure = ${text}
        let model
        export const rounds = (sizes) => measure(model, sizes)
        export async function open() { model = await load('${url}', { device: 'wasm', threads: ${threads} }); return model.device }
        if (typeof document === 'undefined') onmessage = async ({ data }) => {
          try { postMessage(data ? await rounds(data) : await open()) } catch (error) { postMessage(String(error)) }
        }`
      const place = URL.createObjectURL(new Blob([module], { type: 'text/javascript' }))
      if (!worker) {
        const own = (await import(place)) as { rounds: Rounds; open(): Promise<string> }
        Object.assign(globalThis, { rounds: own.rounds })
        return own.open()
      }
      const started = new Worker(place, { type: 'module' })
      const ask = <Answer>(data: Sizes | null) =>
        new Promise<Answer>((resolve, reject) => {
          started.onmessage = (event: MessageEvent<Answer>) => resolve(event.data)
          started.onerror = ({ message }) => reject(new Error(message))
          started.postMessage(data)
        })
      Object.assign(globalThis, { rounds: (sizes: Sizes) => ask<Rates>(sizes) })
      return ask<string>(null)
    },
    {
      url: site.publish(result.ok ? result.artifact : new Map()),
      runtime: `${site.origin}/runtime/index.ts`,
      threads,
      worker: where.worker,
      text: measure.toString(),
    },
  )
  const expected = threads > 1 ? `wasm, ${threads} threads` : 'wasm'
  if (device !== expected) throw new Error(`in Chromium the model runs on ${device}, not on ${expected}`)
  return {
    name: `Chromium, ${where.worker ? 'a worker' : 'the page'}${where.shared ? '' : ', no shared memory'}`,
    threads,
    round: (sizes) => page.evaluate((asked) => (globalThis as unknown as { rounds: Rounds }).rounds(asked), sizes),
  }
}

const places: Place[] = []
for (const threads of flags.threads.split(',').map(Number)) {
  places.push(await inNode(threads))
  for (const worker of [false, true]) {
    if (threads === 1) places.push(await inChromium(1, { shared: false, worker }))
    else places.push(await inChromium(threads, { shared: true, worker }))
  }
}
const sizes = { prefill: Number(flags.prefill), decode: Number(flags.decode) }
const measured = places.map((): Rates[] => [])
for (let round = 0; round <= Number(flags.rounds); round++) {
  // Whoever comes first in a round must not always be the same one; the first round warms up.
  for (let i = 0; i < places.length; i++) {
    const at = (i + round) % places.length
    const rates = await places[at]!.round(sizes)
    if (round > 0) measured[at]!.push(rates)
  }
}
console.log(
  `prefill ${sizes.prefill}, decode ${sizes.decode} tokens; tokens/s, medians of ${flags.rounds} rounds; in brackets of Node's in the same round`,
)
for (const [i, { name, threads }] of places.entries()) {
  const node = measured[places.findIndex((place) => place.name === 'Node' && place.threads === threads)]!
  const show = (kind: keyof Rates): string => {
    const rate = spreadOf(measured[i]!.map((rates) => rates[kind])).median
    const ratio = spreadOf(measured[i]!.map((rates, round) => rates[kind] / node[round]![kind])).median
    return `${kind} ${rate.toFixed(0).padStart(4)} (${ratio.toFixed(2)})`
  }
  console.log(`${threads}  ${name.padEnd(36)}  ${show('prefill')}  ${show('decode')}  ${show('fastest')}`)
}
await browser.close()
process.exit(0)
