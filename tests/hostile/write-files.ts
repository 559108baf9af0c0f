// Writers of small model and tokenizer files, made for this: nothing of the project's readers is used, and everything that a
// format declares (counts, sizes, types, offsets) can be given a wrong value.

/** Little-endian bytes, one after another. */
export class Bytes {
  readonly #parts: Uint8Array[] = []
  length = 0

  raw(bytes: Uint8Array | readonly number[]): this {
    const part = bytes instanceof Uint8Array ? bytes : Uint8Array.from(bytes)
    this.#parts.push(part)
    this.length += part.length
    return this
  }

  #number(size: number, write: (view: DataView) => void): this {
    const view = new DataView(new ArrayBuffer(size))
    write(view)
    return this.raw(new Uint8Array(view.buffer))
  }

  u8 = (value: number): this => this.raw([value & 255])
  u32 = (value: number): this => this.#number(4, (view) => view.setUint32(0, value, true))
  i32 = (value: number): this => this.#number(4, (view) => view.setInt32(0, value, true))
  u64 = (value: number | bigint): this => this.#number(8, (view) => view.setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true))
  f32 = (value: number): this => this.#number(4, (view) => view.setFloat32(0, value, true))
  text = (value: string): this => this.raw(new TextEncoder().encode(value))
  /** Zeros up to a multiple. */
  align = (to: number): this => this.raw(new Uint8Array(to > 0 ? (to - (this.length % to)) % to : 0))

  done(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#parts))
  }
}

/** A value of GGUF's metadata as it will be written: the type's number, then what follows it. */
export type GgufField =
  | { readonly type: 4 | 5 | 6 | 7; readonly value: number }
  | { readonly type: 8; readonly value: string; readonly length?: number | bigint }
  | { readonly type: 9; readonly of: number; readonly items: readonly GgufField[]; readonly count?: number | bigint }
  | { readonly type: 10; readonly value: number | bigint }
  | { readonly type: number; readonly raw: readonly number[] }

export interface GgufTensor {
  readonly name: string
  readonly dims: readonly (number | bigint)[]
  readonly axes?: number
  readonly type: number
  readonly offset: number | bigint
}

export interface GgufPlan {
  readonly version: number
  readonly tensorCount?: number | bigint
  readonly pairCount?: number | bigint
  readonly pairs: readonly (readonly [key: string, field: GgufField])[]
  readonly tensors: readonly GgufTensor[]
  /** Bytes behind the infos. */
  readonly data: number
  /** What they are: zeros where absent. */
  readonly contents?: Uint8Array
  readonly alignment?: number
}

const ggufString = (out: Bytes, value: string, length?: number | bigint): void => {
  const bytes = new TextEncoder().encode(value)
  out.u64(length ?? bytes.length).raw(bytes)
}

function ggufField(out: Bytes, field: GgufField): void {
  if ('raw' in field) out.raw(field.raw)
  else if (field.type === 8) ggufString(out, field.value, field.length)
  else if (field.type === 9) {
    out.u32(field.of).u64(field.count ?? field.items.length)
    for (const item of field.items) ggufField(out, item)
  } else if (field.type === 10) out.u64(field.value)
  else if (field.type === 7) out.u8(field.value)
  else if (field.type === 6) out.f32(field.value)
  else out.u32(Number(field.value))
}

export function writeGguf(plan: GgufPlan): Uint8Array {
  const out = new Bytes()
    .text('GGUF')
    .u32(plan.version)
    .u64(plan.tensorCount ?? plan.tensors.length)
    .u64(plan.pairCount ?? plan.pairs.length)
  for (const [key, field] of plan.pairs) {
    ggufString(out, key)
    out.u32(field.type)
    ggufField(out, field)
  }
  for (const { name, dims, axes, type, offset } of plan.tensors) {
    ggufString(out, name)
    out.u32(axes ?? dims.length)
    for (const dim of dims) out.u64(dim)
    out.u32(type).u64(offset)
  }
  return out
    .align(plan.alignment ?? 32)
    .raw(plan.contents ?? new Uint8Array(plan.data))
    .done()
}

const u32 = (value: number): GgufField => ({ type: 4, value })
const text = (value: string): GgufField => ({ type: 8, value })
const list = (of: number, items: readonly GgufField[]): GgufField => ({ type: 9, of, items })

export const pieces = ['<unk>', '<s>', '</s>', ...Array.from({ length: 13 }, (_, i) => (i === 0 ? '▁' : String.fromCharCode(96 + i)))]
/** Sizes of the small LLaMA that every container here holds. */
export const small = { vocab: pieces.length, embed: 8, ffn: 16, depth: 1, heads: 2, kvHeads: 1, ctx: 16 }

/** A whole GGUF LLaMA of one layer with a tokenizer. */
export function smallGguf(): GgufPlan {
  const { vocab, embed, ffn, depth, heads, kvHeads, ctx } = small
  const keys = (embed / heads) * kvHeads
  const shapes: readonly (readonly [string, readonly number[]])[] = [
    ['token_embd.weight', [embed, vocab]],
    ['output_norm.weight', [embed]],
    ['blk.0.attn_norm.weight', [embed]],
    ['blk.0.ffn_norm.weight', [embed]],
    ['blk.0.attn_q.weight', [embed, embed]],
    ['blk.0.attn_k.weight', [embed, keys]],
    ['blk.0.attn_v.weight', [embed, keys]],
    ['blk.0.attn_output.weight', [embed, embed]],
    ['blk.0.ffn_gate.weight', [embed, ffn]],
    ['blk.0.ffn_up.weight', [embed, ffn]],
    ['blk.0.ffn_down.weight', [ffn, embed]],
  ]
  let offset = 0
  const tensors = shapes.map(([name, dims]): GgufTensor => {
    const at = offset
    offset += Math.ceil(dims.reduce((product, dim) => product * dim, 4) / 32) * 32
    return { name, dims, type: 0, offset: at }
  })
  return {
    version: 3,
    pairs: [
      ['general.architecture', text('llama')],
      ['general.name', text('small')],
      ['general.alignment', u32(32)],
      ['llama.block_count', u32(depth)],
      ['llama.embedding_length', u32(embed)],
      ['llama.feed_forward_length', u32(ffn)],
      ['llama.context_length', u32(ctx)],
      ['llama.attention.head_count', u32(heads)],
      ['llama.attention.head_count_kv', u32(kvHeads)],
      ['llama.attention.layer_norm_rms_epsilon', { type: 6, value: 1e-5 }],
      ['llama.rope.freq_base', { type: 6, value: 10000 }],
      ['tokenizer.ggml.model', text('llama')],
      ['tokenizer.ggml.tokens', list(8, pieces.map(text))],
      [
        'tokenizer.ggml.scores',
        list(
          6,
          pieces.map((_, i) => ({ type: 6, value: -i })),
        ),
      ],
      [
        'tokenizer.ggml.token_type',
        list(
          5,
          pieces.map((_, i) => ({ type: 5, value: i === 0 ? 2 : i < 3 ? 3 : 1 })),
        ),
      ],
      ['tokenizer.ggml.bos_token_id', u32(1)],
      ['tokenizer.ggml.eos_token_id', u32(2)],
      ['tokenizer.ggml.add_bos_token', { type: 7, value: 1 }],
    ],
    tensors,
    data: offset,
  }
}

/** safetensors with any header text. */
export function writeSafetensors(header: string, data: number, length?: bigint): Uint8Array {
  const bytes = new TextEncoder().encode(header)
  return new Bytes()
    .u64(length ?? bytes.length)
    .raw(bytes)
    .raw(new Uint8Array(data))
    .done()
}

export function smallSafetensors(): Uint8Array {
  const { vocab, embed } = small
  const header = {
    __metadata__: { format: 'pt' },
    'model.embed_tokens.weight': { dtype: 'F32', shape: [vocab, embed], data_offsets: [0, vocab * embed * 4] },
    'model.norm.weight': { dtype: 'F16', shape: [embed], data_offsets: [vocab * embed * 4, vocab * embed * 4 + embed * 2] },
    scalar: { dtype: 'BF16', shape: [], data_offsets: [vocab * embed * 4 + embed * 2, vocab * embed * 4 + embed * 2 + 2] },
  }
  return writeSafetensors(JSON.stringify(header), vocab * embed * 4 + embed * 2 + 2)
}

const floats = ({ vocab, embed, ffn, heads, kvHeads, depth }: typeof small): number =>
  vocab * embed + embed + depth * (2 * embed + 2 * embed * embed + 2 * embed * (embed / heads) * kvHeads + 3 * embed * ffn)

/** llama2.c's v0, with shared output. */
export function smallLegacy(): Uint8Array {
  const { embed, ffn, depth, heads, kvHeads, vocab, ctx } = small
  const out = new Bytes()
  for (const value of [embed, ffn, depth, heads, kvHeads, vocab, ctx]) out.i32(value)
  return out.raw(new Uint8Array(4 * (floats(small) + ctx * (embed / heads)))).done()
}

/** llama2.c's v1. */
export function smallV1(): Uint8Array {
  const { embed, ffn, depth, heads, kvHeads, vocab, ctx } = small
  const out = new Bytes().u32(0x616b3432).i32(1)
  for (const value of [embed, ffn, depth, heads, kvHeads, vocab, ctx]) out.i32(value)
  return out
    .u8(1)
    .align(256)
    .raw(new Uint8Array(4 * floats(small)))
    .done()
}

/** llama2.c's tokenizer.bin. */
export function smallTokenizerBin(): Uint8Array {
  const out = new Bytes().i32(8)
  for (const [i, piece] of pieces.entries()) {
    const bytes = new TextEncoder().encode(piece)
    out.f32(-i).i32(bytes.length).raw(bytes)
  }
  return out.done()
}

const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(Math.floor(value / 128))])
const delimited = (field: number, content: Uint8Array): Uint8Array =>
  new Bytes()
    .raw(varint(field * 8 + 2))
    .raw(varint(content.length))
    .raw(content)
    .done()

/** SentencePiece's ModelProto: pieces, a BPE trainer, a normalizer. */
export function smallSentencepiece(): Uint8Array {
  const out = new Bytes()
  for (const [i, piece] of pieces.entries()) {
    const type = i === 0 ? 2 : i < 3 ? 3 : 1
    out.raw(
      delimited(
        1,
        new Bytes()
          .raw(delimited(1, new TextEncoder().encode(piece)))
          .u8(2 * 8 + 5)
          .f32(-i)
          .raw([3 * 8, type])
          .done(),
      ),
    )
  }
  return out
    .raw(delimited(2, Uint8Array.from([3 * 8, 2, ...varint(40 * 8), 0, ...varint(41 * 8), 1, ...varint(42 * 8), 2])))
    .raw(delimited(3, Uint8Array.from([3 * 8, 1])))
    .done()
}

/** Hugging Face's tokenizer.json, SentencePiece-like. */
export const smallTokenizerJson = (): Uint8Array =>
  new TextEncoder().encode(
    JSON.stringify({
      version: '1.0',
      added_tokens: [
        { id: 0, content: '<unk>', special: true },
        { id: 1, content: '<s>', special: true },
        { id: 2, content: '</s>', special: true },
      ],
      normalizer: {
        type: 'Sequence',
        normalizers: [
          { type: 'Prepend', prepend: '▁' },
          { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
        ],
      },
      pre_tokenizer: null,
      model: {
        type: 'BPE',
        unk_token: '<unk>',
        byte_fallback: true,
        vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
        merges: ['a b', 'c d'],
      },
    }),
  )
