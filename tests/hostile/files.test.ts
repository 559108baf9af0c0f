// Every prefix and every bit flip of small model and tokenizer files is a valid file or a typed refusal that says where; none takes
// long or much memory. Also: safetensors' 15 verdicts by the reference implementation, through the path that users take.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { dataBytes, dataPath, dataText } from '../weights/data.ts'
import { memoryFiles } from './memory-files.ts'
import { openAnything } from './open-anything.ts'

interface Sweep {
  readonly name: string
  readonly intact: boolean
  readonly cases: number
  readonly valid: number
  readonly codes: Readonly<Record<string, number>>
  readonly slowest: number
  readonly risen: number
  readonly wrong: readonly string[]
}

/** The promise is 250 ms; a garbage collection or the compiler of JavaScript may fall into any case. */
const mostMilliseconds = 1_000
const mostMegabytes = 64

test('prefixes and bit flips', () => {
  const script = fileURLToPath(new URL('./sweep-files.ts', import.meta.url))
  const child = spawnSync(process.execPath, ['--max-semi-space-size=2', script, dataPath('gguf-model/llama-2-tiny-random.gguf')], {
    encoding: 'utf8',
    maxBuffer: 2 ** 24,
    timeout: 900_000,
  })
  const sweeps = child.stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Sweep)
  expect(child.status, child.stderr.slice(-2000)).toBe(0)
  expect(sweeps.length).toBe(8)
  for (const { name, intact, cases, valid, codes, slowest, risen, wrong } of sweeps) {
    console.log(
      `${name}: ${cases} cases, ${valid} valid, slowest ${slowest.toFixed(0)} ms, memory +${risen.toFixed(0)} MiB; ${Object.entries(codes)
        .map(([code, count]) => `${code} ${count}`)
        .join(', ')}`,
    )
    expect(wrong, name).toEqual([])
    expect(intact, name).toBe(true)
    expect(slowest, name).toBeLessThanOrEqual(mostMilliseconds)
    expect(risen, name).toBeLessThanOrEqual(mostMegabytes)
  }
  expect(sweeps.reduce((sum, { cases }) => sum + cases, 0)).toBeGreaterThan(30_000)
})

test('safetensors: 15 of 15 verdicts through openCheckpoint', () => {
  const { cases } = JSON.parse(dataText('safetensors/expected.json')) as { cases: { file: string; expect: string }[] }
  const verdicts = cases.map(({ file }) => openAnything(file, memoryFiles({ [file]: dataBytes(`safetensors/${file}`) })))
  expect(verdicts.map(({ kind }) => kind)).toEqual(cases.map(({ expect: verdict }) => (verdict.startsWith('ok') ? 'valid' : 'refused')))
  expect(cases.length).toBe(15)
  for (const verdict of verdicts) if (verdict.kind === 'refused') expect(verdict.placed, verdict.message).toBe(true)
})
