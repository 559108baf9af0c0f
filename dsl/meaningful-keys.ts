// Keys of checkpoints' configs to which published variants give a meaning for what is computed, each with the values at which it
// changes nothing. Keys that only steer training, dropout, generation, caching or token ids, or how a library computes the same
// numbers (`pretraining_tp`, `reorder_and_upcast_attn`, `chunk_size_feed_forward`), are not listed.

type Values = Readonly<Record<string, unknown>>
export type Neutral = (value: unknown, all: Values) => boolean

const never: Neutral = () => false
const is =
  (...neutral: unknown[]): Neutral =>
  (value) =>
    neutral.includes(typeof value === 'bigint' ? Number(value) : value)
const off = is(false, 0)
const one = is(1)
const all =
  (word: unknown): Neutral =>
  (value) =>
    Array.isArray(value) && value.every((item) => item === word)
const same =
  (other: string): Neutral =>
  (value, values) =>
    value === values[other]

type Rows = Readonly<Record<string, Neutral>>
const each = (neutral: Neutral, ...keys: string[]): Rows => Object.fromEntries(keys.map((key) => [key, neutral]))

/** Keys of config.json; a dot goes into an object. */
const hf: Rows = {
  ...each(never, 'hidden_act', 'hidden_activation', 'activation_function', 'activation', 'afn', 'feed_forward_proj', 'dense_act_fn'),
  ...each(off, 'is_gated_act', 'attention_bias', 'mlp_bias', 'qkv_bias', 'use_bias', 'bias', 'lm_head_bias'),
  ...each(off, 'use_qk_norm', 'qk_norm', 'qk_layernorm', 'alibi', 'multi_query', 'parallel_attn', 'use_parallel_residual'),
  ...each(off, 'new_decoder_architecture', 'attn_output_gate', 'scale_attn_by_inverse_layer_idx', 'use_bidirectional_attention'),
  ...each(off, 'add_cross_attention', 'is_decoder', 'is_encoder_decoder', 'tie_encoder_decoder'),
  ...each(off, 'normalize_before', 'normalize_embedding', 'add_final_layer_norm', 'scale_embedding'),
  ...each(off, 'attn_logit_softcapping', 'final_logit_softcapping', 'kv_lora_rank', 'q_lora_rank'),
  ...each(one, 'embedding_multiplier', 'residual_multiplier', 'logits_scaling', 'logit_scale'),
  ...each(never, 'attention_multiplier', 'query_pre_attn_scalar', 'clip_qkv', 'quantization_config', 'compression_config', 'text_config'),
  // Neutral when true: a model without the field always does it.
  ...each(is(true), 'scale_attn_weights', 'tie_word_embeddings', 'share_encoder_decoder_embeddings', 'static_position_embeddings'),
  decoder_vocab_size: same('vocab_size'),
  pruned_heads: (value) => typeof value === 'object' && Object.keys(value as object).length === 0,
  ...each(is(0, 1), 'num_local_experts', 'num_experts', 'n_routed_experts'),
  ...each(off, 'n_shared_experts'),

  // Which keys a query sees.
  use_sliding_window: off,
  sliding_window: (value, values) => value === 0 || values.use_sliding_window === false,
  attention_chunk_size: off,
  layer_types: all('full_attention'),
  attention_layers: all('global'),
  // The same as `attention_layers`, written shorter.
  attention_types: (_, values) => Array.isArray(values.attention_layers),

  // Positions.
  position_embedding_type: is('absolute'),
  ...each(never, 'relative_attention_num_buckets', 'relative_attention_max_distance'),
  ...each(one, 'partial_rotary_factor', 'rotary_pct', 'rope_parameters.partial_rotary_factor'),
  ...each(never, 'rotary_dim', 'rotary_emb_base', 'rope_local_base_freq'),
  ...each(never, 'rope_parameters.full_attention', 'rope_parameters.sliding_attention'),
  ...each(off, 'rope_interleaved', 'rope_interleave'),
  no_rope_layers: all(1),
  rope_scaling: (value) => ['default'].includes(String((value as Values).rope_type ?? (value as Values).type)),
  'rope_parameters.rope_type': is('default'),
}

function headSize(values: Values): number {
  const read = (key: string): number => Number(values[`${String(values['general.architecture'])}.${key}`])
  const length = read('attention.key_length')
  return Number.isNaN(length) ? read('embedding_length') / read('attention.head_count') : length
}
const wholeHead: Neutral = (value, values) => Number(value) === headSize(values)

/** Keys of GGUF's metadata, without the architecture in front. */
const gguf: Rows = {
  'rope.scaling.type': is('none'),
  ...each(is(0, 1), 'rope.scaling.factor', 'rope.scaling.attn_factor', 'rope.scale_linear'),
  ...each(never, 'rope.scaling.alpha', 'rope.freq_base_swa', 'rope.dimension_sections'),
  // Part of each head turned: neutral when it is the whole head.
  'rope.dimension_count': wholeHead,
  'attention.value_length': wholeHead,
  'attention.causal': is(true),
  ...each(off, 'attention.sliding_window', 'attention.max_alibi_bias', 'attention.clamp_kqv', 'attention.shared_kv_layers'),
  ...each(off, 'attention.q_lora_rank', 'attention.kv_lora_rank', 'attention.temperature_length', 'attention.indexer.top_k'),
  ...each(never, 'attention.scale', 'attention.relative_buckets_count'),
  ...each(is(0, 1), 'attention.output_scale', 'logit_scale', 'residual_scale', 'embedding_scale'),
  ...each(off, 'attn_logit_softcapping', 'final_logit_softcapping', 'router_logit_softcapping'),
  ...each(off, 'use_parallel_residual', 'swin_norm', 'embedding_length_per_layer_input'),
  ...each(off, 'expert_count', 'expert_shared_count', 'leading_dense_block_count'),
  ...each(is(0, 1), 'expert_weights_scale', 'expert_gating_func', 'interleave_moe_layer_step'),
}

/** By kind of config; `{arch}` stands in keys of GGUF as in annotations. */
export const meaningfulKeys: Readonly<Record<'hf' | 'gguf', ReadonlyMap<string, Neutral>>> = {
  hf: new Map(Object.entries(hf)),
  gguf: new Map(Object.entries(gguf).map(([key, neutral]) => [`{arch}.${key}`, neutral])),
}

/** What tells whose checkpoint it is: a model that expects another is wrong for the whole file, whatever else it says. */
export const identities: readonly string[] = ['model_type', 'architectures', 'general.architecture']
