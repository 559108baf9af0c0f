// BERT's vocab.txt: a piece a line, ids in order, `##` before pieces that go on a word. What is normalised and how stands in
// tokenizer_config.json beside it; without that, names of pieces in capitals tell a cased vocabulary.

import { tokenizerVersion, type CompactTokenizer } from '../../../runtime/tokenizer/compact.ts'
import { refusal } from '../refusal.ts'
import type { JsonValue } from '../strict-json.ts'
import { field } from './json-fields.ts'
import { bertSteps } from './normalizers.ts'

const names = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
/** `[unused0]` and the like: neither begin a word nor go on with one. */
const isReserved = (piece: string): boolean => /^\[.+\]$/.test(piece)

/** A piece in the runtime's form: '▁' before those that begin a word, nothing before those that go on with one. */
export function phantomSpace(piece: string, prefix = '##'): string {
  if (piece.startsWith(prefix)) return piece.slice(prefix.length)
  return isReserved(piece) ? piece : `▁${piece}`
}

/** Errors: E_TOKENIZER_JSON for a list without [UNK], or that is too long. */
export function readWordpieceVocabulary(vocabText: string, file: string, config?: JsonValue): CompactTokenizer {
  const lines = vocabText.replace(/\r?\n$/, '').split(/\r?\n/)
  if (lines.length > 2 ** 22) throw refusal('E_TOKENIZER_JSON', file, `${lines.length} lines are too many for a vocabulary`)
  const id = (name: string): number | undefined => {
    const at = lines.indexOf(name)
    return at < 0 ? undefined : at
  }
  const unknown = id('[UNK]')
  if (unknown === undefined) throw refusal('E_TOKENIZER_JSON', file, 'this list of pieces has no [UNK]: it is no vocabulary of WordPiece')
  const lowercase = field(config, 'do_lower_case')
  const cased = lines.some((line) => !isReserved(line) && /\p{Lu}/u.test(line))
  return {
    version: tokenizerVersion,
    kind: 'wordpiece',
    pieces: lines.map((line) => phantomSpace(line)),
    normalise: bertSteps({
      lowercase: typeof lowercase === 'boolean' ? lowercase : !cased,
      strip_accents: field(config, 'strip_accents') ?? null,
      handle_chinese_chars: field(config, 'tokenize_chinese_chars') ?? true,
    }),
    special: names.flatMap((name) => id(name) ?? []).sort((a, b) => a - b),
    bytes: [],
    bos: id('[CLS]'),
    eos: id('[SEP]'),
    unknown,
    addBos: true,
    addEos: true,
    addPrefixSpace: false,
    tidy: true,
  }
}
