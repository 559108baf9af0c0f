// The compact form of every tokenizer: what the compiler writes beside the weights (tokenizer.json of an artifact) and the
// runtime executes in linear time. Importers for llama2.c, GGUF, SentencePiece and Hugging Face live in compiler/weights. Rules
// that differ between model families (how text is cut, what is normalised) are data here, so the runtime knows no family by name.

/** Raised when an older runtime would misread a tokenizer. */
export const tokenizerVersion = 2 as const

/** The inside of a regular expression's class, on single characters: `\p{L}`, `^\r\n`; `A--B` is A without B. */
export type CharacterSet = string

/** One way in which a word may look; each is found without backtracking (split-words.ts). */
export type WordShape =
  /** One of these texts. `anyCase`: as a case-insensitive regular expression would take them. */
  | { readonly take: 'text'; readonly texts: readonly string[]; readonly anyCase?: boolean }
  /** `[need][before]?[of]{least,most}[after]*(tail)?`: of `need` and `before` at most one is given. */
  | {
      readonly take: 'run'
      readonly need?: CharacterSet
      readonly before?: CharacterSet
      readonly of: CharacterSet
      readonly least?: number
      readonly most?: number
      readonly after?: CharacterSet
    }
  /** `[before]?[upper]*[lower]+(tail)?`, else `[before]?[upper]+[lower]*(tail)?`. Tails are texts in any case. */
  | {
      readonly take: 'cased'
      readonly before?: CharacterSet
      readonly upper: CharacterSet
      readonly lower: CharacterSet
      readonly tail?: readonly string[]
    }
  /** White space up to its last line end: `\s*[\r\n]+`. */
  | { readonly take: 'lines' }
  /** White space, leaving its last character to the word that follows: `\s+(?!\S)`. */
  | { readonly take: 'spaces-before' }
  /** `\s+` */
  | { readonly take: 'spaces' }
  /** White space at the very end: `\s+$`. */
  | { readonly take: 'spaces-at-end' }

/**
 * How byte-level BPE cuts text into words: in each stage the first shape that fits at a place is a word, what lies between such words
 * is one too, and the next stage sees each word alone.
 */
export interface SplitRule {
  /** For people: the family's name. */
  readonly name: string
  readonly stages: readonly (readonly WordShape[])[]
  /** A word that is a token as a whole is taken without merging (Hugging Face's `ignore_merges`). */
  readonly wholeWords: boolean
}

/** A step of normalisation, before text is cut (normalise.ts). */
export type NormaliseStep =
  | 'nfc'
  | 'nfd'
  | 'nfkc'
  | 'nfkd'
  | 'lowercase'
  /** NFD of each character, then without its marks (Mn). */
  | 'strip-accents'
  /** BERT's: no control characters, every white space is a space. */
  | 'clean'
  /** BERT's: CJK ideographs stand between spaces. */
  | 'space-ideographs'
  /** White space at both ends goes. */
  | 'strip'
  /** Every white space is a space. */
  | 'white-space'
  /** SentencePiece's: no spaces at the ends, one between words. */
  | 'single-spaces'
  | { readonly replace: string; readonly by: string }
  /** SentencePiece's precompiled_charsmap, in base64. */
  | { readonly charsmap: string }

/** A token that is recognised in any text, before everything else. */
export interface AddedToken {
  readonly id: number
  /** White space before it belongs to it. */
  readonly left?: boolean
  /** White space behind it belongs to it. */
  readonly right?: boolean
}

export interface CompactTokenizer {
  readonly version: typeof tokenizerVersion
  /**
   * 'spm': SentencePiece BPE by scores with byte fallback. 'bpe': byte-level BPE by merge ranks. 'wordpiece': longest pieces of words.
   * 'unigram': the pieces whose scores sum to the most.
   */
  readonly kind: 'spm' | 'bpe' | 'wordpiece' | 'unigram'
  /** Token text by id. 'bpe': in GPT-2's byte alphabet. Other kinds: '▁' is the space, or begins a word. */
  readonly pieces: readonly string[]
  /** 'spm': score of each id (a merge with the highest score goes first). 'unigram': its log probability. */
  readonly scores?: readonly number[]
  /** 'bpe': merges in order of rank. */
  readonly merges?: readonly string[]
  /** 'bpe', in an artifact: the same in a tenth of the bytes, where the vocabulary allows it. */
  readonly packedMerges?: PackedMerges
  /** 'bpe': how text is cut into words. */
  readonly split?: SplitRule
  /** Steps of normalisation, in order. */
  readonly normalise?: readonly NormaliseStep[]
  /** 'wordpiece': a word of more characters than this is unknown. */
  readonly longestWord?: number
  /** Ids that never come from text unless asked for, and are not shown: BOS, EOS, unknown, control tokens. */
  readonly special: readonly number[]
  /** Tokens of text that come before all cutting and merging, and what special tokens do with space around them. */
  readonly added?: readonly AddedToken[]
  /** 'spm' and 'unigram': ids of the 256 byte tokens, in order; empty when there are none. */
  readonly bytes: readonly number[]
  /** Where there is no BOS: BERT's [CLS]. */
  readonly bos?: number
  /** Where there is no EOS: BERT's [SEP]. */
  readonly eos?: number
  readonly unknown?: number
  readonly addBos: boolean
  readonly addEos?: boolean
  /** 'spm' and 'unigram': a space is put before the text ('▁' is the space inside pieces). */
  readonly addPrefixSpace: boolean
  /** That space is for the beginning only (not behind special tokens), or not for text that begins with one. */
  readonly prefix?: { readonly once?: boolean; readonly unlessSpace?: boolean }
  /** 'wordpiece': `.`, `?`, `!` and `,` are shown without a space before them. */
  readonly tidy?: boolean
}

/**
 * Merges of a vocabulary that lists what they make in the order of merging: for each merge one character of `cuts`, 2·(length of the
 * left part) + (1 when it makes the next id, 0 when the same as the merge before) + 32.
 */
export interface PackedMerges {
  /** The id before the first merge's. */
  readonly before: number
  readonly cuts: string
}
