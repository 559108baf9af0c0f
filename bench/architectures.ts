// Whether the passes are general: models of other architectures than LLaMA's, each about as large and with random weights in one
// format, and what share of the machine's bandwidth each one reaches at decode, beside LLaMA's share. All models are open at once
// and measured in turn within each round by what `llamac bench` measures with; a share comes from the fastest token of a round.
//
//   node bench/architectures.ts [--quant q8_0] [--threads 1,2] [--rounds 5] [--only gpt2,gemma] [--prefill 16] [--decode 32] [--kernels]
//
// --kernels also prints the time of each kernel. With several threads each count is a table of its own.

import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { kernelText, type Rate } from '../cli/measure/bench-report.ts'
import { type Benchmark, openBenchmark } from '../cli/measure/bench-rounds.ts'
import { quantPolicies } from '../compiler/plan/quant-policy.ts'
import { head, row } from './markdown.ts'

interface Shape {
  readonly preset?: string
  readonly set?: Readonly<Record<string, string>>
}

/** About 110 million parameters each, with what is peculiar to the architecture: the first is what the others are compared with. */
const shapes: Readonly<Record<string, Shape>> = {
  llama: { preset: '110M' },
  gpt2: { preset: 'small' },
  // A large tied table, one key/value head, heads wider than embed / heads.
  gemma: { set: { vocab: '64000', embed: '768', depth: '7', heads: '4', kv_heads: '1', head_dim: '256', ffn: '3072', ctx: '1024' } },
  mixtral: { set: { vocab: '32000', embed: '512', depth: '8', heads: '8', kv_heads: '4', ffn: '768', ctx: '1024' } },
  qwen2: { set: { vocab: '64000', embed: '768', depth: '10', heads: '12', kv_heads: '2', ffn: '2048', ctx: '1024' } },
  gpt_neo: { preset: '125M' },
}

const { values: flags } = parseArgs({
  options: {
    quant: { type: 'string', default: 'q8_0' },
    threads: { type: 'string', default: '1,2' },
    rounds: { type: 'string', default: '5' },
    prefill: { type: 'string', default: '16' },
    decode: { type: 'string', default: '32' },
    only: { type: 'string' },
    kernels: { type: 'boolean', default: false },
  },
})
const policy = quantPolicies.find((name) => name === flags.quant)
if (policy === undefined) throw new Error(`--quant takes one of ${quantPolicies.join(', ')}`)
const [first, ...others] = Object.keys(shapes) as [string, ...string[]]
const wanted = flags.only?.split(',') ?? others
const unknown = wanted.find((name) => !Object.hasOwn(shapes, name))
if (unknown !== undefined) throw new Error(`--only knows ${others.join(', ')}, not ${unknown}`)
const names = [...new Set([first, ...wanted])]
const threads = flags.threads.split(',').map(Number)
const rounds = Number(flags.rounds)

const benchmarks = new Map<string, Benchmark>()
/** Rounds so far, the one that warms up among them. */
let done = 0
// Whoever limits the time gets what has been measured by then.
process.once('SIGTERM', () => {
  if (done > 1) printTables()
  process.exit(1)
})

function printTables(): void {
  const reports = [...benchmarks].map(([name, one]) => ({ name, ...one.report() }))
  for (const [i, count] of threads.entries()) {
    const share = (rate: Rate): number => rate.share!.median
    const base = share(reports[0]!.threads[i]!.decode)
    console.log(`\n${flags.quant}, ${count} thread${count === 1 ? '' : 's'}, medians of ${done - 1} rounds\n`)
    head('model', 'parameters', 'MB a token', 'prefill tok/s', 'decode tok/s', 'fastest', 'share of bandwidth', 'relative to LLaMA')
    for (const { name, parameters, bytes_per_token, threads: measured } of reports) {
      const { prefill, decode, machine } = measured[i]!
      row(
        name,
        `${(parameters / 1e6).toFixed(1)} M`,
        (bytes_per_token! / 1e6).toFixed(1),
        prefill[0]!.tokens_per_second.median.toFixed(0),
        decode.tokens_per_second.median.toFixed(1),
        decode.fastest!.median.toFixed(1),
        `${(share(decode) * 100).toFixed(1)} % of ${machine!.readBytes.median.toFixed(1)} GB/s`,
        (share(decode) / base).toFixed(3),
      )
    }
  }
}

try {
  for (const name of names) {
    const path = fileURLToPath(new URL(`../models/${name}.dsl`, import.meta.url))
    const measured = { prefill: [Number(flags.prefill)], decode: Number(flags.decode), rounds, threads, kernels: flags.kernels }
    const compiled = { ...shapes[name]!, device: 'wasm' as const, seedWeights: 1, quant: [{ paths: '*', policy }] }
    benchmarks.set(name, await openBenchmark(path, { ...compiled, ...measured }, new AbortController().signal))
  }
  for (; done <= rounds; done++) for (const one of benchmarks.values()) await one.round(done > 0)
  printTables()
  if (flags.kernels) for (const [name, one] of benchmarks) console.log(`\n${name}\n${(await one.kernels()).map(kernelText).join('\n')}`)
} finally {
  for (const one of benchmarks.values()) await one.close()
}
