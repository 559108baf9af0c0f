// `llamac eval`: windows count every token once and see what they should; the command's figures follow from one another.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { documentsIn } from '../../cli/eval.ts'
import { likelihoodOf, surprise } from '../../cli/measure/likelihood.ts'
import { compile, packageSources } from '../../compiler/index.ts'
import { load, memoryFiles, type Model } from '../../runtime/index.ts'
import { llamac, stories } from './llamac.ts'

const folder = mkdtempSync(join(tmpdir(), 'llamac-eval-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function evaluated(text: string, ...args: readonly string[]) {
  const file = join(folder, 'text.txt')
  writeFileSync(file, text)
  return llamac('eval', ...stories, '--text', file, ...args)
}

/** −ln p of the token at `at`, from a session that read ids[from … at). */
async function surpriseAt(model: Model, ids: readonly number[], from: number, at: number): Promise<number> {
  using session = model.createSession()
  const scores = await session.prefill(ids.slice(from, at))
  return surprise(scores, 0, scores.length, ids[at]!)
}

test('windows predict every token but the first once, each from the beginning of its window', async () => {
  const result = await compile(packageSources(), { entry: 'models/llama.dsl', preset: 'tiny', seedWeights: 1, maximum: { seq: 5 } })
  if (!result.ok) throw new Error('the model does not compile')
  await using model = await load(memoryFiles(result.artifact))
  const ids = Array.from({ length: 23 }, (_, i) => (i * 91 + 7) % 256)
  for (const [context, stride] of [
    [23, 23],
    [40, 3],
    [8, 8],
    [8, 4],
    [8, 1],
    [7, 3],
    [1, 1],
  ] as const) {
    let wanted = 0
    for (let at = 1; at < ids.length; at++) {
      // The first window that reaches the token.
      const window = Math.max(0, Math.ceil((at - context) / stride))
      wanted += await surpriseAt(model, ids, window * stride, at)
    }
    const { nats, predictions } = await likelihoodOf(model, ids, { context, stride })
    expect(predictions).toBe(22)
    expect(Math.abs(nats - wanted), `windows of ${context} every ${stride}`).toBeLessThan(1e-3)
  }
})

test('the figures of a text follow from one another', () => {
  const text = 'Once upon a time, there was a little cat.\n'
  const two = `${text}---\n  \n---\n${text}`
  const { status, stdout } = evaluated(two, '--split', '---', '--json')
  expect(status).toBe(0)
  const told = JSON.parse(stdout) as Record<string, number>
  expect(told).toMatchObject({ documents: 2, characters: 2 * (text.length - 1), bytes: 2 * (text.length - 1), context: 512, stride: 256 })
  const nats = told['nll_per_token']! * told['tokens']!
  expect(told['perplexity']).toBeCloseTo(Math.exp(told['nll_per_token']!), 9)
  expect(told['nll_per_character']! * told['characters']!).toBeCloseTo(nats, 6)
  expect(told['bits_per_byte']! * told['bytes']! * Math.LN2).toBeCloseTo(nats, 6)
  const once = JSON.parse(evaluated(text.trim(), '--json').stdout) as Record<string, number>
  expect(once['nll_per_token']).toBeCloseTo(told['nll_per_token']!, 9)
  expect(evaluated(text.trim()).stdout.replaceAll(/\d+\.\d+/g, '#')).toBe(`perplexity #: # nats per token over ${once['tokens']} tokens
# nats per character over 41, # bits per byte over 41
1 document, windows of 512 tokens every 256, on wasm
`)
})

test('what cannot be judged is refused', () => {
  expect(evaluated('   \n').stderr).toContain('error[E_TEXT]')
  expect(evaluated('a story', '--stride', '600').status).toBe(2)
  expect(documentsIn('a|b||  |c ', '|')).toEqual(['a', 'b', 'c'])
  expect(documentsIn(' a ')).toEqual([' a '])
})
