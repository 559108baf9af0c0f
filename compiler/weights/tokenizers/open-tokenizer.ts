// Any tokenizer file, told apart by content: tokenizer.json, tokenizer.model, llama2.c's tokenizer.bin, the one inside a GGUF
// or llama2.ts container, BERT's vocab.txt, or GPT-2's pair vocab.json + merges.txt.

import type { CompactTokenizer } from '../../../runtime/tokenizer/compact.ts'
import { beside, fromBytes, inside, type ByteSource, type Files } from '../byte-source.ts'
import { ggufMagic, readGguf } from '../gguf.ts'
import { llama2cKind, readLlama2c } from '../llama2c.ts'
import { refusal } from '../refusal.ts'
import { parseStrictJson, type JsonValue } from '../strict-json.ts'
import { readGgufTokenizer } from './gguf-tokenizer.ts'
import { readHfTokenizer } from './hf-json.ts'
import { readLlama2cTokenizer } from './llama2c-bin.ts'
import { looksLikeSentencepiece, readSentencepieceModel } from './sentencepiece-model.ts'
import { readVocabulary } from './vocabulary.ts'
import { readWordpieceVocabulary } from './wordpiece-vocabulary.ts'

const largestText = 2 ** 28

/** A source's UTF-8 text. */
export function readText(source: ByteSource): string {
  if (source.size > largestText) throw refusal('E_TOKENIZER_SIZE', source.name, `${source.size} bytes are too many for a text file`)
  return new TextDecoder().decode(source.read(0, source.size))
}

/**
 * Opens a tokenizer from bytes or from a path (with `files`; a folder is searched for its tokenizer).
 * Errors: E_TOKENIZER_* and those of the container.
 */
export function openTokenizer(from: Uint8Array): CompactTokenizer
export function openTokenizer(from: string, files: Files): CompactTokenizer
export function openTokenizer(from: string | Uint8Array, files?: Files): CompactTokenizer {
  if (typeof from !== 'string') return readTokenizer(fromBytes(from, 'tokenizer'))
  if (!files) throw new Error('internal: openTokenizer needs the files')
  if (files.isFolder(from)) {
    const found = tokenizerInFolder(from, files)
    if (!found)
      throw refusal('E_TOKENIZER_NOT_FOUND', from, 'there is no tokenizer.json, tokenizer.model, vocab.txt, or vocab.json with merges.txt')
    return found
  }
  const source = files.open(from)
  if (!source) throw refusal('E_TOKENIZER_NOT_FOUND', from, 'there is no such file')
  const configFile = files.open(beside(from, 'tokenizer_config.json'))
  return readTokenizer(source, configFile && parseStrictJson(readText(configFile), 'E_TOKENIZER_JSON', configFile.name))
}

/** The tokenizer that lies in a checkpoint's folder, if any. */
export function tokenizerInFolder(folder: string, files: Files): CompactTokenizer | undefined {
  for (const name of ['tokenizer.json', 'tokenizer.model']) {
    const path = inside(folder, name)
    if (files.open(path)) return openTokenizer(path, files)
  }
  const [vocab, merges] = [files.open(inside(folder, 'vocab.json')), files.open(inside(folder, 'merges.txt'))]
  if (vocab && merges) return readVocabulary(readText(vocab), readText(merges), vocab.name)
  const list = inside(folder, 'vocab.txt')
  return files.open(list) ? openTokenizer(list, files) : undefined
}

function readTokenizer(source: ByteSource, config?: JsonValue): CompactTokenizer {
  const start = source.read(0, Math.min(source.size, 16))
  const word = start.length >= 4 ? new DataView(start.buffer, start.byteOffset).getUint32(0, true) : 0
  if (word === ggufMagic) {
    const tokenizer = readGgufTokenizer(readGguf(source).metadata, source.name)
    if (!tokenizer) throw refusal('E_TOKENIZER_NOT_FOUND', source.name, 'this GGUF holds no tokenizer')
    return tokenizer
  }
  if (llama2cKind(source) === 'llama2ts') return readLlama2c(source, 'llama2ts').tokenizer!
  if (looksLikeSentencepiece(start)) return readSentencepieceModel(source)
  if (/^\s*\{/.test(new TextDecoder().decode(start))) return readHfTokenizer(readText(source), source.name, config)
  if (/(^|[/\\])vocab\.txt$/.test(source.name)) return readWordpieceVocabulary(readText(source), source.name, config)
  return readLlama2cTokenizer(source)
}
