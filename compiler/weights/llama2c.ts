// llama2.c's checkpoints and llama2.ts's container: a few integers, then float32 tensors in a fixed order without names. The
// reader gives them Meta's names. The three orders are tables; a file must be exactly as long as its order says.
//   legacy (v0): 7 x i32 {dim, hidden, layers, heads, kv heads, vocab (negative: own output matrix), seq}; two RoPE tables
//                near the end, unused since.
//   v1:          256-byte header "ak42", version, the same 7 integers, u8 shared output.
//   llama2.ts:   256-byte header u8 1, i32 5, "llama", 7 x i32 {dim, hidden, seq, vocab, layers, heads, kv heads}, u8 shared;
//                then the vocabulary (tokenizers/llama2c-bin.ts), then tensors at any alignment.

import type { CompactTokenizer } from '../../runtime/tokenizer/compact.ts'
import type { ByteSource } from './byte-source.ts'
import { refusal } from './refusal.ts'
import { bytesIn, type StoredTensor } from './stored-tensor.ts'
import { readLlama2cPieces } from './tokenizers/llama2c-bin.ts'

export type Llama2cKind = 'legacy' | 'v1' | 'llama2ts'

export interface Llama2cFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>
  /** Config fields by the names of the model language, and whose format it is. */
  readonly fields: Readonly<Record<string, number | boolean | string>>
  readonly tokenizer?: CompactTokenizer
}

interface Shape {
  readonly embed: number
  readonly ffn: number
  readonly depth: number
  readonly heads: number
  readonly kvHeads: number
  readonly vocab: number
  readonly ctx: number
  readonly tie: boolean
}

interface Slot {
  /** With `{i}`: one tensor per layer, in order. Absent: bytes that nothing uses. */
  readonly name?: string
  dims(shape: Shape): readonly number[]
}

const keyWidth = (s: Shape): number => (s.embed / s.heads) * s.kvHeads

const slots = {
  embedding: { name: 'tok_embeddings.weight', dims: (s) => [s.vocab, s.embed] },
  attentionNorm: { name: 'layers.{i}.attention_norm.weight', dims: (s) => [s.embed] },
  wq: { name: 'layers.{i}.attention.wq.weight', dims: (s) => [s.embed, s.embed] },
  wk: { name: 'layers.{i}.attention.wk.weight', dims: (s) => [keyWidth(s), s.embed] },
  wv: { name: 'layers.{i}.attention.wv.weight', dims: (s) => [keyWidth(s), s.embed] },
  wo: { name: 'layers.{i}.attention.wo.weight', dims: (s) => [s.embed, s.embed] },
  ffnNorm: { name: 'layers.{i}.ffn_norm.weight', dims: (s) => [s.embed] },
  w1: { name: 'layers.{i}.feed_forward.w1.weight', dims: (s) => [s.ffn, s.embed] },
  w2: { name: 'layers.{i}.feed_forward.w2.weight', dims: (s) => [s.embed, s.ffn] },
  w3: { name: 'layers.{i}.feed_forward.w3.weight', dims: (s) => [s.ffn, s.embed] },
  norm: { name: 'norm.weight', dims: (s) => [s.embed] },
  ropeTables: { dims: (s) => [2, s.ctx, s.embed / s.heads / 2] },
  output: { name: 'output.weight', dims: (s) => [s.vocab, s.embed] },
} satisfies Record<string, Slot>

const { embedding, attentionNorm, wq, wk, wv, wo, ffnNorm, w1, w2, w3, norm, ropeTables, output } = slots

/** `output` is there only when it is not shared with the embedding. */
const orders: Readonly<Record<Llama2cKind, readonly Slot[]>> = {
  legacy: [embedding, attentionNorm, wq, wk, wv, wo, ffnNorm, w1, w2, w3, norm, ropeTables, output],
  v1: [attentionNorm, ffnNorm, norm, embedding, wq, wk, wv, wo, w1, w2, w3, output],
  llama2ts: [embedding, attentionNorm, wq, wk, wv, wo, ffnNorm, w1, w3, w2, norm, output],
}

const magic = 0x616b3432
const header = 256
const largestField = 2 ** 28

/** What the first bytes say; undefined when this is none of the three. `legacy` has no magic: only a plausible header tells it. */
export function llama2cKind(source: ByteSource): Llama2cKind | undefined {
  if (source.size >= 4 && view(source, 0, 4).getUint32(0, true) === magic) return 'v1'
  if (source.size >= 10) {
    const start = source.read(0, 10)
    if (start[0] === 1 && start[1] === 5 && new TextDecoder().decode(start.subarray(5)) === 'llama') return 'llama2ts'
  }
  if (source.size < 28) return undefined
  return isPlausible(legacyShape(source)) ? 'legacy' : undefined
}

/** Reads a checkpoint; tensors' bytes stay in the source. Errors: E_LLAMA2C_*. */
export function readLlama2c(source: ByteSource, kind: Llama2cKind): Llama2cFile {
  if (kind !== 'legacy' && source.size < header) {
    throw refusal('E_LLAMA2C_HEADER', source.name, `${source.size} bytes cannot hold the ${header}-byte header`, 0)
  }
  const shape = kind === 'legacy' ? legacyShape(source) : kind === 'v1' ? v1Shape(source) : llama2tsShape(source)
  if (!isPlausible(shape)) {
    throw refusal('E_LLAMA2C_HEADER', source.name, `the header's sizes make no model: ${JSON.stringify(shape)}`, 0)
  }
  const vocabulary = kind === 'llama2ts' ? readLlama2cPieces(source, header, shape.vocab) : undefined
  const tensors = placeTensors(source, orders[kind], shape, vocabulary?.end ?? (kind === 'legacy' ? 28 : header))
  const { embed, ffn, depth, heads, kvHeads, vocab, ctx, tie } = shape
  return {
    tensors,
    fields: { model_type: 'llama', vocab, embed, depth, heads, kv_heads: kvHeads, ffn, ctx, norm_eps: 1e-5, theta: 10000, tie },
    tokenizer: vocabulary?.tokenizer,
  }
}

function placeTensors(source: ByteSource, order: readonly Slot[], shape: Shape, start: number): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>()
  const present = order.filter((slot) => slot !== output || !shape.tie)
  const copies = (slot: Slot) => (slot.name?.includes('{i}') ? shape.depth : 1)
  const bytesOf = (slot: Slot) => slot.dims(shape).reduce((product, dim) => product * dim, 4)
  // Before one tensor is made: with 2^28 layers claimed there would be 2^31 of them. Every summand is below 2^84, so an
  // inexact sum is far beyond any file's size.
  const wanted = present.reduce((sum, slot) => sum + copies(slot) * bytesOf(slot), start)
  if (wanted !== source.size) {
    throw refusal('E_LLAMA2C_SIZE', source.name, `the header's sizes need ${wanted} bytes, the file has ${source.size}`, start)
  }
  let at = start
  for (const slot of present) {
    const bytes = bytesOf(slot)
    for (let i = 0; i < copies(slot); i++, at += bytes) {
      if (slot.name === undefined) continue
      const [name, offset] = [slot.name.replace('{i}', String(i)), at]
      tensors.set(name, {
        name,
        format: 'f32',
        dims: slot.dims(shape),
        file: source.name,
        ...bytesIn(source, offset, bytes),
      })
    }
  }
  return tensors
}

function isPlausible({ tie, ...sizes }: Shape): boolean {
  const { embed, heads, kvHeads } = sizes
  return (
    typeof tie === 'boolean' &&
    Object.values(sizes).every((size) => size > 0 && size <= largestField) &&
    embed % heads === 0 &&
    (embed / heads) % 2 === 0 &&
    heads % kvHeads === 0
  )
}

function view(source: ByteSource, offset: number, length: number): DataView {
  const bytes = source.read(offset, length)
  return new DataView(bytes.buffer, bytes.byteOffset, length)
}

/** Sizes that are i32, one after the other. */
function sizesAt<Name extends string>(data: DataView, at: number, names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name, i) => [name, data.getInt32(at + 4 * i, true)])) as Record<Name, number>
}

const llama2cOrder = ['embed', 'ffn', 'depth', 'heads', 'kvHeads', 'vocab', 'ctx'] as const
const llama2tsOrder = ['embed', 'ffn', 'ctx', 'vocab', 'depth', 'heads', 'kvHeads'] as const

/** A negative vocabulary says that the output has weights of its own. */
function legacyShape(source: ByteSource): Shape {
  const sizes = sizesAt(view(source, 0, 28), 0, llama2cOrder)
  return { ...sizes, vocab: Math.abs(sizes.vocab), tie: sizes.vocab > 0 }
}

function v1Shape(source: ByteSource): Shape {
  const data = view(source, 0, header)
  const version = data.getInt32(4, true)
  if (version !== 1) {
    throw refusal(
      'E_LLAMA2C_VERSION',
      source.name,
      `version ${version} is not read here, only 0 and 1 (2 is llama2.c's own int8 export)`,
      4,
    )
  }
  const sizes = sizesAt(data, 8, llama2cOrder)
  return { ...sizes, vocab: Math.abs(sizes.vocab), tie: readFlag(source, data, 36) }
}

function llama2tsShape(source: ByteSource): Shape {
  const data = view(source, 0, header)
  return { ...sizesAt(data, 10, llama2tsOrder), tie: readFlag(source, data, 38) }
}

function readFlag(source: ByteSource, data: DataView, at: number): boolean {
  const flag = data.getUint8(at)
  if (flag > 1) throw refusal('E_LLAMA2C_HEADER', source.name, `the shared-output flag is ${flag}, neither 0 nor 1`, at)
  return flag === 1
}
