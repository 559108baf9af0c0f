// What each pass and each choice of the back end is worth: the model as it is, and with one thing left out, in rounds in turn. Prints
// a table in Markdown: rates as shares of the whole's, memory, and how much a token of decode has to launch and to wait for.
//
//   node bench/ablations.ts MODEL … [--threads N] [--only WORD]
// (flags as in bench/model-rounds.ts)
//
// A pass that cannot be left out says why. Two programs at a time are in memory, so the whole is measured anew beside each.

import { parseArgs } from 'node:util'
import type { Compilation } from '../compiler/compile.ts'
import type { Request } from '../compiler/index.ts'
import { launchesOf } from '../compiler/kernel/launches.ts'
import { passNames } from '../compiler/passes/pipeline.ts'
import type { EntryPlan } from '../compiler/plan/plan.ts'
import { load, type Manifest, memoryFiles, type Model } from '../runtime/index.ts'
import { head, row } from './markdown.ts'
import { compiled, measure, medianRatio, modelFlags, medianOf, type Rates, requestOf, sizesOf, usage } from './model-rounds.ts'

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ...modelFlags,
    rounds: { type: 'string', default: '3' },
    threads: { type: 'string', default: '2' },
    only: { type: 'string', default: '' },
  },
})
const [entry] = positionals
if (entry === undefined) throw new Error(`usage: node bench/ablations.ts ${usage} [--threads N] [--only WORD]`)
const sizes = sizesOf(flags)
const request = requestOf(entry, flags)

interface Ablation {
  readonly name: string
  /** What is compiled otherwise. */
  readonly change?: Partial<Request>
  /** A need of variants that the engine is said not to meet. */
  readonly without?: string
  readonly threads?: number
}

/** In order of the table. New choices that can be left out are new rows. */
const ablations: readonly Ablation[] = [
  ...passNames.map((pass) => ({ name: `without ${pass}`, change: { disabledPasses: [pass] } })),
  { name: 'strict math', change: { math: 'strict' } },
  { name: 'without relaxed SIMD', without: 'relaxed-simd' },
  { name: 'without pair sums', without: 'pair-dots' },
  { name: 'on one thread', threads: 1 },
]

interface Subject {
  readonly model: Model
  readonly cost: Cost
}

interface Cost {
  readonly arena: number
  readonly weights: number
  readonly module: number
  readonly kernels: number
  readonly meetings: number
}

async function open({ change = {}, without, threads = Number(flags.threads) }: Omit<Ablation, 'name'>): Promise<Subject> {
  const { artifact, compilation } = await compiled({ ...request, ...change })
  const manifest = JSON.parse(new TextDecoder().decode(artifact.get('manifest.json'))) as Manifest
  const variants = manifest.variants.filter(
    (variant) => !('requires' in variant && without !== undefined && variant.requires.includes(without)),
  )
  if (without !== undefined && variants.length === manifest.variants.length) throw new Error('no variant of this program needs it')
  const files = new Map([...artifact, ['manifest.json', new TextEncoder().encode(JSON.stringify({ ...manifest, variants }))]])
  const model = await load(memoryFiles(files), { device: 'wasm', threads })
  return { model, cost: costOf(compilation, artifact, manifest) }
}

function costOf({ results }: Compilation, artifact: ReadonlyMap<string, Uint8Array>, { tensors }: Manifest): Cost {
  const { plan, programs } = results[0]!
  const step = (name: string): EntryPlan => plan!.entries.find(({ info }) => info.name === name)!
  const decode = step('decode')
  const program = programs.find((one) => one.entry === 'decode')!
  const launches = launchesOf(program)
  return {
    arena: plan!.arenaBytes,
    weights: tensors.reduce((sum, { bytes }) => sum + bytes, 0),
    module: [...artifact].find(([name]) => name.endsWith('.wasm'))![1].length,
    kernels: launches.length,
    meetings: launches.filter(({ kernel }) => decode.barriers.has(kernel.name)).length,
  }
}

/** Both in turn; whoever comes first changes. */
async function inTurn(whole: Model, other: Model): Promise<readonly [Rates[], Rates[]]> {
  const measured: readonly [Rates[], Rates[]] = [[], []]
  for (let round = 0; round <= Number(flags.rounds); round++) {
    for (let i = 0; i < 2; i++) {
      const at = (i + round) % 2
      const rates = await measure([whole, other][at]!, sizes)
      // The first warms up.
      if (round > 0) measured[at]!.push(rates)
    }
  }
  return measured
}

const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)
const costs = ({ arena, weights, module, kernels, meetings }: Cost): string[] => [
  mib(arena),
  mib(weights),
  `${Math.round(module / 1000)}`,
  String(kernels),
  String(meetings),
]

const whole = await open({})
head(
  '',
  `decode ${sizes.decode}`,
  `prefill ${sizes.prefill}`,
  'arena, MiB',
  'weights, MiB',
  'module, kB',
  'kernels a token',
  'meetings a token',
)
const alone: Rates[] = []
for (let round = 0; round <= Number(flags.rounds); round++) alone.push(await measure(whole.model, sizes))
const counted = alone.slice(1)
row(
  'the whole',
  `${medianOf(counted, 'decode').toFixed(0)} tokens/s`,
  `${medianOf(counted, 'prefill').toFixed(0)} tokens/s`,
  ...costs(whole.cost),
)
for (const ablation of ablations.filter(({ name }) => name.includes(flags.only))) {
  let other: Subject
  try {
    other = await open(ablation)
  } catch (cause) {
    row(ablation.name, `cannot be left out: ${(cause as Error).message.split('\n')[0]!.replaceAll('|', '\\|')}`, '', '', '', '', '', '')
    continue
  }
  const [reference, rates] = await inTurn(whole.model, other.model)
  await other.model.dispose()
  const share = (kind: keyof Rates): string => `${(medianRatio(rates, reference, kind) * 100).toFixed(0)} %`
  row(ablation.name, share('decode'), share('prefill'), ...costs(other.cost))
}
process.exit(0)
