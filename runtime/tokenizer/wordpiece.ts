// WordPiece (BERT): text is cut at white space and around every punctuation character; a word is its longest piece, then the longest of
// what is left, and so on. A word that cannot be made of pieces, or is too long, is the unknown token as a whole. Pieces that begin
// a word are written with '▁' before them, as llama.cpp's files do; Hugging Face's '##' is taken away by the importer.
import type { CompactTokenizer } from './compact.ts'
import { fail } from '../error-codes.ts'
import { pieceIds } from './piece-ids.ts'
import { spaceMark } from './spm.ts'
import type { Encode } from './spm.ts'

/** BERT's `max_input_chars_per_word`. */
const usualLongestWord = 100
/** Punctuation as BERT has it: all of ASCII's symbols too. */
const words = /[\p{P}$+<=>^`|~]|[^\p{White_Space}\p{P}$+<=>^`|~]+/gu

/** E_TOKENIZER when there is no unknown token. */
export function createWordpieceEncoder(tokenizer: CompactTokenizer): Encode {
  const { pieces, unknown, longestWord = usualLongestWord } = tokenizer
  if (unknown === undefined) fail('E_TOKENIZER', 'WordPiece needs an unknown token')
  const { ids, longest } = pieceIds(pieces, tokenizer.special)

  return (text, out) => {
    for (const [word] of text.matchAll(words)) {
      const begins = out.length
      if (word.length > 2 * longestWord || [...word].length > longestWord) {
        out.push(unknown)
        continue
      }
      const marked = spaceMark + word
      for (let at = 0; at < marked.length; ) {
        let end = Math.min(marked.length, at + longest)
        let id = ids.get(marked.slice(at, end))
        // The mark alone is no piece of a word.
        const least = at === 0 ? 1 : at
        while (id === undefined && --end > least) id = ids.get(marked.slice(at, end))
        if (id === undefined) {
          out.length = begins
          out.push(unknown)
          break
        }
        out.push(id)
        at = end
      }
    }
  }
}
