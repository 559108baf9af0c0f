// A file that does not fit its checkpoint refuses it and names the file that does. And of every family: a config with a key changed to
// a value that some published model has is read (the model differs) or refused (an error says so), never passed over; keys without
// a meaning for the numbers change nothing.

import { describe, expect, test } from 'vitest'
import { fitModel } from '../../compiler/fit.ts'
import { compile, packageSources } from '../../compiler/index.ts'
import { modelPaths } from '../../compiler/package-sources.ts'
import { type Checkpoint, fromBytes, nodeFiles, openCheckpoint } from '../../compiler/weights/index.ts'
import { meaningfulKeys } from '../../dsl/meaningful-keys.ts'
import type { CheckedModel, Numbers } from '../../dsl/model.ts'
import { load } from '../dsl/read-models.ts'
import { dataPath, dataText } from '../support/goldens.ts'
import { asLlamaCpp, type ConversionChoice } from './llama-cpp-files.ts'

const openHf = (folder: string): Checkpoint => openCheckpoint(dataPath(folder), nodeFiles)
const openGguf = (folder: string, choice?: ConversionChoice): Checkpoint => {
  const bytes = asLlamaCpp(openHf(folder), choice)
  return openCheckpoint('model.gguf', { open: (path) => fromBytes(bytes, path), isFolder: () => false })
}

type Misfit = readonly [asked: string, what: string, code: string, fits: readonly string[], checkpoint: () => Checkpoint]
const hf = (asked: string, folder: string, code: string, ...fits: string[]): Misfit => [
  asked,
  `Hugging Face's ${folder}`,
  code,
  fits,
  () => openHf(folder),
]
const gguf = (asked: string, folder: string, code: string, fits: readonly string[], choice?: ConversionChoice): Misfit => [
  asked,
  `${folder} as GGUF`,
  code,
  fits,
  () => openGguf(folder, choice),
]

const misfits: readonly Misfit[] = [
  hf('llama', 'hf-golden/llama3-rope', 'L505', 'llama3'),
  gguf('llama', 'hf-golden/llama3-rope', 'L520', ['llama3']),
  hf('llama', 'hf-golden/mixtral', 'L512', 'mixtral'),
  gguf('llama', 'hf-golden/mixtral', 'L505', ['mixtral'], { splitExperts: true }),
  hf('llama', 'hf-golden/mistral', 'L512', 'mistral', 'mistral_ring'),
  gguf('llama', 'hf-golden/mistral', 'L505', ['mistral', 'mistral_ring'], { metadata: { 'attention.sliding_window': 8 } }),
  gguf('llama', 'hf-golden/gemma', 'L504', ['gemma']),
  hf('llama', 'hf-golden/gpt2', 'L512', 'gpt2'),
  hf('gemma', 'checkpoints/stories260K.legacy.bin', 'L512', 'llama'),
  hf('gpt2', 'hf-golden/openai-gpt', 'L512', 'openai_gpt'),
  gguf('bert', 'hf-golden/bert', 'L504', ['bert_encoder']),
  hf('t5', 'tests/golden/t5/v1_1', 'L505', 't5_v1_1'),
  gguf('t5', 'tests/golden/t5/v1_1', 'L520', ['t5_v1_1']),
  hf('marian', 'tests/golden/t5/v1_0', 'L512', 't5'),
]

test.each(misfits)('%s.dsl refuses %s (%s) and names %j', async (asked, _what, code, fits, open) => {
  const { ok, diagnostics } = await compile(packageSources(), { entry: `models/${asked}.dsl`, checkpoint: open() })
  const [first] = diagnostics
  expect(ok).toBe(false)
  expect(first?.code).toBe(code)
  expect(first?.help?.match(/\w+(?=\.dsl)/g)).toEqual(fits)
})

// Of every checkpoint, which files take it. Whoever extends a model that a checkpoint is for must say that it is another one.
const takers: Readonly<Record<string, readonly [hf: readonly string[], gguf?: readonly string[]]>> = {
  'hf-golden/llama': [
    ['llama', 'llama3'],
    ['llama', 'llama3', 'mistral', 'mistral_ring'],
  ],
  'hf-golden/llama-gqa': [
    ['llama', 'llama3'],
    ['llama', 'llama3', 'mistral', 'mistral_ring'],
  ],
  'hf-golden/llama3-rope': [['llama3'], ['llama3']],
  'hf-golden/mistral': [
    ['mistral', 'mistral_ring'],
    ['llama', 'llama3', 'mistral', 'mistral_ring'],
  ],
  'hf-golden/mixtral': [['mixtral'], ['mixtral']],
  'hf-golden/qwen2': [['qwen2'], ['qwen2']],
  'hf-golden/gemma': [['gemma'], ['gemma']],
  'hf-golden/gpt2': [['gpt2'], ['gpt2']],
  'hf-golden/gpt-neo': [['gpt_neo']],
  'hf-golden/openai-gpt': [['openai_gpt']],
  'hf-golden/bert': [['bert', 'bert_encoder'], ['bert_encoder']],
  'hf-golden/marian': [['marian']],
  'tests/golden/t5/v1_0': [['t5'], ['t5']],
  'tests/golden/t5/v1_1': [['t5_v1_1'], ['t5_v1_1']],
  'tests/golden/decoders/gpt3': [['gpt3']],
  'tests/golden/decoders/palm': [['palm']],
  'tests/golden/decoders/chinchilla': [['chinchilla']],
}
const models = new Map(
  modelPaths().map((path) => [path.slice('models/'.length, -'.dsl'.length), load(path.slice('models/'.length, -'.dsl'.length))]),
)
const takenBy = (checkpoint: Checkpoint): string[] =>
  [...models].flatMap(([name, model]) => (fitModel(model, {}, { checkpoint }).model ? [name] : []))

test.each(Object.entries(takers))('only these take %s', (folder, [hf, gguf]) => {
  expect(takenBy(openHf(folder))).toEqual(hf)
  if (gguf) expect(takenBy(openGguf(folder))).toEqual(gguf)
})

test('a mistake of the user, or a file that nothing takes, gets no other name', async () => {
  const checkpoint = openHf('hf-golden/llama')
  const helps = async (request: Partial<Parameters<typeof compile>[1]>): Promise<string | undefined> => {
    const { ok, diagnostics } = await compile(packageSources(), { entry: 'models/llama.dsl', checkpoint, ...request })
    expect(ok).toBe(false)
    return diagnostics[0]?.help
  }
  expect((await helps({ set: { heads: '3' } })) ?? '').not.toContain('.dsl')
  const strange = { ...checkpoint, config: { ...checkpoint.config!, values: { ...checkpoint.config!.values, model_type: 'mamba' } } }
  expect(await helps({ checkpoint: strange })).toBe('write a model that says what differs, and  expect "model_type" = "mamba"')
})

type Change = readonly [key: string, value: unknown]

/** The model that a changed config makes, as text; undefined when it is refused. */
function made(
  model: CheckedModel,
  kind: 'hf' | 'gguf',
  values: Record<string, unknown>,
  preset: Partial<Numbers> = {},
): string | undefined {
  const { model: specialised, diagnostics } = model.specialise({ config: { kind, values, file: 'config' }, ...preset })
  if (!specialised || diagnostics.length > 0) return undefined
  const { config, weights, states } = specialised
  return JSON.stringify([config, weights.map(({ path, dims }) => [path, dims]), states.map(({ path, dims }) => [path, dims])])
}

/** A dotted key goes into objects. */
function changed(values: Record<string, unknown>, [key, value]: Change): Record<string, unknown> {
  const [first = '', ...rest] = key.split('.')
  if (rest.length === 0 || key in values) return { ...values, [key]: value }
  return { ...values, [first]: changed((values[first] ?? {}) as Record<string, unknown>, [rest.join('.'), value]) }
}

const anyDecoder: readonly Change[] = [
  ['model_type', 'falcon'],
  ['is_encoder_decoder', true],
  ['num_local_experts', 8],
  ['quantization_config', { quant_method: 'gptq', bits: 4 }],
  ['attn_logit_softcapping', 50],
  ['final_logit_softcapping', 30],
  ['logits_scaling', 8],
  ['embedding_multiplier', 12],
  ['residual_multiplier', 0.22],
  ['attention_multiplier', 0.015625],
  ['parallel_attn', true],
  ['alibi', true],
  ['multi_query', true],
  ['use_qk_norm', true],
  ['text_config', { hidden_size: 64 }],
]
const llamaLike: readonly Change[] = [
  ...anyDecoder,
  ['hidden_act', 'relu'],
  ['attention_bias', true],
  ['mlp_bias', true],
  ['head_dim', 32],
  ['num_key_value_heads', 1],
  ['num_attention_heads', 2],
  ['num_hidden_layers', 1],
  ['intermediate_size', 128],
  ['vocab_size', 128],
  ['max_position_embeddings', 128],
  ['rms_norm_eps', 1e-3],
  ['tie_word_embeddings', true],
  ['tie_word_embeddings', false],
  ['rope_parameters.rope_theta', 500_000],
  ['rope_parameters.rope_type', 'linear'],
  ['rope_parameters.rope_type', 'yarn'],
  ['rope_parameters.partial_rotary_factor', 0.5],
  ['rope_scaling', { type: 'linear', factor: 2 }],
  ['rope_scaling', { rope_type: 'dynamic', factor: 2 }],
  ['partial_rotary_factor', 0.4],
  ['sliding_window', 4],
  ['layer_types', ['full_attention', 'sliding_attention', 'full_attention']],
  ['no_rope_layers', [1, 0, 1]],
  ['attention_chunk_size', 8192],
  ['query_pre_attn_scalar', 256],
  ['clip_qkv', 8],
  ['rope_local_base_freq', 10_000],
]
const gpt2Like: readonly Change[] = [
  ...anyDecoder,
  ['scale_attn_weights', false],
  ['scale_attn_by_inverse_layer_idx', true],
  ['add_cross_attention', true],
  ['tie_word_embeddings', false],
  ['vocab_size', 128],
  ['layer_norm_epsilon', 1e-3],
]
const bertLike: readonly Change[] = [
  ['model_type', 'roberta'],
  ['hidden_act', 'relu'],
  ['hidden_act', 'gelu_new'],
  ['position_embedding_type', 'relative_key'],
  ['is_decoder', true],
  ['add_cross_attention', true],
  ['tie_word_embeddings', false],
  ['type_vocab_size', 4],
  ['layer_norm_eps', 1e-3],
  ['pruned_heads', { 1: [0, 2] }],
  ['num_attention_heads', 2],
]
const t5Like: readonly Change[] = [
  ['model_type', 'umt5'],
  ['feed_forward_proj', 'gated-silu'],
  ['dense_act_fn', 'silu'],
  ['scale_decoder_outputs', true],
  ['scale_decoder_outputs', false],
  ['relative_attention_num_buckets', 64],
  ['relative_attention_max_distance', 256],
  ['layer_norm_epsilon', 1e-3],
  ['d_kv', 16],
  ['d_ff', 64],
  ['num_heads', 2],
  ['num_decoder_layers', 1],
  ['n_positions', 64],
  ['is_encoder_decoder', false],
  ['is_decoder', true],
]

const families: Readonly<Record<string, readonly [folder: string, changes: readonly Change[]]>> = {
  llama: ['hf-golden/llama', [...llamaLike, ['rope_parameters.rope_type', 'llama3']]],
  llama3: ['hf-golden/llama3-rope', [...llamaLike, ['rope_parameters.factor', 32], ['rope_parameters.low_freq_factor', 2]]],
  mistral: ['hf-golden/mistral', [...llamaLike, ['sliding_window', null]]],
  mistral_ring: ['hf-golden/mistral', [...llamaLike, ['sliding_window', null]]],
  mixtral: ['hf-golden/mixtral', [...llamaLike, ['num_experts_per_tok', 1], ['num_local_experts', 2]]],
  qwen2: ['hf-golden/qwen2', [...llamaLike.filter(([key]) => key !== 'sliding_window'), ['use_sliding_window', true], ['qkv_bias', false]]],
  gemma: ['hf-golden/gemma', [...llamaLike, ['hidden_activation', 'relu'], ['use_bidirectional_attention', true]]],
  gpt2: [
    'hf-golden/gpt2',
    [...gpt2Like, ['activation_function', 'relu'], ['n_inner', 96], ['n_inner', null], ['n_head', 2], ['n_positions', 32]],
  ],
  gpt_neo: [
    'hf-golden/gpt-neo',
    [
      ...gpt2Like,
      ['activation_function', 'gelu'],
      ['attention_layers', ['global', 'global']],
      ['window_size', 4],
      ['intermediate_size', null],
      ['num_heads', 2],
    ],
  ],
  gpt3: ['tests/golden/decoders/gpt3', [...gpt2Like, ['activation_function', 'relu'], ['window_size', 8]]],
  chinchilla: ['tests/golden/decoders/chinchilla', [...gpt2Like, ['activation_function', 'relu'], ['n_head', 4]]],
  palm: ['tests/golden/decoders/palm', llamaLike.filter(([key]) => key !== 'num_key_value_heads')],
  openai_gpt: ['hf-golden/openai-gpt', [...gpt2Like, ['afn', 'relu'], ['n_layer', 1]]],
  bert: ['hf-golden/bert', bertLike],
  bert_encoder: ['hf-golden/bert', bertLike],
  marian: [
    'hf-golden/marian',
    [
      ['model_type', 'bart'],
      ['activation_function', 'swish'],
      ['static_position_embeddings', false],
      ['scale_embedding', false],
      ['normalize_embedding', true],
      ['normalize_before', true],
      ['add_final_layer_norm', true],
      ['share_encoder_decoder_embeddings', false],
      ['decoder_vocab_size', 96],
      ['decoder_layers', 1],
      ['decoder_ffn_dim', 96],
      ['decoder_attention_heads', 2],
      ['tie_word_embeddings', false],
      ['is_encoder_decoder', false],
    ],
  ],
  t5: ['tests/golden/t5/v1_0', [...t5Like, ['feed_forward_proj', 'gated-gelu'], ['is_gated_act', true]]],
  t5_v1_1: ['tests/golden/t5/v1_1', [...t5Like, ['feed_forward_proj', 'relu'], ['is_gated_act', false]]],
}

/** How a library runs or trains it, and what it writes for itself. */
const idle: readonly Change[] = [
  ['torch_dtype', 'bfloat16'],
  ['transformers_version', '4.30.0'],
  ['use_cache', false],
  ['initializer_range', 0.5],
  ['bos_token_id', 7],
  ['attention_dropout', 0.1],
  ['resid_pdrop', 0.1],
  ['pretraining_tp', 2],
  ['reorder_and_upcast_attn', true],
  ['chunk_size_feed_forward', 16],
  ['_name_or_path', 'somewhere'],
  ['task_specific_params', { summarization: { num_beams: 4 } }],
  ['id2label', { 0: 'no' }],
  ['router_jitter_noise', 0.1],
  ['max_window_layers', 12],
  ['num_beams', 6],
]

/** What the config says already in other words, or leaves to the default. */
const repeated: Readonly<Record<string, readonly Change[]>> = {
  qwen2: [['qkv_bias', true]],
  t5_v1_1: [['tie_word_embeddings', false]],
}

describe.each(Object.entries(families))('%s', (file, [folder, changes]) => {
  const model = load(file)
  const values = JSON.parse(dataText(`${folder}/config.json`)) as Record<string, unknown>
  const plain = made(model, 'hf', values)

  test('every change is read or refused', () => {
    expect(plain).toBeDefined()
    const said = (change: Change): unknown =>
      change[0].split('.').reduce((at, step) => (at as Record<string, unknown> | undefined)?.[step], values as unknown)
    const silent = changes.filter(
      (change) => JSON.stringify(said(change)) !== JSON.stringify(change[1]) && made(model, 'hf', changed(values, change)) === plain,
    )
    expect(silent).toEqual([])
  })

  test('every key that has a meaning anywhere is read or refused, whatever it holds', () => {
    const silent = [...meaningfulKeys.hf].flatMap(([key, neutral]) =>
      [true, false, 3, 'else', { type: 'else' }, ['else']]
        .filter((value) => !neutral(value, { ...values, [key]: value }) && JSON.stringify(values[key]) !== JSON.stringify(value))
        .filter((value) => made(model, 'hf', changed(values, [key, value])) === plain)
        .map((value) => [key, value]),
    )
    expect(silent).toEqual(repeated[file] ?? [])
  })

  test('keys without a meaning change nothing', () => {
    for (const change of idle) expect(made(model, 'hf', changed(values, change)), change[0]).toBe(plain)
  })
})

describe("GGUF's metadata", () => {
  const changes: readonly Change[] = [
    ['rope.scaling.type', 'linear'],
    ['rope.scaling.type', 'yarn'],
    ['rope.scaling.factor', 4],
    ['rope.freq_base', 500_000],
    ['rope.freq_base_swa', 10_000],
    ['rope.dimension_count', 4],
    ['rope.dimension_sections', [8, 8, 8, 8]],
    ['expert_count', 8],
    ['attention.sliding_window', 4],
    ['attention.scale', 0.1],
    ['attention.causal', false],
    ['attention.causal', true],
    ['attention.value_length', 4],
    ['attention.max_alibi_bias', 8],
    ['attention.clamp_kqv', 8],
    ['attention.q_lora_rank', 512],
    ['attn_logit_softcapping', 50],
    ['final_logit_softcapping', 30],
    ['logit_scale', 0.0625],
    ['residual_scale', 0.22],
    ['embedding_scale', 12],
    ['use_parallel_residual', true],
    ['block_count', 1],
    ['context_length', 48],
    ['vocab_size', 40],
  ]
  /** Nothing rotates in these, so that nothing is said of it. */
  const unrotated: readonly string[] = ['gpt2', 'bert_encoder', 't5']

  test.each([
    ['llama', 'hf-golden/llama'],
    ['llama3', 'hf-golden/llama3-rope'],
    ['mistral', 'hf-golden/mistral'],
    ['mixtral', 'hf-golden/mixtral'],
    ['qwen2', 'hf-golden/qwen2'],
    ['gemma', 'hf-golden/gemma'],
    ['gpt2', 'hf-golden/gpt2'],
    ['bert_encoder', 'hf-golden/bert'],
    ['t5', 'tests/golden/t5/v1_0'],
  ])('%s', (file, folder) => {
    const { config, tensors } = openGguf(folder)
    const arch = String(config!.values['general.architecture'])
    const model = load(file)
    const hasTensorFor = (path: string): boolean => path !== 'lm_head' || tensors.has('output.weight')
    const values = { ...config!.values }
    const plain = made(model, 'gguf', values, { hasTensorFor })
    expect(plain).toBeDefined()
    const silent = changes.filter(([key, value]) => {
      const isIdle =
        (unrotated.includes(file) && key === 'rope.freq_base') || (value === true && key === 'attention.causal' && arch !== 'bert')
      return (
        !isIdle &&
        values[`${arch}.${key}`] !== value &&
        made(model, 'gguf', { ...values, [`${arch}.${key}`]: value }, { hasTensorFor }) === plain
      )
    })
    expect(silent).toEqual([])
  })
})
