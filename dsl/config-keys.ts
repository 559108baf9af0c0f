// Keys of a checkpoint's config that change what published variants compute. Each must be read by a field, pinned by `expect`, or
// hold its neutral value: a silently wrong model is the worst outcome. Keys that only steer training, dropout, caching or token
// ids are not listed.

import { evaluate } from './check/expressions.ts'
import { configFrame, type Home } from './check/instances.ts'
import type { Report } from './check/report.ts'
import { annotatedKeys, plain, readKey } from './config.ts'
import type { ConfigValue, Numbers } from './model.ts'
import type { FlatRule, FlatTable } from './resolve/tables.ts'
import type { Span } from './source.ts'

type Values = Readonly<Record<string, unknown>>
type Neutral = (value: unknown, all: Values) => boolean

const never: Neutral = () => false
const is =
  (...neutral: unknown[]): Neutral =>
  (value) =>
    neutral.includes(typeof value === 'bigint' ? Number(value) : value)
const off = is(false, 0)
const one = is(1)
const all =
  (word: string): Neutral =>
  (value) =>
    Array.isArray(value) && value.every((item) => item === word)

// `scale_attn_weights` and `tie_word_embeddings` are neutral when true: a model without the field always does it.
const hf: readonly (readonly [string, Neutral])[] = [
  ...['hidden_act', 'hidden_activation', 'activation_function', 'activation', 'afn'].map((key) => [key, never] as const),
  ...[
    'attention_bias',
    'mlp_bias',
    'qkv_bias',
    'use_bias',
    'bias',
    'lm_head_bias',
    'use_qk_norm',
    'qk_norm',
    'qk_layernorm',
    'alibi',
    'multi_query',
    'parallel_attn',
    'new_decoder_architecture',
    'scale_attn_by_inverse_layer_idx',
    'add_cross_attention',
    'is_decoder',
    'normalize_before',
    'normalize_embedding',
    'add_final_layer_norm',
    'use_bidirectional_attention',
    'use_sliding_window',
    'attn_logit_softcapping',
    'final_logit_softcapping',
    'kv_lora_rank',
    'q_lora_rank',
  ].map((key) => [key, off] as const),
  ...[
    'embedding_multiplier',
    'residual_multiplier',
    'logits_scaling',
    'logit_scale',
    'partial_rotary_factor',
    'rotary_pct',
    'rope_parameters.partial_rotary_factor',
  ].map((key) => [key, one] as const),
  ...['num_local_experts', 'num_experts', 'n_routed_experts'].map((key) => [key, is(0, 1)] as const),
  ...['scale_attn_weights', 'tie_word_embeddings', 'share_encoder_decoder_embeddings', 'static_position_embeddings'].map(
    (key) => [key, is(true)] as const,
  ),
  ...['attention_multiplier', 'query_pre_attn_scalar', 'clip_qkv', 'quantization_config'].map((key) => [key, never] as const),
  ['sliding_window', (value, values) => value === 0 || values.use_sliding_window === false],
  ['layer_types', all('full_attention')],
  ['attention_layers', all('global')],
  ['position_embedding_type', is('absolute')],
  ['rope_scaling', (value) => ['default'].includes(String((value as Values).rope_type ?? (value as Values).type))],
  ['rope_parameters.rope_type', is('default')],
]

const gguf: readonly (readonly [string, Neutral])[] = [
  ['rope.scaling.type', is('none')],
  ['rope.scaling.factor', is(0, 1)],
  ['rope.scale_linear', is(0, 1)],
  ['expert_count', is(0)],
  ['attention.sliding_window', is(0)],
  ['attn_logit_softcapping', off],
  ['final_logit_softcapping', off],
  ['logit_scale', is(0, 1)],
  ['residual_scale', is(0, 1)],
  ['embedding_scale', is(0, 1)],
  ['attention.scale', never],
  ['attention.max_alibi_bias', off],
  ['attention.clamp_kqv', off],
  ['use_parallel_residual', off],
  // Part of each head turned: neutral when it is the whole head.
  ['rope.dimension_count', (value, all) => Number(value) === headSize(all)],
  ['attention.value_length', (value, all) => Number(value) === headSize(all)],
]

function headSize(values: Values): number {
  const read = (key: string): number => Number(values[`${String(values['general.architecture'])}.${key}`])
  const length = read('attention.key_length')
  return Number.isNaN(length) ? read('embedding_length') / read('attention.head_count') : length
}

/** Reports (L505) every key whose value the model ignores. `place` is the model's name. */
export function checkConfigKeys(home: Home, table: FlatTable | undefined, given: Numbers['config'], place: Span, report: Report): void {
  if (!given || given.kind === 'fields' || !table) return
  const read = [...(home.config?.fields.values() ?? [])].flatMap((field) => annotatedKeys(field, given.kind))
  const arch = String(given.values['general.architecture'] ?? '')
  const consumed = read.map((key) => key.replaceAll('{arch}', arch))
  const reads = (key: string): boolean => consumed.some((r) => r === key || r.startsWith(`${key}.`))
  const pins = new Map<string, { rule: Extract<FlatRule['tree'], { kind: 'expect' }>; wanted: ConfigValue }>()
  for (const { tree, module } of table.rules) {
    if (tree.kind !== 'expect') continue
    pins.set(tree.key.replaceAll('{arch}', arch), { rule: tree, wanted: plain(evaluate(tree.value, configFrame(home, module))) })
  }
  for (const [key, { rule, wanted }] of pins) {
    if (reads(key)) continue
    const value = readKey(given.values, key)
    if (value === undefined || value === null || matches(value, wanted)) continue
    ignored(key, value, [{ span: rule.span, text: `expected ${JSON.stringify(wanted)}` }])
  }
  const listed = given.kind === 'hf' ? hf : gguf.map(([key, neutral]) => [`${arch}.${key}`, neutral] as const)
  for (const [key, neutral] of listed) {
    // A pin or field above the key (`rope_scaling` for `rope_scaling.factor`) has judged it already.
    if (reads(key) || [...pins.keys()].some((pin) => pin === key || key.startsWith(`${pin}.`))) continue
    const value = readKey(given.values, key)
    if (value === undefined || value === null || neutral(value, given.values)) continue
    ignored(key, value, [{ span: place }])
  }

  function ignored(key: string, value: unknown, places: { span: Span; text?: string }[]): void {
    const shown = JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? Number(v) : v))
    report.add('L505', `${given?.file} says \`${key}: ${shown}\`, which this model ignores`, places, {
      help: `read it with  @${given?.kind}("${key}")  or write  expect "${key}" = ${shown}`,
      about: key,
    })
  }
}

function matches(value: unknown, wanted: ConfigValue): boolean {
  const number = typeof value === 'bigint' ? Number(value) : value
  if (JSON.stringify(number) === JSON.stringify(wanted)) return true
  return Array.isArray(wanted) && wanted.some((one) => matches(value, one))
}
