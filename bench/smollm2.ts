// A real model against the numbers that transformers computed from the same file (see smollm2/README.md of the test data):
// logits, arg-max, greedy tokens, losses; and what compiling and loading took. The tests run a part of this at every change.
//
//   node bench/smollm2.ts FOLDER [--device wasm|webgpu] [--in node|chromium] [--math strict|fast] [--threads N] [--ctx N]
//     [--cases N] [--tokens N] [--drawn N] [--windows N]
//
// `webgpu` is the software driver, also in Chromium, which is that of the development packages. --cases, --tokens, --windows: prompts, greedy
// tokens of each, and windows of the loss to run. --drawn: so many tokens of each prompt are drawn with a temperature, on the GPU where
// there is one, and drawn again from the same scores by the sampler here.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { logSumExp, surprise } from '../cli/measure/likelihood.ts'
import { createNodeGpu } from '../cli/webgpu-node.ts'
import { compile, nodeFiles, openCheckpoint, packageSources, render } from '../compiler/index.ts'
import { argmax, createSampler, load, memoryFiles, type SamplingOptions } from '../runtime/index.ts'
import { launchChromium } from '../tests/browser/launch.ts'
import { loadInPage, openPage } from '../tests/browser/remote-model.ts'
import { isolation, serveSite } from '../tests/browser/site.ts'
import type { PlaceModel } from '../tests/support/places.ts'

interface Golden {
  readonly cases: readonly {
    readonly name: string
    readonly ids: readonly number[]
    readonly top: readonly (readonly [number, number])[]
    readonly logsumexp: number
    readonly argmax: readonly number[]
    readonly greedy: readonly number[]
    readonly gap: readonly number[]
  }[]
  readonly nll: {
    readonly window: number
    readonly windows: number
    readonly ids: readonly number[]
    readonly perWindow: readonly number[]
  }
}

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    device: { type: 'string', default: 'wasm' },
    in: { type: 'string', default: 'node' },
    math: { type: 'string', default: 'strict' },
    threads: { type: 'string', default: '1' },
    ctx: { type: 'string' },
    cases: { type: 'string', default: '4' },
    tokens: { type: 'string', default: '48' },
    drawn: { type: 'string', default: '0' },
    windows: { type: 'string', default: '4' },
  },
})
const folder = positionals[0]
if (folder === undefined) throw new Error('usage: node bench/smollm2.ts FOLDER: the folder with golden.json and the GGUF')
const target = flags.device === 'webgpu' ? 'webgpu' : 'wasm'
const math = flags.math === 'fast' ? 'fast' : 'strict'
const golden = JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')) as Golden

let before = performance.now()
const lap = (what: string): void => {
  const now = performance.now()
  const { user, system } = process.cpuUsage()
  const peak = process.resourceUsage().maxRSS / 1024
  console.log(
    `${what}: ${((now - before) / 1000).toFixed(2)} s (CPU so far ${((user + system) / 1e6).toFixed(1)} s, peak ${peak.toFixed(0)} MiB)`,
  )
  before = now
}

const checkpoint = openCheckpoint(join(folder, 'SmolLM2-135M-Instruct.Q4_1.gguf'), nodeFiles)
const result = await compile(packageSources(), {
  entry: 'models/llama.dsl',
  checkpoint,
  target,
  math,
  ...(flags.ctx === undefined ? {} : { set: { ctx: Number(flags.ctx) } }),
})
if (!result.ok) throw new Error(result.diagnostics.map((each) => render(each)).join('\n'))
const { artifact } = result
lap('compile in memory')

/** The model where it is to run, and what ends that. */
async function open(): Promise<{ readonly model: PlaceModel; close(): Promise<void> }> {
  const threads = Number(flags.threads)
  if (flags.in === 'chromium') {
    const [{ browser, close }, site] = [await launchChromium(), await serveSite({ headers: isolation })]
    const page = await openPage(browser, site)
    return { model: await loadInPage(page, artifact, { device: target, threads }), close }
  }
  const how = target === 'webgpu' ? { gpu: await createNodeGpu({ software: true }) } : { threads }
  return { model: await load(memoryFiles(artifact), { device: target, ...how }), close: async () => {} }
}
const { model, close } = await open()
lap(`load in ${flags.in} on ${model.device}`)

const seed = 7

/** Scores after each of the ids. */
async function rowsAfter(ids: readonly number[]): Promise<Float32Array[]> {
  const session = model.createSession()
  const { values, dims } = await session.score(ids)
  session.dispose()
  const vocabulary = dims.at(-1)!
  return ids.map((_, i) => (values as Float32Array).subarray(i * vocabulary, (i + 1) * vocabulary))
}

async function generated(ids: readonly number[], count: number, how: SamplingOptions = {}): Promise<number[]> {
  const session = model.createSession({ seed })
  const tokens: number[] = []
  for await (const { token } of session.generate(ids, { ...how, maxTokens: count, stopTokens: [] })) tokens.push(token)
  session.dispose()
  return tokens
}

/** Tokens that are drawn where the model runs, and how many of them the sampler here draws from the same scores. */
async function drawn(ids: readonly number[], count: number): Promise<string> {
  const how = { temperature: 0.9, topK: 40, topP: 0.95, minP: 0.01 }
  const tokens = await generated(ids, count, how)
  const rows = (await rowsAfter([...ids, ...tokens.slice(0, -1)])).slice(ids.length - 1)
  const sampler = createSampler(how, seed)
  const same = tokens.filter((token, i) => sampler.sample(rows[i]!, ids.length + i) === token).length
  return `drawn with a temperature: ${tokens.join(' ')}; ${same} of ${count} are those of the sampler here`
}

const worst = (errors: readonly number[]): string => Math.max(...errors).toExponential(2)
for (const { name, ids, top, logsumexp, argmax: likeliest, greedy, gap } of golden.cases.slice(0, Number(flags.cases))) {
  const rows = await rowsAfter(ids)
  const last = rows.at(-1)!
  const shift = logSumExp(last) - logsumexp
  const agree = rows.filter((row, i) => argmax(row) === likeliest[i]).length
  lap(`${name}: ${ids.length} ids scored`)
  const tokens = await generated(ids, Math.min(Number(flags.tokens), greedy.length))
  const apart = tokens.findIndex((token, i) => token !== greedy[i])
  lap(`${name}: ${tokens.length} tokens`)
  console.log(
    `  logits within ${worst(top.map(([id, logit]) => Math.abs(last[id]! - logit)))}, log-probabilities within ` +
      `${worst(top.map(([id, logit]) => Math.abs(last[id]! - logit - shift)))}; arg-max equal at ${agree} of ${ids.length}; ` +
      `greedy ${apart < 0 ? `all ${tokens.length} equal` : `equal up to ${apart}, where the gap is ${gap[apart]}`}`,
  )
  if (Number(flags.drawn) > 0) console.log(`  ${await drawn(ids, Number(flags.drawn))}`)
}
const { ids, window, perWindow } = golden.nll
let total = 0
const windows = Math.min(Number(flags.windows), golden.nll.windows)
for (let i = 0; i < windows; i++) {
  const read = ids.slice(i * window, (i + 1) * window)
  const rows = await rowsAfter(read.slice(0, -1))
  const nats = rows.reduce((sum, row, at) => sum + surprise(row, 0, row.length, read[at + 1]!), 0)
  const loss = nats / rows.length
  total += loss - perWindow[i]!
  lap(`window ${i}`)
  console.log(`  loss ${loss.toFixed(6)}, golden ${perWindow[i]}: ${(loss - perWindow[i]!).toExponential(2)} apart`)
}
if (windows > 0) console.log(`mean of the losses ${(total / windows).toExponential(2)} from the golden one`)
await close()
// A GPU's threads would keep the process alive.
process.exit(0)
