// Architectures that no file of models/ has, each a short variant, against what transformers computes from their checkpoints
// (tests/golden/variants/make.py); and docs/variants.md, whose fragments are lines of these files.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { compileForTest } from '../support/compiled.ts'
import { expectGreedy, expectLogits } from '../support/decoders.ts'
import { goldenSequences } from '../support/goldens.ts'
import { type PlaceName, places, placesWith } from '../support/places.ts'

const text = (path: string): string => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8')

const some: ReadonlySet<PlaceName> = new Set(['reference', 'wasm', 'wasm, 2 threads', 'webgpu in Chromium'])

describe.each(['olmo2', 'parallel_llama', 'mpt'])('%s', (name) => {
  const folder = `tests/golden/variants/${name}`

  test.each(placesWith((_, place) => some.has(place)))('%s, %s math: the logits and greedy ids of transformers', async (place, math) => {
    const { open, tolerance } = places[place]
    const targets = math === 'strict' ? (['wasm', 'webgpu', 'reference'] as const) : (['wasm'] as const)
    await using model = await open(await compileForTest({ model: `examples/${name}`, checkpoint: folder, math, targets }))
    await expectLogits(model, goldenSequences(folder), tolerance)
    await expectGreedy(model, goldenSequences(folder))
  })
})

test('the two that docs/variants.md calls short are', () => {
  for (const name of ['olmo2', 'parallel_llama']) expect(text(`examples/${name}.dsl`).trimEnd().split('\n').length).toBeLessThanOrEqual(40)
})

test('the fragments of docs/variants.md are in the files they name', () => {
  const fragments = [...text('docs/variants.md').matchAll(/^```dsl (\S+)\n([\s\S]*?)^```$/gm)]
  expect(fragments.length).toBeGreaterThan(5)
  for (const { 1: file = '', 2: body = '' } of fragments) expect(text(file)).toContain(body)
})
