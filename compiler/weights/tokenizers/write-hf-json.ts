// A byte-level BPE tokenizer as Hugging Face's tokenizer.json, the way their own trainer writes it: what hf-json.ts reads, and
// other libraries. Special tokens are added tokens; BOS before every text is a template of the post-processor.

import type { CompactTokenizer } from '../../../runtime/tokenizer/compact.ts'
import { preTokenizerOf } from './pre-tokenizers.ts'

/** The file's text. For 'bpe' only: SentencePiece's scores have no place in this form. */
export function writeHfTokenizer(tokenizer: CompactTokenizer): string {
  const { kind, pieces, merges = [], split, special, bos, addBos } = tokenizer
  if (kind !== 'bpe' || !split) throw new Error('internal: only byte-level BPE is written as tokenizer.json')
  const level = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
  const start = bos === undefined || !addBos ? undefined : { name: pieces[bos]!, id: bos }
  return `${JSON.stringify(
    {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: special.map((id) => ({
        id,
        content: pieces[id]!,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      })),
      normalizer: null,
      pre_tokenizer: preTokenizerOf(split.name),
      post_processor: start ? template(start) : level,
      decoder: level,
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: split.wholeWords,
        vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
        merges: merges.map((merge) => merge.split(' ')),
      },
    },
    null,
    1,
  )}\n`
}

const template = ({ name, id }: { readonly name: string; readonly id: number }) => {
  const token = { SpecialToken: { id: name, type_id: 0 } }
  const sequence = (letter: string, type: number) => ({ Sequence: { id: letter, type_id: type } })
  return {
    type: 'TemplateProcessing',
    single: [token, sequence('A', 0)],
    pair: [token, sequence('A', 0), sequence('B', 1)],
    special_tokens: { [name]: { id: name, ids: [id], tokens: [name] } },
  }
}
