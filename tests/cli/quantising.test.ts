// Quantising from the command line: the report of what it changed, two models side by side, and what is refused.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { QuantReport } from '../../cli/measure/quant-report.ts'
import { llamac, stories } from './llamac.ts'

const folder = mkdtempSync(join(tmpdir(), 'llamac-quant-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const text = join(folder, 'text.txt')
writeFileSync(text, 'Once upon a time, there was a little cat. She liked to play in the sun.\n')
const strict = [...stories, '--math', 'strict']

test('the report: formats, bytes and errors, worst first', async () => {
  const rules = ['--quant', 'q4_0', '--quant', 'layers.*.mlp.*=q8_0', '--quant', 'lm_head=f16']
  const { stdout, stderr, status } = llamac(
    ...['compile', 'models/llama.dsl', '--preset', 'tiny', '--seed-weights', '1', ...rules],
    ...['--quant-report', '-', '-o', join(folder, 'tiny')],
  )
  expect(status, stderr).toBe(0)
  await expect(stdout.replace(folder, '')).toMatchFileSnapshot('../golden/quant-report.txt')
})

test('calibration rounds another way, and the report has both errors', () => {
  const report = (name: string, ...more: readonly string[]): QuantReport => {
    const file = join(folder, `${name}.json`)
    const { status, stderr } = llamac('compile', ...strict, '--quant', 'q4_0', ...more, '--quant-report', file, '-o', join(folder, name))
    expect(status, stderr).toBe(0)
    return JSON.parse(readFileSync(file, 'utf8')) as QuantReport
  }
  const [plain, calibrated] = [report('plain'), report('calibrated', '--calibrate', text)]
  expect(plain.calibrated_on).toBeUndefined()
  expect(calibrated.calibrated_on).toBeGreaterThan(20)
  const before = new Map(plain.weights.map((weight) => [weight.path, weight.error]))
  const quantised = calibrated.weights.filter(({ format }) => format === 'q4_0')
  expect(quantised.length).toBe(31)
  for (const { path, error, weighted_error } of quantised) {
    // Rounded another way, in what a text can tell about; not another format.
    expect(error === before.get(path), path).toBe(weighted_error === undefined)
    expect(error / before.get(path)!, path).toBeLessThan(1.5)
  }
  expect(calibrated.weights.map((weight) => weight.weighted_error ?? weight.error)).toEqual(
    calibrated.weights.map((weight) => weight.weighted_error ?? weight.error).sort((a, b) => b - a),
  )
  expect(plain.bits_per_value).toBeCloseTo((8 * plain.bytes) / plain.values, 9)
})

test('two models side by side', () => {
  const compared = (...args: readonly string[]) => {
    const { stdout, stderr, status } = llamac('eval', ...strict, '--text', text, '--json', '--against', 'models/llama.dsl', ...args)
    expect(status, stderr).toBe(0)
    return JSON.parse(stdout) as { perplexity: number; against: Record<string, number> }
  }
  const same = compared()
  expect(same.against).toMatchObject({ perplexity: same.perplexity, ratio: 1, kl_mean: 0, kl_99: 0, kl_most: 0, same_best: 1 })
  const { perplexity, against } = compared('--quant', 'q4_0')
  expect(against['perplexity']).toBe(same.perplexity)
  expect(against['ratio']).toBeCloseTo(perplexity / same.perplexity, 9)
  expect(against['kl_mean']).toBeGreaterThan(0.001)
  expect(against['kl_mean']).toBeLessThan(against['kl_most']!)
})

test('what cannot be done is said', () => {
  const told = (...args: readonly string[]) => {
    const { status, stderr } = llamac(...args)
    return `${status} ${stderr.trim().split('\n').at(-1)}`
  }
  const file = ['compile', 'models/llama.dsl', '--preset', 'tiny']
  const tiny = join(folder, 'tiny')
  expect(llamac(...file, '--seed-weights', '1', '-o', tiny).status).toBe(0)
  expect([
    told(...file, '--seed-weights', '1', '--calibrate', text),
    told(...file, '--quant', 'q8_0', '--calibrate', text),
    told(...file, '--seed-weights', '1', '--quant', 'q8_0', '--calibrate', text),
    told(...file, '--quant', 'q8_0', '--quant-report', '-'),
    told('eval', ...strict, '--text', text, '--against', tiny).replace(folder, ''),
  ]).toMatchInlineSnapshot(`
    [
      "2 error: --calibrate weighs what --quant rounds: give --quant too",
      "2 error: --calibrate runs the model: give its --weights",
      "1 error[E_NO_TOKENIZER]: a text calibrates only a model with a tokenizer: give --tokenizer",
      "2 error: --quant-report compares weights: give --weights",
      "1 error[E_AGAINST]: /tiny scores 256 tokens, the model 512: their predictions cannot be compared",
    ]
  `)
})
