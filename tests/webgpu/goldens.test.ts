// Whole models on WebGPU in Node (SwiftShader, guaranteed limits only) through the real pipeline and runtime: weights as f32, every
// logit against transformers' f64 numbers, all at once (score) and token by token through the caches (decode), in a fork too. What the
// other decoders compute on WebGPU is compared in Chromium (tests/conformance/hugging-face.test.ts).
// Packed weight formats against the same model on WASM. Every module of every program is valid in every form on the null backend. The software
// driver has subgroups, so that is the form that runs here.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ArtifactContents, packArtifact } from '../../compiler/artifact/write.ts'
import { type CompileOptions, compileModel } from '../../compiler/compile.ts'
import { bindWeights, nodeFiles, openCheckpoint } from '../../compiler/weights/index.ts'
import { programFor } from '../../runtime/artifact/manifest.ts'
import { buildPipelines } from '../../runtime/devices/webgpu-pipelines.ts'
import { load as loadArtifact } from '../../runtime/index.ts'
import { load, numbered } from '../dsl/read-models.ts'
import { createNullGpu, createSoftwareGpu, openDevice } from '../support/dawn.ts'
import { dataPath, dataText } from '../weights/data.ts'

interface Golden {
  readonly sequences: readonly {
    readonly input_ids: readonly number[]
    readonly token_type_ids?: readonly number[]
    readonly decoder_input_ids?: readonly number[]
    readonly logits: { readonly dims: readonly number[]; readonly base64: string }
  }[]
}

const decode = (base64: string): Float64Array => {
  const bytes = Buffer.from(base64, 'base64')
  return new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
}

function compile(dsl: string, folder: string, options: Omit<CompileOptions, 'weights'>) {
  const checkpoint = openCheckpoint(dataPath(`hf-golden/${folder}`), nodeFiles)
  const model = numbered(load(dsl), {
    config: checkpoint.config!,
    hasTensorFor: (name) => name !== 'lm_head' || checkpoint.tensors.has('lm_head.weight'),
  })
  const { sources } = bindWeights(model.weights, model.checkpoint('hf').table!, checkpoint)
  const { compilation, diagnostics } = compileModel(model, { ...options, weights: sources })
  expect(diagnostics.map(({ message }) => message)).toEqual([])
  return compilation!.contents
}

let software: GPU
let validator: GPUDevice
beforeAll(async () => {
  software = await createSoftwareGpu()
  validator = (await openDevice(await createNullGpu(), { requiredFeatures: ['shader-f16', 'subgroups'] })).device
})
afterAll(() => validator.destroy())

/** One that rotates positions and shares key heads, one with experts, one with a table of positions. */
const models = [
  ['llama', 'llama-gqa'],
  ['mixtral', 'mixtral'],
  ['gpt2', 'gpt2'],
] as const

/** Compared elsewhere. */
const others = [
  ['llama', 'llama'],
  ['llama3', 'llama3-rope'],
  ['mistral', 'mistral'],
  ['mistral_ring', 'mistral'],
  ['qwen2', 'qwen2'],
  ['gemma', 'gemma'],
  ['gpt_neo', 'gpt-neo'],
  ['openai_gpt', 'openai-gpt'],
] as const

/** In every form: as each variant takes it. */
async function expectValid({ variants }: ArtifactContents): Promise<void> {
  for (const variant of variants)
    if (variant.target === 'webgpu') await buildPipelines(validator, programFor(variant.program, variant.requires))
}

function close(got: ArrayLike<number>, wanted: Float64Array, from: number, what: string): void {
  for (let i = 0; i < got.length; i++) {
    if (!(Math.abs(got[i]! - wanted[from + i]!) <= 2e-4)) expect.fail(`${what}, logit ${i}: ${got[i]} is not ${wanted[from + i]}`)
  }
}

describe('WebGPU against Hugging Face goldens', () => {
  test.each(models)(
    '%s.dsl on %s',
    async (dsl, folder) => {
      const contents = compile(dsl, folder, { targets: ['webgpu'] })
      await expectValid(contents)
      const golden = JSON.parse(dataText(`hf-golden/${folder}/golden.json`)) as Golden
      const model = await loadArtifact(await packArtifact(contents), { device: 'webgpu', gpu: software })
      for (const { input_ids: tokens, logits } of golden.sequences) {
        const wanted = decode(logits.base64)
        const vocab = logits.dims[1]!
        const longest = contents.manifest.entries.find(({ name }) => name === 'score')!.symbols.find(({ name }) => name === 'seq')!.max
        const seen = tokens.slice(0, longest)
        close((await model.createSession().call('score', { tokens: seen, start: 0 }))[0]!.values, wanted, 0, `score of ${seen.length}`)
        const half = Math.min(tokens.length >> 1, longest)
        const session = model.createSession()
        if (half > 0)
          close(
            (await session.call('prefill', { tokens: tokens.slice(0, half), start: 0 }))[0]!.values,
            wanted,
            (half - 1) * vocab,
            `prefill of ${half}`,
          )
        const fork = session.fork()
        for (let start = half; start < tokens.length; start++) {
          close((await session.call('decode', { tokens: [tokens[start]!], start }))[0]!.values, wanted, start * vocab, `decode at ${start}`)
        }
        const rest = tokens.slice(half, half + longest)
        close(
          (await fork.call('prefill', { tokens: rest, start: half }))[0]!.values,
          wanted,
          (half + rest.length - 1) * vocab,
          'prefill of a fork',
        )
      }
      await model.dispose()
    },
    120_000,
  )
})

test.each(others)('the modules of %s.dsl on %s are valid', (dsl, folder) => expectValid(compile(dsl, folder, { targets: ['webgpu'] })))

describe('encoders', () => {
  test.each([
    ['bert', 'bert'],
    ['marian', 'marian'],
  ] as const)(
    '%s.dsl on %s',
    async (dsl, folder) => {
      const contents = compile(dsl, folder, { targets: ['webgpu'] })
      await expectValid(contents)
      const golden = JSON.parse(dataText(`hf-golden/${folder}/golden.json`)) as Golden
      const model = await loadArtifact(await packArtifact(contents), { device: 'webgpu', gpu: software })
      for (const { input_ids: ids, token_type_ids: segments, decoder_input_ids: target, logits } of golden.sequences) {
        const wanted = decode(logits.base64)
        const session = model.createSession()
        if (target === undefined) {
          close((await session.call('score', { tokens: ids, segments: segments! }))[0]!.values, wanted, 0, `score of ${ids.length}`)
          continue
        }
        await session.call('encode', { source: ids })
        const next = await session.call('prefill', { target, start: 0, src_len: ids.length })
        close(next[0]!.values, wanted, (target.length - 1) * logits.dims[1]!, `prefill of ${target.length}`)
      }
      await model.dispose()
    },
    120_000,
  )
})

describe('WebGPU and WASM on packed weights', () => {
  test.each(['q8_0', 'q4_0', 'q4_1'] as const)(
    '%s',
    async (quant) => {
      const files = await packArtifact(compile('llama', 'llama', { targets: ['wasm', 'webgpu'], math: 'strict', quant }))
      const tokens = [5, 9, 33, 2, 71]
      const results: ArrayLike<number>[] = []
      for (const options of [{ device: 'wasm' }, { device: 'webgpu', gpu: software }] as const) {
        const model = await loadArtifact(files, options)
        const session = model.createSession()
        await session.call('prefill', { tokens: tokens.slice(0, 4), start: 0 })
        results.push((await session.call('decode', { tokens: tokens.slice(4), start: 4 }))[0]!.values)
        await model.dispose()
      }
      close(results[1]!, Float64Array.from(results[0]!), 0, quant)
    },
    120_000,
  )
})
