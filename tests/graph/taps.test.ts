// Values by path (--tap): which calls a pattern means, what their results are called, and that they hold what the part gave at that
// call, whatever else becomes of the value: carried on, given, stored, told by several instances or by none but one. On models
// without weights, so that the numbers can be said here.

import { expect, test } from 'vitest'
import { referenceOf } from '../../cli/project.ts'
import { emitTypes } from '../../compiler/artifact/bindings.ts'
import { compile } from '../../compiler/index.ts'
import { buildGraph } from '../../compiler/graph/builder.ts'
import { TapPatterns } from '../../compiler/graph/taps.ts'
import { load, memoryFiles, type Model, type TensorResult } from '../../runtime/index.ts'
import { load as loadModel, numbered, readProject } from '../dsl/read-models.ts'

const text = `module taps

config Sizes { n: dim = 4   depth: dim = 3   ctx: dim = 8 }

block Add(by: float) uses Sizes {
  fn same(x: f32[seq, n]) -> f32[seq, n] { return x }
  fn forward(x: f32[seq, n]) -> f32[seq, n] { return x + by }
}

block Layer(by: float) uses Sizes {
  part add: Add(by: by)
  fn forward(x: f32[seq, n]) -> f32[seq, n] { return add(add(add.same(x))) }
}

/// Told apart from the others by its block: it has a part more.
block Middle extends Layer {
  part more: Add(by: 0.5)
  override fn forward(x: f32[seq, n]) -> f32[seq, n] { return super(more(x)) }
}

block Keep uses Sizes {
  state kept: f32[ctx, n]
  fn put(x: f32[seq, n]) -> f32[seq, n] {
    store kept[ctx: 0 ..+ seq] = x
    return x * 2.0
  }
}

model Taps uses Sizes {
  part shared: Add(by: 100.0)
  part layers[i < depth]: Layer(by: if i == 1 { 10.0 } else { 1.0 })
  part middle: Middle(by: 1.0)
  part keeps[i < 2]: Keep()
  entry run(x: f32[seq, n]) -> f32[seq, n] {
    let y = x
    for layer in layers { y = shared(layer(y)) }
    for keep in keeps { let unused = keep.put(y) }
    return y
  }
  entry other(x: f32[seq, n]) -> f32[seq, n] { return middle(x) }
}
`

const read = (path: string) => (path === 'taps.dsl' ? text : readProject(path))

async function open(taps: readonly string[], device: 'reference' | 'wasm', threads = 1): Promise<Model> {
  const result = await compile(read, { entry: 'taps.dsl', target: device, seedWeights: 1, maximum: { seq: 4 }, taps })
  if (!result.ok) throw new Error(result.diagnostics.map(({ message }) => message).join('; '))
  const { artifact, ...project } = result
  return load(memoryFiles(artifact), device === 'reference' ? { device: () => referenceOf(project) } : { device, threads })
}

const x = [1, 2, 3, 4, 5, 6, 7, 8]
const plus = (by: number): number[] => x.map((value) => value + by)

/** In the order of the calls, instance by instance. */
const everything: readonly (readonly [string | undefined, readonly number[]])[] = [
  [undefined, plus(324)],
  ['layers.0.add.same', x],
  ['layers.0.add', plus(1)],
  ['layers.0.add#2', plus(2)],
  ['layers.0', plus(2)],
  ['shared', plus(102)],
  ['layers.1.add.same', plus(102)],
  ['layers.1.add', plus(112)],
  ['layers.1.add#2', plus(122)],
  ['layers.1', plus(122)],
  ['shared#2', plus(222)],
  ['layers.2.add.same', plus(222)],
  ['layers.2.add', plus(223)],
  ['layers.2.add#2', plus(224)],
  ['layers.2', plus(224)],
  ['shared#3', plus(324)],
  ['keeps.0.put', plus(324).map((value) => value * 2)],
  ['keeps.1.put', plus(324).map((value) => value * 2)],
]

const shown = (results: readonly TensorResult[]) => results.map(({ name, values }) => [name, [...values]])

test.each([
  ['reference', 1],
  ['wasm', 1],
  ['wasm', 2],
] as const)('every value by path, on %s with threads: %i', async (device, threads) => {
  await using model = await open(['**'], device, threads)
  const results = await model.createSession().call('run', { x })
  expect(shown(results)).toEqual(everything)
  for (const { labels, dims } of results)
    expect([labels, dims]).toEqual(
      [
        ['seq', 'n'],
        [2, 4],
      ].map((list) => list),
    )
})

test.each([
  [['layers.*'], ['layers.0', 'layers.1', 'layers.2']],
  [['layers[*]'], ['layers.0', 'layers.1', 'layers.2']],
  [
    ['layers[1]', 'shared'],
    ['shared', 'layers.1', 'shared#2', 'shared#3'],
  ],
  [['layers.2.**'], ['layers.2.add.same', 'layers.2.add', 'layers.2.add#2']],
  [['*.1.*'], ['layers.1.add', 'layers.1.add#2', 'keeps.1.put']],
  [['keeps.0.p*'], ['keeps.0.put']],
])('%j', async (taps, names) => {
  await using model = await open(taps, 'wasm')
  const results = await model.createSession().call('run', { x })
  const wanted = everything.filter(([name]) => name === undefined || names.includes(name))
  expect(wanted.length).toBe(names.length + 1)
  expect(shown(results)).toEqual(wanted)
})

test('a value belongs to the entries that compute it, and what `super` gives has no path of its own', async () => {
  await using model = await open(['middle', 'middle.*'], 'wasm')
  const session = model.createSession()
  expect(shown(await session.call('run', { x }))).toEqual([[undefined, plus(324)]])
  expect(shown(await session.call('other', { x }))).toEqual([
    [undefined, plus(2.5)],
    ['middle.more', plus(0.5)],
    ['middle.add', plus(1.5)],
    ['middle.add#2', plus(2.5)],
    ['middle', plus(2.5)],
  ])
  expect(emitTypes(model.manifest)).toContain('TensorResult & { readonly name: "middle.add#2" }')
})

test.each([
  ['layer.*', "--tap 'layer.*' is no part or function that an entry calls; the nearest are layers.*, layers.*.add, shared"],
  ['layers.3', 'the nearest are layers.*,'],
  ['layers', 'the nearest are layers.*,'],
  ['shared.**', 'the nearest are shared,'],
  ['', 'the nearest are'],
])('%j matches nothing', async (pattern, message) => {
  const result = await compile(read, { entry: 'taps.dsl', seedWeights: 1, taps: ['shared', pattern] })
  expect(result.ok).toBe(false)
  expect(result.diagnostics).toEqual([expect.objectContaining({ code: 'E_TAP', message: expect.stringContaining(message) })])
})

test('groups of layers each keep their own', () => {
  const model = numbered(loadModel('gpt_neo'), { preset: '1.3B', set: { depth: 4 } })
  const names = (...patterns: readonly string[]) => buildGraph(model, 'decode', new TapPatterns(patterns)).taps.map(({ name }) => name)
  expect(names('layers.*')).toEqual(['layers.0', 'layers.1', 'layers.2', 'layers.3'])
  expect(names('layers.1.attn', 'layers.2')).toEqual(['layers.1.attn', 'layers.2'])
})
