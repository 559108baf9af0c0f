// Passes make programs fast, never other texts: a trained model writes the same without any of them that can be left out.

import { beforeAll, describe, expect, test } from 'vitest'
import { compile, nodeFiles, openCheckpoint, packageSources } from '../../compiler/index.ts'
import { optionalPasses } from '../../compiler/passes/pipeline.ts'
import { load, memoryFiles } from '../../runtime/index.ts'
import { dataPath } from '../support/goldens.ts'

const checkpoint = openCheckpoint(dataPath('checkpoints/llama2ts.tinystories_260k_v1.bin'), nodeFiles)

/** Rows of this model are whole blocks of no 4-bit format, so it is stored in f32; fast math rounds activations of the other. */
const models = {
  'trained weights, f32': { entry: 'models/llama.dsl', checkpoint, math: 'strict' },
  'made-up weights, q4_1': { entry: 'models/llama.dsl', preset: 'tiny', seedWeights: 1, quant: 'q4_1', math: 'fast' },
} as const

/** Ids that follow the likeliest path, and how many kernels the program has. */
async function write(name: keyof typeof models, disabledPasses: readonly string[]): Promise<{ ids: number[]; kernels: number }> {
  const result = await compile(packageSources(), { ...models[name], disabledPasses })
  if (!result.ok) throw new Error(result.diagnostics.map(({ message }) => message).join('\n'))
  await using model = await load(memoryFiles(result.artifact), { device: 'wasm', threads: 1 })
  const ids: number[] = []
  for await (const { token } of model.createSession().generate([1, 77, 12, 200], { maxTokens: 40, stopTokens: [] })) ids.push(token)
  return { ids, kernels: result.compilation.results[0]!.plan!.functions.size }
}

describe.each(Object.keys(models) as (keyof typeof models)[])('%s', (name) => {
  let whole: Awaited<ReturnType<typeof write>>
  beforeAll(async () => {
    whole = await write(name, [])
  })

  // Without rounding of activations another program is meant: its numbers are others.
  test.each(optionalPasses.filter((pass) => pass !== 'quantise-activations'))('the same text without %s', async (pass) => {
    expect((await write(name, [pass])).ids).toEqual(whole.ids)
  })

  test('the same text without all of them, from more kernels', async () => {
    const bare = await write(
      name,
      optionalPasses.filter((pass) => pass !== 'quantise-activations'),
    )
    expect(bare.ids).toEqual(whole.ids)
    expect(bare.kernels).toBeGreaterThan(2 * whole.kernels)
  })
})

test('rounding of activations is left out with its pass', async () => {
  const kernelsWithBytes = async (disabledPasses: readonly string[]): Promise<number> => {
    const result = await compile(packageSources(), { ...models['made-up weights, q4_1'], disabledPasses })
    if (!result.ok) throw new Error('the model does not compile')
    return [...result.compilation.results[0]!.programs].filter((program) => JSON.stringify(program.steps).includes('"a8"')).length
  }
  expect(await kernelsWithBytes([])).toBeGreaterThan(0)
  expect(await kernelsWithBytes(['quantise-activations'])).toBe(0)
})

test('a pass that compiling needs is told so, with those that can be left out', async () => {
  const result = await compile(packageSources(), { ...models['made-up weights, q4_1'], disabledPasses: ['inline-composites'] })
  expect(result.ok ? [] : result.diagnostics.map(({ code, message }) => [code, message])).toEqual([
    ['G101', `the pass inline-composites is needed to compile; those that can be left out are ${optionalPasses.join(', ')}`],
  ])
})
