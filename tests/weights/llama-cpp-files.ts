// Hugging Face checkpoints as llama.cpp's conversion writes them into GGUF: names, metadata, and what it does to values (rows of q
// and k of `llama` put in pairs, Gemma's gains plus one, GPT-2's matrices turned, experts stacked, Llama 3's divisors). Written from
// llama.cpp's text (conversion/*.py, gguf-py/gguf/{constants,tensor_mapping}.py), with nothing of the project's tables or readers of
// GGUF; compared with the `gguf` package's own name maps when it was written. Everything stays f32.

import type { Checkpoint } from '../../compiler/weights/index.ts'
import { type GgufField, writeGguf } from '../hostile/write-files.ts'

interface Tensor {
  readonly dims: readonly number[]
  readonly values: Float32Array
}

type Config = Readonly<Record<string, unknown>>
type Names = Readonly<Record<string, string>>

const number = (config: Config, key: string): number => Number(config[key])

// A row of each architecture: how names change (`#` is the layer), what else is written, what is done to values.
interface Architecture {
  readonly arch: string
  readonly names: Names
  readonly metadata: (config: Config) => Readonly<Record<string, number | boolean>>
  readonly change?: (name: string, tensor: Tensor, config: Config) => Tensor
  readonly dropped?: RegExp
}

const llamaNames: Names = {
  'model.embed_tokens.weight': 'token_embd.weight',
  'lm_head.weight': 'output.weight',
  'model.norm.weight': 'output_norm.weight',
  'model.layers.#.input_layernorm.weight': 'blk.#.attn_norm.weight',
  'model.layers.#.self_attn.q_proj.weight': 'blk.#.attn_q.weight',
  'model.layers.#.self_attn.k_proj.weight': 'blk.#.attn_k.weight',
  'model.layers.#.self_attn.v_proj.weight': 'blk.#.attn_v.weight',
  'model.layers.#.self_attn.o_proj.weight': 'blk.#.attn_output.weight',
  'model.layers.#.self_attn.q_proj.bias': 'blk.#.attn_q.bias',
  'model.layers.#.self_attn.k_proj.bias': 'blk.#.attn_k.bias',
  'model.layers.#.self_attn.v_proj.bias': 'blk.#.attn_v.bias',
  'model.layers.#.post_attention_layernorm.weight': 'blk.#.ffn_norm.weight',
  'model.layers.#.mlp.gate_proj.weight': 'blk.#.ffn_gate.weight',
  'model.layers.#.mlp.up_proj.weight': 'blk.#.ffn_up.weight',
  'model.layers.#.mlp.down_proj.weight': 'blk.#.ffn_down.weight',
  'model.layers.#.block_sparse_moe.gate.weight': 'blk.#.ffn_gate_inp.weight',
  'model.layers.#.block_sparse_moe.experts.w1.weight': 'blk.#.ffn_gate_exps.weight',
  'model.layers.#.block_sparse_moe.experts.w2.weight': 'blk.#.ffn_down_exps.weight',
  'model.layers.#.block_sparse_moe.experts.w3.weight': 'blk.#.ffn_up_exps.weight',
}

const llamaMetadata = (config: Config): Record<string, number> => {
  const rope = (config['rope_parameters'] ?? {}) as Config
  const heads = number(config, 'num_attention_heads')
  const headDim = Number(config['head_dim'] ?? number(config, 'hidden_size') / heads)
  return {
    block_count: number(config, 'num_hidden_layers'),
    context_length: number(config, 'max_position_embeddings'),
    embedding_length: number(config, 'hidden_size'),
    feed_forward_length: number(config, 'intermediate_size'),
    'attention.head_count': heads,
    'attention.head_count_kv': number(config, 'num_key_value_heads'),
    'attention.layer_norm_rms_epsilon': number(config, 'rms_norm_eps'),
    'rope.freq_base': Number(rope['rope_theta']),
    ...(config['head_dim'] == null ? {} : { 'attention.key_length': headDim, 'attention.value_length': headDim }),
    ...(config['num_local_experts'] === undefined
      ? {}
      : { expert_count: number(config, 'num_local_experts'), expert_used_count: number(config, 'num_experts_per_tok') }),
  }
}

const rowsOf = ({ dims: [rows = 1], values }: Tensor): Float32Array[] => {
  const width = values.length / rows
  return Array.from({ length: rows }, (_, row) => values.subarray(row * width, (row + 1) * width))
}
const fromRows = (dims: readonly number[], rows: readonly Float32Array[]): Tensor => {
  const values = new Float32Array(rows.reduce((sum, row) => sum + row.length, 0))
  let at = 0
  for (const row of rows) {
    values.set(row, at)
    at += row.length
  }
  return { dims, values }
}

/** weights.reshape(heads, 2, rows / heads / 2, …).swapaxes(1, 2): rows j and j + half of a head become neighbours. */
function permute(tensor: Tensor, heads: number): Tensor {
  const rows = rowsOf(tensor)
  const half = rows.length / heads / 2
  const order = Array.from({ length: heads }, (_, head) =>
    Array.from({ length: half }, (_, j) => [0, 1].map((side) => rows[(head * 2 + side) * half + j]!)),
  )
  return fromRows(tensor.dims, order.flat(2))
}

function turned({ dims, values }: Tensor): Tensor {
  const [rows = 1, columns = 1] = dims
  return { dims: [columns, rows], values: values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!) }
}

const layerNames = (stack: 'enc' | 'dec', ffn: number): Names => {
  const from = `${stack}oder.block.#.layer`
  const part = (layer: number, theirs: string, ours: string): Names =>
    Object.fromEntries([
      ...['q', 'k', 'v', 'o'].map((m) => [`${from}.${layer}.${theirs}.${m}.weight`, `${stack}.blk.#.${ours}_${m}.weight`]),
      [`${from}.${layer}.${theirs}.relative_attention_bias.weight`, `${stack}.blk.#.${ours}_rel_b.weight`],
      [`${from}.${layer}.layer_norm.weight`, `${stack}.blk.#.${ours}_norm.weight`],
    ])
  return {
    ...part(0, 'SelfAttention', 'attn'),
    ...(stack === 'dec' ? part(1, 'EncDecAttention', 'cross_attn') : {}),
    [`${from}.${ffn}.layer_norm.weight`]: `${stack}.blk.#.ffn_norm.weight`,
    [`${from}.${ffn}.DenseReluDense.wi.weight`]: `${stack}.blk.#.ffn_up.weight`,
    [`${from}.${ffn}.DenseReluDense.wi_0.weight`]: `${stack}.blk.#.ffn_gate.weight`,
    [`${from}.${ffn}.DenseReluDense.wi_1.weight`]: `${stack}.blk.#.ffn_up.weight`,
    [`${from}.${ffn}.DenseReluDense.wo.weight`]: `${stack}.blk.#.ffn_down.weight`,
    [`${stack}oder.final_layer_norm.weight`]: `${stack}.output_norm.weight`,
  }
}

const both = (theirs: string, ours: string): Names => ({ [`${theirs}.weight`]: `${ours}.weight`, [`${theirs}.bias`]: `${ours}.bias` })

const architectures: Readonly<Record<string, Architecture>> = {
  llama: {
    arch: 'llama',
    names: llamaNames,
    metadata: (config) => ({
      ...llamaMetadata(config),
      vocab_size: number(config, 'vocab_size'),
      'rope.dimension_count': Number(config['head_dim'] ?? number(config, 'hidden_size') / number(config, 'num_attention_heads')),
    }),
    change(name, tensor, config) {
      if (/q_proj\.(weight|bias)$/.test(name)) return permute(tensor, number(config, 'num_attention_heads'))
      if (/k_proj\.(weight|bias)$/.test(name)) return permute(tensor, number(config, 'num_key_value_heads'))
      return tensor
    },
  },
  qwen2: { arch: 'qwen2', names: llamaNames, metadata: llamaMetadata },
  gemma: {
    arch: 'gemma',
    names: llamaNames,
    metadata: (config) => Object.fromEntries(Object.entries(llamaMetadata(config)).filter(([key]) => key !== 'rope.freq_base')),
    change: (name, tensor) => (name.endsWith('norm.weight') ? { ...tensor, values: tensor.values.map((value) => value + 1) } : tensor),
    dropped: /^lm_head/,
  },
  gpt2: {
    arch: 'gpt2',
    names: {
      'transformer.wte.weight': 'token_embd.weight',
      'transformer.wpe.weight': 'position_embd.weight',
      ...both('transformer.h.#.ln_1', 'blk.#.attn_norm'),
      ...both('transformer.h.#.attn.c_attn', 'blk.#.attn_qkv'),
      ...both('transformer.h.#.attn.c_proj', 'blk.#.attn_output'),
      ...both('transformer.h.#.ln_2', 'blk.#.ffn_norm'),
      ...both('transformer.h.#.mlp.c_fc', 'blk.#.ffn_up'),
      ...both('transformer.h.#.mlp.c_proj', 'blk.#.ffn_down'),
      ...both('transformer.ln_f', 'output_norm'),
    },
    metadata: (config) => ({
      block_count: number(config, 'n_layer'),
      context_length: number(config, 'n_positions'),
      embedding_length: number(config, 'n_embd'),
      // llama.cpp writes 4 * n_embd, which is all that published files have; this one has another width.
      feed_forward_length: number(config, 'n_inner'),
      'attention.head_count': number(config, 'n_head'),
      'attention.layer_norm_epsilon': number(config, 'layer_norm_epsilon'),
    }),
    change: (name, tensor) => (/\.(c_attn|c_proj|c_fc)\.weight$/.test(name) ? turned(tensor) : tensor),
    dropped: /\.attn\.(masked_)?bias$/,
  },
  bert: {
    arch: 'bert',
    names: {
      'bert.embeddings.word_embeddings.weight': 'token_embd.weight',
      'bert.embeddings.position_embeddings.weight': 'position_embd.weight',
      'bert.embeddings.token_type_embeddings.weight': 'token_types.weight',
      ...both('bert.embeddings.LayerNorm', 'token_embd_norm'),
      ...both('bert.encoder.layer.#.attention.self.query', 'blk.#.attn_q'),
      ...both('bert.encoder.layer.#.attention.self.key', 'blk.#.attn_k'),
      ...both('bert.encoder.layer.#.attention.self.value', 'blk.#.attn_v'),
      ...both('bert.encoder.layer.#.attention.output.dense', 'blk.#.attn_output'),
      ...both('bert.encoder.layer.#.attention.output.LayerNorm', 'blk.#.attn_output_norm'),
      ...both('bert.encoder.layer.#.intermediate.dense', 'blk.#.ffn_up'),
      ...both('bert.encoder.layer.#.output.dense', 'blk.#.ffn_down'),
      ...both('bert.encoder.layer.#.output.LayerNorm', 'blk.#.layer_output_norm'),
    },
    metadata: (config) => ({
      block_count: number(config, 'num_hidden_layers'),
      context_length: number(config, 'max_position_embeddings'),
      embedding_length: number(config, 'hidden_size'),
      feed_forward_length: number(config, 'intermediate_size'),
      'attention.head_count': number(config, 'num_attention_heads'),
      'attention.layer_norm_epsilon': number(config, 'layer_norm_eps'),
      'attention.causal': false,
    }),
    dropped: /^cls\.|position_ids$|pooler/,
  },
  t5: {
    arch: 't5',
    names: {
      'shared.weight': 'token_embd.weight',
      'lm_head.weight': 'output.weight',
      ...layerNames('enc', 1),
      ...layerNames('dec', 2),
    },
    metadata: (config) => ({
      block_count: number(config, 'num_layers'),
      decoder_block_count: number(config, 'num_decoder_layers'),
      context_length: number(config, 'n_positions'),
      embedding_length: number(config, 'd_model'),
      feed_forward_length: number(config, 'd_ff'),
      'attention.head_count': number(config, 'num_heads'),
      'attention.key_length': number(config, 'd_kv'),
      'attention.value_length': number(config, 'd_kv'),
      'attention.layer_norm_epsilon': number(config, 'layer_norm_epsilon'),
      'attention.relative_buckets_count': number(config, 'relative_attention_num_buckets'),
      'attention.layer_norm_rms_epsilon': number(config, 'layer_norm_epsilon'),
      decoder_start_token_id: 0,
    }),
  },
}

/** llama.cpp's `llama` is Mistral and Mixtral as well. */
const architectureOf = (config: Config): Architecture =>
  architectures[{ mistral: 'llama', mixtral: 'llama' }[String(config['model_type'])] ?? String(config['model_type'])]!

/** By how much each pair turns slower, in f32 as PyTorch does it. (llama.cpp takes 8192 when the config's own level lacks the old context.) */
function ropeDivisors(config: Config): Tensor | undefined {
  const rope = config['rope_parameters'] as Config | undefined
  if (rope?.['rope_type'] !== 'llama3') return undefined
  const [factor, low, high, old] = ['factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings'].map((key) =>
    number(rope, key),
  ) as [number, number, number, number]
  const dim = number(config, 'head_dim')
  const values = Float32Array.from({ length: dim / 2 }, (_, j) => {
    const wave = (2 * Math.PI) / number(rope, 'rope_theta') ** (-(2 * j) / dim)
    if (wave < old / high) return 1
    if (wave > old / low) return factor
    const smooth = (old / wave - low) / (high - low)
    return 1 / ((1 - smooth) / factor + smooth)
  })
  return { dims: [dim / 2], values }
}

export interface ConversionChoice {
  /** As files of early 2024 have them: each expert a tensor of its own. */
  readonly splitExperts?: boolean
  /** Further metadata, without the architecture in front. */
  readonly metadata?: Readonly<Record<string, number | boolean | string>>
}

/** The bytes of a GGUF file with the checkpoint's tensors. Throws on a tensor that llama.cpp has no name for. */
export function asLlamaCpp(checkpoint: Checkpoint, choice: ConversionChoice = {}): Uint8Array {
  const config = checkpoint.config!.values
  const { arch, names, metadata, change = (_, tensor) => tensor, dropped } = architectureOf(config)
  const out = new Map<string, Tensor>()
  const experts = new Map<string, Tensor[]>()
  for (const { name, dims, bytes } of checkpoint.tensors.values()) {
    if (dropped?.test(name)) continue
    const tensor = change(name, { dims, values: new Float32Array(bytes().slice().buffer) }, config)
    const expert = /^model\.layers\.(\d+)\.block_sparse_moe\.experts\.(\d+)\.(w\d)\.weight$/.exec(name)
    if (!expert) out.set(renamed(name, names), tensor)
    else {
      const [, layer = '', e = '', which = ''] = expert
      const merged = renamed(`model.layers.${layer}.block_sparse_moe.experts.${which}.weight`, names)
      if (choice.splitExperts) out.set(merged.replace('_exps.', `.${e}.`), tensor)
      else {
        const list = experts.get(merged) ?? []
        list[Number(e)] = tensor
        experts.set(merged, list)
      }
    }
  }
  for (const [name, list] of experts) {
    const [{ dims }] = list as [Tensor]
    out.set(name, fromRows([list.length, ...dims], list.flatMap(rowsOf)))
  }
  const divisors = ropeDivisors(config)
  if (divisors) out.set('rope_freqs.weight', divisors)
  return packed(arch, { ...metadata(config), ...choice.metadata }, Number(config['vocab_size']), out, config)
}

function renamed(name: string, names: Names): string {
  const layer = /\.(\d+)\./.exec(name)?.[1] ?? ''
  const found = names[name] ?? names[name.replace(`.${layer}.`, '.#.')]
  if (found === undefined) throw new Error(`llama.cpp has no name for ${name}`)
  return found.replace('#', layer)
}

const text = (value: string): GgufField => ({ type: 8, value })
const field = (value: number | boolean | string): GgufField =>
  typeof value === 'string'
    ? text(value)
    : typeof value === 'boolean'
      ? { type: 7, value: Number(value) }
      : { type: Number.isInteger(value) ? 4 : 6, value }

function packed(
  arch: string,
  metadata: Readonly<Record<string, number | boolean | string>>,
  vocab: number,
  tensors: ReadonlyMap<string, Tensor>,
  config: Config,
): Uint8Array {
  const tokens: GgufField = { type: 9, of: 8, items: Array.from({ length: vocab }, (_, i) => text(`t${i}`)) }
  let offset = 0
  const infos = [...tensors].map(([name, { dims, values }]) => {
    const info = { name, dims: dims.toReversed(), type: 0, offset }
    offset += Math.ceil(values.byteLength / 32) * 32
    return info
  })
  const bytes = writeGguf({
    version: 3,
    pairs: [
      ['general.architecture', text(arch)],
      ...Object.entries(metadata).map(([key, value]) => [`${arch}.${key}`, field(value)] as const),
      ...(config['type_vocab_size'] === undefined
        ? []
        : [['tokenizer.ggml.token_type_count', field(number(config, 'type_vocab_size'))] as const]),
      ['tokenizer.ggml.tokens', tokens],
    ],
    tensors: infos,
    data: offset,
  })
  const base = bytes.length - offset
  for (const { name, offset: at } of infos) {
    const { buffer, byteOffset, byteLength } = tensors.get(name)!.values
    bytes.set(new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength), base + at)
  }
  return bytes
}
