// llama2.c's tokenizer.bin: i32 longest piece, then for each id f32 score, i32 length, UTF-8 bytes. The count is not stored: the
// file ends after the last piece (llama2.ts's container has the vocabulary inside, without the first integer, and knows the
// count). The exporter wrote SentencePiece's '▁' as a space and '<s>' between line feeds; both are turned back here.

import { tokenizerVersion, type CompactTokenizer } from '../../../runtime/tokenizer/compact.ts'
import type { ByteSource } from '../byte-source.ts'
import { refusal } from '../refusal.ts'
import { byteTokens } from './byte-tokens.ts'

const largestVocabulary = 2 ** 22
const longestPiece = 2 ** 16
/** Ids that SentencePiece's LLaMA vocabularies reserve. */
const [unknown, bos, eos] = [0, 1, 2]

/** A whole tokenizer.bin. Errors: E_TOKENIZER_BIN. */
export function readLlama2cTokenizer(source: ByteSource): CompactTokenizer {
  return readLlama2cPieces(source, 0).tokenizer
}

/**
 * The vocabulary at `start`: `count` pieces without a leading integer, or (no count) the integer and pieces to the end of the
 * source. `end` is the offset behind it.
 */
export function readLlama2cPieces(source: ByteSource, start: number, count?: number): { tokenizer: CompactTokenizer; end: number } {
  const refuse = (what: string, at: number) => refusal('E_TOKENIZER_BIN', source.name, what, at)
  const bytes = readVocabularyBytes(source, start, count, refuse)
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let at = 0
  let longest = longestPiece
  if (count === undefined) {
    if (bytes.length < 4) throw refuse('too short for a tokenizer', start)
    longest = data.getInt32(0, true)
    if (longest <= 0 || longest > longestPiece)
      throw refuse(`this is no tokenizer that is known: for llama2.c its longest piece would have ${longest} bytes`, start)
    at = 4
  }
  const pieces: string[] = []
  const scores: number[] = []
  while (count === undefined ? at < bytes.length : pieces.length < count) {
    if (pieces.length === largestVocabulary) throw refuse(`more than ${largestVocabulary} pieces`, start + at)
    if (bytes.length - at < 8) throw refuse(`the file ends inside piece ${pieces.length}`, start + at)
    const score = data.getFloat32(at, true)
    const length = data.getInt32(at + 4, true)
    if (Number.isNaN(score)) throw refuse(`piece ${pieces.length} has no score`, start + at)
    if (length < 0 || length > longest || length > bytes.length - at - 8) {
      throw refuse(`piece ${pieces.length} claims ${length} bytes`, start + at + 4)
    }
    pieces.push(
      decodePiece(text, bytes.subarray(at + 8, at + 8 + length), () => refuse(`piece ${pieces.length} is not UTF-8`, start + at + 8)),
    )
    scores.push(score)
    at += 8 + length
  }
  if (pieces.length < 3) throw refuse(`${pieces.length} pieces are no vocabulary`, start)
  return { tokenizer: assemble(pieces, scores), end: start + at }
}

function readVocabularyBytes(
  source: ByteSource,
  start: number,
  count: number | undefined,
  refuse: (what: string, at: number) => Error,
): Uint8Array {
  if (count !== undefined && (count > largestVocabulary || count * 8 > source.size - start)) {
    throw refuse(`there are not enough bytes for ${count} pieces`, start)
  }
  // A container's tensors follow: no vocabulary of real life has longer pieces than this on average.
  const most = count === undefined ? source.size - start : Math.min(source.size - start, count * 8 + Math.max(count * 64, longestPiece))
  if (most > 2 ** 28) throw refuse(`${most} bytes are too many for a vocabulary`, start)
  return source.read(start, most)
}

function decodePiece(text: TextDecoder, bytes: Uint8Array, refuse: () => Error): string {
  try {
    return text.decode(bytes)
  } catch (cause) {
    if (cause instanceof TypeError) throw refuse()
    throw cause
  }
}

function assemble(stored: readonly string[], scores: readonly number[]): CompactTokenizer {
  const pieces = stored.map((piece, id) => (id <= eos ? piece.trim() : piece.replaceAll(' ', '▁')))
  return {
    version: tokenizerVersion,
    kind: 'spm',
    pieces,
    scores,
    special: [unknown, bos, eos],
    bytes: byteTokens(pieces),
    bos,
    eos,
    unknown,
    addBos: true,
    addPrefixSpace: true,
  }
}
