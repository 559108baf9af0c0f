// A model small enough to know by heart: states hold the ids, and the scores after ids t₀…tₙ are a hash of all of them. So any
// mistake in positions, chunks, forks or queues changes the numbers. It runs on a fake Device, no program inside.
import { packArtifact } from '../../compiler/artifact/write.ts'
import type { ArtifactContents } from '../../compiler/artifact/write.ts'
import type { AffineJson, EntryManifest } from '../../runtime/artifact/manifest.ts'
import type { ArgumentArray, Device, ResultArray, States } from '../../runtime/devices/device.ts'
import { LlamacError } from '../../runtime/error.ts'
import type { CompactTokenizer } from '../../runtime/tokenizer/compact.ts'

export const vocab = 17
export const context = 32
export const chunk = 5

const size = (constant: number, ...terms: [string, number][]): AffineJson => ({ const: constant, terms })
const start = { kind: 'index', name: 'start' } as const
const tokens = (dim: AffineJson) => ({ kind: 'tensor', name: 'tokens', dtype: 'i32', dims: [dim], labels: ['seq'], below: vocab }) as const
const symbols = [
  { name: 'seq', kind: 'size', min: 1, max: chunk },
  { name: 'start', kind: 'index', min: 0, max: context - 1 },
] as const
const end = { left: size(0, ['seq', 1], ['start', 1]), right: context, why: 'keys[ctx: start ..+ seq]' }
const scores = { dtype: 'f32', dims: [size(vocab)], labels: ['vocab'] } as const

export const entries: readonly EntryManifest[] = [
  {
    name: 'prefill',
    role: 'prefill',
    doc: 'Reads */ tokens.',
    arguments: [tokens(size(0, ['seq', 1])), start],
    symbols,
    limits: [end],
    results: [scores],
  },
  {
    name: 'decode',
    role: 'decode',
    arguments: [tokens(size(1)), start],
    symbols: [symbols[1]],
    limits: [{ ...end, left: size(1, ['start', 1]) }],
    results: [scores],
  },
  {
    name: 'score',
    role: 'score',
    arguments: [tokens(size(0, ['seq', 1])), start],
    symbols,
    limits: [end],
    results: [{ dtype: 'f32', dims: [size(0, ['seq', 1]), size(vocab)], labels: ['seq', 'vocab'] }],
  },
  {
    name: 'add',
    arguments: [{ kind: 'tensor', name: 'x', dtype: 'f32', dims: [size(0, ['n', 1]), size(2)], labels: ['n', 'two'] }],
    symbols: [{ name: 'n', kind: 'size', min: 1, max: 3 }],
    limits: [],
    results: [
      { dtype: 'f32', dims: [size(0, ['n', 1])], labels: ['n'] },
      { dtype: 'f32', dims: [], labels: [] },
    ],
  },
]

/** Letters a…m, a space, and the three specials: one character per token. */
export const tokenizer: CompactTokenizer = {
  version: 2,
  kind: 'spm',
  pieces: ['<unk>', '<s>', '</s>', '▁', ...'abcdefghijklm'],
  scores: Array.from({ length: vocab }, () => 0),
  special: [0, 1, 2],
  bytes: [],
  bos: 1,
  eos: 2,
  unknown: 0,
  addBos: true,
  addPrefixSpace: false,
}

export const contents: ArtifactContents = {
  manifest: {
    generator: 'test',
    model: 'Fake',
    config: {},
    parameters: 0,
    math: 'strict',
    entries,
    states: [{ path: 'ids', dtype: 'i32', dims: [context], offset: 0, bytes: context * 4 }],
  },
  tensors: [],
  withWeights: true,
  variants: [{ target: 'reference', requires: [] }],
  tokenizer,
}

export const pack = (): Promise<ReadonlyMap<string, Uint8Array>> => packArtifact(contents)

/** The scores after a list of ids. */
export function scoresAfter(ids: readonly number[]): Float32Array {
  let hash = 2166136261
  for (const id of ids) hash = Math.imul(hash ^ id, 16777619)
  return Float32Array.from({ length: vocab }, (_, token) => {
    let mixed = Math.imul(hash ^ (token * 0x9e3779b9), 0x85ebca6b)
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
    return ((mixed ^ (mixed >>> 16)) >>> 8) / 0x400000
  })
}

class FakeStates implements States {
  readonly ids: number[] = []
  live = true
  dispose(): void {
    this.live = false
  }
}

export class FakeDevice implements Device {
  readonly name = 'fake'
  readonly log: { entry: string; ids: number[]; start: number }[] = []
  readonly sessions: FakeStates[] = []
  disposed = false
  /** Runs after which the device is lost. */
  lostAfter = Infinity
  #running = 0

  createStates(): States {
    const states = new FakeStates()
    this.sessions.push(states)
    return states
  }

  copyStates(from: States): States {
    const states = this.createStates() as FakeStates
    states.ids.push(...(from as FakeStates).ids)
    return states
  }

  async run(
    entry: string,
    symbols: Readonly<Record<string, number>>,
    inputs: Readonly<Record<string, ArgumentArray>>,
    states: States,
  ): Promise<ResultArray[]> {
    if (this.disposed || !(states as FakeStates).live || this.#running > 0) throw new Error('internal: the device was misused')
    if (this.log.length >= this.lostAfter) throw new LlamacError('E_DEVICE_LOST', 'lost')
    this.#running++
    try {
      await new Promise((resolve) => setTimeout(resolve))
      if (entry === 'add') {
        const x = inputs.x!
        const sums = Float32Array.from({ length: symbols.n! }, (_, row) => x[2 * row]! + x[2 * row + 1]!)
        return [sums, Float32Array.of(sums.reduce((a, b) => a + b, 0))]
      }
      const { ids } = states as FakeStates
      const from = symbols.start!
      const read = [...inputs.tokens!]
      this.log.push({ entry, ids: read, start: from })
      ids.splice(from, read.length, ...read)
      if (entry !== 'score') return [scoresAfter(ids.slice(0, from + read.length))]
      const rows = read.map((_, row) => scoresAfter(ids.slice(0, from + row + 1)))
      return [Float32Array.from(rows.flatMap((row) => [...row]))]
    } finally {
      this.#running--
    }
  }

  dispose(): void {
    this.disposed = true
  }
}
