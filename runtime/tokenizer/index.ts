// The tokenizer that users hold: text to ids and back, for either kind, from the compact form. Special tokens inside text
// are recognised only when asked for (chat templates), so a user's text cannot smuggle in a control token.
import type { CompactTokenizer } from './compact.ts'
import { createBpeEncoder } from './bpe.ts'
import { createDecoder, createTokenBytes } from './decode.ts'
import type { DecodeOptions, StreamingDecoder } from './decode.ts'
import { createSpmEncoder } from './spm.ts'
import { fail } from '../error-codes.ts'

export type { CompactTokenizer } from './compact.ts'
export type { DecodeOptions, StreamingDecoder } from './decode.ts'

export interface EncodeOptions {
  /** Put BOS first; by default as the model was trained (`addBos`). */
  readonly bos?: boolean
  /** Recognise the names of special tokens in the text, as a chat template writes them. */
  readonly special?: boolean
  /** 'spm': put the space before the text; by default as the model was trained. False for text that continues other text. */
  readonly prefixSpace?: boolean
}

export interface Tokenizer {
  readonly size: number
  readonly bos: number | undefined
  readonly eos: number | undefined
  /** Near-linear. Unpaired surrogates become U+FFFD. E_TOKENIZER when a character has no token at all. */
  encode(text: string, options?: EncodeOptions): number[]
  decode(ids: Iterable<number>, options?: DecodeOptions): string
  /** A streaming decoder that never splits a character. */
  decoder(options?: DecodeOptions): StreamingDecoder
  /** The id of a special token by its name: '<|im_end|>'. */
  special(name: string): number | undefined
}

/** Engines refuse expressions of megabytes. */
function patternOf(escaped: readonly string[]): RegExp {
  try {
    return new RegExp(escaped.join('|'), 'g')
  } catch (cause) {
    return fail('E_TOKENIZER', `the names of ${escaped.length} special tokens are too long`, cause)
  }
}

/** E_TOKENIZER when the splitting rule is unknown. */
export function createTokenizer(compact: CompactTokenizer): Tokenizer {
  const encodeText = compact.kind === 'spm' ? createSpmEncoder(compact) : createBpeEncoder(compact)
  const bytesOf = createTokenBytes(compact)
  const names = new Map<string, number>()
  for (const id of compact.special) {
    const name = compact.pieces[id]
    if (name && !names.has(name)) names.set(name, id)
  }
  // Longest first, so that a name that begins another one does not hide it.
  const escaped = [...names.keys()].sort((a, b) => b.length - a.length).map((name) => name.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'))
  const specialPattern = escaped.length > 0 ? patternOf(escaped) : undefined

  function encodeOrdinary(text: string, prefixSpace: boolean, out: number[]): void {
    if (text !== '') encodeText(prefixSpace ? ` ${text}` : text, out)
  }

  return {
    size: compact.pieces.length,
    bos: compact.bos,
    eos: compact.eos,
    encode(source, options = {}) {
      const text = source.toWellFormed()
      const out: number[] = []
      if ((options.bos ?? compact.addBos) && compact.bos !== undefined) out.push(compact.bos)
      const prefixSpace = compact.kind === 'spm' && (options.prefixSpace ?? compact.addPrefixSpace)
      let at = 0
      if (options.special && specialPattern) {
        for (const match of text.matchAll(specialPattern)) {
          encodeOrdinary(text.slice(at, match.index), prefixSpace, out)
          out.push(names.get(match[0])!)
          at = match.index + match[0].length
        }
      }
      encodeOrdinary(text.slice(at), prefixSpace, out)
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
