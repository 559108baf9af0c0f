// The tokenizer that users hold: text to ids and back, for every kind, from the compact form. Special tokens inside text
// are recognised only when asked for (chat templates), so a user's text cannot smuggle in a control token. Added tokens that are
// not special are recognised always.
import type { CompactTokenizer } from './compact.ts'
import { createCut } from './added.ts'
import { createBpeEncoder } from './bpe.ts'
import { createDecoder, createTokenBytes } from './decode.ts'
import type { DecodeOptions, StreamingDecoder } from './decode.ts'
import { createNormaliser } from './normalise.ts'
import { createSpmEncoder } from './spm.ts'
import type { Encode } from './spm.ts'
import { createUnigramEncoder } from './unigram.ts'
import { createWordpieceEncoder } from './wordpiece.ts'

export type { CompactTokenizer } from './compact.ts'
export type { DecodeOptions, StreamingDecoder } from './decode.ts'

export interface EncodeOptions {
  /** Put BOS first; by default as the model was trained (`addBos`). */
  readonly bos?: boolean
  /** Put EOS last; by default as the model was trained (`addEos`: BERT's [SEP]). False for text that will go on. */
  readonly eos?: boolean
  /** Recognise the names of special tokens in the text, as a chat template writes them. */
  readonly special?: boolean
  /** SentencePiece's kinds: put the space before the text; by default as the model was trained. False for text that continues other text. */
  readonly prefixSpace?: boolean
}

export interface Tokenizer {
  readonly size: number
  readonly bos: number | undefined
  readonly eos: number | undefined
  /** Near-linear in the text, whatever it is. Unpaired surrogates become U+FFFD. E_TOKENIZER when a character has no token at all. */
  encode(text: string, options?: EncodeOptions): number[]
  decode(ids: Iterable<number>, options?: DecodeOptions): string
  /** A streaming decoder that never splits a character. */
  decoder(options?: DecodeOptions): StreamingDecoder
  /** The id of a special token by its name: '<|im_end|>'. */
  special(name: string): number | undefined
}

const encoders: Readonly<Record<CompactTokenizer['kind'], (tokenizer: CompactTokenizer) => Encode>> = {
  spm: createSpmEncoder,
  bpe: createBpeEncoder,
  wordpiece: createWordpieceEncoder,
  unigram: createUnigramEncoder,
}

/** E_TOKENIZER for rules that this runtime does not know, and for parts that do not fit each other. */
export function createTokenizer(compact: CompactTokenizer): Tokenizer {
  const { bos, eos, prefix } = compact
  const encodeText = encoders[compact.kind](compact)
  const normalise = createNormaliser(compact.normalise ?? [])
  const bytesOf = createTokenBytes(compact)
  const cut = createCut(compact)
  const names = new Map<string, number>()
  for (const id of compact.special) {
    const name = compact.pieces[id]
    if (name && !names.has(name)) names.set(name, id)
  }

  return {
    size: compact.pieces.length,
    bos,
    eos,
    encode(source, options = {}) {
      const out: number[] = []
      if ((options.bos ?? compact.addBos) && bos !== undefined) out.push(bos)
      let space = (compact.kind === 'spm' || compact.kind === 'unigram') && (options.prefixSpace ?? compact.addPrefixSpace)
      for (const part of cut(source.toWellFormed(), options.special === true)) {
        if (typeof part === 'number') out.push(part)
        else {
          const text = part && normalise(part)
          if (text) encodeText(space && !(prefix?.unlessSpace && /^[ ▁]/.test(text)) ? ` ${text}` : text, out)
        }
        if (prefix?.once) space = false
      }
      if ((options.eos ?? compact.addEos) && eos !== undefined) out.push(eos)
      return out
    },
    decode(ids, options) {
      const decoder = createDecoder(compact, bytesOf, options)
      let text = ''
      for (const id of ids) text += decoder.push(id)
      return text + decoder.end()
    },
    decoder: (options) => createDecoder(compact, bytesOf, options),
    special: (name) => names.get(name),
  }
}
