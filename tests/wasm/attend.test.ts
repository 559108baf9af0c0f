// Attention on WASM for any grouping, mask and length: against the reference, and the same bits on 1 to 4 threads. Lengths lie around
// the sizes of tiles and chunks; weights of the softmax run from nearly equal to nearly one. Keys and values are arguments, or
// caches of halves or of blocks of 8 bits, which then hold numbers that those have.

import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { referenceOf } from '../../cli/project.ts'
import { compile, packageSources } from '../../compiler/index.ts'
import { quantise } from '../../compiler/ops/quantise.ts'
import type { Tensor } from '../../compiler/ops/tensor.ts'
import { partsOf } from '../../compiler/schedule/loops.ts'
import { f16FromNumber, f16ToNumber } from '../../compiler/formats/halves.ts'
import { load, memoryFiles, type Model } from '../../runtime/index.ts'

interface Form {
  readonly heads: number
  readonly groups: number
  readonly size: number
  readonly ends?: number
  readonly mask: string
  readonly more?: string
  /** Keys and values come from caches that are stored so. */
  readonly cached?: 'f16' | 'q8_0'
}

const forms: Readonly<Record<string, Form>> = {
  'three heads a key': { heads: 6, groups: 2, size: 8, mask: 'causal(at, iota(t))' },
  'a head a key, all seen': { heads: 2, groups: 2, size: 12, ends: 20, mask: 'expand(iota(t), [seq, t]) >= 0' },
  'one key for all heads, a window': { heads: 7, groups: 1, size: 4, ends: 8, mask: 'sliding(at, iota(t), window: 70)' },
  'eight heads a key, capped': { heads: 8, groups: 1, size: 8, mask: 'causal(at, iota(t))', more: 'softcap: 3.0' },
  'a bias, and every third masked': {
    heads: 4,
    groups: 2,
    size: 8,
    mask: 'expand(iota(t), [seq, t]) % 3 != 0',
    more: 'bias: expand(f32(iota(t)) * 0.01, [seq, heads, t])',
  },
  'halves, a head a key': { heads: 2, groups: 2, size: 20, mask: 'causal(at, iota(t))', cached: 'f16' },
  'halves, two heads a key': { heads: 4, groups: 2, size: 8, ends: 12, mask: 'expand(iota(t), [seq, t]) >= 0', cached: 'f16' },
  'halves, three heads a key': { heads: 6, groups: 2, size: 16, mask: 'causal(at, iota(t))', cached: 'f16' },
  'halves, seven heads': { heads: 7, groups: 1, size: 4, ends: 8, mask: 'sliding(at, iota(t), window: 70)', cached: 'f16' },
  'halves, six heads': { heads: 6, groups: 1, size: 8, mask: 'causal(at, iota(t))', more: 'softcap: 3.0', cached: 'f16' },
  'blocks, a head a key': { heads: 2, groups: 2, size: 32, mask: 'causal(at, iota(t))', cached: 'q8_0' },
  'blocks, two heads a key': { heads: 4, groups: 2, size: 32, ends: 96, mask: 'expand(iota(t), [seq, t]) >= 0', cached: 'q8_0' },
  'blocks, three heads a key': { heads: 3, groups: 1, size: 64, ends: 32, mask: 'causal(at, iota(t))', cached: 'q8_0' },
  'blocks, seven heads': { heads: 7, groups: 1, size: 32, mask: 'sliding(at, iota(t), window: 70)', cached: 'q8_0' },
  'blocks, six heads': { heads: 6, groups: 1, size: 32, ends: 64, mask: 'causal(at, iota(t))', cached: 'q8_0' },
  'blocks of keys, halves of values': { heads: 4, groups: 1, size: 64, ends: 8, mask: 'causal(at, iota(t))', cached: 'q8_0' },
  'two heads a key, those before': { heads: 4, groups: 2, size: 8, mask: 'expand(at, [seq, t]) > iota(t)' },
}

const most = { seq: 19, t: 520 }
/** Chunks of so many positions are several tiles. */
const long = 2100

const inRoom = (text: string): string => text.replaceAll('iota(t)', 'iota(room = t)').replaceAll('[seq, t]', '[seq, room = t]')

const cachedText = ({ heads, groups, size, ends = size, mask, more }: Form, room: number): string => `module probe
import std.attention { attend, causal, sliding }
config Sizes { heads: dim = ${heads}  groups: dim = ${groups}  size: dim = ${size}  ends: dim = ${ends}  room: dim = ${room} }
model Probe uses Sizes {
  state keys:   real[room, groups, size]
  state values: real[room, groups, ends]
  entry fill(k: real[n, groups, size], v: real[n, groups, ends]) {
    store keys[room: 0 ..+ n] = k
    store values[room: 0 ..+ n] = v
  }
  entry read(q: real[seq, heads, size], t: index, start: index) -> real[seq, heads, ends] {
    let at = start + iota(seq)
    return attend(q, keys[room: 0 ..+ t], values[room: 0 ..+ t], mask: ${inRoom(mask)}${more ? `, ${more}` : ''})
  }
  entry one = read with seq = 1
}
`

const textOf = ({ heads, groups, size, ends = size, mask, more }: Form): string => `module probe
import std.attention { attend, causal, sliding }
config Sizes { heads: dim = ${heads}  groups: dim = ${groups}  size: dim = ${size}  ends: dim = ${ends} }
model Probe uses Sizes {
  entry read(q: real[seq, heads, size], k: real[t, groups, size], v: real[t, groups, ends], start: index) -> real[seq, heads, ends] {
    let at = start + iota(seq)
    return attend(q, k, v, mask: ${mask}${more ? `, ${more}` : ''})
  }
  entry one = read with seq = 1
}
`

interface Compiled {
  readonly form: Form
  readonly reference: Model
  readonly teams: readonly Model[]
}

const models: Model[] = []
afterAll(async () => {
  for (const model of models) await model.dispose()
})

async function compiled(form: Form, math: 'strict' | 'fast', t = most.t): Promise<Compiled> {
  const sources = packageSources(new Map([['probe.dsl', form.cached ? cachedText(form, t) : textOf(form)]]))
  const result = await compile(sources, {
    entry: 'probe.dsl',
    seedWeights: 1,
    math,
    ...(form.cached ? { cache: form.cached, maximum: { seq: most.seq, n: t } } : { maximum: { ...most, t } }),
  })
  if (!result.ok) throw new Error(result.diagnostics.map(({ message }) => message).join('; '))
  const functions = [...result.compilation.results[0]!.plan!.functions.values()]
  // A function that walks in tiles, and one in chunks that are joined: were it the general schedule, nothing here would be tested.
  const attends = functions.filter(({ name }) => !name.startsWith('fill'))
  expect(attends.map((fn) => partsOf(fn).length)).toEqual([1, 2])
  for (const fn of attends) expect(fn.operands.some(({ name }) => name === 'scratch0')).toBe(true)
  const source = memoryFiles(result.artifact)
  const reference = await load(source, { device: referenceOf(result as never) })
  const teams = await Promise.all([1, 2, 3, 4].map((threads) => load(source, { device: 'wasm', threads })))
  models.push(reference, ...teams)
  return { form, reference, teams }
}

const lengths = fc.oneof(
  fc.integer({ min: 1, max: 9 }),
  fc.constantFrom(59, 60, 61, 63, 64, 119, 120, 121, 127, 240, 241, 256, 257, 300, 479, 480, 481, 513),
  fc.integer({ min: 1, max: most.t }),
)
const calls = fc.record({
  seq: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: most.seq })),
  t: lengths,
  first: fc.integer({ min: 0, max: most.t }),
  seed: fc.nat(),
  scale: fc.constantFrom(0.1, 1, 8),
})

/** Numbers between -1 and 1. */
function numbers(count: number, seed: number): Float32Array {
  let state = seed | 1
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1103515245) + 12345) | 0
    return state / 2 ** 31
  })
}

/** The nearest numbers that blocks of 32 in 8 bits hold. */
function inBlocks(values: Float32Array): Float32Array {
  const x = { dtype: 'f32', dims: [values.length], data: Float64Array.from(values) } as const
  return Float32Array.from((quantise.evaluate([x], { scale: 'f16' }, { mode: 'typed' } as never) as Tensor).data)
}

type Call = typeof calls extends fc.Arbitrary<infer T> ? T : never

/** One call against the reference, and the same bits from all teams. */
async function check({ form, reference, teams }: Compiled, { seq, t, first, seed, scale }: Call): Promise<void> {
  const { heads, groups, size, ends = size } = form
  const given = {
    q: numbers(seq * heads * size, seed).map((x) => x * scale),
    k: numbers(t * groups * size, seed + 1).map((x) => x * scale),
    v: numbers(t * groups * ends, seed + 2),
    start: first % (t + 1),
  }
  const { k, v, ...asked } = given
  const held = (values: Float32Array, width: number): Float32Array =>
    form.cached === 'q8_0' && width % 32 === 0 ? inBlocks(values) : values.map((x) => f16ToNumber(f16FromNumber(x)))
  const entry = seq === 1 ? 'one' : 'read'
  const run = async (model: Model): Promise<Float32Array> => {
    const session = model.createSession()
    if (form.cached) await session.call('fill', { k: held(k, size), v: held(v, ends) })
    const [result] = await session.call(entry, form.cached ? { ...asked, t } : given)
    session.dispose()
    return result!.values as Float32Array
  }
  const wanted = await run(reference)
  const results: Float32Array[] = []
  for (const team of teams) results.push(await run(team))
  // Scores are up to scale² in size, and exponents err by as much of them.
  const exact = 2e-6 * (1 + scale * scale)
  // Whole numbers of 16 bits. Queries are within half a step, scale / 32767, so scores within √size · scale / 65534, and what comes of it
  // within twice that. Weights, at most 1, are within half of 1 / 32767 each: six deviations of the sum of t such errors times values.
  const rounding = 2 ** -15 * (Math.sqrt(size) * scale + Math.sqrt(t))
  const bound = form.cached === 'q8_0' ? exact + rounding : exact
  for (const [i, value] of wanted.entries()) expect(Math.abs(results[0]![i]! - value), `element ${i}`).toBeLessThan(bound)
  for (const other of results.slice(1)) expect(Buffer.compare(Buffer.from(other.buffer), Buffer.from(results[0]!.buffer))).toBe(0)
}

test.each(Object.entries(forms).flatMap(([name, form]) => (['strict', 'fast'] as const).map((math) => [name, math, form] as const)))(
  '%s, %s math',
  async (_, math, form) => {
    const each = await compiled(form, math)
    await fc.assert(
      fc.asyncProperty(calls, (call) => check(each, call)),
      { numRuns: math === 'strict' ? 10 : 4 },
    )
  },
  60_000,
)

test.each(['three heads a key', 'halves, three heads a key', 'blocks, three heads a key'])('%s, tiles of a chunk', async (name) => {
  const each = await compiled(forms[name]!, 'fast', long)
  for (const t of [1921, 1999, long]) await check(each, { seq: 1, t, first: t - 1, seed: t, scale: 1 })
})
