// A real model from its real file: SmolLM2-135M-Instruct as GGUF, against numbers that transformers computed from the same
// weights (smollm2/golden.json). The file is read once an arithmetic and both compilations are shared. `bench/smollm2.ts` runs
// all windows of the loss, all thread numbers and WebGPU; here is what a machine can afford at every change.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { writeArtifact } from '../../compiler/artifact/write.ts'
import { argmax } from '../../runtime/index.ts'
import { likelihoodOf, logSumExp } from '../../cli/measure/likelihood.ts'
import { type Compiled, compileForTest } from '../support/compiled.ts'
import { smolGolden } from '../support/goldens.ts'
import { places } from '../support/places.ts'

const golden = smolGolden()
const limit = 300_000

const compiled = (math: 'strict' | 'fast'): Promise<Compiled> =>
  compileForTest({ model: 'llama', checkpoint: golden.file, targets: ['wasm'], quant: 'keep', math, maxSeq: 128 })

test(
  'the weights stay in the blocks of the file',
  async () => {
    const { contents } = (await compiled('strict')).compilation
    const stored = new Map(contents.tensors.map(({ path, format }) => [path.replace(/\[\d+\]/, '[*]'), format]))
    expect(Object.fromEntries(stored)).toEqual(
      expect.objectContaining({ embedding: 'q8_0', 'layers[*].attn.wq': 'q4_1', 'layers[*].mlp.down': 'q4_1', 'out_norm.gain': 'f32' }),
    )
  },
  limit,
)

test.each(golden.cases)(
  'f32 activations: $name',
  async ({ prompt, messages, ids, top, logsumexp, argmax: likeliest, greedy, text }) => {
    await using model = await (await compiled('strict')).open('wasm')
    expect(model.tokenizer!.encode(prompt, { special: messages !== undefined })).toEqual(ids)
    expect(model.tokenizer!.decode(greedy, { special: true })).toBe(text)
    using session = model.createSession()
    const { values, dims } = await session.score(ids)
    const vocabulary = dims.at(-1)!
    const rows = ids.map((_, i) => values.subarray(i * vocabulary, (i + 1) * vocabulary))
    expect(rows.map((row) => argmax(row))).toEqual(likeliest)
    const last = rows.at(-1)!
    for (const [id, logit] of top) expect(Math.abs(last[id]! - logit), `logit of ${id}`).toBeLessThan(1e-3)
    expect(Math.abs(logSumExp(last) - logsumexp)).toBeLessThan(1e-3)
    const tokens = [argmax(last)]
    while (tokens.length < greedy.length) tokens.push(argmax(await session.decode(tokens.at(-1)!)))
    expect(tokens).toEqual(greedy)
  },
  limit,
)

// A software GPU, so few positions: the scores of a prompt, the token that is chosen from them here, and one that is drawn on the GPU. The
// prompt is read id by id in one host and at once in the other.
test.each([
  ['webgpu, software', ['decode']],
  ['webgpu in Chromium', ['prefill', 'decode']],
] as const)(
  'f32 activations, from the packed weights: %s, by %s',
  async (place, entries) => {
    const { ids, top, greedy } = golden.cases.reduce((a, b) => (b.ids.length < a.ids.length ? b : a))
    const request = { model: 'llama', checkpoint: golden.file, quant: 'keep', math: 'strict', set: { ctx: '64' }, maxSeq: 8 } as const
    const compiled = await compileForTest({ ...request, targets: ['webgpu'], entries })
    await using model = await places[place].open(compiled)
    const session = model.createSession()
    const scores = await session.prefill(ids)
    for (const [id, logit] of top) expect(Math.abs(scores[id]! - logit), `logit of ${id}`).toBeLessThan(1e-3)
    const tokens: number[] = []
    for await (const { token } of session.generate([], { maxTokens: 2 })) tokens.push(token)
    expect(tokens).toEqual(greedy.slice(0, 2))
    session.dispose()
  },
  limit,
)

test(
  'f32 activations: the loss of a window of 512 tokens, on 2 threads',
  async () => {
    await using model = await (await compiled('strict')).open('wasm', { threads: 2 })
    const { nats, predictions } = await likelihoodOf(model, golden.nll.ids.slice(0, golden.nll.window))
    expect(predictions).toBe(golden.nll.window - 1)
    expect(Math.abs(nats / predictions - golden.nll.perWindow[0]!)).toBeLessThan(1e-4)
  },
  limit,
)

// Rounding activations to 8 bits is noise: a change of 1e-6 anywhere moves the largest of these differences between 0.2 and 0.4
// (llama.cpp's too; see the data's README), and relaxed SIMD may differ between machines. So the root mean square has the bound, and
// the largest a wider one.
test(
  '8-bit activations: log-probabilities of the best 20, the loss of a window',
  async () => {
    await using model = await (await compiled('fast')).open('wasm')
    for (const { name, ids, top, logsumexp } of golden.cases) {
      using session = model.createSession()
      let scores: ArrayLike<number> = []
      for (let at = 0; at < ids.length; at += 128) scores = await session.prefill(ids.slice(at, at + 128))
      const sum = logSumExp(scores)
      const errors = top.map(([id, logit]) => scores[id]! - sum - (logit - logsumexp))
      expect(Math.max(...errors.map(Math.abs)), name).toBeLessThan(0.6)
      expect(Math.sqrt(errors.reduce((total, error) => total + error * error, 0) / errors.length), name).toBeLessThan(0.3)
    }
    const { nats, predictions } = await likelihoodOf(model, golden.nll.ids.slice(0, golden.nll.window))
    expect(Math.abs(nats / predictions - golden.nll.perWindow[0]!)).toBeLessThan(0.02)
  },
  limit,
)

test(
  'loaded from a folder it takes its weights once, the arena that was used, and 40 MB',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'llamac-resident-'))
    try {
      await writeArtifact((await compiled('fast')).compilation.contents, join(folder, 'artifact'))
      const file = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        [file('bench/resident.ts'), file('runtime/index.ts'), join(folder, 'artifact'), '32'],
        { encoding: 'utf8' },
      )
      expect(status, stderr).toBe(0)
      const { tokens, weights, arena, loading, generated } = JSON.parse(stdout) as Readonly<Record<string, number>>
      expect(tokens).toBe(32)
      // The threads strip types from the sources here, which an installed package does not.
      const stripping = 24e6
      expect(generated).toBeLessThan(weights! + arena! + 40e6 + stripping)
      expect(loading).toBeLessThan(weights! + 64e6 + stripping)
      // What is not resident was not loaded.
      expect(generated).toBeGreaterThan(weights!)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
  limit,
)
