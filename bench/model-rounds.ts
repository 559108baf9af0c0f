// A model in rounds: the flags that say which, and one round of prefill and decode. What is compared is measured in turn, and said as
// the median over rounds of its ratio to the other in the same round, because neighbours on a machine come and go.

import { spreadOf } from '../cli/measure/spread.ts'
import { compile, type CompileResult, nodeFiles, openCheckpoint, packageSources, render, type Request } from '../compiler/index.ts'
import type { Model } from '../runtime/index.ts'

/** For parseArgs. */
export const modelFlags = {
  weights: { type: 'string' },
  preset: { type: 'string' },
  'seed-weights': { type: 'string' },
  quant: { type: 'string' },
  ctx: { type: 'string', default: '512' },
  prefill: { type: 'string', default: '128' },
  decode: { type: 'string', default: '32' },
  rounds: { type: 'string', default: '5' },
} as const

type Values = { readonly [Flag in keyof typeof modelFlags]?: string | undefined }

export const usage =
  'MODEL [--weights FILE] [--preset P --seed-weights N] [--quant FORMAT] [--ctx N] [--prefill N] [--decode N] [--rounds N]'

/** What to compile; `entry` is a .dsl. */
export function requestOf(entry: string, flags: Values): Request {
  return {
    entry,
    target: 'wasm',
    set: { ctx: flags.ctx! },
    ...(flags.weights === undefined ? {} : { checkpoint: openCheckpoint(flags.weights, nodeFiles) }),
    ...(flags.preset === undefined ? {} : { preset: flags.preset }),
    ...(flags['seed-weights'] === undefined ? {} : { seedWeights: Number(flags['seed-weights']) }),
    ...(flags.quant === undefined ? {} : { quant: flags.quant as 'none' }),
  }
}

/** Compiles; a user's mistake is thrown with its text. */
export async function compiled(request: Request): Promise<Extract<CompileResult, { ok: true }>> {
  const result = await compile(packageSources(), request)
  if (!result.ok) throw new Error(result.diagnostics.map((each) => render(each)).join('\n'))
  return result
}

export interface Sizes {
  readonly prefill: number
  readonly decode: number
}

export const sizesOf = (flags: Values): Sizes => ({ prefill: Number(flags.prefill), decode: Number(flags.decode) })

/** Tokens per second; `fastest` is by the fastest token. */
export interface Rates {
  readonly prefill: number
  readonly decode: number
  readonly fastest: number
}

/** One round. Its text also runs in pages and workers, so it may use nothing of this file. */
export async function measure(model: Pick<Model, 'createSession'>, { prefill, decode }: Sizes): Promise<Rates> {
  const session = model.createSession()
  const largest = (scores: ArrayLike<number>): number => {
    let best = 0
    for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i
    return best
  }
  const started = performance.now()
  // Below every vocabulary there is.
  let next = largest(await session.prefill(Array.from({ length: prefill }, (_, i) => (i * 7919 + 101) % 256)))
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

export const medianOf = (rounds: readonly Rates[], kind: keyof Rates): number => spreadOf(rounds.map((rates) => rates[kind])).median

/** Of `rounds` to `others`, round by round. */
export const medianRatio = (rounds: readonly Rates[], others: readonly Rates[], kind: keyof Rates): number =>
  spreadOf(rounds.map((rates, round) => rates[kind] / others[round]![kind])).median
