// Tokens that are found in a text before anything else: special ones (when asked for) and added ones, the longest at each place. A trie
// of characters: a place costs no more steps than the longest name has characters, however many names there are.
import type { AddedToken, CompactTokenizer } from './compact.ts'

interface Node {
  readonly next: Map<number, Node>
  token?: AddedToken
}

/** A stretch of ordinary text, or a token. */
export type Part = string | number
export type Cut = (text: string, special: boolean) => Part[]

/** White space that a token takes with it goes; parts of ordinary text may be empty. */
export function createCut({ pieces, special, added = [] }: CompactTokenizer): Cut {
  const asked = new Set(special)
  const root: Node = { next: new Map() }
  const flags = new Map(added.map((token) => [token.id, token]))
  for (const id of new Set([...special, ...flags.keys()])) {
    const name = pieces[id]
    if (!name) continue
    let node = root
    for (let i = 0; i < name.length; i++) {
      const code = name.charCodeAt(i)
      let child = node.next.get(code)
      if (!child) node.next.set(code, (child = { next: new Map() }))
      node = child
    }
    node.token ??= flags.get(id) ?? { id }
  }
  if (root.next.size === 0) return (text) => [text]

  return (text, special) => {
    const parts: Part[] = []
    let from = 0
    for (let at = 0; at < text.length; ) {
      let found: AddedToken | undefined
      let end = at
      let node = root.next.get(text.charCodeAt(at))
      for (let i = at + 1; node; node = node.next.get(text.charCodeAt(i++))) {
        if (!node.token || (asked.has(node.token.id) && !special)) continue
        found = node.token
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
