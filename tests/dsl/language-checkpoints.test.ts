// Every operation of a checkpoint table, from its text to the values of weights: a file's tensors count up from 0, in the order in
// which they are given.

import { expect, test } from 'vitest'
import { formats } from '../../compiler/formats/index.ts'
import { bindWeights } from '../../compiler/weights/bind.ts'
import type { StoredTensor } from '../../compiler/weights/stored-tensor.ts'
import type { Numbers } from '../../dsl/index.ts'
import { numbered, program, summary } from './read-models.ts'

const product = (dims: readonly number[]): number => dims.reduce((all, dim) => all * dim, 1)

/** Weight values, or what was said. */
function bound(text: string, shapes: Readonly<Record<string, readonly number[]>>, numbers: Numbers, format: readonly [string, string?]) {
  const model = numbered(program(text), numbers)
  const { table, diagnostics } = model.checkpoint(...format)
  if (!table) return summary(diagnostics)
  let next = 0
  const tensors = new Map(
    Object.entries(shapes).map(([name, dims]): [string, StoredTensor] => {
      const values = Float32Array.from({ length: product(dims) }, () => next++)
      return [name, { name, format: 'f32', dims, file: 'test', bytes: () => new Uint8Array(values.buffer) }]
    }),
  )
  const { sources, diagnostics: faults } = bindWeights(model.weights, table, { tensors })
  if (faults.length > 0) return summary(faults)
  return Object.fromEntries(
    [...sources].map(([path, weight]) => {
      const values = new Float32Array(product(weight.dims))
      formats[weight.format].decode(weight.read(), values)
      return [path, [...values]]
    }),
  )
}

const model = (members: string, rules: string, rest = ''): string => `module test
config C { d: dim = 2  h: dim = 2  depth: dim = 2  fused: bool = false @hf("fused")  act: text = "silu" @hf("hidden_act") }
block L uses C { weight q: [h, d]  weight k: [h, d] }
model M uses C { ${members}  checkpoint hf { ${rules} } }
${rest}`
const layers = 'part l[i < depth]: L()'

interface Case {
  readonly text: string
  readonly file: Readonly<Record<string, readonly number[]>>
  readonly gives: Readonly<Record<string, readonly number[]>>
  readonly numbers?: Numbers
  readonly format?: readonly [string, string?]
}

const cases: Readonly<Record<string, Case>> = {
  'transpose, and the reshape that is implied': {
    text: model('weight w: [h, d, x = 3]', 'w <- "w" |> transpose'),
    file: { w: [3, 4] },
    gives: { w: [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11] },
  },
  'scale, add, cast, with numbers of the config': {
    text: model('weight w: [d]', 'w <- "w" |> scale(d) |> add(-1.0) |> cast'),
    file: { w: [2] },
    gives: { w: [-1, 1] },
  },
  'join, with indices': {
    text: model(layers, 'l[i].q <- "l.{i}.a" |> join("l.{i}.b")  l[i].k <- "l.{i}.k"'),
    file: { 'l.0.a': [1, 2], 'l.0.b': [1, 2], 'l.1.a': [1, 2], 'l.1.b': [1, 2], 'l.0.k': [4], 'l.1.k': [4] },
    gives: { 'l[0].q': [0, 1, 2, 3], 'l[1].q': [4, 5, 6, 7], 'l[0].k': [8, 9, 10, 11], 'l[1].k': [12, 13, 14, 15] },
  },
  rope_rows: {
    text: model('weight w: [h, x = 4]', 'w <- "w" |> rope_rows(h, from: "adjacent", to: "half")'),
    file: { w: [8] },
    gives: { w: [0, 2, 1, 3, 4, 6, 5, 7] },
  },
  'chunk: each weight takes as much as it needs': {
    text: model('weight a: [d, x = 2]  weight b: [x = 2]', 'a, b <- "w" |> chunk(2)'),
    file: { w: [3, 2] },
    gives: { a: [0, 1, 2, 3], b: [4, 5] },
  },
  'chunk(groups: h): inside each run': {
    text: model('weight a: [h, d]  weight b: [h, d]', 'a, b <- "w" |> chunk(groups: h)'),
    file: { w: [8, 1] },
    gives: { a: [0, 1, 4, 5], b: [2, 3, 6, 7] },
  },
  'stack, in layers and with steps': {
    text: model(layers, 'l[i].q <- stack(x < h, "l.{i}.{x}.q") |> scale(10.0)  l[i].k <- "l.{i}.k"'),
    file: { 'l.0.0.q': [2], 'l.0.1.q': [2], 'l.1.0.q': [2], 'l.1.1.q': [2], 'l.0.k': [4], 'l.1.k': [4] },
    gives: { 'l[0].q': [0, 10, 20, 30], 'l[1].q': [40, 50, 60, 70], 'l[0].k': [8, 9, 10, 11], 'l[1].k': [12, 13, 14, 15] },
  },
  'a rule for some layers; a name without their number': {
    text: model(layers, 'l[i].q <- "l.{i}.q" when i > 0  l[i].q <- "first" when i == 0  l[i].k <- "l.{i}.k"'),
    file: { 'l.1.q': [4], first: [4], 'l.0.k': [4], 'l.1.k': [4] },
    gives: { 'l[1].q': [0, 1, 2, 3], 'l[0].q': [4, 5, 6, 7], 'l[0].k': [8, 9, 10, 11], 'l[1].k': [12, 13, 14, 15] },
  },
  'the last rule whose condition holds wins': {
    text: model('weight a: [d]  weight b: [d]', 'a <- "a"  b <- "b"  a, b <- "ab" |> chunk when fused'),
    file: { ab: [4] },
    gives: { a: [0, 1], b: [2, 3] },
    numbers: { set: { fused: true } },
  },
  'the same, without the condition': {
    text: model('weight a: [d]  weight b: [d]', 'a <- "a"  b <- "b"  a, b <- "ab" |> chunk when fused'),
    file: { a: [2], b: [2] },
    gives: { a: [0, 1], b: [2, 3] },
  },
  'inherit: own rules win over inherited ones': {
    text: model(
      'weight a: [d]  weight b: [d]',
      'a <- "a"  b <- "b"',
      'model N extends M { checkpoint hf { inherit hf  a <- "z" |> scale(3.0) } }',
    ),
    file: { z: [2], b: [2] },
    gives: { a: [0, 3], b: [2, 3] },
  },
  'a table that is not mentioned is inherited whole; rules of dropped weights are skipped': {
    text: model('weight a: [d]  weight b: [d]', 'a <- "a"  b <- "b"', 'model N extends M { drop b }'),
    file: { a: [2] },
    gives: { a: [0, 1] },
  },
  'another format from an inherited table': {
    text: model(
      'weight a: [d]  weight b: [d]',
      'a <- "a"  b <- "b"',
      'model N extends M { checkpoint gguf("x") { inherit hf  a <- "z" } }',
    ),
    file: { z: [2], b: [2] },
    gives: { a: [0, 1], b: [2, 3] },
    format: ['gguf', 'x'],
  },
  'parts of names that may be missing': {
    text: model('weight a: [d]  weight b: [d]', 'a <- "x.?y.?a"  b <- "x.?b"'),
    file: { 'y.a': [2], 'x.b': [2] },
    gives: { a: [0, 1], b: [2, 3] },
  },
  'ignore, and the stored copy of a tied weight': {
    text: model('weight a: [d]  weight b: [d] tied a', 'a <- "a"  b <- "b"  ignore "z.*.w"'),
    file: { a: [2], b: [2], 'z.1.w': [1], 'z.2.3.w': [1] },
    gives: { a: [0, 1] },
  },
}

test.each(Object.entries(cases))('%s', (_, { text, file, gives, numbers = {}, format = ['hf'] }) => {
  expect(bound(text, file, numbers, format)).toEqual(gives)
})

test('a key that is pinned, pinned again by a variant, or read by a field', () => {
  const text = model(
    'weight a: [d]',
    'a <- "a"  expect "mlp_bias" = false  expect "hidden_act" = "silu"  expect "qkv_bias" = [false, none]',
    'model N extends M { checkpoint hf { inherit hf  expect "mlp_bias" = true } }',
  )
  const said = (values: Readonly<Record<string, unknown>>): string[] =>
    summary(program(text).specialise({ config: { kind: 'hf', file: 'config.json', values } }).diagnostics)
  expect(said({ mlp_bias: true, hidden_act: 'gelu' })).toEqual([])
  expect(said({ mlp_bias: null })).toEqual([])
  expect(said({ mlp_bias: false })).toEqual(['L505 config.json says `mlp_bias: false`, which this model ignores'])
  expect(said({ qkv_bias: true })).toEqual(['L505 config.json says `qkv_bias: true`, which this model ignores'])
})
