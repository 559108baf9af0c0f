// SentencePiece's tokenizer.model: a protobuf ModelProto, read by hand (wire types 0, 1, 2, 5; unknown fields skipped).
//   1 pieces*: {1 text, 2 score (float), 3 type: 1 normal 2 unknown 3 control 4 user-defined 5 unused 6 byte}
//   2 trainer: {3 model_type: 1 unigram 2 bpe, 24 treat_whitespace_as_suffix, 40/41/42 unk/bos/eos id}
//   3 normalizer: {2 precompiled_charsmap, 3 add_dummy_prefix, 4 remove_extra_whitespaces}
// BPE and unigram models. The file does not say which tokens go around a text: BOS before it where there is one, as LLaMA does; a
// unigram model without BOS (T5) ends with EOS.

import { tokenizerVersion, type CompactTokenizer, type NormaliseStep } from '../../../runtime/tokenizer/compact.ts'
import type { ByteSource } from '../byte-source.ts'
import { refusal } from '../refusal.ts'
import { byteTokens } from './byte-tokens.ts'
import { charsmapSteps } from './charsmap.ts'

const largestModel = 2 ** 27
const [unigramModel, bpeModel] = [1, 2]
const [unknownType, controlType, userDefinedType] = [2, 3, 4]

interface Field {
  readonly number: number
  /** Varint or fixed value. */
  readonly value: number
  /** Length-delimited content, with its offset in the file. */
  readonly bytes: Uint8Array
  readonly at: number
}

/** A whole tokenizer.model. Errors: E_TOKENIZER_SENTENCEPIECE, E_TOKENIZER_KIND. */
export function readSentencepieceModel(source: ByteSource): CompactTokenizer {
  const refuse = (what: string, at?: number) => refusal('E_TOKENIZER_SENTENCEPIECE', source.name, what, at)
  if (source.size > largestModel) throw refuse(`${source.size} bytes are too many for a tokenizer`)
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const pieces: string[] = []
  const scores: number[] = []
  const types: number[] = []
  const trainer = new Map<number, number>()
  const normalizer = new Map<number, number>()
  let charsmap: readonly NormaliseStep[] = []
  for (const field of fields(source.read(0, source.size), 0, refuse)) {
    if (field.number === 1) {
      let [piece, score, type] = ['', 0, 1]
      for (const part of fields(field.bytes, field.at, refuse)) {
        if (part.number === 1) piece = decode(text, part.bytes, () => refuse('a piece is not UTF-8', part.at))
        else if (part.number === 2) score = floatOf(part.value)
        else if (part.number === 3) type = part.value
      }
      if (Number.isNaN(score)) throw refuse('a piece has no score', field.at)
      pieces.push(piece)
      scores.push(score)
      types.push(type)
    } else if (field.number === 2 || field.number === 3) {
      const target = field.number === 2 ? trainer : normalizer
      for (const part of fields(field.bytes, field.at, refuse)) {
        target.set(part.number, part.value)
        if (field.number === 3 && part.number === 2) charsmap = charsmapSteps(part.bytes, (what) => refuse(what, part.at))
      }
    }
  }
  if (pieces.length === 0) throw refuse('there are no pieces')
  const model = trainer.get(3) ?? unigramModel
  if (model !== bpeModel && model !== unigramModel) throw refusal('E_TOKENIZER_KIND', source.name, 'this model is neither BPE nor unigram')
  if ((trainer.get(24) ?? 0) !== 0) throw refuse('spaces end words in this model (treat_whitespace_as_suffix), which is not supported')
  const added = types.flatMap((type, token) => (type === userDefinedType ? [{ id: token }] : []))
  const normalise: NormaliseStep[] = [...charsmap, ...((normalizer.get(4) ?? 1) === 0 ? [] : (['single-spaces'] as const))]
  const id = (field: number, otherwise: number): number | undefined => {
    // "No such token" is -1, a ten-byte varint that arrives as 2^64 - 1.
    const value = trainer.get(field) ?? otherwise
    return value < pieces.length ? value : undefined
  }
  const bos = id(41, 1)
  return {
    version: tokenizerVersion,
    kind: model === bpeModel ? 'spm' : 'unigram',
    // User-defined pieces are looked for in the text as it is, where spaces are spaces.
    pieces: pieces.map((piece, token) => (types[token] === userDefinedType ? piece.replaceAll('▁', ' ') : piece)),
    scores,
    ...(normalise.length > 0 ? { normalise } : {}),
    ...(added.length > 0 ? { added } : {}),
    special: types.flatMap((type, token) => (type === unknownType || type === controlType ? [token] : [])),
    bytes: byteTokens(pieces),
    unknown: id(40, 0),
    bos,
    eos: id(42, 2),
    addBos: bos !== undefined,
    ...(model === unigramModel && bos === undefined ? { addEos: true } : {}),
    addPrefixSpace: (normalizer.get(3) ?? 1) !== 0,
  }
}

/** True when bytes begin like a ModelProto with a first piece. */
export const looksLikeSentencepiece = (start: Uint8Array): boolean => start[0] === 0x0a && start[2] === 0x0a

function* fields(bytes: Uint8Array, base: number, refuse: (what: string, at?: number) => Error): Generator<Field> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const none = bytes.subarray(0, 0)
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[at++]
      if (byte === undefined) throw refuse('the file ends inside a number', base + at - 1)
      value += (byte & 127) * 2 ** shift
      if (byte < 128) return value
    }
    throw refuse('a number has more than ten bytes', base + at)
  }
  const need = (length: number): void => {
    if (length > bytes.length - at) throw refuse(`${length} bytes are claimed, ${bytes.length - at} are left`, base + at)
  }
  while (at < bytes.length) {
    const start = at
    const key = varint()
    const number = Math.floor(key / 8)
    const wire = key % 8
    if (wire === 0) yield { number, value: varint(), bytes: none, at: base + start }
    else if (wire === 2) {
      const length = varint()
      need(length)
      yield { number, value: Number.NaN, bytes: bytes.subarray(at, at + length), at: base + at }
      at += length
    } else if (wire === 5 || wire === 1) {
      const size = wire === 5 ? 4 : 8
      need(size)
      yield { number, value: view.getUint32(at, true), bytes: none, at: base + at }
      at += size
    } else throw refuse(`unknown wire type ${wire}`, base + start)
  }
}

const floatView = new DataView(new ArrayBuffer(4))

function floatOf(bits: number): number {
  if (!(bits >= 0 && bits <= 0xffffffff)) return Number.NaN
  floatView.setUint32(0, bits)
  return floatView.getFloat32(0)
}

function decode(text: TextDecoder, bytes: Uint8Array, refuse: () => Error): string {
  try {
    return text.decode(bytes)
  } catch (cause) {
    if (cause instanceof TypeError) throw refuse()
    throw cause
  }
}
