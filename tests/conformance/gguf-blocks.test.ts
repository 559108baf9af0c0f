// A LLaMA whose GGUF holds every block format that files of llama.cpp use, from bytes to logits: names and row permutations of the
// table, the tied embedding in packed rows, kernels of all formats in one program. Held to the reference on the values that the
// blocks decode to. Types that no kernel reads are refused by name.

import { beforeAll, describe, expect, test } from 'vitest'
import { packArtifact } from '../../compiler/artifact/write.ts'
import { compileModel } from '../../compiler/compile.ts'
import { formats, type FormatName } from '../../compiler/formats/index.ts'
import { createReferenceDevice } from '../../compiler/targets/reference/device.ts'
import { bindWeights, hasTensorFor, openCheckpoint } from '../../compiler/weights/index.ts'
import { decodeAll } from '../../compiler/weights/plain-tensor.ts'
import { loadModel } from '../../dsl/index.ts'
import { load, memoryFiles, type Model } from '../../runtime/index.ts'
import { readProject, summary } from '../dsl/read-models.ts'
import { memoryFiles as checkpointFiles } from '../hostile/memory-files.ts'
import { type GgufField, type GgufTensor, writeGguf } from '../hostile/write-files.ts'
import { createSoftwareGpu } from '../support/dawn.ts'

const embed = 256
const ffn = 512
const [heads, kvHeads, headDim, depth] = [4, 2, 64, 2]
/** No multiple of 8: the last packed group is not full. */
const vocab = 99

/** ggml's number of each type. */
const typeNumbers = { f32: 0, q3_k: 11, q4_k: 12, q5_0: 6, q5_1: 7, q5_k: 13, q6_k: 14, iq4_xs: 23 } as const
type Stored = keyof typeof typeNumbers

const layer: Readonly<Record<string, readonly [dims: readonly [inner: number, outer: number], stored: Stored]>> = {
  attn_q: [[embed, heads * headDim], 'q4_k'],
  attn_k: [[embed, kvHeads * headDim], 'q6_k'],
  attn_v: [[embed, kvHeads * headDim], 'q5_k'],
  attn_output: [[heads * headDim, embed], 'q5_0'],
  ffn_gate: [[embed, ffn], 'q4_k'],
  ffn_up: [[embed, ffn], 'q5_1'],
  ffn_down: [[ffn, embed], 'q6_k'],
}

let state = 7
const normal = (): number => {
  let sum = 0
  for (let i = 0; i < 4; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    sum += (state >>> 8) / 2 ** 24 - 0.5
  }
  return sum * Math.sqrt(3)
}

/** The file; `change` gives a tensor another type (of as many bytes or fewer a value than f32). */
function makeFile(change: Readonly<Record<string, Stored>> = {}): Uint8Array {
  const shapes: [name: string, dims: readonly number[], stored: Stored][] = [
    ['token_embd', [embed, vocab], 'q6_k'],
    ['output_norm', [embed], 'f32'],
    ...Array.from({ length: depth }, (_, i): typeof shapes => [
      [`blk.${i}.attn_norm`, [embed], 'f32'],
      [`blk.${i}.ffn_norm`, [embed], 'f32'],
      ...Object.entries(layer).map(([name, [dims, stored]]): (typeof shapes)[number] => [`blk.${i}.${name}`, dims, stored]),
    ]).flat(),
  ]
  const tensors: GgufTensor[] = []
  const parts: Uint8Array[] = []
  let offset = 0
  for (const [name, dims, kept] of shapes) {
    const stored = change[name] ?? kept
    const count = dims.reduce((product, dim) => product * dim, 1)
    const centre = dims.length === 1 ? 1 : 0
    const values = Float32Array.from({ length: count }, () => centre + normal() / Math.sqrt(embed))
    const format = formats[stored as FormatName] ?? formats.f32
    const bytes = new Uint8Array(Math.ceil(((count / format.values) * format.bytes) / 32) * 32)
    format.encode(values, bytes.subarray(0, (count / format.values) * format.bytes))
    tensors.push({ name: `${name}.weight`, dims, type: typeNumbers[stored], offset })
    parts.push(bytes)
    offset += bytes.length
  }
  const u32 = (value: number): GgufField => ({ type: 4, value })
  const head = writeGguf({
    version: 3,
    pairs: [
      ['general.architecture', { type: 8, value: 'llama' }],
      ['llama.block_count', u32(depth)],
      ['llama.embedding_length', u32(embed)],
      ['llama.feed_forward_length', u32(ffn)],
      ['llama.context_length', u32(32)],
      ['llama.attention.head_count', u32(heads)],
      ['llama.attention.head_count_kv', u32(kvHeads)],
      ['llama.vocab_size', u32(vocab)],
      ['llama.attention.layer_norm_rms_epsilon', { type: 6, value: 1e-5 }],
      ['llama.rope.freq_base', { type: 6, value: 10000 }],
    ],
    tensors,
    data: 0,
  })
  return new Uint8Array(Buffer.concat([head, ...parts]))
}

function bind(file: Uint8Array) {
  const checkpoint = openCheckpoint('a.gguf', checkpointFiles({ 'a.gguf': file }))
  const loaded = loadModel('models/llama.dsl', readProject)
  expect(summary(loaded.diagnostics)).toEqual([])
  const numbers = { config: checkpoint.config!, maximum: { seq: 16 } }
  const { format, arch } = checkpoint.table
  const table = loaded.model!.specialise(numbers).model!.checkpoint(format, arch).table!
  const { model, diagnostics } = loaded.model!.specialise({ ...numbers, hasTensorFor: hasTensorFor(table, checkpoint) })
  expect(summary(diagnostics)).toEqual([])
  return { model: model!, bound: bindWeights(model!.weights, model!.checkpoint(format, arch).table!, checkpoint) }
}

const prompt = [3, 98, 41, 7, 0, 55, 12]

/** Logits after the prompt read at once, then of one further token. */
async function logitsOf(model: Model): Promise<Float64Array> {
  const session = model.createSession()
  const first = (await session.call('prefill', { tokens: prompt, start: 0 }))[0]!.values
  const next = (await session.call('decode', { tokens: [17], start: prompt.length }))[0]!.values
  session.dispose()
  return Float64Array.from([...first, ...next])
}

const rms = (values: Float64Array): number => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length)
const distance = (a: Float64Array, b: Float64Array): number => Math.max(...a.map((x, i) => Math.abs(x - b[i]!)))

describe('every block format in one model', () => {
  const { model, bound } = bind(makeFile())
  const compile = (math: 'strict' | 'fast', targets: readonly ('wasm' | 'webgpu')[]) => {
    const { compilation, diagnostics } = compileModel(model, { targets, math, weights: bound.sources, verify: true })
    expect(summary(diagnostics)).toEqual([])
    return compilation!
  }
  const strict = compile('strict', ['wasm', 'webgpu'])
  let files: ReadonlyMap<string, Uint8Array>
  let wanted: Float64Array

  beforeAll(async () => {
    files = await packArtifact(strict.contents)
    const ties = new Map(model.weights.map(({ path, tied }) => [path, tied]))
    const weight = (path: string): { dims: readonly number[]; data: Float64Array } => {
      const source = bound.sources.get(path) ?? bound.sources.get(ties.get(path)!)!
      return { dims: source.dims, data: Float64Array.from(decodeAll(source)) }
    }
    await using reference = await load(memoryFiles(files), { device: createReferenceDevice(strict.graphs, { weight }) })
    wanted = await logitsOf(reference)
  })

  test('weights stay in the blocks of the file, row for row (with whole bytes as scales within scales)', () => {
    expect(strict.notes).toEqual([])
    const kept = new Map(strict.contents.tensors.map(({ path, format, layout, bytes }) => [path, { format, layout, bytes }]))
    expect(kept.get('embedding')).toEqual({ format: 'q6_k', layout: 'r8', bytes: (Math.ceil(vocab / 8) * 8 * embed * 212) / 256 })
    expect(kept.has('lm_head')).toBe(false)
    expect(kept.get('layers[1].attn.wq')).toEqual({ format: 'q4_k', layout: 'r8', bytes: (heads * headDim * embed * 152) / 256 })
    expect(kept.get('layers[1].mlp.up')).toEqual({ format: 'q5_1', layout: 'r8', bytes: (embed * ffn * 24) / 32 })
    expect(kept.get('layers[0].attn.wo')!.format).toBe('q5_0')
  })

  test('WASM, strict: 1e-4 of the reference', async () => {
    await using wasm = await load(memoryFiles(files), { device: 'wasm', threads: 1 })
    expect(distance(await logitsOf(wasm), wanted)).toBeLessThan(1e-4 * rms(wanted))
  })

  test('WebGPU: 1e-4 of the reference', async () => {
    await using webgpu = await load(memoryFiles(files), { device: 'webgpu', gpu: await createSoftwareGpu() })
    expect(distance(await logitsOf(webgpu), wanted)).toBeLessThan(1e-4 * rms(wanted))
  }, 300_000)

  test('WASM, fast: activations of 8 bits cost what their rounding costs, with two threads as with one', async () => {
    const fast = await packArtifact(compile('fast', ['wasm']).contents)
    await using one = await load(memoryFiles(fast), { device: 'wasm', threads: 1 })
    const found = await logitsOf(one)
    const differences = found.map((x, i) => x - wanted[i]!)
    expect((rms(differences) / rms(wanted)) ** 2).toBeLessThan(2e-3)
    expect(rms(differences)).toBeGreaterThan(1e-4 * rms(wanted))
    await using two = await load(memoryFiles(fast), { device: 'wasm', threads: 2 })
    expect(await logitsOf(two)).toEqual(found)
  })
})

test.each(['q3_k', 'iq4_xs'] as const)('%s is refused by name, with what to do', (stored) => {
  const { diagnostics } = bind(makeFile({ 'blk.1.ffn_up': stored })).bound
  expect(diagnostics.map(({ code, message }) => `${code} ${message}`)).toEqual([
    `L511 layers[1].mlp.up cannot be made from blk.1.ffn_up.weight: blk.1.ffn_up.weight is stored as ${stored}, which cannot be computed with`,
  ])
  expect(diagnostics[0]!.help).toContain('q4_k')
})
