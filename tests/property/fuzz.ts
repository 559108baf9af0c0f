// npm run fuzz: random graphs through every level for as long as wanted. Prints the seed, the smallest failing graph it finds, the
// first level and the first element that differ, and writes the case into corpus/. Exit code 1 on a failure, 0 otherwise.
//   --runs N (200)   --seed S (from the clock)   --minutes M   --targets wasm,webgpu   --bail (do not make it smaller)   --no-save

import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { printGraph } from '../../compiler/graph/print.ts'
import type { Case } from './case.ts'
import { checkCase } from './check-case.ts'
import type { CheckOptions } from './check-levels.ts'
import { newReport } from './check-report.ts'
import { Failure } from './compare.ts'
import { corpus, keep } from './corpus.ts'
import { featuresOf, randomCase, tapes } from './random-graph.ts'
import type { Pipelines } from './run-webgpu.ts'

/** How long a failing case is made smaller. */
const shrinkSeconds = 120

const { values: flags } = parseArgs({
  allowNegative: true,
  options: {
    runs: { type: 'string', default: '200' },
    seed: { type: 'string' },
    minutes: { type: 'string' },
    targets: { type: 'string', default: 'wasm' },
    bail: { type: 'boolean', default: false },
    save: { type: 'boolean', default: true },
  },
})

function natural(name: string, text: string): number {
  if (/^\d+$/.test(text)) return Number(text)
  console.error(`--${name} wants a whole number, not ${text}`)
  process.exit(2)
}

const seed = flags.seed === undefined ? Date.now() % 2 ** 31 : natural('seed', flags.seed)
const known = ['wasm', 'webgpu'] as const
const names = flags.targets.split(',')
const levels = new Set(known.filter((name) => names.includes(name)))
if (levels.size < new Set(names).size) {
  console.error(`--targets knows ${known.join(' and ')}, not ${flags.targets}`)
  process.exit(2)
}
const runs = flags.minutes === undefined ? natural('runs', flags.runs) : Number.MAX_SAFE_INTEGER
const timeLimit = flags.minutes === undefined ? undefined : Number(flags.minutes) * 60_000

async function openPipelines(): Promise<Pipelines> {
  const { createSoftwareGpu, openFormsDevice } = await import('../support/dawn.ts')
  const { Pipelines: Kept } = await import('./run-webgpu.ts')
  return new Kept((await openFormsDevice(await createSoftwareGpu())).device)
}

const report = newReport()
const options: CheckOptions = { levels, report, ...(levels.has('webgpu') ? { pipelines: await openPipelines(), forms: true } : {}) }

function fail(failure: unknown, random: Case | undefined, where: string): never {
  const { message } = failure as Error
  console.log(`${failure instanceof Failure ? message : `crash in the harness: ${(failure as Error).stack}`}\n`)
  if (random) {
    console.log(printGraph(random.graph))
    console.log(
      `weights ${JSON.stringify(random.weights)}\nstates ${JSON.stringify(random.states)}\ncalls ${JSON.stringify(random.calls)}, inputs ${random.inputs}`,
    )
    if (flags.save) console.log(`written to ${keep(random, message.split('\n')[0]!)}`)
  }
  console.log(`FAILED: ${where}, seed ${seed}\n${message.split('\n')[0]}`)
  process.exit(1)
}

const kept = corpus()
for (const { file, case: known } of kept)
  await checkCase(known, options).catch((failure: unknown) => fail(failure, undefined, `corpus ${file}`))

let graphs = 0
let failed: { readonly since: number; random: Case; failure: unknown } | undefined
const started = performance.now()
const details = await fc.check(
  fc.asyncProperty(tapes, async (tape) => {
    if (failed && performance.now() - failed.since > shrinkSeconds * 1000) return
    const random = randomCase(tape)
    if (!failed) graphs++
    if (!failed && graphs % 100 === 0)
      console.log(`${graphs} graphs, ${report.programs} programs, ${((performance.now() - started) / 1000).toFixed(0)} s`)
    await checkCase(random, options).catch((failure: unknown) => {
      failed = { since: failed?.since ?? performance.now(), random, failure }
      throw failure
    })
  }),
  {
    seed,
    numRuns: runs,
    endOnFailure: flags.bail,
    ...(timeLimit === undefined ? {} : { interruptAfterTimeLimit: timeLimit, markInterruptAsFailure: false }),
  },
)
if (failed)
  fail(
    failed.failure,
    failed.random,
    `graph ${graphs} (${featuresOf(failed.random.graph).nodes} nodes after ${details.numShrinks} shrinks)`,
  )
if (details.failed && !details.interrupted) fail(details.errorInstance, undefined, `graph ${graphs}`)
console.log(`${graphs} random graphs and ${kept.length} kept ones, ${report.programs} programs, no mismatch; seed ${seed}`)
process.exit(0)
