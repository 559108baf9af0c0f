// What each storage format of weights costs and brings: bytes a token, tokens a second and the share of the machine's bandwidth at decode,
// by what `llamac bench` measures with, one model after the other. Formats with blocks of 32 and floats are those of a checkpoint, where
// one is given, those with blocks of 256 always of a LLaMA with pseudo-random weights (a checkpoint's rows may not be whole blocks).
//
//   node bench/formats.ts [--weights FILE.gguf] [--only q8_0,q4_k] [--threads 1,2] [--rounds 5] [--prefill 16] [--decode 32] [--math strict] [--kernels]

import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { kernelText, type Rate } from '../cli/measure/bench-report.ts'
import { openBenchmark } from '../cli/measure/bench-rounds.ts'
import { formatNames, formats } from '../compiler/formats/index.ts'
import { head, row } from './markdown.ts'

const { values: flags } = parseArgs({
  options: {
    weights: { type: 'string' },
    only: { type: 'string' },
    threads: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '5' },
    prefill: { type: 'string', default: '16' },
    decode: { type: 'string', default: '32' },
    math: { type: 'string', default: 'fast' },
    kernels: { type: 'boolean', default: false },
  },
})
const wanted = flags.only?.split(',') ?? formatNames
const unknown = wanted.find((name) => !formatNames.some((known) => known === name))
if (unknown !== undefined) throw new Error(`--only knows ${formatNames.join(', ')}, not ${unknown}`)
if (flags.math !== 'fast' && flags.math !== 'strict') throw new Error('--math takes fast or strict')
const model = fileURLToPath(new URL('../models/llama.dsl', import.meta.url))
const random = { set: { embed: '768', heads: '12', kv_heads: '4', ffn: '2048', depth: '16' }, seedWeights: 1 }
const threads = flags.threads.split(',').map(Number)

head('weights', 'format', 'threads', 'MB a token', 'prefill tok/s', 'decode tok/s', 'fastest', 'GB/s', 'share of bandwidth')
for (const format of formatNames.filter((name) => wanted.includes(name))) {
  const checkpoint = flags.weights !== undefined && formats[format].values <= 32
  const benchmark = await openBenchmark(
    model,
    {
      ...(checkpoint ? { weights: flags.weights } : random),
      device: 'wasm',
      ctx: 512,
      math: flags.math,
      quant: [{ paths: '*', policy: format === 'f32' ? 'none' : format }],
      prefill: [Number(flags.prefill)],
      decode: Number(flags.decode),
      rounds: Number(flags.rounds),
      threads,
      kernels: flags.kernels,
    },
    new AbortController().signal,
  )
  try {
    for (let round = 0; round <= Number(flags.rounds); round++) await benchmark.round(round > 0)
    const { bytes_per_token, threads: measured } = benchmark.report()
    const fastest = ({ fastest }: Rate): number => fastest!.median
    for (const { threads, prefill, decode, machine } of measured) {
      row(
        checkpoint ? 'checkpoint' : 'random',
        format,
        String(threads),
        (bytes_per_token! / 1e6).toFixed(1),
        prefill[0]!.tokens_per_second.median.toFixed(0),
        decode.tokens_per_second.median.toFixed(1),
        fastest(decode).toFixed(1),
        ((fastest(decode) * bytes_per_token!) / 1e9).toFixed(1),
        `${(decode.share!.median * 100).toFixed(0)} % of ${machine!.readBytes.median.toFixed(1)} GB/s`,
      )
    }
    if (flags.kernels) for (const call of await benchmark.kernels()) console.log(`\n${kernelText(call)}\n`)
  } finally {
    await benchmark.close()
  }
}
