// Byte-level BPE (GPT-2, Llama 3, Qwen2, SmolLM …): text is cut into words, a word becomes a string in GPT-2's byte alphabet,
// and adjacent symbols are joined by the rank of their merge. Words repeat, so their ids are kept in a bounded table.
import type { CompactTokenizer } from './compact.ts'
import { fail } from '../error-codes.ts'
import { byteCharacters } from './byte-alphabet.ts'
import { mergePairs } from './merge.ts'
import { splitRule, splitWords } from './split-rules.ts'
import type { Encode } from './spm.ts'

const rememberedWords = 16384

/** E_TOKENIZER for an unknown splitting rule. */
export function createBpeEncoder(tokenizer: CompactTokenizer): Encode {
  const rule = splitRule(tokenizer.split ?? 'gpt2')
  const special = new Set(tokenizer.special)
  const ids = new Map<string, number>()
  for (const [id, piece] of tokenizer.pieces.entries()) if (!special.has(id) && !ids.has(piece)) ids.set(piece, id)
  const ranks = new Map<string, number>()
  for (const [rank, merge] of (tokenizer.merges ?? []).entries()) if (!ranks.has(merge)) ranks.set(merge, rank)
  const utf8 = new TextEncoder()
  const known = new Map<string, readonly number[]>()

  function encodeWord(word: string): readonly number[] {
    let text = ''
    for (const byte of utf8.encode(word)) text += byteCharacters[byte]
    const whole = rule.wholeWords ? ids.get(text) : undefined
    if (whole !== undefined) return [whole]
    const starts = Array.from({ length: text.length + 1 }, (_, i) => i)
    const merged = mergePairs(starts, (from, middle, to) => {
      const rank = ranks.get(`${text.slice(from, middle)} ${text.slice(middle, to)}`)
      return rank === undefined ? NaN : -rank
    })
    const result: number[] = []
    const push = (piece: string): boolean => {
      const id = ids.get(piece) ?? (piece.length === 1 ? tokenizer.unknown : undefined)
      if (id !== undefined) result.push(id)
      return id !== undefined
    }
    for (let i = 0; i + 1 < merged.length; i++) {
      const piece = text.slice(merged[i]!, merged[i + 1]!)
      // A merge whose result is no token happens in cut-down vocabularies: then its bytes stand.
      if (push(piece)) continue
      for (const character of piece) {
        if (!push(character)) fail('E_TOKENIZER', `no token for ${JSON.stringify(character)} (a byte of ${JSON.stringify(word)})`)
      }
    }
    return result
  }

  return (text, out) => {
    for (const word of splitWords(text, rule)) {
      let found = known.get(word)
      if (!found) {
        found = encodeWord(word)
        if (word.length <= 64) {
          if (known.size >= rememberedWords) known.clear()
          known.set(word, found)
        }
      }
      for (const id of found) out.push(id)
    }
  }
}
