// A variant of fifteen lines is a model like any other: other numbers than Llama's from the same weights, and on every target
// the numbers of the reference. The example program runs as it stands.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, expect, test } from 'vitest'
import { compile, type CompileResult, packageSources } from '../../compiler/index.ts'
import { prepareTensor } from '../../compiler/weights/index.ts'
import { createReferenceDevice } from '../../compiler/targets/reference/device.ts'
import { load, memoryFiles, type ModelOptions } from '../../runtime/index.ts'
import { readProject } from '../dsl/read-models.ts'
import { createSoftwareGpu } from '../support/dawn.ts'

type Compiled = Extract<CompileResult, { ok: true }>

const tokens = [1, 5, 250, 17, 17, 0, 99, 42, 3]

async function compiled(entry: string): Promise<Compiled> {
  const result = await compile(packageSources(readProject), {
    entry,
    preset: 'tiny',
    maximum: { seq: 16 },
    seedWeights: 7,
    target: ['wasm', 'webgpu'],
    math: 'strict',
  })
  if (!result.ok) throw new Error(result.diagnostics.map(({ code, message }) => `${code} ${message}`).join('; '))
  return result
}

/** Scores of every position: [tokens, vocab]. */
async function scores({ artifact }: Compiled, options: ModelOptions): Promise<ArrayLike<number>> {
  await using model = await load(memoryFiles(artifact), options)
  const { values } = await model.createSession().score(tokens)
  return values.slice()
}

function reference({ compilation, weights }: Compiled): ModelOptions['device'] {
  const weight = (path: string) => {
    const bound = weights!.get(path)!
    const size = bound.dims.reduce((product, dim) => product * dim, 1)
    const bytes = prepareTensor(bound, { format: 'f32', layout: 'plain', rows: 1, k: size })
    return { dims: bound.dims, data: Float64Array.from(new Float32Array(bytes.buffer, bytes.byteOffset, size)) }
  }
  return createReferenceDevice(compilation.graphs, { weight })
}

/** The largest difference in units of the expected scores' root mean square. */
function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length)
  const values = Array.from(expected)
  const rms = Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length)
  return Math.max(...values.map((x, i) => Math.abs(actual[i]! - x))) / rms
}

let llama: Compiled
let variant: Compiled
let expected: ArrayLike<number>

beforeAll(async () => {
  llama = await compiled('models/llama.dsl')
  variant = await compiled('examples/relu-llama.dsl')
  expected = await scores(variant, { device: reference(variant) })
})

test('other numbers than Llama, from the same weights', async () => {
  expect([...variant.weights!.keys()]).toEqual([...llama.weights!.keys()])
  expect(distance(await scores(llama, { device: 'wasm' }), expected)).toBeGreaterThan(0.01)
})

test('WASM agrees with the reference', async () => {
  expect(distance(await scores(variant, { device: 'wasm' }), expected)).toBeLessThan(1e-4)
})

test('WebGPU agrees with the reference', { timeout: 300_000 }, async () => {
  expect(distance(await scores(variant, { device: 'webgpu', gpu: await createSoftwareGpu() }), expected)).toBeLessThan(1e-4)
})

test('mistakes come back as diagnostics', async () => {
  const codes = async (entry: string, request: object): Promise<string[]> => {
    const result = await compile(packageSources(new Map([['broken.dsl', 'module broken\nmodel M {']])), { entry, ...request })
    return result.ok ? [] : result.diagnostics.filter(({ severity }) => severity === 'error').map(({ code }) => code)
  }
  expect(await codes('broken.dsl', {})).not.toEqual([])
  expect(await codes('absent.dsl', {})).not.toEqual([])
  expect(await codes('models/llama.dsl', { preset: 'none such' })).not.toEqual([])
  expect(await codes('models/llama.dsl', { preset: 'tiny', disabledPasses: ['none such'] })).toEqual(['G101'])
})

test('the example program writes text of the model that ships', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(new URL('../../examples/generate.ts', import.meta.url))])
  expect(stdout.length).toBeGreaterThan(150)
  expect(stdout.match(/[A-Za-z]{3,}/g)?.length).toBeGreaterThan(20)
})
