// The project's models: each checks with unknown numbers, takes its numbers from published configs in both spellings, and tells a
// suspicious listener only what fits. (Numbers of parameters: parameter-table.test.ts.)

import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { goldenModels } from '../support/goldens.ts'
import { CheckingSink } from './checking-sink.ts'
import { dataFolder, load, modelNames, numbered, readJson } from './read-models.ts'

/** Kinds of layers that take turns. */
const kinds: Readonly<Record<string, number>> = { gpt_neo: 2, gpt3: 2 }

describe.each(modelNames)('%s', (name) => {
  const model = load(name)

  test.each([...model.presets])('preset %s is consistent by position in every entry', (preset) => {
    const specialised = numbered(model, { preset, real: 'f16' })
    for (const entry of specialised.entries) {
      const sink = new CheckingSink(specialised)
      const { results, diagnostics } = specialised.elaborate(entry.name, sink)
      expect(diagnostics).toEqual([])
      expect(results.map((r) => r.type)).toEqual(entry.results.map((r) => r.type))
      for (const symbol of entry.symbols) expect(symbol.max).toBeGreaterThanOrEqual(symbol.min)
      for (const loop of sink.loops) expect(loop.groups).toBe(kinds[name] ?? 1)
    }
  })
})

test.each(Object.entries(goldenModels))(
  '%s: both spellings of its config give the same numbers, and a table binds every weight',
  (folder, name) => {
    const model = load(name)
    const files = ['config.json', 'config.v4.json'].filter((f) => existsSync(`${dataFolder()}hf-golden/${folder}/${f}`))
    expect(files).toContain('config.json')
    const made = files.map((file) => numbered(model, { config: { kind: 'hf', values: readJson(`hf-golden/${folder}/${file}`), file } }))
    const [first, second] = made
    if (second) expect(second.config).toEqual(first?.config)
    const { table, diagnostics } = first?.checkpoint('hf') ?? {}
    expect(diagnostics).toEqual([])
    const bound = table?.bindings.flatMap((b) => b.targets) ?? []
    const stored = first?.weights.filter((w) => w.tied === undefined).map((w) => w.path)
    expect([...bound].sort()).toEqual([...(stored ?? [])].sort())
  },
)

test('limits bound what a call may ask for, and --max-seq lowers them', () => {
  const tiny = numbered(load('llama'), { preset: 'tiny', maximum: { seq: 16 } })
  const prefill = tiny.entries.find((e) => e.name === 'prefill')
  expect(prefill?.symbols).toEqual([
    { name: 'seq', kind: 'size', min: 1, max: 16 },
    { name: 'start', kind: 'index', min: 0, max: 127 },
  ])
  expect(prefill?.limits).toMatchObject([
    {
      left: {
        const: 0,
        terms: [
          ['seq', 1],
          ['start', 1],
        ],
      },
      right: 128,
    },
  ])
  const decode = tiny.entries.find((e) => e.name === 'decode')
  expect(decode?.symbols).toEqual([{ name: 'start', kind: 'index', min: 0, max: 127 }])
  expect(decode?.arguments).toMatchObject([
    { kind: 'tensor', type: { dims: [{ const: 1, terms: [] }] } },
    { kind: 'index', name: 'start' },
  ])
})

test('the three tables of llama name the same weights; rope rows are put back where files rotate adjacent pairs', () => {
  const tiny = numbered(load('llama'), { preset: 'tiny' })
  const tables = [tiny.checkpoint('hf'), tiny.checkpoint('meta'), tiny.checkpoint('gguf', 'llama')].map((t) => t.table)
  const targets = tables.map((t) => t?.bindings.flatMap((b) => b.targets).sort())
  expect(targets[1]).toEqual(targets[0])
  expect(targets[2]).toEqual(targets[0])
  const wk = tables[1]?.bindings.find((b) => b.targets[0] === 'layers[1].attn.wk')
  expect(wk?.sources).toEqual([{ alternatives: ['layers.1.attention.wk.weight'] }])
  expect(wk?.steps).toEqual([{ op: 'rope_rows', heads: 2, from: 'adjacent', to: 'half' }])
})

test('tie asks the file for lm_head when the config does not say', () => {
  const llama = load('llama')
  const tied = numbered(llama, { preset: 'tiny', hasTensorFor: (path) => path !== 'lm_head' })
  const untied = numbered(llama, { preset: 'tiny', hasTensorFor: () => true })
  expect(tied.weights.find((w) => w.path === 'lm_head')?.tied).toBe('embedding')
  expect(untied.parameters - tied.parameters).toBe(256 * 64)
  const said = numbered(llama, { preset: 'tiny', set: { tie: 'true' }, hasTensorFor: () => true })
  expect(said.config.tie).toBe(true)
})

test('a rule for a weight that a switch leaves out finds nothing to do', () => {
  const plain = numbered(load('qwen2'), { preset: '0.5B', set: { qkv_bias: 'false' } })
  const { table, diagnostics } = plain.checkpoint('hf')
  expect(diagnostics).toEqual([])
  expect(table?.bindings.some((b) => b.targets.some((t) => t.endsWith('.bq')))).toBe(false)
})

test('composites keep their compile-time arguments and library names', () => {
  const mistral = numbered(load('mistral'), { preset: '7B' })
  const sink = new CheckingSink(mistral)
  mistral.elaborate('decode', sink)
  expect(sink.composites.get('std.attention.sliding')).toEqual({ window: 4096 })
  expect(sink.composites.get('std.attention.attend')).toEqual({ scale: 1 / Math.sqrt(128), softcap: null })
  expect(sink.composites.get('std.nn.softmax')).toEqual({ over: 3 })
  expect(sink.stores).toEqual(['layers[*].attn.keys', 'layers[*].attn.values'])
})
