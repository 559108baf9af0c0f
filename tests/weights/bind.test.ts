// Binding, steps, preparation and seeded weights: against small tensors worked out by index, and against the golden files.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatNames, formats, layoutBytes } from '../../compiler/formats/index.ts'
import { bindWeights, hasTensorFor, type BoundWeight } from '../../compiler/weights/bind.ts'
import { openCheckpoint } from '../../compiler/weights/checkpoint.ts'
import { globTest } from '../../compiler/weights/names.ts'
import { nodeFiles } from '../../compiler/weights/node-source.ts'
import { chunk, ropeRows, Unfit, type PlainTensor } from '../../compiler/weights/plain-tensor.ts'
import { prepareTensor } from '../../compiler/weights/prepare.ts'
import { linesUp } from '../../compiler/weights/reshape.ts'
import { seededWeights } from '../../compiler/weights/seeded.ts'
import type { StoredTensor } from '../../compiler/weights/stored-tensor.ts'
import type { BindingStep, CheckpointTable, WeightBinding } from '../../dsl/model.ts'
import type { WeightInfo } from '../../dsl/sink.ts'
import { dataPath } from './data.ts'

const span = { source: { path: 'test.dsl', text: '' }, start: 0, end: 0 }
const weight = (path: string, dims: number[], more: Partial<WeightInfo> = {}): WeightInfo => ({
  path,
  dims,
  labels: dims.map((_, i) => ['rows', 'part', 'columns'][i]!),
  quant: true,
  span,
  ...more,
})
const rule = (targets: string[], names: string[], steps: BindingStep[] = [], stacked = false): WeightBinding => ({
  targets,
  sources: names.map((name) => ({ alternatives: name.split('|') })),
  steps,
  stacked,
})
const table = (bindings: WeightBinding[], ignored: string[] = []): CheckpointTable => ({ format: 'hf', bindings, ignored })

/** f32 tensors whose values count up from 0. */
function counting(shapes: Record<string, number[]>): { tensors: Map<string, StoredTensor> } {
  const tensors = Object.entries(shapes).map(([name, dims]): [string, StoredTensor] => {
    const values = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => i)
    return [name, { name, format: 'f32', dims, file: 'test', bytes: () => new Uint8Array(values.buffer) }]
  })
  return { tensors: new Map(tensors) }
}
const valuesOf = (bound: BoundWeight | PlainTensor): number[] => {
  const values = new Float32Array(bound.dims.reduce((a, b) => a * b, 1))
  formats[bound.format].decode(bound.read(), values)
  return [...values]
}

function bindAll(shapes: Record<string, number[]>, weights: WeightInfo[], bindings: WeightBinding[]) {
  const { sources, diagnostics } = bindWeights(weights, table(bindings), counting(shapes))
  return { diagnostics, values: Object.fromEntries([...sources].map(([path, bound]) => [path, valuesOf(bound)])) }
}

describe('steps', () => {
  test('transpose and chunk: fused q, k, v of unlike heads, stored [in, out]', () => {
    const weights = [weight('q', [4, 3]), weight('k', [2, 3]), weight('v', [2, 3])]
    const { values, diagnostics } = bindAll({ fused: [3, 8] }, weights, [
      rule(['q', 'k', 'v'], ['fused'], [{ op: 'transpose' }, { op: 'chunk' }]),
    ])
    expect(diagnostics).toEqual([])
    const column = (j: number) => [j, 8 + j, 16 + j]
    expect(values).toEqual({ q: [0, 1, 2, 3].flatMap(column), k: [4, 5].flatMap(column), v: [6, 7].flatMap(column) })
  })

  test('chunk(groups): inside each head', () => {
    const weights = ['q', 'k', 'v'].map((path) => weight(path, [2, 2, 1]))
    const { values } = bindAll({ fused: [12, 1] }, weights, [rule(['q', 'k', 'v'], ['fused'], [{ op: 'chunk', groups: 2 }])])
    expect(values).toEqual({ q: [0, 1, 6, 7], k: [2, 3, 8, 9], v: [4, 5, 10, 11] })
  })

  test('stack, with the steps on each expert; join; add and scale', () => {
    const { values, diagnostics } = bindAll(
      { 'e.0': [2, 3], 'e.1': [2, 3], a: [2], b: [1] },
      [weight('experts', [2, 3, 2]), weight('joined', [3])],
      [
        rule(['experts'], ['e.0', 'e.1'], [{ op: 'transpose' }], true),
        rule(
          ['joined'],
          ['a'],
          [
            { op: 'join', names: ['b'] },
            { op: 'scale', value: 2 },
            { op: 'add', value: -1 },
          ],
        ),
      ],
    )
    expect(diagnostics).toEqual([])
    expect(values).toEqual({ experts: [0, 3, 1, 4, 2, 5, 0, 3, 1, 4, 2, 5], joined: [-1, 1, -1] })
  })

  test('rope_rows puts row 2j to j and 2j+1 to j + d/2 in each head', () => {
    const { values } = bindAll(
      { w: [8, 1] },
      [weight('w', [2, 4, 1])],
      [rule(['w'], ['w'], [{ op: 'rope_rows', heads: 2, from: 'adjacent', to: 'half' }])],
    )
    expect(values['w']).toEqual([0, 2, 1, 3, 4, 6, 5, 7])
  })

  test('rope_rows is undone by its inverse and moves packed rows as they are, in every format', () => {
    const cases = fc.record({
      name: fc.constantFrom(...formatNames),
      heads: fc.integer({ min: 1, max: 3 }),
      half: fc.integer({ min: 1, max: 4 }),
      seed: fc.nat(),
    })
    fc.assert(
      fc.property(cases, ({ name, heads, half, seed }) => {
        const width = Math.max(32, formats[name].values)
        const dims = [heads * half * 2, width]
        const bytes = new Uint8Array(layoutBytes(name, 'plain', dims[0]!, width)).map((_, i) => (i * 31 + seed) & 63)
        const there = ropeRows({ format: name, dims, read: () => bytes }, heads, 'adjacent', 'half')
        if (there instanceof Unfit) return false
        const back = ropeRows(there, heads, 'half', 'adjacent')
        return there.format === name && !(back instanceof Unfit) && Buffer.compare(back.read(), bytes) === 0
      }),
    )
  })

  test.each(formatNames)('chunk cuts %s between rows and leaves their bytes', (name) => {
    const width = Math.max(32, formats[name].values)
    const row = layoutBytes(name, 'plain', 1, width)
    const bytes = new Uint8Array(12 * row).map((_, i) => i % 251)
    // Three targets of 6, 2 and 4 rows, in two runs of 3 + 1 + 2.
    const part = chunk({ format: name, dims: [12, width], read: () => bytes }, 8, 4, 2)
    if (part instanceof Unfit) throw new Error(part.why)
    expect([part.format, part.dims]).toEqual([name, [4, width]])
    const wanted = [4, 5, 10, 11].map((at) => bytes.subarray(at * row, (at + 1) * row))
    expect(Buffer.compare(part.read(), Buffer.concat(wanted))).toBe(0)
  })
})

describe('what does not fit', () => {
  test('L510 with both factorisations and the size that would explain the file', () => {
    const wk = weight('layers[0].attn.wk', [32, 128, 4096], { labels: ['kv_heads', 'head_dim', 'embed'] })
    const { tensors } = counting({ k: [0] })
    tensors.set('k', { name: 'k', format: 'f32', dims: [1024, 4096], file: 'model.safetensors', bytes: () => new Uint8Array() })
    const { diagnostics } = bindWeights([wk], table([rule([wk.path], ['k'])]), { tensors })
    expect(diagnostics.map(({ code, severity }) => [code, severity])).toEqual([['L510', 'error']])
    const said = [diagnostics[0]!.message, ...diagnostics[0]!.notes, diagnostics[0]!.help].join('\n')
    for (const part of [
      '[1024, 4096]',
      '[kv_heads, head_dim, embed] = [32, 128, 4096] = [4096, 4096]',
      'kv_heads = 8',
      '--set kv_heads=8',
    ]) {
      expect(said).toContain(part)
    }
  })

  test('a matrix the other way round is not taken, and the message says so', () => {
    const { diagnostics } = bindAll({ w: [3, 2] }, [weight('w', [2, 3])], [rule(['w'], ['w'])])
    expect(diagnostics[0]).toMatchObject({ code: 'L510', help: expect.stringContaining('transpose') })
  })

  test('L501 for missing tensors (nearest names) and weights without a rule (names of fitting size); L520 for the rest', () => {
    const { diagnostics } = bindAll(
      { 'model.norm.weight': [4], other: [6] },
      [weight('gain', [4]), weight('w', [2, 3])],
      [rule(['gain'], ['model.nrm.weight|norm'])],
    )
    expect(diagnostics.map(({ code }) => code)).toEqual(['L501', 'L501', 'L520'])
    expect(diagnostics[0]!.help).toContain('model.norm.weight')
    expect(diagnostics[1]!.help).toContain('w <- "other"')
    expect(diagnostics[2]!.notes).toEqual(['model.norm.weight', 'other'])
  })

  test('ignored, loose, tied and its stored copy', () => {
    const file = counting({ table: [2, 2], head: [2, 2], 'a.0.b': [1] })
    const weights = [weight('table', [2, 2]), weight('head', [2, 2], { tied: 'table' })]
    const bindings = [rule(['table'], ['table']), rule(['head'], ['head'])]
    expect(bindWeights(weights, table(bindings, ['a.*.b']), file).diagnostics).toEqual([])
    expect(bindWeights(weights, table(bindings), file, { loose: true }).diagnostics).toMatchObject([{ code: 'L520', severity: 'warning' }])
    expect([...bindWeights(weights, table(bindings), file).sources.keys()]).toEqual(['table'])
    expect(hasTensorFor(table(bindings), file)('head')).toBe(true)
    expect(hasTensorFor(table(bindings), counting({ table: [2, 2] }))('head')).toBe(false)
  })

  test('storage types that cannot be decoded and steps that no size would make fit are L511, others L510', () => {
    const file = counting({ w: [2, 3], t: [1, 2, 3] })
    file.tensors.set('k', { ...file.tensors.get('w')!, format: 'q3_k' })
    const bindings = [
      rule(['a'], ['k']),
      rule(['b'], ['t'], [{ op: 'transpose' }]),
      rule(['c'], ['w'], [{ op: 'rope_rows', heads: 2, from: 'adjacent', to: 'half' }]),
    ]
    const { diagnostics } = bindWeights([weight('a', [2, 3]), weight('b', [2, 3]), weight('c', [2, 3])], table(bindings), file)
    expect(diagnostics.map(({ code }) => code)).toEqual(['L511', 'L511', 'L510'])
    expect(diagnostics.map(({ help }) => help?.includes('q6_k'))).toEqual([true, undefined, undefined])
  })

  test('shapes line up when one refines the other', () => {
    expect(linesUp([1024, 4096], [8, 128, 4096])).toBe(true)
    expect(linesUp([6, 4], [4, 6])).toBe(false)
    expect(linesUp([1, 6], [6])).toBe(true)
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 5 }), fc.nat(3), (dims, at) => {
        const cut = Math.min(at, dims.length - 1)
        const merged = [...dims.slice(0, cut), dims.slice(cut).reduce((a, b) => a * b, 1)]
        return linesUp(dims, merged) && linesUp(merged, dims)
      }),
    )
  })

  test('globs', () => {
    expect(['a.0.b', 'a.x.y.b', 'a..b'].every(globTest('a.*.b'))).toBe(true)
    expect(['a.b', 'a.0.bc', 'xa.0.b'].some(globTest('a.*.b'))).toBe(false)
    expect(['h.1.attn.bias', 'transformer.h.1.attn.bias'].every(globTest('transformer.?h.*.attn.bias'))).toBe(true)
    expect(globTest('*a*a*a*a*a*a*b')('a'.repeat(50000))).toBe(false)
  })
})

describe('preparation', () => {
  const shapes = fc.record({
    rows: fc.integer({ min: 1, max: 20 }),
    blocks: fc.integer({ min: 1, max: 2 }),
    name: fc.constantFrom(...formatNames),
  })

  test('r8 of any row count unpacks to the plain rows and zeros', () => {
    fc.assert(
      fc.property(shapes, ({ rows, blocks, name }) => {
        const k = blocks * Math.max(32, formats[name].values)
        // No half is a NaN: f16 refuses those.
        const plain = new Uint8Array(layoutBytes(name, 'plain', rows, k)).map((_, i) => (i * 7 + 1) & 0xbf)
        const packed = prepareTensor(
          { path: 'w', dims: [rows, k], format: name, read: () => plain },
          { format: name, layout: 'r8', rows, k },
        )
        if (packed.length !== layoutBytes(name, 'r8', rows, k)) return false
        const group = layoutBytes(name, 'r8', 8, k)
        const back = new Uint8Array(layoutBytes(name, 'plain', Math.ceil(rows / 8) * 8, k))
        for (let g = 0; g * 8 < rows; g++) {
          const target = back.subarray(g * layoutBytes(name, 'plain', 8, k), (g + 1) * layoutBytes(name, 'plain', 8, k))
          formats[name].unpackGroup(packed.subarray(g * group, (g + 1) * group), k, target)
        }
        return Buffer.compare(back.subarray(0, plain.length), plain) === 0 && back.subarray(plain.length).every((byte) => byte === 0)
      }),
    )
  })

  test('another format is what decoding and encoding the whole gives', () => {
    fc.assert(
      fc.property(shapes, fc.constantFrom(...formatNames), ({ rows, blocks, name }, to) => {
        const k = blocks * Math.max(32, formats[name].values, formats[to].values)
        const values = Float32Array.from({ length: rows * k }, (_, i) => Math.fround(Math.sin(i * 1.7) * 3))
        const stored = new Uint8Array(layoutBytes(name, 'plain', rows, k))
        formats[name].encode(values, stored)
        formats[name].decode(stored, values)
        const wanted = new Uint8Array(layoutBytes(to, 'plain', rows, k))
        if (to === name) wanted.set(stored)
        else formats[to].encode(values, wanted)
        const got = prepareTensor(
          { path: 'w', dims: [rows, k], format: name, read: () => stored },
          { format: to, layout: 'plain', rows, k },
        )
        return Buffer.compare(got, wanted) === 0
      }),
    )
  })
})

test('seeded weights depend on seed and path only, and have the wanted spread', () => {
  const weights = [weight('a.w', [300, 64]), weight('n.gain', [4096]), weight('n.bias', [4096]), weight('t', [300, 64], { tied: 'a.w' })]
  const all = seededWeights(weights, 7)
  expect([...all.keys()]).toEqual(['a.w', 'n.gain', 'n.bias'])
  const alone = seededWeights([weights[2]!], 7)
  expect(valuesOf(alone.get('n.bias')!)).toEqual(valuesOf(all.get('n.bias')!))
  expect(valuesOf(seededWeights(weights, 8).get('n.bias')!)).not.toEqual(valuesOf(all.get('n.bias')!))
  const moments = (path: string) => {
    const values = valuesOf(all.get(path)!)
    const mean = values.reduce((a, b) => a + b, 0) / values.length
    return [mean, Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length)]
  }
  for (const [path, mean, deviation] of [
    ['a.w', 0, 0.125],
    ['n.gain', 1, 0.1],
    ['n.bias', 0, 0.1],
  ] as const) {
    expect(Math.abs(moments(path)[0]! - mean)).toBeLessThan(deviation * 0.06)
    expect(Math.abs(moments(path)[1]! / deviation - 1)).toBeLessThan(0.06)
  }
})

test("mixtral's experts are stacked from the golden file", () => {
  const checkpoint = openCheckpoint(dataPath('hf-golden/mixtral'), nodeFiles)
  const names = [0, 1, 2, 3].map((e) => `model.layers.0.block_sparse_moe.experts.${e}.w1.weight`)
  const [rows, columns] = checkpoint.tensors.get(names[0]!)!.dims as [number, number]
  const bound = bindWeights([weight('gate', [4, rows, columns])], table([rule(['gate'], names, [], true)], ['*']), checkpoint)
  expect(bound.diagnostics).toEqual([])
  const expected = Buffer.concat(names.map((name) => checkpoint.tensors.get(name)!.bytes()))
  expect(Buffer.compare(bound.sources.get('gate')!.read(), expected)).toBe(0)
})
