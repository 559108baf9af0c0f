// A GGUF file with the weights of hf-golden/llama, each tensor in a format of its own, as llama.cpp's quantiser mixes them. The
// file has as many layers as asked for: the checkpoint's layers by turns, each with a factor of its own, so that no two are alike.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatNames, formats, type FormatName, isFormatName } from '../../compiler/formats/index.ts'
import { decodeAll } from '../../compiler/weights/plain-tensor.ts'
import { nodeFiles, openCheckpoint } from '../../compiler/weights/index.ts'
import { type GgufField, type GgufTensor, writeGguf } from '../hostile/write-files.ts'
import { dataPath } from './goldens.ts'
import { product } from './model-calls.ts'

/** Matrices of a layer and where the checkpoint has them. */
export const layerMatrices = {
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
} as const
export type LayerMatrix = keyof typeof layerMatrices

/** ggml's numbers of the formats that a file may mix. */
const ggmlTypes: Readonly<Record<string, number>> = {
  f32: 0,
  f16: 1,
  q4_0: 2,
  q4_1: 3,
  q5_0: 6,
  q5_1: 7,
  q8_0: 8,
  q4_k: 12,
  q5_k: 13,
  q6_k: 14,
  bf16: 30,
}

/** Formats whose blocks divide the rows of every matrix here: 64 and 96 values. */
export const mixable: readonly FormatName[] = formatNames.filter((name) => name in ggmlTypes && 32 % formats[name].values === 0)

export interface Mixture {
  readonly depth: number
  /** Format of a layer's matrix, of `token_embd` and of `output`. */
  format(matrix: LayerMatrix | 'token_embd' | 'output', layer: number): FormatName
}

const text = (value: string): GgufField => ({ type: 8, value })
const u32 = (value: number): GgufField => ({ type: 4, value })
const f32 = (value: number): GgufField => ({ type: 6, value })

/** The file's bytes, and the bytes and format of each tensor in it. */
export function mixedGguf({ depth, format }: Mixture): {
  readonly file: Uint8Array
  readonly stored: ReadonlyMap<string, { readonly format: FormatName; readonly bytes: number }>
} {
  const { tensors: own } = openCheckpoint(dataPath('hf-golden/llama'), nodeFiles)
  const stored = new Map<string, { format: FormatName; bytes: number }>()
  const infos: GgufTensor[] = []
  const parts: Uint8Array[] = []
  let offset = 0
  const add = (name: string, from: string, to: FormatName, factor: number): void => {
    const tensor = own.get(`${from}.weight`)
    if (!tensor || !isFormatName(tensor.format)) throw new Error(`hf-golden/llama has no ${from}`)
    const values = decodeAll({ format: tensor.format, dims: tensor.dims, read: () => tensor.bytes() }).map((x) => x * factor)
    const bytes = new Uint8Array((product(tensor.dims) / formats[to].values) * formats[to].bytes)
    formats[to].encode(values, bytes)
    stored.set(`${name}.weight`, { format: to, bytes: bytes.length })
    infos.push({ name: `${name}.weight`, dims: [...tensor.dims].reverse(), type: ggmlTypes[to]!, offset })
    const padded = new Uint8Array(Math.ceil(bytes.length / 32) * 32)
    padded.set(bytes)
    parts.push(padded)
    offset += padded.length
  }
  add('token_embd', 'model.embed_tokens', format('token_embd', 0), 1)
  add('output', 'lm_head', format('output', 0), 1)
  add('output_norm', 'model.norm', 'f32', 1)
  for (let layer = 0; layer < depth; layer++) {
    const [to, from, factor] = [`blk.${layer}`, `model.layers.${layer % 2}`, 1 - layer / 40]
    add(`${to}.attn_norm`, `${from}.input_layernorm`, 'f32', factor)
    add(`${to}.ffn_norm`, `${from}.post_attention_layernorm`, 'f32', factor)
    for (const [name, source] of Object.entries(layerMatrices)) {
      add(`${to}.${name}`, `${from}.${source}`, format(name as LayerMatrix, layer), factor)
    }
  }
  const file = writeGguf({
    version: 3,
    pairs: [
      ['general.architecture', text('llama')],
      ['general.alignment', u32(32)],
      ['llama.block_count', u32(depth)],
      ['llama.embedding_length', u32(64)],
      ['llama.feed_forward_length', u32(96)],
      ['llama.context_length', u32(64)],
      ['llama.attention.head_count', u32(4)],
      ['llama.attention.head_count_kv', u32(4)],
      ['llama.attention.layer_norm_rms_epsilon', f32(1e-6)],
      ['llama.rope.freq_base', f32(10000)],
      ['llama.vocab_size', u32(96)],
    ],
    tensors: infos,
    data: offset,
    contents: Buffer.concat(parts),
  })
  return { file, stored }
}

/** Lets `use` have the path of a file with these bytes. */
export async function withFile<T>(bytes: Uint8Array, use: (path: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'llamac-mixed-'))
  try {
    const path = join(folder, 'model.gguf')
    writeFileSync(path, bytes)
    return await use(path)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
