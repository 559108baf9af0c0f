// npm run mutants: shows that random graphs, or a test file, notice planted bugs. Runs what is to notice without a mutant first (it must
// pass), then with each one, a few at a time; a mutant that survives is a hole in the harness. `npm run mutants -- tail` runs those whose
// name contains the word; `--runs N` graphs each (default 2,000, as in the tests), `--seed S`, `--jobs N`.

import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Mutant, mutants, rootUrl, unnoticed } from './table.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    jobs: { type: 'string', default: String(Math.max(1, Math.min(4, availableParallelism()))) },
  },
})

interface Outcome {
  readonly code: number | null
  readonly seconds: number
  readonly output: string
}

/** A mutant may loop forever: that is noticed too, after as many times the clean run's length. */
const patience = 3

/** Runs what is to notice: random graphs for a target, or a test file. */
function run(on: Mutant['on'], mutant: string | undefined, limit: number): Promise<Outcome> {
  const args =
    on === 'wasm' || on === 'webgpu'
      ? ['--import', './tests/mutants/plant.ts', 'tests/property/fuzz.ts', '--bail', '--no-save', '--targets', on].concat(
          '--runs',
          values.runs,
          '--seed',
          values.seed,
        )
      : ['node_modules/vitest/vitest.mjs', 'run', '--bail', '1', on]
  const env = { ...process.env, ...(mutant === undefined ? {} : { LLAMAC_MUTANT: mutant }) }
  if (mutant === undefined) delete env['LLAMAC_MUTANT']
  const start = performance.now()
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: fileURLToPath(rootUrl), env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text))
    const timer = setTimeout(() => child.kill('SIGKILL'), limit)
    child.on('error', reject)
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ code, seconds: (performance.now() - start) / 1000, output })
    })
  })
}

/** How the harness noticed: the first line that says so. */
function reasonOf({ code, output }: Outcome): string {
  if (code === null) return 'hang'
  const line = output.split('\n').find((each) => /\b(mismatch|verifier|crash|AssertionError|Error)\b/.test(each))
  return line?.trim().slice(0, 110) ?? `crash: exit code ${code}`
}

const chosen = mutants.filter(({ name, file }) => positionals.every((word) => name.includes(word) || file.includes(word)))
const clean = new Map<Mutant['on'], number>()
for (const on of new Set(chosen.map((mutant) => mutant.on))) {
  const { code, output, seconds } = await run(on, undefined, 30 * 60_000)
  if (code !== 0) {
    console.error(output)
    console.error(`${on} fails without a mutant`)
    process.exit(1)
  }
  console.log(`no mutant: ${on} passes, ${seconds.toFixed(1)} s`)
  clean.set(on, seconds)
}

const survivors: string[] = []
const waiting = [...chosen]
async function work(): Promise<void> {
  for (let mutant = waiting.shift(); mutant; mutant = waiting.shift()) {
    const outcome = await run(mutant.on, mutant.name, patience * 1000 * clean.get(mutant.on)! + 60_000)
    const planted = !/mutant .*: its text occurs/.test(outcome.output)
    const caught = planted && outcome.code !== 0
    if (!caught) survivors.push(mutant.name)
    console.log(
      `${caught ? 'caught  ' : planted ? 'SURVIVED' : 'NO PLACE'} ${outcome.seconds.toFixed(1).padStart(6)} s  ${mutant.name} (${mutant.file})${caught ? `\n${' '.repeat(19)}${reasonOf(outcome)}` : ''}`,
    )
  }
}
await Promise.all(Array.from({ length: Number(values.jobs) }, work))
console.log(`${chosen.length - survivors.length} of ${chosen.length} caught; ${unnoticed.length} more are known to go unnoticed (table.ts)`)
if (survivors.length > 0) {
  console.error(survivors.map((name) => `survived: ${name}`).join('\n'))
  process.exit(1)
}
