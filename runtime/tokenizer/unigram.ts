// SentencePiece's unigram model (T5, ALBERT, XLM-R): of all ways to write a text in pieces, the one whose scores (log probabilities) sum to the
// most, by Viterbi's algorithm: the best way to each place comes from the best ways to the places before it. A place costs as many
// steps as the longest piece has characters. A character that is no piece is unknown, at ten below the worst score; unknown
// ones in a row are one token, or where there are byte tokens, their bytes.
import type { CompactTokenizer } from './compact.ts'
import { fail } from '../error-codes.ts'
import { spaceMark } from './spm.ts'
import type { Encode } from './spm.ts'
import { Trie } from './trie.ts'

/** SentencePiece's. */
const unknownPenalty = 10

/** E_TOKENIZER without scores or an unknown token. */
export function createUnigramEncoder(tokenizer: CompactTokenizer): Encode {
  const { pieces, scores, unknown, bytes } = tokenizer
  if (!scores || unknown === undefined) fail('E_TOKENIZER', 'a unigram model needs scores and an unknown token')
  const hidden = new Set([...tokenizer.special, ...bytes, ...(tokenizer.added ?? []).map(({ id }) => id), unknown])
  const trie = new Trie(pieces.flatMap((piece, id) => (hidden.has(id) ? [] : [[piece, id] as const])))
  const worst = scores.reduce((least, score, id) => (hidden.has(id) ? least : Math.min(least, score)), 0)
  const utf8 = new TextEncoder()

  return (text, out) => {
    const marked = text.replaceAll(' ', spaceMark)
    const n = marked.length
    const best = new Float64Array(n + 1).fill(Number.NEGATIVE_INFINITY)
    const from = new Int32Array(n + 1)
    const tokens = new Int32Array(n + 1)
    best[0] = 0
    const offer = (begin: number, end: number, id: number, score: number): void => {
      const sum = best[begin]! + score
      if (sum <= best[end]!) return
      best[end] = sum
      from[end] = begin
      tokens[end] = id
    }
    for (let at = 0; at < n; ) {
      const width = marked.codePointAt(at)! > 0xffff ? 2 : 1
      let single = false
      let node = trie.next(0, marked.charCodeAt(at))
      for (let end = at + 1; node >= 0; node = end < n ? trie.next(node, marked.charCodeAt(end++)) : -1) {
        const id = trie.value(node)
        if (id < 0) continue
        single ||= end - at === width
        offer(at, end, id, scores[id]!)
      }
      if (!single) offer(at, at + width, unknown, worst - unknownPenalty)
      at += width
    }
    const reversed: number[] = []
    for (let end = n; end > 0; end = from[end]!) {
      const id = tokens[end]!
      if (id !== unknown) reversed.push(id)
      else if (bytes.length === 256) for (const byte of utf8.encode(marked.slice(from[end]!, end)).reverse()) reversed.push(bytes[byte]!)
      else if (reversed.at(-1) !== unknown) reversed.push(unknown)
    }
    for (const id of reversed.reverse()) out.push(id)
  }
}
