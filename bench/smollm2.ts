// A real model against the numbers that transformers computed from the same file (see smollm2/README.md of the test data):
// logits, arg-max, greedy tokens, losses; and what compiling and loading took. The tests run a part of this at every change.
//
//   node bench/smollm2.ts FOLDER [--device wasm|webgpu] [--math strict|fast] [--threads N] [--ctx N] [--cases N] [--tokens N] [--windows N]
//
// `webgpu` is the software driver. --cases, --tokens, --windows: prompts, greedy tokens of each, and windows of the loss to run.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { likelihoodOf, logSumExp } from '../cli/measure/likelihood.ts'
import { createNodeGpu } from '../cli/webgpu-node.ts'
import { compile, nodeFiles, openCheckpoint, packageSources, render } from '../compiler/index.ts'
import { argmax, load, memoryFiles } from '../runtime/index.ts'

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
    math: { type: 'string', default: 'strict' },
    threads: { type: 'string', default: '1' },
    ctx: { type: 'string' },
    cases: { type: 'string', default: '4' },
    tokens: { type: 'string', default: '48' },
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
lap('compile in memory')
await using model = await load(memoryFiles(result.artifact), {
  device: target,
  ...(target === 'webgpu' ? { gpu: await createNodeGpu({ software: true }) } : { threads: Number(flags.threads) }),
})
lap(`load on ${model.device}`)

const worst = (errors: readonly number[]): string => Math.max(...errors).toExponential(2)
for (const { name, ids, top, logsumexp, argmax: likeliest, greedy, gap } of golden.cases.slice(0, Number(flags.cases))) {
  using session = model.createSession()
  const { values, dims } = await session.score(ids)
  const vocabulary = dims.at(-1)!
  const rows = ids.map((_, i) => values.subarray(i * vocabulary, (i + 1) * vocabulary))
  const last = rows.at(-1)!
  const shift = logSumExp(last) - logsumexp
  const agree = rows.filter((row, i) => argmax(row) === likeliest[i]).length
  lap(`${name}: ${ids.length} ids scored`)
  const tokens = [argmax(last)]
  while (tokens.length < Math.min(Number(flags.tokens), greedy.length)) tokens.push(argmax(await session.decode(tokens.at(-1)!)))
  const apart = tokens.findIndex((token, i) => token !== greedy[i])
  lap(`${name}: ${tokens.length} tokens`)
  console.log(
    `  logits within ${worst(top.map(([id, logit]) => Math.abs(last[id]! - logit)))}, log-probabilities within ` +
      `${worst(top.map(([id, logit]) => Math.abs(last[id]! - logit - shift)))}; arg-max equal at ${agree} of ${ids.length}; ` +
      `greedy ${apart < 0 ? `all ${tokens.length} equal` : `equal up to ${apart}, where the gap is ${gap[apart]}`}`,
  )
}
const { ids, window, perWindow } = golden.nll
let total = 0
const windows = Math.min(Number(flags.windows), golden.nll.windows)
for (let i = 0; i < windows; i++) {
  const { nats, predictions } = await likelihoodOf(model, ids.slice(i * window, (i + 1) * window))
  const loss = nats / predictions
  total += loss - perWindow[i]!
  lap(`window ${i}`)
  console.log(`  loss ${loss.toFixed(6)}, golden ${perWindow[i]}: ${(loss - perWindow[i]!).toExponential(2)} apart`)
}
if (windows > 0) console.log(`mean of the losses ${(total / windows).toExponential(2)} from the golden one`)
// A GPU's threads would keep the process alive.
process.exit(0)
