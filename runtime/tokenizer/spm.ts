// SentencePiece BPE: characters are joined by the score of the piece they make; a character without a piece falls back to
// the tokens of its UTF-8 bytes. Spaces are '▁' inside pieces.
import type { CompactTokenizer } from './compact.ts'
import { fail } from '../error-codes.ts'
import { mergePairs } from './merge.ts'
import { pieceIds } from './piece-ids.ts'

export const spaceMark = '▁'

/** Encodes one stretch of ordinary text (no special tokens inside, well-formed). */
export type Encode = (text: string, out: number[]) => void

/** Throws E_TOKENIZER later, when a character has neither piece nor bytes nor an unknown token. */
export function createSpmEncoder(tokenizer: CompactTokenizer): Encode {
  const { ids, longest } = pieceIds(tokenizer.pieces, [...tokenizer.special, ...tokenizer.bytes])
  const ranks = ranksOf(tokenizer.scores ?? [])
  const utf8 = new TextEncoder()

  return (text, out) => {
    const marked = text.replaceAll(' ', spaceMark)
    const merged = mergePairs(characterStarts(marked), (from, _, to) => {
      if (to - from > longest) return -1
      const id = ids.get(marked.slice(from, to))
      return id === undefined ? -1 : (ranks[id] ?? 0)
    })
    for (let i = 0; i + 1 < merged.length; i++) {
      const piece = marked.slice(merged[i]!, merged[i + 1]!)
      const id = ids.get(piece)
      if (id !== undefined) out.push(id)
      else if (tokenizer.bytes.length === 256) for (const byte of utf8.encode(piece)) out.push(tokenizer.bytes[byte]!)
      else if (tokenizer.unknown !== undefined) out.push(tokenizer.unknown)
      else fail('E_TOKENIZER', `no token for ${JSON.stringify(piece)}, and the vocabulary has neither byte tokens nor an unknown token`)
    }
  }
}

/** The rank of each id: 0 for the highest score, equal for equal scores. */
function ranksOf(scores: readonly number[]): Int32Array {
  const order = new Map([...new Set(scores)].sort((a, b) => b - a).map((score, rank) => [score, rank]))
  return Int32Array.from(scores, (score) => order.get(score)!)
}

/** Where each character begins, then the end. */
function characterStarts(text: string): Int32Array {
  const starts = new Int32Array(text.length + 1)
  let count = 0
  for (let at = 0; at < text.length; at += text.codePointAt(at)! > 0xffff ? 2 : 1) starts[count++] = at
  starts[count] = text.length
  return starts.subarray(0, count + 1)
}
