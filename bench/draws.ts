// node bench/draws.ts [--threads 1,2] [--json]: microseconds of a draw from the scores of a whole vocabulary: by the sampler here, as where scores were
// asked for, and in a module, on threads that take part as calls teach. Scores are like those of a small model: a wide bell and some leaders.

import { control } from '../compiler/targets/wasm/program.ts'
import { buildModule } from '../compiler/targets/wasm/module.ts'
import { createMemory } from '../runtime/devices/wasm.ts'
import { alignBlock, samplerBytes, WasmSampler, weighProgram } from '../runtime/devices/wasm-sampler.ts'
import { Team } from '../runtime/devices/wasm-team.ts'
import type { EntryManifest, WasmVariant } from '../runtime/artifact/manifest.ts'
import { createSampler, samplingNumbers, type SamplingOptions } from '../runtime/sampling.ts'

const flags = process.argv.slice(2)
const threadCounts = (flags[flags.indexOf('--threads') + 1] ?? '')
  .split(',')
  .map(Number)
  .filter((n) => n > 0)
const vocabularies = [49_152, 151_936, 256_000]
const choices: Readonly<Record<string, SamplingOptions>> = {
  greedy: {},
  temperature: { temperature: 0.8 },
  'top-k 40': { temperature: 0.8, topK: 40 },
  'top-p 0.9': { temperature: 0.8, topP: 0.9 },
  'min-p 0.05': { temperature: 0.8, minP: 0.05 },
  'all, penalty': { temperature: 0.8, topK: 100, topP: 0.95, minP: 0.02, repetitionPenalty: 1.1 },
  'top-p 0.95 of 1.5': { temperature: 1.5, topP: 0.95 },
  'top-k 5000': { temperature: 1, topK: 5000 },
}
const [rounds, warmUp] = [60, 20]
const seen = Array.from({ length: 200 }, (_, i) => (i * 37) % 1000)

/** Twelve uniform numbers are nearly a normal one. */
function scoresOf(vocab: number): Float32Array {
  let state = 1
  const uniform = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
  const normal = (): number => Array.from({ length: 12 }, uniform).reduce((sum, x) => sum + x, -6)
  return Float32Array.from({ length: vocab }, (_, id) => 10 + 2.5 * normal() + (id % 97 === 3 ? 5 : 0))
}

interface Place {
  readonly scores: Float32Array
  draw(options: SamplingOptions, position: number): Promise<number> | number
}

function here(scores: Float32Array): Place {
  const samplers = new Map(Object.values(choices).map((options) => [options, createSampler(options, 1)]))
  return { scores, draw: (options, position) => samplers.get(options)!.sample(scores, position, seen) }
}

async function inModule(vocab: number, threads: number): Promise<Place & { close(): void }> {
  const shared = threads > 1
  const scoresAt = control.end
  const scratchAt = alignBlock(scoresAt + vocab * 4)
  const entry = { results: [{ dtype: 'f32', dims: [{ const: vocab, terms: [] }] }] } as unknown as EntryManifest
  const bytes = scratchAt + samplerBytes([entry])
  const program = { kernels: [], entries: [], data: [], memoryBytes: bytes, ownBase: 0 }
  const memory = createMemory(bytes, shared, false)
  const module = await WebAssembly.compile(buildModule(program, { relaxed: true, shared }).binary)
  const instance = await WebAssembly.instantiate(module, { env: { memory } })
  const variant = { requires: [], threads: { mailbox: control.mailbox, ownBase: 0, ownBytes: 0 } } as unknown as WasmVariant
  const team = shared
    ? await Team.start(module, instance, memory, variant, [weighProgram], { from: 0, stride: 0 }, { threads, takesPart: true })
    : undefined
  const sampler = new WasmSampler(instance.exports, memory, { at: scratchAt, unit: 1 }, team, 0)
  return {
    scores: new Float32Array(memory.buffer, scoresAt, vocab),
    draw: (options, position) => sampler.draw(scoresAt, vocab, { ...samplingNumbers(options), seed: 1, position }, seen),
    close: () => team?.close(),
  }
}

/** The median: what neighbours take is seldom. */
async function time({ scores, draw }: Place, given: Float32Array, options: SamplingOptions): Promise<number> {
  const times: number[] = []
  for (let round = -warmUp; round < rounds; round++) {
    scores.set(given)
    const start = performance.now()
    await draw(options, round + warmUp)
    if (round >= 0) times.push(performance.now() - start)
  }
  return times.sort((a, b) => a - b)[rounds >> 1]! * 1000
}

const rows: Record<string, string | number>[] = []
for (const vocab of vocabularies) {
  const given = scoresOf(vocab)
  const places: [string, Place][] = [['here', here(new Float32Array(vocab))]]
  const modules = await Promise.all(
    (threadCounts.length > 0 ? threadCounts : [1, 2]).map(async (n) => [n, await inModule(vocab, n)] as const),
  )
  for (const [threads, place] of modules) places.push([`module, ${threads} thread${threads > 1 ? 's' : ''}`, place])
  for (const [name, options] of Object.entries(choices)) {
    const row: Record<string, string | number> = { vocab, draw: name }
    for (const [place, how] of places) row[place] = Math.round(await time(how, given, options))
    rows.push(row)
  }
  for (const [, place] of modules) place.close()
}
if (flags.includes('--json')) console.log(JSON.stringify(rows, undefined, 2))
else console.table(rows)
