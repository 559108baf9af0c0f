// The model that is known by heart (fake-model.ts) as a program for the fake GPU: states hold the ids, the scores after them are a hash of
// all, and of a weight. The sampler is the CPU's, from the words that the runtime writes.
import { packArtifact } from '../../compiler/artifact/write.ts'
import type { WebgpuDispatch, WebgpuProgram } from '../../runtime/artifact/manifest.ts'
import { samplingWords } from '../../runtime/artifact/webgpu-program.ts'
import { createSampler } from '../../runtime/sampling.ts'
import { fakeGpu, type FakeKernel } from '../support/fake-gpu.ts'
import { contents, context, entries, scoresAfter, vocab } from './fake-model.ts'

const place = { tokens: 0, scores: 256, sums: 512 }
const buffers: WebgpuProgram['buffers'] = [
  { kind: 'uniform', bytes: 256 + 48 },
  { kind: 'tensor', tensor: 0, offset: 0, bytes: 16 },
  { kind: 'state', state: 0, bytes: context * 4 },
  { kind: 'arena', bytes: 1024 },
  { kind: 'seen', bytes: 80 },
  { kind: 'arena', bytes: 16 },
]
const dispatch = (module: number, ...bound: number[]): WebgpuDispatch => ({
  module,
  bindings: bound.map((buffer) => ({ buffer, offset: 0, bytes: buffers[buffer]!.bytes })),
  workgroups: [[{ size: { const: 1, terms: [] }, divisor: 1 }]],
})
const modules = ['read', 'read one', 'score', 'add', 'choose'] as const
const run = (module: (typeof modules)[number]): WebgpuDispatch => dispatch(modules.indexOf(module), 0, 1, 2, 3)
const at = (offset: number) => ({ buffer: 3, offset })
const draw = [dispatch(modules.indexOf('choose'), 0, 3, 4, 5)]

const program: WebgpuProgram = {
  modules: modules.map((name) => ({ name, wgsl: name })),
  buffers,
  entries: {
    prefill: {
      symbols: ['seq', 'start'],
      arguments: { tokens: at(place.tokens) },
      results: [at(place.scores)],
      dispatches: [run('read')],
      draw,
    },
    decode: { symbols: ['start'], arguments: { tokens: at(64) }, results: [at(place.scores)], dispatches: [run('read one')], draw },
    score: { symbols: ['seq', 'start'], arguments: { tokens: at(place.tokens) }, results: [at(place.scores)], dispatches: [run('score')] },
    add: { symbols: ['n'], arguments: { x: at(128) }, results: [at(160), at(176)], dispatches: [run('add')] },
  },
  sampler: { parameters: 256, chosen: { buffer: 5, offset: 0 }, seen: 4, feeds: { entry: 'decode', argument: 'tokens' } },
}

const weight = 5

/** Reads `count` ids; gives those up to each of them. */
function reading(weights: Int32Array, state: Int32Array, ids: Int32Array, start: number): number[][] {
  state.set(ids, start)
  return [...ids].map((_, i) => (weights[0] === weight ? [...state.subarray(0, start + i + 1)] : [0]))
}

const f32 = (words: Int32Array<ArrayBuffer>): Float32Array<ArrayBuffer> => new Float32Array(words.buffer, words.byteOffset, words.length)

const kernels: Readonly<Record<(typeof modules)[number], FakeKernel>> = {
  read([seq, start]: Int32Array, weights: Int32Array, state: Int32Array, arena: Int32Array<ArrayBuffer>) {
    f32(arena).set(scoresAfter(reading(weights, state, arena.slice(0, seq), start!).at(-1)!), place.scores / 4)
  },
  'read one'([start]: Int32Array, weights: Int32Array, state: Int32Array, arena: Int32Array<ArrayBuffer>) {
    f32(arena).set(scoresAfter(reading(weights, state, arena.slice(16, 17), start!)[0]!), place.scores / 4)
  },
  score([seq, start]: Int32Array, weights: Int32Array, state: Int32Array, arena: Int32Array<ArrayBuffer>) {
    for (const [row, ids] of reading(weights, state, arena.slice(0, seq), start!).entries())
      f32(arena).set(scoresAfter(ids), place.scores / 4 + row * vocab)
  },
  add([n]: Int32Array, _: Int32Array, __: Int32Array, arena: Int32Array<ArrayBuffer>) {
    const values = f32(arena)
    const sums = Array.from({ length: n! }, (_, row) => values[32 + 2 * row]! + values[33 + 2 * row]!)
    values.set(sums, 40)
    values[44] = sums.reduce((a, b) => a + b, 0)
  },
  choose(uniform: Int32Array<ArrayBuffer>, arena: Int32Array<ArrayBuffer>, seen: Int32Array, chosen: Int32Array) {
    const [words, reals] = [uniform.subarray(64), f32(uniform.subarray(64))]
    const value = (name: (typeof samplingWords)[number], of: Int32Array | Float32Array = words): number => of[samplingWords.indexOf(name)]!
    const position = value('position')
    const options = {
      temperature: value('temperature', reals),
      topK: value('top_k'),
      topP: value('top_p', reals),
      minP: value('min_p', reals),
      repetitionPenalty: value('penalty', reals),
      repetitionWindow: position,
    }
    const lately = [...seen.keys()].filter((id) => seen[id]! <= position && seen[id]! > Math.max(0, position - value('window')))
    const sampler = createSampler(options, (value('seed_low') >>> 0) + 2 ** 32 * value('seed_high'))
    const token = sampler.sample(f32(arena).slice(place.scores / 4, place.scores / 4 + vocab), position, lately)
    chosen[0] = token
    arena[16] = token
    seen[token] = position + 1
  },
}

export const gpu = (): GPU => fakeGpu(kernels)

export const packForGpu = (): Promise<ReadonlyMap<string, Uint8Array>> =>
  packArtifact({
    ...contents,
    manifest: { ...contents.manifest, entries: [...entries] },
    tensors: [
      {
        path: 'weight',
        dims: [4],
        format: 'f32',
        layout: 'plain',
        bytes: 16,
        pieces: () => [new Uint8Array(Int32Array.of(weight, 0, 0, 0).buffer)],
      },
    ],
    variants: [{ target: 'webgpu', requires: [], program }],
  })
