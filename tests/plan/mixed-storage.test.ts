// Weights of one array that are stored in different formats: what is decided for each, what is said about it, and what the
// program costs: layers that are stored alike share a body, and bodies share what they have in common.

import { expect, test } from 'vitest'
import { buildGraph } from '../../compiler/graph/builder.ts'
import { reachable, rootsOf } from '../../compiler/graph/nodes.ts'
import { is } from '../../compiler/graph/types.ts'
import { verifyGraph } from '../../compiler/graph/verify.ts'
import type { FormatName } from '../../compiler/formats/index.ts'
import { type Compilation, type CompileOptions, compileModel } from '../../compiler/compile.ts'
import { runGraphPasses } from '../../compiler/passes/pipeline.ts'
import { kernelsOf } from '../../compiler/kernel/weights.ts'
import { webgpuMachine } from '../../compiler/schedule/machine.ts'
import { splitGroups } from '../../compiler/passes/split-groups.ts'
import { policyOf, type QuantRule } from '../../compiler/plan/quant-policy.ts'
import { planWeights } from '../../compiler/plan/weights.ts'
import type { BoundWeight } from '../../compiler/weights/bind.ts'
import type { WeightInfo } from '../../dsl/sink.ts'
import { decodeAll } from '../../compiler/weights/plain-tensor.ts'
import { seededWeights } from '../../compiler/weights/seeded.ts'
import { packArtifact } from '../../compiler/artifact/write.ts'
import { createReferenceDevice } from '../../compiler/targets/reference/device.ts'
import type { Device } from '../../runtime/devices/device.ts'
import { load, memoryFiles } from '../../runtime/index.ts'
import { load as loadFile, numbered, program } from '../dsl/read-models.ts'
import { worstDifference } from '../support/goldens.ts'
import { span } from '../support/built-model.ts'

const matrix = (path: string, dims: readonly number[], more: Partial<WeightInfo> = {}): WeightInfo => ({
  path,
  dims,
  labels: dims.map((_, i) => `a${i}`),
  quant: true,
  span,
  ...more,
})

test('a tensor that cannot be kept is named, with the reason; an array only where it holds for all of it', () => {
  const weights = [0, 1, 2].flatMap((i) => [
    matrix(`layers[${i}].odd`, [8, 48]),
    matrix(`layers[${i}].even`, [8, 64]),
    matrix(`layers[${i}].gain`, [64], { precision: 'f32' }),
    matrix(`layers[${i}].bias`, [64]),
  ])
  const layouts = new Map([
    ['layers[*].odd', { layout: 'r8', rowDims: 1 }],
    ['layers[*].even', { layout: 'r8', rowDims: 1 }],
    ['layers[*].gain', { layout: 'plain', rowDims: 0 }],
    ['layers[*].bias', { layout: 'plain', rowDims: 0 }],
  ] as const)
  const stored: Readonly<Record<string, string>> = {
    'layers[0].odd': 'q4_0',
    'layers[1].odd': 'f16',
    'layers[2].odd': 'q4_0',
    'layers[0].even': 'q8_0',
    'layers[1].even': 'bf16',
    'layers[2].even': 'q9_9',
    'layers[1].gain': 'f16',
    'layers[0].bias': 'q8_0',
    'layers[1].bias': 'q8_0',
    'layers[2].bias': 'q8_0',
  }
  const { plans, notes } = planWeights(
    weights,
    layouts,
    () => 'keep',
    (path) => stored[path],
  )
  expect([...plans].map(([path, { format, bytes }]) => `${path} ${format} ${bytes}`).sort()).toEqual([
    'layers[0].bias f32 256',
    'layers[0].even q8_0 544',
    'layers[0].gain f32 256',
    'layers[0].odd f32 1536',
    'layers[1].bias f32 256',
    'layers[1].even bf16 1024',
    'layers[1].gain f32 256',
    'layers[1].odd f16 768',
    'layers[2].bias f32 256',
    'layers[2].even f32 2048',
    'layers[2].gain f32 256',
    'layers[2].odd f32 1536',
  ])
  expect(notes).toEqual([
    'layers[0].odd, layers[2].odd: a row has 48 values, which q4_0 cannot cut into blocks; stored as f32',
    'layers[2].even: q9_9 is no format that weights are stored in; stored as f32',
    'layers[*].bias: f32, since only rows of products are quantised',
  ])
})

test('rows that a format does not divide go into smaller blocks, else into halves; second roundings are told', () => {
  const some = [512, 96, 100, 96, 100].map((k, i) => matrix('abcde'[i]!, [8, k]))
  const layout = new Map(some.map(({ path }) => [path, { layout: 'r8', rowDims: 1 } as const]))
  const stored: Record<string, string> = { a: 'q4_1', b: 'q8_0', c: 'bf16', d: 'f32', e: 'f32' }
  const { plans, notes } = planWeights(
    some,
    layout,
    (path) => (path === 'e' ? 'q8_0' : 'q4_k'),
    (path) => stored[path],
  )
  expect([...plans].map(([path, { format }]) => `${path} ${format}`)).toEqual(['a q4_k', 'b q5_0', 'c bf16', 'd q5_0', 'e f16'])
  expect(notes).toEqual([
    'b, d: a row has 96 values, which q4_k cannot cut into blocks; stored as q5_0',
    'c: a row has 100 values, which q4_k cannot cut into blocks; stored as bf16',
    'e: a row has 100 values, which q8_0 cannot cut into blocks; stored as f16',
    "quantised a second time: q4_1 as q4_k (1 weight), q8_0 as q5_0 (1 weight); what the file's own rounding took stays lost, so a file in f16, bf16 or f32 gives better",
  ])
})

test('rules by path: the last that fits counts, and one that fits nothing is told', () => {
  const paths = ['embedding', 'layers[0].attn.wq', 'layers[1].attn.wq', 'layers[1].mlp.up', 'layers[10].mlp.up']
  const rules: readonly QuantRule[] = [
    { paths: 'layers.*', policy: 'q8_0' },
    { paths: 'layers[*].attn.*', policy: 'q4_0' },
    { paths: 'layers.1.mlp.up', policy: 'none' },
  ]
  expect(paths.map(policyOf(rules, paths))).toEqual(['keep', 'q4_0', 'q4_0', 'none', 'q8_0'])
  expect(paths.map(policyOf('q4_1', paths))).toEqual(paths.map(() => 'q4_1'))
  expect(() => policyOf([...rules, { paths: 'layers.*.attn.wk', policy: 'q8_0' }], paths)).toThrow(
    'no weight fits --quant layers.*.attn.wk=q8_0; there is, for example, layers[0].attn.wq',
  )
})

const depth = 32
const model = numbered(loadFile('llama'), { preset: 'tiny', set: { depth: String(depth), ffn: '192' }, maximum: { seq: 8 } })

/** `formatOf` says how the file stores a matrix of a layer; all others are q4_0. */
function compiled(
  target: 'wasm' | 'webgpu',
  formatOf: (path: string, layer: number) => FormatName,
  machines: CompileOptions['machines'] = {},
): Compilation {
  const weights = new Map(
    model.weights.map(({ path, dims, precision }): [string, BoundWeight] => {
      const layer = /\[(\d+)\]/.exec(path)?.[1]
      const format = precision === 'f32' ? 'f32' : layer === undefined ? 'q4_0' : formatOf(path, Number(layer))
      const read = (): never => {
        throw new Error('nobody asks for bytes')
      }
      return [path, { path, dims, format, read }]
    }),
  )
  const { compilation } = compileModel(model, { targets: [target], math: 'fast', quant: 'keep', weights, machines })
  expect(compilation!.notes).toEqual([])
  return compilation!
}

const programBytes = ({ contents }: Compilation): Promise<number[]> =>
  Promise.all(
    contents.variants.map(async (variant) =>
      variant.target === 'wasm'
        ? (await variant.program()).length
        : variant.target === 'webgpu'
          ? JSON.stringify(variant.program.modules).length
          : 0,
    ),
  )

test(`${depth} layers that alternate between formats: the program has a body per signature, the arena is the same`, async () => {
  for (const target of ['wasm', 'webgpu'] as const) {
    const uniform = compiled(target, () => 'q4_0')
    const two = compiled(target, (path, layer) => (/wv|down/.test(path) && layer % 3 === 2 ? 'q8_0' : 'q4_0'))
    // wo of every second layer in halves: not all of its activations are rounded.
    const four = compiled(target, (path, layer) =>
      /wv|down/.test(path) && layer % 3 === 2 ? 'q8_0' : path.endsWith('wo') && layer % 2 === 1 ? 'f16' : 'q4_0',
    )
    const groups = (made: Compilation) =>
      made.results[0]!.plan!.entries.map(({ program }) => program.steps.flatMap((step) => (step.kind === 'loop' ? step.groups.length : [])))
    expect([uniform, two, four].map(groups)).toEqual([1, 2, 4].map((count) => model.entries.map(() => [count])))
    for (const [made, signatures] of [
      [two, 2],
      [four, 4],
    ] as const) {
      const [bytes, own] = [await programBytes(made), await programBytes(uniform)]
      // A launch on WebGPU has one text: where v differs, that of q and k comes again.
      const more = target === 'wasm' ? 0.3 : 0.5
      bytes.forEach((size, i) => expect(size / own[i]!, `${target} ${i}`).toBeLessThan(1 + more * (signatures - 1)))
      expect(made.results[0]!.plan!.arenaBytes).toBeLessThan(1.1 * uniform.results[0]!.plan!.arenaBytes)
    }
  }
})

test('weights of one kernel are cut at the same rows, whatever a row of each takes', () => {
  const machines = { webgpu: { ...webgpuMachine, bindingBytes: 20_000 } }
  const made = compiled('webgpu', (path) => (path.endsWith('up') ? 'f32' : path.endsWith('gate') ? 'f16' : 'q4_0'), machines)
  const cuts = made.results[0]!.programs.flatMap(({ steps }) =>
    kernelsOf(steps).flatMap(({ operands }) => {
      const of = (name: string) =>
        operands.flatMap(({ source }) =>
          source.kind === 'weight' && source.path.endsWith(name) && source.rows ? [source.rows.join()] : [],
        )
      return of('gate').length > 0 ? [[...of('gate'), ...of('up')]] : []
    }),
  )
  expect(cuts.length).toBe(3 * model.entries.length)
  for (const [i, cut] of cuts.entries()) expect(cut).toEqual(Array(2).fill(['0,72', '72,144', '144,192'][i % 3]))
})

test("layers of different sizes are one array still: rows and columns are each layer's own", async () => {
  const widths = numbered(
    program(`module widths
config Sizes { vocab: dim = 32  embed: dim = 32  depth: int = 4  ctx: dim = 8 }
block Widen(inner: dim) uses Sizes {
  weight up:   [inner, embed]
  weight down: [embed, inner]
  fn forward(x: real[seq, embed]) -> real[seq, embed] {
    return x + dot(max(dot(x, up, over: embed), 0.0), down, over: inner)
  }
}
model Widths uses Sizes {
  weight table: [vocab, embed]
  part layers[i < depth]: Widen(inner: if i % 2 == 0 { 64 } else { 96 })
  entry score(tokens: i32[seq]) -> f32[seq, vocab] {
    let x = table[tokens]
    for layer in layers { x = layer.forward(x) }
    return f32(dot(x, table, over: embed))
  }
  runtime seq: 1 ..= ctx
}`),
    {},
  )
  const weights = seededWeights(widths.weights, 1)
  const { compilation } = compileModel(widths, { targets: ['wasm'], math: 'strict', quant: 'none', weights })
  const files = memoryFiles(await packArtifact(compilation!.contents))
  const weight = (path: string) => ({ dims: weights.get(path)!.dims, data: Float64Array.from(decodeAll(weights.get(path)!)) })
  const scores = async (device: 'wasm' | Device) => {
    const model = await load(files, { device })
    const { values } = await model.createSession().score([1, 2, 3])
    await model.dispose()
    return values
  }
  const wanted = await scores(createReferenceDevice(compilation!.graphs, { weight }))
  expect(worstDifference(await scores('wasm'), wanted)).toBeLessThanOrEqual(1e-5)
})

test('instances stored alike stay one group: the graph is not touched', () => {
  const graph = runGraphPasses(buildGraph(model, 'decode').graph!)
  expect(splitGroups(graph, () => 'q8_0')).toBe(graph)
  expect(splitGroups(graph, (path) => (path.includes('wq') ? 'q8_0' : 'f32'))).toBe(graph)
  const split = splitGroups(graph, (path) => (path.endsWith('wv') ? String(Number(/\d+/.exec(path)![0]) % 3) : ''))
  expect(verifyGraph(split)).toEqual([])
  const loops = reachable(rootsOf(split)).filter((node) => is(node, 'loop'))
  expect(loops.map(({ attributes: { groups, order } }) => [groups.length, order.slice(0, 7)])).toEqual([[3, [0, 1, 2, 0, 1, 2, 0]]])
})
