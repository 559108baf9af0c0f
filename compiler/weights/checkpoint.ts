// Opens a checkpoint of any supported container, told by content: named tensors, the naming table to use, the config that came
// with it, its tokenizer. Nothing of the tensors' bytes is read here. Pickles (PyTorch's .pt/.bin) are refused: they run code.

import { LlamacError } from '../../runtime/error.ts'
import type { CompactTokenizer } from '../../runtime/tokenizer/compact.ts'
import type { Numbers } from '../../dsl/model.ts'
import { beside, inside, type ByteSource, type Files } from './byte-source.ts'
import { ggufMagic, readGguf, type GgufFile } from './gguf.ts'
import type { GgufValue } from './gguf-metadata.ts'
import { llama2cKind, readLlama2c } from './llama2c.ts'
import { refusal } from './refusal.ts'
import { readSafetensorsIndex } from './safetensors-index.ts'
import { readSafetensors } from './safetensors.ts'
import type { StoredTensor } from './stored-tensor.ts'
import { isObject, parseStrictJson } from './strict-json.ts'
import { readGgufTokenizer } from './tokenizers/gguf-tokenizer.ts'
import { readText, tokenizerInFolder } from './tokenizers/open-tokenizer.ts'

export type Container = 'safetensors' | 'gguf' | 'llama2c'
export type CheckpointConfig = NonNullable<Numbers['config']>

export interface Checkpoint {
  readonly container: Container
  /** Which `checkpoint` table of a model names these tensors. */
  readonly table: { readonly format: 'hf' | 'gguf' | 'meta'; readonly arch?: string }
  /** config.json beside safetensors, GGUF's metadata, llama2.c's header. */
  readonly config?: CheckpointConfig
  readonly tensors: ReadonlyMap<string, StoredTensor>
  readonly tokenizer?: CompactTokenizer
  /** Why the tokenizer that came with the weights cannot be used. */
  readonly tokenizerProblem?: LlamacError
}

/**
 * Opens a file, an index of shards, or a folder with one of them. Errors: E_CHECKPOINT_NOT_FOUND, E_CHECKPOINT_UNKNOWN,
 * E_CHECKPOINT_PICKLE, E_CHECKPOINT_CONFIG and the container's own (E_SAFETENSORS_*, E_GGUF_*, E_LLAMA2C_*).
 */
export function openCheckpoint(path: string, files: Files): Checkpoint {
  const file = files.isFolder(path) ? fileInFolder(path, files) : path
  const source = files.open(file)
  if (!source) throw refusal('E_CHECKPOINT_NOT_FOUND', path, 'there is no such file')
  const start = source.read(0, Math.min(source.size, 9))
  const word = start.length >= 4 ? new DataView(start.buffer, start.byteOffset).getUint32(0, true) : 0
  if (word === ggufMagic) return fromGguf(readGguf(source), source)
  // A llama2.c file may begin with 80 02 00 00 too (640 as a size); a pickle's third byte is an opcode.
  if ((start[0] === 0x80 && start[2] !== 0) || word === zipMagic) {
    throw refusal('E_CHECKPOINT_PICKLE', source.name, 'this is a PyTorch pickle, which can run code; convert it to safetensors')
  }
  if (/\.json$/i.test(file)) return fromSafetensors(readSafetensorsIndex(file, source, files), file, files)
  const kind = llama2cKind(source)
  if (kind && kind !== 'legacy') return fromLlama2c(source, kind)
  if (/\.safetensors$/i.test(file) || looksLikeSafetensors(start)) return fromSafetensors(readSafetensors(source).tensors, file, files)
  if (kind) return fromLlama2c(source, kind)
  throw refusal('E_CHECKPOINT_UNKNOWN', source.name, 'this is neither safetensors, nor GGUF, nor a llama2.c checkpoint', 0)
}

/** A parsed config.json for `--config`. Errors: E_CHECKPOINT_CONFIG. */
export function readConfig(source: ByteSource): CheckpointConfig {
  const values = parseStrictJson(readText(source), 'E_CHECKPOINT_CONFIG', source.name)
  if (!isObject(values)) throw refusal('E_CHECKPOINT_CONFIG', source.name, 'the config is not an object')
  return { kind: 'hf', values, file: source.name }
}

/** In the order in which a folder's files are tried. */
const usualNames = ['model.safetensors.index.json', 'model.safetensors', 'model.gguf']

function fileInFolder(folder: string, files: Files): string {
  const found = usualNames.map((name) => inside(folder, name)).find((path) => files.open(path))
  if (!found) throw refusal('E_CHECKPOINT_NOT_FOUND', folder, `the folder has neither ${usualNames.join(' nor ')}: name the file`)
  return found
}

/** "PK\3\4" as a little-endian word: torch.save writes a zip of pickles. */
const zipMagic = 0x04034b50

/** A header length of at most 8 digits and an opening brace (or blanks before it). */
const looksLikeSafetensors = (start: Uint8Array): boolean =>
  start.length === 9 && start.subarray(4, 8).every((byte) => byte === 0) && [0x7b, 0x20, 0x09, 0x0a, 0x0d].includes(start[8]!)

function fromSafetensors(tensors: ReadonlyMap<string, StoredTensor>, file: string, files: Files): Checkpoint {
  const config = files.open(beside(file, 'config.json'))
  return {
    container: 'safetensors',
    table: { format: 'hf' },
    config: config && readConfig(config),
    tensors,
    ...attempt(() => tokenizerInFolder(beside(file, '') || '.', files)),
  }
}

function fromGguf({ architecture, metadata, tensors }: GgufFile, source: ByteSource): Checkpoint {
  const values: Record<string, unknown> = Object.create(null)
  for (const [key, value] of metadata) values[key] = plainValue(value)
  for (const tensor of tensors.values()) offerTensor(values, tensor)
  return {
    container: 'gguf',
    table: { format: 'gguf', arch: architecture },
    config: { kind: 'gguf', values, file: source.name },
    tensors,
    ...attempt(() => readGgufTokenizer(metadata, source.name)),
  }
}

/** Lists that a config field could want become plain arrays; a vocabulary's stay as they are. */
const longestPlain = 2 ** 16
const longestNumbers = 1024
const plainValue = (value: GgufValue): unknown => (ArrayBuffer.isView(value) && value.length <= longestPlain ? Array.from(value) : value)

/**
 * A config's field may ask for a tensor by its name: a short list of f32 gives its numbers (`rope_freqs.weight`), read only then,
 * any other `true`. Not enumerable: they are no metadata.
 */
function offerTensor(values: Record<string, unknown>, { name, format, dims, bytes }: StoredTensor): void {
  if (name in values) return
  const isNumbers = format === 'f32' && dims.length === 1 && (dims[0] ?? 0) <= longestNumbers
  Object.defineProperty(values, name, { get: () => !isNumbers || Array.from(new Float32Array(bytes().slice().buffer)) })
}

function fromLlama2c(source: ByteSource, kind: 'legacy' | 'v1' | 'llama2ts'): Checkpoint {
  const { tensors, fields, tokenizer } = readLlama2c(source, kind)
  return {
    container: 'llama2c',
    table: { format: 'meta' },
    config: { kind: 'fields', values: fields, file: source.name },
    tensors,
    tokenizer,
  }
}

/** A tokenizer that cannot be read does not keep anyone from the weights. */
function attempt(read: () => CompactTokenizer | undefined): Pick<Checkpoint, 'tokenizer' | 'tokenizerProblem'> {
  try {
    return { tokenizer: read() }
  } catch (cause) {
    if (cause instanceof LlamacError) return { tokenizerProblem: cause }
    throw cause
  }
}
