// Time to the first token, and memory: from a checkpoint with compiling, and from an artifact. Every figure is a process of its own,
// as a user starts it; medians. `node bench/start.ts MODEL.dsl CHECKPOINT [ROUNDS] [CTX]`; needs a build (`npm run build`), since
// sources run with types to strip.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { spreadOf } from '../cli/measure/spread.ts'
import type { StartPart, StartTimes } from '../cli/measure/start-times.ts'

const [, , model = 'models/llama.dsl', weights, rounds = '5', ctx = '640'] = process.argv
if (weights === undefined) throw new Error('usage: node bench/start.ts MODEL.dsl CHECKPOINT [ROUNDS] [CTX]')
const root = fileURLToPath(new URL('../', import.meta.url))
const cli = join(root, 'dist/cli/main.js')
const folder = mkdtempSync(join(tmpdir(), 'llamac-start-'))

function node(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  return stdout
}

const median = (values: readonly number[]): number => spreadOf(values).median

/** Wall time of the process, and its own parts. */
function start(...source: readonly string[]): { readonly wall: number; readonly start: StartTimes } {
  const began = performance.now()
  const printed = node(cli, 'run', ...source, '-p', 'Hello', '-n', '1', '--json', '--stats')
  return { wall: performance.now() - began, ...(JSON.parse(printed) as { start: StartTimes }) }
}

function report(name: string, runs: readonly ReturnType<typeof start>[]): void {
  const parts = Object.keys(runs[0]!.start.parts) as StartPart[]
  const part = (each: StartPart): string => `${each} ${median(runs.map((run) => run.start.parts[each]!)).toFixed(0)}`
  const totals = runs.map((run) => run.start.total_ms)
  const [least, most] = [Math.min(...totals), Math.max(...totals)].map((ms) => ms.toFixed(0))
  console.log(
    `${name}: first token ${median(totals).toFixed(0)} ms (${least} .. ${most}), process ${median(runs.map(({ wall }) => wall)).toFixed(0)} ms; ${parts.map(part).join(', ')}`,
  )
}

try {
  const compiled = join(folder, 'compiled')
  node(cli, 'compile', model, '--weights', weights, '--ctx', ctx, '-o', compiled)
  const ways = { 'checkpoint, compiled in the process': [model, '--weights', weights, '--ctx', ctx], artifact: [compiled] }
  const runs = new Map<string, ReturnType<typeof start>[]>()
  // One round warms file caches and Node's compile cache.
  for (let round = 0; round <= Number(rounds); round++) {
    for (const [name, source] of Object.entries(ways)) {
      const run = start(...source)
      if (round > 0) runs.set(name, [...(runs.get(name) ?? []), run])
    }
  }
  for (const [name, each] of runs) report(name, each)
  const modules = readdirSync(compiled).filter((name) => name.endsWith('.wasm'))
  console.log(`modules: ${modules.map((name) => `${(statSync(join(compiled, name)).size / 1000).toFixed(0)} kB`).join(', ')}`)

  const plan = JSON.parse(node(cli, 'compile', model, '--weights', weights, '--ctx', ctx, '--emit', 'plan-json')) as {
    readonly arenaBytes: number
    readonly entries: readonly { readonly lowerBound: number }[]
  }
  const bound = Math.max(...plan.entries.map(({ lowerBound }) => lowerBound))
  console.log(`arena: ${(plan.arenaBytes / 1e6).toFixed(1)} MB, ${(plan.arenaBytes / bound).toFixed(3)} x its lower bound`)

  const probe = fileURLToPath(new URL('./resident.ts', import.meta.url))
  const memory = Array.from({ length: 3 }, () => JSON.parse(node(probe, join(root, 'dist/runtime/index.js'), compiled, '64')))
  const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
  const of = (name: string): number => median(memory.map((each) => each[name]))
  console.log(
    `memory above a process that only imports the runtime (${mb(of('bare'))}): ${mb(of('generated'))} after 64 tokens, ${mb(of('loaded'))} once loaded, ` +
      `${mb(of('loading'))} at most while loading; weights ${mb(of('weights'))} + caches ${mb(of('states'))} + arena ${mb(of('arena'))} + 40 MB = ` +
      mb(of('weights') + of('states') + of('arena') + 40e6),
  )
  const [machine] = readFileSync('/proc/cpuinfo', 'utf8').match(/(?<=model name\s*: ).*/) ?? ['']
  console.log(`Node ${process.versions.node}, ${machine}`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
