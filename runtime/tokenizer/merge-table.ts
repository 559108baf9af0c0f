// Merges of byte-level BPE by the ids of their parts: an open hash table in three typed arrays, filled from either form of the merges.
import type { CompactTokenizer } from './compact.ts'
import { fail } from '../error-codes.ts'

export interface MergeTable {
  /** Where the pair lies in the table; -1 when it is no merge. */
  find(left: number, right: number): number
  rank(at: number): number
  /** The id of what it makes. */
  result(at: number): number
  /** The text of an id; ids from `pieces.length` on are parts that are no tokens (cut-down vocabularies). */
  readonly extra: readonly string[]
}

/** `ids`: token by text. E_TOKENIZER for merges that do not fit the pieces. */
export function createMergeTable(tokenizer: CompactTokenizer, ids: ReadonlyMap<string, number>): MergeTable {
  const { pieces, merges = [], packedMerges } = tokenizer
  const count = packedMerges?.cuts.length ?? merges.length
  const bits = Math.max(4, Math.ceil(Math.log2(2 * count + 1)))
  const mask = 2 ** bits - 1
  // Rank + 1, so that 0 is an empty place.
  const [lefts, rights, ranks, results] = Array.from({ length: 4 }, () => new Int32Array(2 ** bits)) as [
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
  ]
  const place = (left: number, right: number): number => {
    let at = (Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)) >>> (32 - bits)
    while (ranks[at] !== 0 && (lefts[at] !== left || rights[at] !== right)) at = (at + 1) & mask
    return at
  }
  const extra: string[] = []
  const extraIds = new Map<string, number>()
  const idOf = (text: string): number => {
    const id = ids.get(text) ?? extraIds.get(text)
    if (id !== undefined) return id
    const made = pieces.length + extra.push(text) - 1
    extraIds.set(text, made)
    return made
  }
  /** Most vocabularies list what merges make in the order of merging: the next piece is tried before a text is made to look it up. */
  let last = -1
  const joined = (left: string, right: string): number => {
    const next = pieces[last + 1]
    const follows = next?.length === left.length + right.length && next.startsWith(left) && next.endsWith(right)
    last = idOf(follows ? next : left + right)
    return last
  }
  let rank = 0
  eachPair(tokenizer, (left, right, made) => {
    const leftId = idOf(left)
    const rightId = idOf(right)
    const at = place(leftId, rightId)
    rank++
    if (ranks[at] !== 0) return // a merge given twice: the first counts
    lefts[at] = leftId
    rights[at] = rightId
    ranks[at] = rank
    results[at] = made ?? joined(left, right)
  })
  return {
    extra,
    find(left, right) {
      const at = place(left, right)
      return ranks[at] === 0 ? -1 : at
    },
    rank: (at) => ranks[at]! - 1,
    result: (at) => results[at]!,
  }
}

/** In order of rank. `made`: the id of what they make, where it is known. A call, not a generator: there are a hundred thousand. */
function eachPair(
  { pieces, merges = [], packedMerges }: CompactTokenizer,
  take: (left: string, right: string, made?: number) => void,
): void {
  if (!packedMerges) {
    for (const merge of merges) {
      const space = merge.indexOf(' ')
      take(merge.slice(0, space), merge.slice(space + 1))
    }
    return
  }
  const { before, cuts } = packedMerges
  let id = before
  for (let i = 0; i < cuts.length; i++) {
    const code = cuts.charCodeAt(i) - 32
    id += code & 1
    const piece = pieces[id]
    const cut = code >> 1
    if (piece === undefined || cut <= 0 || cut >= piece.length) fail('E_TOKENIZER', `merge ${i} does not fit the pieces`)
    take(piece.slice(0, cut), piece.slice(cut), id)
  }
}
