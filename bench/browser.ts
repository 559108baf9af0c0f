// The same program in Chromium and in Node, in turn: prefill and decode on one thread and on two, in a page (whose own thread may not
// wait for others) and in a worker of it, with shared memory and without. Prints rates and their ratio to Node's by round.
//
//   node bench/browser.ts MODEL … [--threads 1,2]
// (flags as in bench/model-rounds.ts)
//
// MODEL is a .dsl or the folder of an artifact. Chromium is that of the development packages; the runtime is served as the tests do it.

import { readdirSync, readFileSync } from 'node:fs'
import { setPriority } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { load, memoryFiles } from '../runtime/index.ts'
import { launchChromium } from '../tests/browser/launch.ts'
import { isolation, serveSite } from '../tests/browser/site.ts'
import { compiled, measure, medianOf, medianRatio, modelFlags, type Rates, requestOf, type Sizes, sizesOf, usage } from './model-rounds.ts'

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { ...modelFlags, threads: { type: 'string', default: '1,2' } },
})
const [entry] = positionals
if (entry === undefined) throw new Error(`usage: node bench/browser.ts ${usage} [--threads 1,2]`)

/** A place where a loaded model is measured round by round. */
interface Place {
  readonly name: string
  readonly threads: number
  round(sizes: Sizes): Promise<Rates>
}

// Chromium gives its threads the usual priority, whatever it was started with: beside busy neighbours Node must have no other.
try {
  setPriority(0)
} catch {
  // Who may not raise it here may not there either.
}

const artifact = entry.endsWith('.dsl')
  ? (await compiled(requestOf(entry, flags))).artifact
  : new Map(readdirSync(entry).map((name) => [name, readFileSync(join(entry, name))]))
const files = memoryFiles(artifact)
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
      url: site.publish(artifact),
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
const sizes = sizesOf(flags)
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
  `prefill ${sizes.prefill}, decode ${sizes.decode} tokens; tokens/s, medians of ${flags.rounds} rounds; in brackets of Node's in the same round, ` +
    "and the best round of Node's best",
)
for (const [i, { name, threads }] of places.entries()) {
  const node = measured[places.findIndex((place) => place.name === 'Node' && place.threads === threads)]!
  const show = (kind: keyof Rates): string => {
    const [rate, ratio] = [medianOf(measured[i]!, kind), medianRatio(measured[i]!, node, kind)]
    const best = (rounds: readonly Rates[]): number => Math.max(...rounds.map((rates) => rates[kind]))
    return `${kind} ${rate.toFixed(0).padStart(4)} (${ratio.toFixed(2)}, ${(best(measured[i]!) / best(node)).toFixed(2)})`
  }
  console.log(`${threads}  ${name.padEnd(36)}  ${show('prefill')}  ${show('decode')}  ${show('fastest')}`)
}
await browser.close()
process.exit(0)
