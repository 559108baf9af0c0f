// States as halves and in blocks of 8 bits: every number is stored as the nearest half, or as ggml's q8_0 has it, on every device, whatever
// lies beside it; models read their caches so; and what the command line, the artifact and `verify` say of it.

import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { verifyModel } from '../../cli/verify/verify-model.ts'
import { createNodeGpu } from '../../cli/webgpu-node.ts'
import { f16FromNumber, f16ToNumber } from '../../compiler/formats/halves.ts'
import { compile, packageSources, type Request } from '../../compiler/index.ts'
import { load, memoryFiles, type Model, readArtifact } from '../../runtime/index.ts'
import { roundEven } from '../../compiler/ops/tensor.ts'
import { compileForTest } from '../support/compiled.ts'

const opened: Model[] = []
afterAll(async () => {
  for (const model of opened) await model.dispose()
})

async function compiled(text: string, more: Partial<Request>) {
  const result = await compile(packageSources(new Map([['probe.dsl', text]])), { entry: 'probe.dsl', seedWeights: 1, ...more })
  if (!result.ok) throw new Error(result.diagnostics.map(({ message }) => message).join('; '))
  return result
}

const [room, rows] = [7, 4]
const keeper = (width: number): string => `module probe
config Sizes { room: dim = ${room}  width: dim = ${width} }
model Probe uses Sizes {
  state kept: real[room, width]
  entry put(x: real[n, width], at: index) { store kept[room: at ..+ n] = x }
  entry get() -> real[room, width] { return kept }
}
`

/** What a state holds of a number: the nearest half, the largest one beyond. */
const stored = (x: number): number => Math.max(-65504, Math.min(65504, f16ToNumber(f16FromNumber(x))))

const floats = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true }),
  fc.float({ noNaN: true, min: -1, max: 1 }),
  // Around the smallest halves, the smallest normal ones, the largest, and halfway between two.
  fc
    .tuple(
      fc.constantFrom(
        2 ** -25,
        2 ** -24,
        3 * 2 ** -25,
        2 ** -14,
        2 ** -14 - 2 ** -25,
        1 + 2 ** -11,
        1 + 3 * 2 ** -11,
        65504,
        65519,
        65520,
        1e30,
      ),
      fc.boolean(),
    )
    .map(([x, negative]) => Math.fround(negative ? -x : x)),
)

/** What a block of 32 holds, in f32 as devices compute. */
function storedBlocks(x: readonly number[]): Float32Array {
  const values = new Float32Array(x.length)
  for (let from = 0; from < x.length; from += 32) {
    const part = x.slice(from, from + 32)
    const d = Math.min(Math.fround(part.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127), 65504)
    for (const [i, value] of part.entries()) {
      const q = d > 0 ? Math.max(-127, Math.min(127, roundEven(Math.fround(value / d)))) : 0
      values[from + i] = q * f16ToNumber(f16FromNumber(d))
    }
  }
  return values
}

// Odd rows begin in the middle of a word, whose other half somebody else stores.
// Rows of one block: two of their scales share a word.
test.each([
  ['f16', 'wasm', 5],
  ['f16', 'wasm', 8],
  ['f16', 'webgpu', 5],
  ['f16', 'webgpu', 8],
  ['q8_0', 'wasm', 32],
  ['q8_0', 'wasm', 64],
  ['q8_0', 'webgpu', 32],
  ['q8_0', 'webgpu', 64],
] as const)('a state holds the nearest numbers of %s: %s, rows of %i', async (cache, device, width) => {
  const { artifact } = await compiled(keeper(width), { target: device, cache, maximum: { n: rows } })
  const model = await load(memoryFiles(artifact), device === 'wasm' ? { device } : { device, gpu: await createNodeGpu({ software: true }) })
  opened.push(model)
  const count = room * width
  expect(model.manifest.states).toMatchObject([
    cache === 'f16'
      ? { dtype: 'f16', bytes: Math.ceil(count / 2) * 4 }
      : { dtype: 'f32', format: 'q8_0', bytes: count + Math.ceil(count / 64) * 4 },
  ])
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          at: fc.integer({ min: 0, max: room - rows }),
          x: fc.array(floats, { minLength: rows * width, maxLength: rows * width }),
        }),
        {
          minLength: 1,
          maxLength: 3,
        },
      ),
      async (calls) => {
        const session = model.createSession()
        const wanted = new Float32Array(room * width)
        for (const { at, x } of calls) {
          await session.call('put', { x: Float32Array.from(x), at })
          wanted.set(cache === 'f16' ? x.map(stored) : storedBlocks(x), at * width)
        }
        const copy = session.fork()
        for (const one of [session, copy]) {
          const [got] = await one.call('get', {})
          // The sign of a zero is not looked at.
          for (const [i, value] of wanted.entries()) expect(got!.values[i]! + 0, `element ${i}`).toBe(value + 0)
          one.dispose()
        }
      },
    ),
    { numRuns: device === 'wasm' ? 60 : 12 },
  )
})

test('caches of models: half the bytes, nearly the numbers, the same on any number of threads', async () => {
  const request = {
    model: 'llama',
    checkpoint: 'hf-golden/llama-gqa',
    targets: ['wasm', 'webgpu'],
    maxSeq: 16,
    entries: ['decode'],
  } as const
  const [exact, halved] = await Promise.all([compileForTest(request), compileForTest({ ...request, cache: 'f16' })])
  const bytesOf = ({ compilation }: typeof exact): number[] => compilation.contents.manifest.states.map(({ bytes }) => bytes)
  expect(bytesOf(halved)).toEqual(bytesOf(exact).map((bytes) => bytes / 2))
  const ids = Array.from({ length: 20 }, (_, i) => (i * 7 + 3) % 100)
  const scoresOf = async (model: Model): Promise<Float32Array> => {
    opened.push(model)
    const session = model.createSession()
    for (const id of ids) await session.decode(id)
    return (await session.decode(5)).slice() as Float32Array
  }
  const wanted = await scoresOf(await exact.open('wasm'))
  const [one, two, gpu] = [
    await scoresOf(await halved.open('wasm')),
    await scoresOf(await halved.open('wasm', { threads: 2 })),
    await scoresOf(await halved.open('webgpu')),
  ]
  const usual = Math.sqrt(wanted.reduce((sum, x) => sum + x * x, 0) / wanted.length)
  const off = (got: Float32Array): number => Math.max(...wanted.map((x, i) => Math.abs(x - got[i]!))) / usual
  expect(off(one)).toBeLessThan(1e-2)
  expect(off(gpu)).toBeLessThan(1e-2)
  // Rounding changes something, or f32 was stored.
  expect(off(one)).toBeGreaterThan(1e-6)
  expect(Buffer.compare(Buffer.from(one.buffer), Buffer.from(two.buffer))).toBe(0)
})

const looking = (size: number): string => `module probe
import std.attention { attend, causal }
config Sizes { room: dim = 24  heads: dim = 4  groups: dim = 2  size: dim = ${size} }
model Probe uses Sizes {
  state keys:   real[room, groups, size]
  state values: real[room, groups, size]
  entry look(q: real[seq, heads, size], k: real[seq, groups, size], v: real[seq, groups, size], start: index) -> real[seq, heads, size] {
    let seen = start + seq
    store keys[room: start ..+ seq]   = k
    store values[room: start ..+ seq] = v
    return attend(q, keys[room: 0 ..+ seen], values[room: 0 ..+ seen], mask: causal(start + iota(seq), iota(room = seen)))
  }
}
`

test.each([
  ['f16', 'wasm', { dtype: 'f16' }, 1e-4],
  ['f16', 'webgpu', { dtype: 'f16' }, 1e-4],
  ['q8_0', 'wasm', { format: 'q8_0' }, 1e-3],
  ['q8_0', 'webgpu', { format: 'q8_0' }, 1e-3],
] as const)('verify knows of %s and of the order of states: %s', async (cache, device, stored, bound) => {
  const { artifact: made } = await compiled(looking(cache === 'f16' ? 8 : 32), { target: device, cache, maximum: { seq: 8 } })
  const source = memoryFiles(made)
  const model = await load(source, device === 'wasm' ? { device } : { device, gpu: await createNodeGpu({ software: true }) })
  opened.push(model)
  const artifact = await readArtifact(source)
  expect(artifact.manifest.states[0]).toMatchObject({ ...stored, order: [1, 0, 2] })
  const report = await verifyModel(artifact, model, { bisect: true, length: 6, seed: 1 })
  expect(report).toMatchObject({ fine: true, bound, kernels: {}, unaltered: true })
  expect(report.kernels!.kernels).toBeGreaterThan(2)
})

const summing = `module probe
model Probe {
  state sum: real[width = 4]
  state last: real[width = 4]
  entry add(x: real[width = 4]) -> real[width = 4] {
    let all = sum + x
    store sum[width: 0 ..+ 4] = all
    store last[width: 0 ..+ 4] = x
    return all
  }
}
`

test('rows that are no blocks, and parts of rows, are halves in their stead, and a note says so', async () => {
  const text = `module probe
config Sizes { room: dim = 6 }
model Probe uses Sizes {
  state odd: real[room, width = 40]
  state cut: real[room, other = 64]
  state whole: real[room, both = 64]
  entry put(x: real[n, width = 40], y: real[room, m], z: real[n, both = 64]) {
    store odd[room: 0 ..+ n] = x
    store cut[other: 0 ..+ m] = y
    store whole[room: 0 ..+ n] = z
  }
}
`
  const { compilation } = await compiled(text, { cache: 'q8_0', maximum: { n: 4, m: 4 } })
  expect(compilation.contents.manifest.states.map(({ path, dtype, format }) => [path, dtype, format])).toEqual([
    ['odd', 'f16', undefined],
    ['cut', 'f16', undefined],
    ['whole', 'f32', 'q8_0'],
  ])
  expect(compilation.notes.filter((note) => note.includes('q8_0'))).toEqual(
    ['odd', 'cut'].map((path) => `${path}: f16, since only rows of a multiple of 32 numbers that are stored whole can be q8_0`),
  )
  // Without the pass that rounds nothing is stored so.
  const plain = await compiled(text, { cache: 'q8_0', maximum: { n: 4, m: 4 }, disabledPasses: ['halve-states', 'quantise-states'] })
  expect(plain.compilation.contents.manifest.states.map(({ dtype, format }) => format ?? dtype)).toEqual(['f32', 'f32', 'f32'])
})

test('running sums stay what they are; rules by path must fit', async () => {
  const dtypes = async (cache: Request['cache']): Promise<string[]> => {
    const { compilation } = await compiled(summing, { cache })
    return compilation.contents.manifest.states.map(({ path, dtype }) => `${path} ${dtype}`)
  }
  expect(await dtypes('f16')).toEqual(['sum f32', 'last f16'])
  expect(await dtypes([{ paths: 'la*', policy: 'f16' }])).toEqual(['sum f32', 'last f16'])
  await expect(dtypes([{ paths: 'sum', policy: 'f16' }])).rejects.toThrow('no cache fits --cache sum=f16; there is, for example, last')
})
