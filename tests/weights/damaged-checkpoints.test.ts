// Checkpoints of other libraries with one tensor dropped, added, renamed or of other sizes: exactly the right codes, naming that
// tensor. And a page of the messages, for reading.

import { existsSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fitModel } from '../../compiler/fit.ts'
import { nodeFiles, openCheckpoint, type Checkpoint, type StoredTensor } from '../../compiler/weights/index.ts'
import { loadModel } from '../../dsl/index.ts'
import type { Diagnostic } from '../../dsl/diagnostics.ts'
import type { CheckedModel, Numbers } from '../../dsl/model.ts'
import { renderAll } from '../../dsl/render.ts'
import { dataPath } from './data.ts'

const models: Readonly<Record<string, string>> = {
  llama: 'llama',
  'llama-gqa': 'llama',
  'llama3-rope': 'llama3',
  mistral: 'mistral',
  mixtral: 'mixtral',
  qwen2: 'qwen2',
  gemma: 'gemma',
  gpt2: 'gpt2',
  'gpt-neo': 'gpt_neo',
  'openai-gpt': 'openai_gpt',
  bert: 'bert',
  marian: 'marian',
}

const read = (path: string): string | undefined => {
  const file = new URL(`../../${path.startsWith('std/') ? 'dsl/' : ''}${path}`, import.meta.url)
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

const checkpoints = new Map(Object.keys(models).map((folder) => [folder, openCheckpoint(dataPath(`hf-golden/${folder}`), nodeFiles)]))
const checked = new Map(Object.entries(models).map(([folder, file]) => [folder, loadModel(`models/${file}.dsl`, read).model!]))

type Change = (tensors: Map<string, StoredTensor>) => void

function diagnosticsOf(folder: string, change: Change, numbers: Numbers = {}, loose = false): readonly Diagnostic[] {
  const checkpoint = checkpoints.get(folder)!
  const tensors = new Map(checkpoint.tensors)
  change(tensors)
  return fitModel(checked.get(folder) as CheckedModel, numbers, { checkpoint: { ...checkpoint, tensors } as Checkpoint, loose }).diagnostics
}

/** Tensors that a weight is made from: without them there is an error. */
const used = new Map(
  Object.keys(models).map((folder) => {
    const names = [...checkpoints.get(folder)!.tensors.keys()]
    return [folder, names.filter((name) => diagnosticsOf(folder, (tensors) => tensors.delete(name)).length > 0)]
  }),
)

const aTensor = fc
  .constantFrom(...Object.keys(models))
  .chain((folder) => fc.record({ folder: fc.constant(folder), name: fc.constantFrom(...used.get(folder)!) }))

const told = (diagnostics: readonly Diagnostic[]): string[] => diagnostics.map(({ code, severity }) => `${severity} ${code}`)
const textOf = ({ message, notes }: Diagnostic): string => [message, ...notes].join('\n')

describe('a golden checkpoint with one tensor that is', () => {
  test('as it was: nothing is said, and nearly every tensor is used', () => {
    for (const folder of Object.keys(models)) {
      expect(
        diagnosticsOf(folder, () => {}),
        folder,
      ).toEqual([])
      expect(used.get(folder)!.length, folder).toBeGreaterThan(checkpoints.get(folder)!.tensors.size * 0.8)
    }
  })

  test('dropped: L501', () => {
    fc.assert(
      fc.property(aTensor, ({ folder, name }) => {
        const found = diagnosticsOf(folder, (tensors) => tensors.delete(name))
        expect(told(found)).toEqual(['error L501'])
        expect(found[0]!.message).toContain(name)
        expect(found[0]!.notes.filter((note) => note.startsWith('the file has ')).length).toBe(3)
      }),
    )
  })

  test('added: L520, with the line that ignores it; a warning when loose', () => {
    fc.assert(
      fc.property(aTensor, fc.boolean(), ({ folder, name }, loose) => {
        const extra = `${name}.extra`
        const found = diagnosticsOf(folder, (tensors) => tensors.set(extra, { ...tensors.get(name)!, name: extra }), {}, loose)
        expect(told(found)).toEqual([loose ? 'warning L520' : 'error L520'])
        expect(found[0]!.notes).toContain(extra)
        expect(found[0]!.help).toContain(`ignore "${extra.replace(/\.\d+(?=\.)/g, '.*')}"`)
      }),
    )
  })

  test('renamed: L501 that asks whether the new name is meant, and L520', () => {
    fc.assert(
      fc.property(aTensor, ({ folder, name }) => {
        const other = `${name}x`
        const found = diagnosticsOf(folder, (tensors) => {
          tensors.set(other, { ...tensors.get(name)!, name: other })
          tensors.delete(name)
        })
        expect(told(found)).toEqual(['error L501', 'error L520'])
        expect(found[0]!.message).toContain(name)
        expect(found[0]!.help).toBe(`did you mean  "${other}"  ?`)
        expect(found[1]!.notes).toEqual([other])
      }),
    )
  })

  test('of other sizes: L510 with those of the file', () => {
    fc.assert(
      fc.property(aTensor, fc.nat(3), fc.integer({ min: 1, max: 7 }), ({ folder, name }, at, more) => {
        const { dims } = checkpoints.get(folder)!.tensors.get(name)!
        const axis = at % dims.length
        const changed = dims.with(axis, dims[axis]! + more)
        const found = diagnosticsOf(folder, (tensors) => tensors.set(name, { ...tensors.get(name)!, dims: changed }))
        expect(told(found)).toEqual(['error L510'])
        expect(textOf(found[0]!)).toContain(`the file has ${name} [${changed.join(', ')}]`)
        expect(textOf(found[0]!)).toContain('the model wants ')
      }),
    )
  })
})

const resized =
  (dims: readonly number[], ...names: readonly string[]): Change =>
  (tensors) => {
    for (const name of names) tensors.set(name, { ...tensors.get(name)!, dims })
  }
const copied =
  (from: string, ...names: readonly string[]): Change =>
  (tensors) => {
    for (const name of names) tensors.set(name, { ...tensors.get(from)!, name })
  }
const layer = (i: number, rest: string): string => `model.layers.${i}.${rest}`

/** What a person reads: the first message of each. */
const page: readonly (readonly [what: string, folder: string, change: Change, numbers?: Numbers])[] = [
  ['a tensor is missing', 'llama-gqa', (tensors) => tensors.delete(layer(1, 'self_attn.k_proj.weight'))],
  ['a number set against the config of the checkpoint', 'llama-gqa', () => {}, { set: { kv_heads: 3 } }],
  ['a width that no config explains', 'llama-gqa', resized([96, 48], layer(0, 'mlp.gate_proj.weight'))],
  ['the other way round', 'llama-gqa', resized([48, 16], layer(0, 'self_attn.v_proj.weight'))],
  ['sizes of no model', 'llama-gqa', resized([17, 48], layer(0, 'self_attn.v_proj.weight'))],
  ['one tensor for three weights', 'gpt2', resized([48, 192], 'transformer.h.0.attn.c_attn.weight')],
  [
    'experts of another width',
    'mixtral',
    resized([64, 32], ...[0, 1, 2, 3].map((e) => layer(0, `block_sparse_moe.experts.${e}.w1.weight`))),
  ],
  ['experts of unlike widths', 'mixtral', resized([64, 32], layer(0, 'block_sparse_moe.experts.1.w1.weight'))],
  [
    'tensors of another model',
    'llama-gqa',
    copied('model.norm.weight', layer(0, 'self_attn.q_norm.weight'), layer(1, 'self_attn.q_norm.weight'), 'vision.patch.weight'),
  ],
]

test('the messages as a person reads them', async () => {
  const texts = page.map(([what, folder, change, numbers]) => {
    const found = diagnosticsOf(folder, change, numbers).slice(0, 1)
    return `==== ${what}\n\n${renderAll(found).replaceAll(dataPath('hf-golden'), 'hf-golden')}`
  })
  await expect(`${texts.join('\n\n').trimEnd()}\n`).toMatchFileSnapshot('../golden/checkpoint-messages.txt')
})
