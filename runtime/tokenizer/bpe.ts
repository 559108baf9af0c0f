// Byte-level BPE (GPT-2, Llama 3, Qwen2, SmolLM …): text is cut into words, a word is the tokens of its UTF-8 bytes, and adjacent
// tokens are joined by the rank of their merge. Words repeat, so their ids are kept in a bounded table.
import type { CompactTokenizer } from './compact.ts'
import { fail } from '../error-codes.ts'
import { byteCharacters } from './byte-alphabet.ts'
import { mergePairs } from './merge.ts'
import { createMergeTable } from './merge-table.ts'
import { pieceIds } from './piece-ids.ts'
import { createSplitter } from './split-words.ts'
import type { Encode } from './spm.ts'

const rememberedWords = 16384
/** Longer words hardly repeat. */
const rememberedLength = 64

/** E_TOKENIZER for a splitting rule that cannot be run, or none. */
export function createBpeEncoder(tokenizer: CompactTokenizer): Encode {
  const { pieces, split } = tokenizer
  if (!split) fail('E_TOKENIZER', 'byte-level BPE needs a splitting rule')
  const splitWords = createSplitter(split)
  const { ids, longest } = pieceIds(pieces, tokenizer.special)
  const merges = createMergeTable(tokenizer, ids)
  const byteIds = byteCharacters.map((character) => ids.get(character) ?? tokenizer.unknown ?? -1)
  const utf8 = new TextEncoder()
  const known = new Map<string, readonly number[]>()

  /** A merge whose result is no token happens in cut-down vocabularies: then its bytes stand. */
  function spellOut(text: string, out: number[]): void {
    for (const character of text) {
      const id = ids.get(character) ?? tokenizer.unknown
      if (id === undefined) fail('E_TOKENIZER', `no token for ${JSON.stringify(character)} (a byte in GPT-2's alphabet)`)
      out.push(id)
    }
  }

  function encodeWord(word: string): readonly number[] {
    const bytes = utf8.encode(word)
    if (split!.wholeWords && bytes.length <= longest) {
      let text = ''
      for (const byte of bytes) text += byteCharacters[byte]
      const whole = ids.get(text)
      if (whole !== undefined) return [whole]
    }
    const symbols = new Int32Array(bytes.length)
    for (const [i, byte] of bytes.entries()) {
      symbols[i] = byteIds[byte]!
      if (symbols[i] === -1) fail('E_TOKENIZER', `no token for the byte ${byte} of ${JSON.stringify(word.slice(0, 100))}`)
    }
    const rank = (from: number, middle: number): number => {
      const at = merges.find(symbols[from]!, symbols[middle]!)
      return at < 0 ? -1 : merges.rank(at)
    }
    const join = (from: number, middle: number): void => {
      symbols[from] = merges.result(merges.find(symbols[from]!, symbols[middle]!))
    }
    const starts = Int32Array.from({ length: bytes.length + 1 }, (_, i) => i)
    const result: number[] = []
    for (const start of mergePairs(starts, rank, join).subarray(0, -1)) {
      const id = symbols[start]!
      if (id < pieces.length) result.push(id)
      else spellOut(merges.extra[id - pieces.length]!, result)
    }
    return result
  }

  return (text, out) => {
    for (const word of splitWords(text)) {
      let found = known.get(word)
      if (!found) {
        found = encodeWord(word)
        if (word.length <= rememberedLength) {
          if (known.size >= rememberedWords) known.clear()
          known.set(word, found)
        }
      }
      for (const id of found) out.push(id)
    }
  }
}
