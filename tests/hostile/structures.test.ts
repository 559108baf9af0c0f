// Model files that are well formed as bytes and wrong as models: absurd sizes, overlaps, wrong types, duplicates, odd names. Read as
// `inspect` does, and fitted to models/llama.dsl as `compile` does; the outcome is a model, diagnostics, or a typed refusal.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compile, packageSources } from '../../compiler/index.ts'
import { openCheckpoint, readConfig } from '../../compiler/weights/checkpoint.ts'
import { fromBytes } from '../../compiler/weights/byte-source.ts'
import { fitModel } from '../../compiler/fit.ts'
import { loadModel } from '../../dsl/index.ts'
import { render } from '../../dsl/render.ts'
import { LlamacError } from '../../runtime/error.ts'
import { load, type Model } from '../../runtime/index.ts'
import { memoryFiles } from './memory-files.ts'
import { openAnything } from './open-anything.ts'
import {
  Bytes,
  type GgufField,
  type GgufPlan,
  pieces,
  small,
  smallGguf,
  smallTokenizerJson,
  writeGguf,
  writeSafetensors,
} from './write-files.ts'

const models = packageSources()
const llama = loadModel('models/llama.dsl', models).model!

/** 'model', the codes of diagnostics, or the code of the refusal; anything else that is thrown fails the test. */
function fitted(path: string, bytes: Uint8Array, more: Readonly<Record<string, Uint8Array>> = {}): string {
  try {
    const checkpoint = openCheckpoint(path, memoryFiles({ [path]: bytes, ...more }))
    const { model, weights, diagnostics } = fitModel(llama, { maximum: { seq: 4 } }, { checkpoint })
    for (const weight of weights?.values() ?? []) weight.read()
    return model ? 'model' : [...new Set(diagnostics.map(({ code }) => code))].join(' ')
  } catch (error) {
    if (!(error instanceof LlamacError)) throw error
    return error.code
  }
}

const hugeCounts = [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 40, 2 ** 53 - 1, 2 ** 53, 2n ** 63n, 2n ** 64n - 1n] as const
const names = [
  '__proto__',
  'constructor',
  'toString',
  '',
  '\u0000',
  '\u001b[31mred',
  '../../x',
  'a'.repeat(1024),
  'é'.repeat(600),
  '\ud800',
  'output.weight',
  'token_embd.weight',
] as const
const number = fc.constantFrom<number>(0, 1, 7, -1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 3)

const field: fc.Arbitrary<GgufField> = fc.letrec<{ field: GgufField }>((tie) => ({
  field: fc.oneof(
    { maxDepth: 6 },
    number.map((value): GgufField => ({ type: 4, value })),
    fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, -0, 1e-45, 3e38).map((value): GgufField => ({ type: 6, value })),
    fc.constantFrom(0, 1, 2, 255).map((value): GgufField => ({ type: 7, value })),
    fc.constantFrom(...names).map((value): GgufField => ({ type: 8, value })),
    fc.constantFrom(...hugeCounts).map((length): GgufField => ({ type: 8, value: 'text', length })),
    fc.constantFrom(...hugeCounts).map((value): GgufField => ({ type: 10, value })),
    fc.constantFrom(13, 99, 2 ** 32 - 1).map((type): GgufField => ({ type, raw: [1, 2, 3, 4] })),
    fc.record({ type: fc.constant(9 as const), of: fc.constantFrom(4, 5, 6, 8, 9, 99), items: fc.array(tie('field'), { maxLength: 4 }) }),
    fc.record({
      type: fc.constant(9 as const),
      of: fc.constantFrom(0, 4, 8, 9),
      items: fc.constant([]),
      count: fc.constantFrom(...hugeCounts),
    }),
  ),
})).field

const withPair = (plan: GgufPlan, index: number, pair: (old: GgufPlan['pairs'][number]) => GgufPlan['pairs'][number]): GgufPlan => ({
  ...plan,
  pairs: plan.pairs.map((old, i) => (i === index % plan.pairs.length ? pair(old) : old)),
})
const withTensor = (plan: GgufPlan, index: number, change: Partial<GgufPlan['tensors'][number]>): GgufPlan => ({
  ...plan,
  tensors: plan.tensors.map((old, i) => (i === index % plan.tensors.length ? { ...old, ...change } : old)),
})

const mutation: fc.Arbitrary<(plan: GgufPlan) => GgufPlan> = fc.oneof(
  fc.tuple(fc.nat(99), field).map(
    ([i, value]) =>
      (plan: GgufPlan) =>
        withPair(plan, i, ([key]) => [key, value]),
  ),
  fc.tuple(fc.nat(99), fc.constantFrom(...names, 'general.architecture', 'llama.block_count')).map(
    ([i, key]) =>
      (plan: GgufPlan) =>
        withPair(plan, i, ([, value]) => [key, value]),
  ),
  fc.nat(99).map((i) => (plan: GgufPlan) => ({ ...plan, pairs: plan.pairs.filter((_, at) => at !== i % plan.pairs.length) })),
  fc.tuple(fc.nat(99), fc.array(fc.constantFrom(...hugeCounts, 8, 32), { maxLength: 9 })).map(
    ([i, dims]) =>
      (plan: GgufPlan) =>
        withTensor(plan, i, { dims }),
  ),
  fc.tuple(fc.nat(99), fc.constantFrom(0, 1, 2, 3, 8, 12, 14, 30, 31, 99, 2 ** 32 - 1)).map(
    ([i, type]) =>
      (plan: GgufPlan) =>
        withTensor(plan, i, { type }),
  ),
  fc.tuple(fc.nat(99), fc.constantFrom<number | bigint>(...hugeCounts, 16, 32, 64)).map(
    ([i, offset]) =>
      (plan: GgufPlan) =>
        withTensor(plan, i, { offset }),
  ),
  fc.tuple(fc.nat(99), fc.constantFrom(...names)).map(
    ([i, name]) =>
      (plan: GgufPlan) =>
        withTensor(plan, i, { name }),
  ),
  fc.tuple(fc.nat(99), fc.constantFrom(0, 5, 9, 2 ** 20, 2 ** 32 - 1)).map(
    ([i, axes]) =>
      (plan: GgufPlan) =>
        withTensor(plan, i, { axes }),
  ),
  fc.constantFrom(...hugeCounts).map((tensorCount) => (plan: GgufPlan) => ({ ...plan, tensorCount })),
  fc.constantFrom(...hugeCounts).map((pairCount) => (plan: GgufPlan) => ({ ...plan, pairCount })),
  fc.constantFrom(0, 1, 2, 4, 2 ** 32 - 1).map((version) => (plan: GgufPlan) => ({ ...plan, version })),
  fc.nat(99).map((i) => (plan: GgufPlan) => ({ ...plan, tensors: plan.tensors.toSpliced(i % plan.tensors.length, 0, plan.tensors[0]!) })),
  fc.constantFrom(0, 31, 10_000).map((data) => (plan: GgufPlan) => ({ ...plan, data })),
)

test('GGUF: one to three wrong things', () => {
  const outcomes = new Map<string, number>()
  expect(fitted('m.gguf', writeGguf(smallGguf()))).toBe('model')
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 3 }), (mutations) => {
      const plan = mutations.reduce(
        (before, mutate) => (before.tensors.length > 0 && before.pairs.length > 0 ? mutate(before) : before),
        smallGguf(),
      )
      const outcome = fitted('m.gguf', writeGguf(plan))
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
      expect(outcome).toMatch(/^(model|((L\d{3}|E_(GGUF|TOKENIZER|CHECKPOINT)_[A-Z0-9_]+)( |$))+)$/)
    }),
    { numRuns: 400 },
  )
  expect(outcomes.size).toBeGreaterThan(8)
})

test('GGUF: what must be refused, by its code', () => {
  const code = (change: (plan: GgufPlan) => GgufPlan): string => fitted('m.gguf', writeGguf(change(smallGguf())))
  const setting =
    (key: string, value: GgufField) =>
    (plan: GgufPlan): GgufPlan =>
      withPair(
        plan,
        plan.pairs.findIndex(([name]) => name === key),
        () => [key, value],
      )
  expect(code((plan) => withTensor(plan, 0, { dims: [2 ** 27, 2 ** 27] }))).toBe('E_GGUF_DIMS')
  expect(code((plan) => withTensor(plan, 0, { offset: 2 ** 40 }))).toBe('E_GGUF_OFFSET')
  expect(code((plan) => withTensor(plan, 1, { offset: 0 }))).toBe('E_GGUF_OVERLAP')
  expect(code((plan) => ({ ...plan, tensorCount: 4e9 }))).toBe('E_GGUF_TRUNCATED')
  for (const value of [0, 3, 2 ** 31]) expect(code(setting('general.alignment', { type: 4, value }))).toBe('E_GGUF_METADATA')
  expect(code(setting('general.architecture', { type: 8, value: '\u001b[2J' }))).toBe('L504')
  // A depth that the file cannot have is told at once, not looped over.
  expect(code(setting('llama.block_count', { type: 4, value: 4e9 }))).toBe('L260')
  expect(code(setting('llama.block_count', { type: 8, value: '1' }))).toContain('L402')
  expect(code(setting('llama.attention.head_count', { type: 4, value: 0 }))).toMatch(/^L/)
  expect(code(setting('llama.embedding_length', { type: 10, value: 2n ** 60n }))).toMatch(/^L/)
})

test('a tensor name of 10 MB and a thousand tensors called alike cost little', () => {
  const plan = smallGguf()
  expect(fitted('m.gguf', writeGguf({ ...plan, tensors: [{ ...plan.tensors[0]!, name: 'x'.repeat(10_000_000) }] }))).toBe(
    'E_GGUF_TOO_LARGE',
  )
  const many = Object.fromEntries(
    Array.from({ length: 3000 }, (_, i) => [`${'model.layers.'.repeat(40)}${i}`, { dtype: 'U8', shape: [1], data_offsets: [i, i + 1] }]),
  )
  const config = new TextEncoder().encode(
    JSON.stringify({ vocab_size: 16, hidden_size: 8, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 16 }),
  )
  expect(fitted('m.safetensors', writeSafetensors(JSON.stringify(many), 3000), { 'config.json': config })).toContain('L501')
  const long = (dtype: string) => writeSafetensors(`{"${'n'.repeat(10_000_000)}":{"dtype":"${dtype}","shape":[1],"data_offsets":[0,1]}}`, 1)
  expect(fitted('m.safetensors', long('U8'), { 'config.json': config })).toContain('L520')
  // Nor do messages repeat it.
  const { diagnostics } = fitModel(
    llama,
    {},
    { checkpoint: openCheckpoint('m.safetensors', memoryFiles({ 'm.safetensors': long('U8'), 'config.json': config })) },
  )
  expect(Math.max(...diagnostics.map((diagnostic) => render(diagnostic).length))).toBeLessThan(20_000)
  const refused = openAnything('m.safetensors', memoryFiles({ 'm.safetensors': long('U9') }))
  expect(refused).toMatchObject({ kind: 'refused', code: 'E_SAFETENSORS_HEADER_JSON' })
  if (refused.kind === 'refused') expect(refused.message.length).toBeLessThan(2_000)
})

const hostileNumbers = [1e308, -1, 0, 0.5, 1e9, 2 ** 53, '1', null, [], {}, true, [1e9], '\u001b[31m'] as const
const keys = [
  'vocab_size',
  'hidden_size',
  'num_hidden_layers',
  'num_attention_heads',
  'num_key_value_heads',
  'intermediate_size',
  'max_position_embeddings',
  'rms_norm_eps',
  'rope_theta',
  'head_dim',
  'tie_word_embeddings',
  'rope_parameters',
  'hidden_act',
  '__proto__',
  'constructor',
] as const

test('config.json: any key with any value', () => {
  const usual = {
    vocab_size: 16,
    hidden_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 16,
    max_position_embeddings: 16,
  }
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(fc.constantFrom(...keys), fc.constantFrom(...hostileNumbers)), {
        selector: ([key]) => key,
        minLength: 1,
        maxLength: 3,
      }),
      (changes) => {
        const text = JSON.stringify(Object.fromEntries([...Object.entries(usual), ...changes]))
        const outcome = fitted('m.safetensors', writeSafetensors('{}', 0), { 'config.json': new TextEncoder().encode(text) })
        expect(outcome, text).toMatch(/^((L\d{3}|E_CHECKPOINT_CONFIG)( |$))+$/)
      },
    ),
    { numRuns: 300 },
  )
  const withConfig = (text: string) => fitted('m.safetensors', writeSafetensors('{}', 0), { 'config.json': new TextEncoder().encode(text) })
  expect(withConfig(JSON.stringify({ ...usual, num_hidden_layers: 1e9 }))).toBe('L260')
  expect(withConfig(JSON.stringify({ ...usual, hidden_size: 1e308 }))).toContain('L402')
  expect(withConfig('{"hidden_size": 8, "hidden_size": 16}')).toBe('E_CHECKPOINT_CONFIG')
  expect(withConfig('['.repeat(1_000_000))).toBe('E_CHECKPOINT_CONFIG')
  expect(() => readConfig(fromBytes(new TextEncoder().encode('{"a": 1e999, "b": 123456789012345678901234567890123456789012345}')))).toThrow(
    LlamacError,
  )
})

test('compile: a context, a depth or a vocabulary without end is refused with the number that is too large', async () => {
  const codes = async (set: Readonly<Record<string, string>>): Promise<string> => {
    const result = await compile(models, { entry: 'models/llama.dsl', preset: 'tiny', set, maximum: { seq: 4 } })
    return [...(result.ok ? ['ok'] : []), ...result.diagnostics.map(({ code }) => code)].join(' ')
  }
  expect(await codes({ depth: '1e9' })).toBe('L260')
  expect(await codes({ vocab: '9007199254740991' })).toBe('L260')
  // Without weights the program may be read; that no memory holds it is said.
  expect(await codes({ ctx: '100000000000' })).toBe('ok L601')
  expect(await codes({ depth: '1e308' })).toBe('L402')
  expect(await codes({ depth: 'NaN' })).toBe('L402')
  expect(await codes({ heads: '0' })).toMatch(/^L/)
  expect(await codes({ '\u001b[31m': '1' })).toBe('L406')
})

const tokenizer = (
  change: (root: { model: Record<string, unknown>; added_tokens: unknown[] } & Record<string, unknown>) => void,
): string => {
  const root = JSON.parse(new TextDecoder().decode(smallTokenizerJson()))
  change(root)
  const outcome = openAnything('tokenizer.json', memoryFiles({ 'tokenizer.json': new TextEncoder().encode(JSON.stringify(root)) }))
  if (outcome.kind === 'fault') throw new Error(outcome.message)
  return outcome.kind === 'valid' ? 'valid' : outcome.code
}

test('tokenizers: cycles, duplicates, holes, scores that are none', () => {
  expect(tokenizer((root) => (root.model['merges'] = ['a a', 'a a', 'aa a', 'a aa', 'b b']))).toMatch(/^(valid|E_TOKENIZER)/)
  expect(tokenizer((root) => (root.model['merges'] = Array.from({ length: 50_000 }, () => 'a b')))).toBe('valid')
  expect(tokenizer((root) => (root.model['merges'] = [['a'], 3, null]))).toBe('E_TOKENIZER_JSON')
  expect(tokenizer((root) => (root.model['vocab'] = { a: 1e9 }))).toBe('E_TOKENIZER_JSON')
  expect(tokenizer((root) => (root.model['vocab'] = { a: -1 }))).toBe('E_TOKENIZER_JSON')
  expect(tokenizer((root) => (root.model['vocab'] = { a: 3, b: 3 }))).toBe('E_TOKENIZER_JSON')
  expect(tokenizer((root) => root.added_tokens.push({ id: 2 ** 52, content: 'x' }))).toBe('E_TOKENIZER_JSON')
  expect(tokenizer((root) => root.added_tokens.push({ id: 0.5, content: '' }))).toBe('E_TOKENIZER_JSON')
  expect(tokenizer((root) => (root['pre_tokenizer'] = { type: 'Split', pattern: { Regex: '(a+)+$' } }))).toMatch(/^(valid|E_TOKENIZER)/)
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(...pieces, '__proto__', '', '\ud800'), fc.constantFrom(...pieces, ' ')), { maxLength: 8 }),
      (merges) => {
        expect(tokenizer((root) => (root.model['merges'] = merges.map((pair) => pair.join(' '))))).toMatch(
          /^(valid|E_TOKENIZER(_[A-Z]+)?)$/,
        )
      },
    ),
    { numRuns: 100 },
  )
})

test('tokenizers: steps that are not known are refused, and named', () => {
  const regex = (Regex: string) => ({
    type: 'Sequence',
    pretokenizers: [
      { type: 'Split', pattern: { Regex } },
      { type: 'ByteLevel', use_regex: false },
    ],
  })
  expect(tokenizer((root) => (root['pre_tokenizer'] = regex('(a+)+$')))).toBe('E_TOKENIZER_SPLIT')
  expect(tokenizer((root) => (root['pre_tokenizer'] = { type: 'WhitespaceSplit' }))).toBe('E_TOKENIZER_JSON')
  expect(tokenizer((root) => (root['normalizer'] = { type: 'Replace', pattern: { Regex: '(a+)+$' }, content: '' }))).toBe(
    'E_TOKENIZER_JSON',
  )
  expect(tokenizer((root) => (root['normalizer'] = { type: 'Replace', pattern: { String: '' }, content: 'a' }))).toBe('E_TOKENIZER_JSON')
  expect(tokenizer((root) => (root['normalizer'] = { type: 'Nmt' }))).toBe('E_TOKENIZER_JSON')
  expect(tokenizer((root) => (root['post_processor'] = { type: 'X' }))).toBe('E_TOKENIZER_JSON')
  expect(tokenizer((root) => root.added_tokens.push({ id: 4, content: 'b', single_word: true }))).toBe('E_TOKENIZER_JSON')
  expect(tokenizer((root) => (root.model['type'] = 'WordLevel'))).toBe('E_TOKENIZER_KIND')
})

test('a GGUF tokenizer whose lists disagree with the vocabulary keeps nobody from the weights', () => {
  const with_ = (key: string, value: GgufField): string | undefined => {
    const plan = smallGguf()
    const bytes = writeGguf(
      withPair(
        plan,
        plan.pairs.findIndex(([name]) => name === key),
        () => [key, value],
      ),
    )
    return openCheckpoint('m.gguf', memoryFiles({ 'm.gguf': bytes })).tokenizerProblem?.code
  }
  const floats = (values: readonly number[]): GgufField => ({ type: 9, of: 6, items: values.map((value) => ({ type: 6, value })) })
  expect(with_('tokenizer.ggml.scores', floats([1]))).toBe('E_TOKENIZER_GGUF')
  expect(with_('tokenizer.ggml.scores', floats(pieces.map(() => Number.NaN)))).toBe('E_TOKENIZER_GGUF')
  expect(with_('tokenizer.ggml.bos_token_id', { type: 4, value: 99 })).toBe('E_TOKENIZER_GGUF')
  expect(with_('tokenizer.ggml.model', { type: 8, value: 'rwkv' })).toBe('E_TOKENIZER_KIND')
  expect(with_('tokenizer.ggml.tokens', { type: 9, of: 4, items: [] })).toBe('E_TOKENIZER_GGUF')
})

test('weights that are no numbers are refused where they cannot be kept, and tell of themselves where they are', async () => {
  // The embedding's values are the first of the data: they are the output matrix too, so every score is a NaN.
  const plan = smallGguf()
  const poisoned = writeGguf(plan)
  const values = small.vocab * small.embed
  for (let i = 0; i < values; i++) new DataView(poisoned.buffer).setUint32(poisoned.length - plan.data + 4 * i, 0x7fc00000, true)
  const checkpoint = openCheckpoint('m.gguf', memoryFiles({ 'm.gguf': poisoned }))
  const compiled = (quant: 'q8_0' | 'f16' | 'bf16' | 'none') =>
    compile(models, { entry: 'models/llama.dsl', checkpoint, quant, maximum: { seq: 4 } })
  for (const quant of ['q8_0', 'f16'] as const) expect((await compiled(quant)).diagnostics).toMatchObject([{ code: 'E_TENSOR_VALUES' }])
  for (const quant of ['bf16', 'none'] as const) {
    const result = await compiled(quant)
    if (!result.ok) throw new Error(result.diagnostics.map(({ message }) => message).join('; '))
    await expectNotFinite(await load(result.artifact))
  }
})

async function expectNotFinite(loaded: Model): Promise<void> {
  await using model = loaded
  await expect(model.createSession().generate([1], { maxTokens: 2 })[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    code: 'E_NOT_FINITE',
  })
}

test('a .bin header that claims more than a machine has is refused before anything is made', () => {
  const { embed, ffn, heads, kvHeads, ctx } = small
  for (const [depth, vocab] of [
    [2 ** 28, 16],
    [2 ** 31 - 1, 16],
    [1, 2 ** 30],
    [-1, 16],
    [1, 0],
  ] as const) {
    const out = new Bytes()
    for (const value of [embed, ffn, depth, heads, kvHeads, vocab, ctx]) out.i32(value)
    expect(fitted('m.bin', out.raw(new Uint8Array(1000)).done())).toMatch(/^E_(LLAMA2C|CHECKPOINT)_/)
  }
})
