// Tokens that are found in a text before anything else: special ones (when asked for) and added ones, the longest at each place.
import type { AddedToken, CompactTokenizer } from './compact.ts'
import { Trie } from './trie.ts'

/** A stretch of ordinary text, or a token. */
export type Part = string | number
export type Cut = (text: string, special: boolean) => Part[]

/** White space that a token takes with it goes; parts of ordinary text may be empty. */
export function createCut({ pieces, special, added = [] }: CompactTokenizer): Cut {
  const asked = new Set(special)
  const tokens = new Map<number, AddedToken>(special.map((id) => [id, { id }]))
  for (const token of added) tokens.set(token.id, token)
  if (tokens.size === 0) return (text) => [text]
  const trie = new Trie(Array.from(tokens.keys(), (id) => [pieces[id]!, id]))

  return (text, special) => {
    const parts: Part[] = []
    let from = 0
    for (let at = 0; at < text.length; ) {
      let found: AddedToken | undefined
      let end = at
      let node = trie.next(0, text.charCodeAt(at))
      for (let i = at + 1; node >= 0; node = i < text.length ? trie.next(node, text.charCodeAt(i++)) : -1) {
        const id = trie.value(node)
        if (id < 0 || (asked.has(id) && !special)) continue
        found = tokens.get(id)
        end = i
      }
      if (!found) {
        at++
        continue
      }
      let to = at
      if (found.left) while (to > from && isSpace(text, to - 1)) to--
      parts.push(text.slice(from, to), found.id)
      if (found.right) while (end < text.length && isSpace(text, end)) end++
      from = at = end
    }
    parts.push(text.slice(from))
    return parts
  }
}

const isSpace = (text: string, at: number): boolean => /\p{White_Space}/u.test(text[at]!)
