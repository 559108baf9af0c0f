// Every hostile source ends in its verdict: a diagnostic with a code, or a program. All are compiled in one process with little
// memory, so that a crash or unbounded growth ends that process and shows here as a missing line.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { sources } from './sources.ts'

interface Outcome {
  readonly name: string
  readonly ok?: boolean
  readonly thrown?: string
  readonly codes: readonly string[]
  readonly milliseconds: number
  readonly longest: number
}

/** Generous: a slow machine with neighbours is not what is tested, work without end is. */
const limitMilliseconds = 60_000
const heapMegabytes = 400

test('every source is compiled or refused, in bounded time and memory', () => {
  const script = fileURLToPath(new URL('./compile-sources.ts', import.meta.url))
  const child = spawnSync(process.execPath, [`--max-old-space-size=${heapMegabytes}`, script], {
    encoding: 'utf8',
    maxBuffer: 2 ** 24,
    timeout: 20 * limitMilliseconds,
  })
  const outcomes = child.stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Outcome)
  const verdicts = Object.fromEntries(outcomes.map(({ name, ok, thrown, codes }) => [name, thrown ?? (ok ? 'ok' : codes.join(' '))]))
  const wanted = Object.entries(sources).map(([name, [verdict]]) => {
    const any = verdict.split('|')
    return [name, any.find((each) => each === verdicts[name]) ?? any[0]]
  })
  expect(verdicts, child.stderr.slice(-2000)).toEqual(Object.fromEntries(wanted))
  expect(child.status).toBe(0)
  const slowest = outcomes.reduce((a, b) => (a.milliseconds > b.milliseconds ? a : b))
  console.log(`${outcomes.length} sources; slowest ${slowest.name}: ${Math.round(slowest.milliseconds)} ms; heap below ${heapMegabytes} MB`)
  expect(slowest.milliseconds).toBeLessThan(limitMilliseconds)
  // A message repeats names, but not whole files.
  expect(Math.max(...outcomes.map(({ longest }) => longest))).toBeLessThan(8_000)
})
