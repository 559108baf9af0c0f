// Weights that are larger than a binding may be: cut into runs of rows, and what reads them into parts. At the guaranteed 128 MiB, on
// a device that was asked for no more; and wherever a smaller limit makes the cuts fall, in whole models of all sizes and formats. The
// scores are those of WebAssembly, which cuts nothing.

import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { compiledArtifact } from '../../compiler/artifact/compiled.ts'
import { type ArtifactContents, tensorBytes } from '../../compiler/artifact/contents.ts'
import { compileModel, type CompileOptions } from '../../compiler/compile.ts'
import { formats, type FormatName, groupRows, layoutBytes, type LayoutName } from '../../compiler/formats/index.ts'
import { webgpuMachine } from '../../compiler/schedule/machine.ts'
import { guaranteed } from '../../compiler/targets/webgpu/bindings.ts'
import type { BoundWeight } from '../../compiler/weights/bind.ts'
import { seededWeights } from '../../compiler/weights/index.ts'
import { load as loadArtifact } from '../../runtime/index.ts'
import type { SpecialisedModel } from '../../dsl/model.ts'
import { numbered, program } from '../dsl/read-models.ts'
import { createSoftwareGpu } from '../support/dawn.ts'
import { worstDifference } from '../support/goldens.ts'

let gpu: GPU
beforeAll(async () => {
  gpu = await createSoftwareGpu()
})

/** For both devices, which are given the same bytes; undefined where WebGPU has no room for something that is not cut. */
function compiled(model: SpecialisedModel, options: Pick<CompileOptions, 'quant' | 'machines'>, given: readonly BoundWeight[] = []) {
  const weights = new Map([...seededWeights(model.weights, 1), ...given.map((weight) => [weight.path, weight] as const)])
  const how: CompileOptions = { targets: ['wasm', 'webgpu'], math: 'strict', verify: true, weights, ...options }
  const { compilation, diagnostics } = compileModel(model, how)
  if (!compilation) {
    expect(diagnostics.map(({ code }) => code)).toEqual(['L601'])
    return undefined
  }
  const { contents } = compilation
  const made = contents.tensors.map((tensor) => ({ ...tensor, whole: tensorBytes(tensor) }))
  return { ...contents, tensors: made.map(({ whole, ...tensor }) => ({ ...tensor, pieces: () => [whole] })) }
}

/** A matrix that is stored like this from the beginning: to make as many values and quantise them would take a minute. */
function matrix(path: string, format: 'f32' | 'q4_0', rows: number, k: number): BoundWeight {
  const bytes = new Uint8Array(layoutBytes(format, 'plain', rows, k))
  const words = new Uint32Array(bytes.buffer)
  for (let i = 0, x = 0x9e3779b9; i < words.length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    // From 2^-5 to 2^-4, of both signs.
    words[i] = format === 'f32' ? (x & 0x807fffff) | 0x3d000000 : x
  }
  // The scale of a block, a half: from 2^-7 to 2^-6.
  if (format === 'q4_0') for (let at = 1; at < bytes.length; at += formats.q4_0.bytes) bytes[at] = 0x20 | (bytes[at]! & 3)
  return { path, dims: [rows, k], format, read: () => bytes }
}

/** Bytes at which the runs begin that a weight is cut into. */
function runsOf({ tensors, variants }: ArtifactContents, path: string): number[] {
  const variant = variants.find(({ target }) => target === 'webgpu')
  if (variant?.target !== 'webgpu') throw new Error('no program for WebGPU')
  const index = tensors.findIndex((tensor) => tensor.path === path)
  return variant.program.buffers.flatMap((buffer) => (buffer.kind === 'tensor' && buffer.tensor === index ? [buffer.offset] : []))
}

/** First rows of the runs of the embedding. */
function firstRows(contents: ArtifactContents): number[] {
  const { format, layout, dims } = contents.tensors.find(({ path }) => path === 'embedding')!
  const perGroup = layoutBytes(format as FormatName, layout as LayoutName, groupRows, dims[1]!)
  return runsOf(contents, 'embedding').map((offset) => (offset / perGroup) * groupRows)
}

// All that reads weights by rows, and little else: a driver takes long for each kernel.
const reader = program(`module reader
import std.nn { silu }
config Sizes { vocab: dim = 400  embed: dim = 64  width: dim = 96  tie: bool = false }
model Reader uses Sizes {
  weight embedding: [vocab, embed]
  weight head:      [vocab, embed] tied embedding when tie
  weight gate:      [width, embed]
  weight up:        [width, embed]
  weight down:      [embed, width]
  entry score(tokens: i32[seq]) -> f32[seq, vocab] {
    let x = embedding[tokens]
    let h = x + dot(silu(dot(x, gate, over: embed)) * dot(x, up, over: embed), down, over: width)
    return f32(dot(h, head, over: embed))
  }
  entry one = score with seq = 1
  runtime seq: 1 ..= 3
}`)
/** With one entry only. */
function sized(sizes: Readonly<Record<string, number | boolean>>, entry: 'score' | 'one'): SpecialisedModel {
  const model = numbered(reader, { set: Object.fromEntries(Object.entries(sizes).map(([name, value]) => [name, `${value}`])) })
  return { ...model, entries: model.entries.filter(({ name }) => name === entry) }
}

/** That the scores after these ids are the same on both devices, call by call. */
async function expectSame(contents: ArtifactContents, calls: readonly (readonly number[])[]): Promise<void> {
  const scores: number[][] = []
  for (const options of [
    { device: 'wasm', threads: 1 },
    { device: 'webgpu', gpu },
  ] as const) {
    await using model = await loadArtifact(compiledArtifact(contents), options)
    const session = model.createSession()
    const found: number[] = []
    for (const tokens of calls) {
      const [{ values }] = await session.call(model.manifest.entries[0]!.name, { tokens })
      for (const value of values) found.push(value)
    }
    scores.push(found)
  }
  expect(scores[0]!.some((score) => score !== 0)).toBe(true)
  expect(worstDifference(scores[1]!, scores[0]!)).toBeLessThan(1e-4)
}

test.each([
  ['f32', 70_000, 512],
  ['q4_0', 240_000, 1024],
] as const)('%s, %i x %i: an embedding of more than 128 MiB, which is also the head', async (format, vocab, embed) => {
  const contents = compiled(sized({ vocab, embed, tie: true }, 'one'), { quant: 'keep' }, [matrix('embedding', format, vocab, embed)])!
  const { bytes, format: stored } = contents.tensors.find(({ path }) => path === 'embedding')!
  expect(stored).toBe(format)
  expect(bytes).toBeGreaterThan(guaranteed.storageBytes)
  const [, second] = firstRows(contents)
  await expectSame(contents, [[second!]])
})

const cases = fc.record({
  vocab: fc.integer({ min: 300, max: 700 }),
  embed: fc.constantFrom(64, 128),
  width: fc.constantFrom(96, 160, 256),
  tie: fc.boolean(),
  quant: fc.constantFrom('none', 'f16', 'q8_0', 'q4_0', 'q4_0', 'q4_1', 'q5_1'),
  /** What a binding may hold, of the embedding. */
  share: fc.double({ min: 0.2, max: 1, noNaN: true }),
  entry: fc.constantFrom('score', 'one'),
})

test('wherever weights are cut', async () => {
  let most = 0
  await fc.assert(
    fc.asyncProperty(cases, async ({ quant, share, entry, ...sizes }) => {
      const bindingBytes = Math.floor(share * layoutBytes(quant === 'none' ? 'f32' : quant, 'plain', sizes.vocab, sizes.embed))
      const contents = compiled(sized(sizes, entry), { quant, machines: { webgpu: { ...webgpuMachine, bindingBytes } } })
      fc.pre(contents !== undefined)
      const rows = firstRows(contents)
      most = Math.max(most, rows.length)
      // On both sides of a cut, and the last row.
      const ids = [...rows.flatMap((row) => (row > 0 ? [row - 1, row] : [])).slice(-2), sizes.vocab - 1]
      await expectSame(contents, entry === 'one' ? ids.map((id) => [id]) : [ids])
    }),
    { numRuns: 5 },
  )
  expect(most).toBeGreaterThan(1)
})
