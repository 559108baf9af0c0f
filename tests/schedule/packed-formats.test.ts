// Every storage format on every target (on WebGPU one for each way of quants and scales), against sums in f64 of the values that its blocks decode to: one token and
// several, rows that are no multiple of 8, rows that begin in the middle of a packed group, single rows taken from a packed matrix.
// Blocks are random bytes (all quants, all scales), with halves of both signs, denormal ones among them.

import { expect, test } from 'vitest'
import { type FormatName, formatNames, formats } from '../../compiler/formats/index.ts'
import { roundEven } from '../../compiler/ops/tensor.ts'
import { constant } from '../../dsl/affine.ts'
import { type BuiltEntry, builtEntry, builtWeight, span, withCompiled } from '../support/built-model.ts'
import { createSoftwareGpu } from '../support/dawn.ts'
import { randomBlocks } from '../support/random-blocks.ts'

let state = 1
const random = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) | 0
  return (state >>> 8) / 2 ** 24
}

const rows = 13
const [heads, head] = [3, 4]
/** Few, and enough for a tile. */
const [few, many] = [5, 9]
const ids = [12, 0, 7]

interface Case {
  readonly name: FormatName
  readonly k: number
  readonly one: Float64Array
  readonly few: Float64Array
  readonly many: Float64Array
  readonly matrix: Float64Array
  readonly cut: Float64Array
  readonly entry: BuiltEntry
}

const cases = formatNames.map((name): Case => {
  const k = formats[name].values === 256 ? 512 : 96
  const activations = (count: number): Float64Array => Float64Array.from({ length: count }, () => Math.fround(2 * random() - 1))
  const whole = randomBlocks(name, rows, k, random)
  const cut = randomBlocks(name, heads * head, k, random)
  const weights = [
    builtWeight(`${name}.whole`, [rows, k], whole.values, { format: name, bytes: whole.bytes }),
    builtWeight(`${name}.cut`, [heads, head, k], cut.values, { format: name, bytes: cut.bytes }),
  ]
  const entry = builtEntry(
    name,
    (builder) => {
      const given = (argument: string, dims: readonly number[]) =>
        builder.argument(argument, { dtype: 'f32', dims: dims.map(constant) }, span)
      const [w, v] = weights.map(({ info }) => builder.weight(info.path, span))
      const one = given('one', [k])
      const chosen = builder.argument('ids', { dtype: 'i32', dims: [constant(ids.length)] }, span)
      return [
        builder.dot(one, w!, [[0, 1]], [], span),
        builder.dot(given('many', [many, k]), w!, [[1, 1]], [], span),
        builder.dot(given('few', [few, k]), v!, [[1, 2]], [], span),
        builder.gather(w!, 0, chosen, [], span),
      ]
    },
    { weights },
  )
  return {
    name,
    k,
    one: activations(k),
    few: activations(few * k),
    many: activations(many * k),
    matrix: whole.values,
    cut: cut.values,
    entry,
  }
})

/** As `quantise` rounds: blocks of 32, to 127 steps. */
function rounded(x: Float64Array): Float64Array {
  const out = new Float64Array(x.length)
  for (let from = 0; from < x.length; from += 32) {
    const part = x.subarray(from, from + 32)
    const d = Math.fround(Math.max(...part.map(Math.abs)) / 127)
    for (const [i, value] of part.entries()) out[from + i] = roundEven(Math.fround(value / d)) * d
  }
  return out
}

function expectDots(what: string, found: ArrayLike<number>, x: Float64Array, w: Float64Array, k: number): void {
  const count = w.length / k
  expect(found.length, what).toBe((x.length / k) * count)
  for (const [i, value] of Array.from(found).entries()) {
    const [t, row] = [Math.floor(i / count), i % count]
    let [sum, size, most] = [0, 0, 0]
    for (let j = 0; j < k; j++) {
      sum += x[t * k + j]! * w[row * k + j]!
      size += Math.abs(x[t * k + j]!)
      most = Math.max(most, Math.abs(w[row * k + j]!))
    }
    // Products and offsets are summed apart, each as large as the largest weight.
    if (!(Math.abs(value - sum) <= 1e-6 * size * most)) expect({ what, token: t, row, value }).toEqual({ what, token: t, row, value: sum })
  }
}

// A software driver takes long to compile each of these kernels.
const some: readonly FormatName[] = ['q5_1', 'q8_0', 'q4_k', 'q6_k']
const targets = [
  ['wasm', 'strict', undefined, formatNames],
  ['wasm', 'fast', undefined, formatNames],
  ['webgpu', 'strict', undefined, some],
  ['webgpu', 'fast', 'int8', some.filter((name) => ['q8_0', 'q6_k'].includes(name))],
] as const

test.each(targets)('%s, %s math, activations %s', async (target, math, activations, names) => {
  const gpu = target === 'webgpu' ? await createSoftwareGpu() : undefined
  const chosen = cases.filter(({ name }) => names.includes(name))
  await withCompiled(
    chosen.map(({ entry }) => entry),
    { target, math, gpu, ...(activations ? { activations } : {}) },
    async (call) => {
      for (const { name, k, one, matrix, cut, ...given } of chosen) {
        const [a, b, c, taken] = await call(name, { one, few: given.few, many: given.many, ids })
        const seen =
          (activations === 'int8' || (target === 'wasm' && math === 'fast')) && formats[name].values > 1
            ? rounded
            : (x: Float64Array): Float64Array => x
        expectDots(`${name}, one token`, a!.values, seen(one), matrix, k)
        expectDots(`${name}, ${many} tokens`, b!.values, seen(given.many), matrix, k)
        expectDots(`${name}, rows from the middle of a group`, c!.values, seen(given.few), cut, k)
        const wanted = ids.flatMap((id) => Array.from(matrix.subarray(id * k, (id + 1) * k)))
        const most = Math.max(...wanted.map(Math.abs))
        expect(Math.max(...wanted.map((value, i) => Math.abs(value - taken!.values[i]!))), `${name}, rows`).toBeLessThan(1e-6 * most)
      }
    },
  )
})
