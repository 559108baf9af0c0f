// Trains byte-level BPE (Sennrich et al. 2016, on bytes as in GPT-2): the text is cut into words by a splitting rule of the
// runtime, every word is its bytes, and again and again the pair of neighbours that occurs most often becomes one piece.
// Equal words are counted once. Counts of pairs are kept, not recomputed: joining a pair visits only the words that hold it, and
// the best pair comes from a heap whose outdated entries are dropped when they surface. Among pairs of equal count the one with
// the greater bytes is taken (left piece first, then right), so the result depends on nothing but the text.

import { tokenizerVersion, type CompactTokenizer } from '../../../runtime/tokenizer/compact.ts'
import { LlamacError } from '../../../runtime/error.ts'
import { byteCharacters } from '../../../runtime/tokenizer/byte-alphabet.ts'
import { createSplitter } from '../../../runtime/tokenizer/split-words.ts'
import { splitRule } from './split-rules.ts'

export interface BpeTraining {
  /** Number of pieces to end with: special tokens, 256 bytes, merged pieces. Fewer when no pair is left that occurs twice. */
  readonly vocabulary: number
  /** Names that are tokens of their own and never part of a word, in order of their ids. The first is BOS and EOS. */
  readonly special?: readonly string[]
  /** Family of splitting rules by its name. Default: gpt2. */
  readonly split?: string
  /** Whether the tokenizer puts BOS before every text. Needs a special token. */
  readonly addBos?: boolean
}

/** A pair that occurs once saves nothing: its piece would stand for a single place of the text. */
const leastCount = 2

interface Word {
  /** Ids of the pieces it consists of now. */
  pieces: number[]
  readonly count: number
}

/**
 * A tokenizer trained on `texts`: ids are the special tokens, the 256 bytes in the order of GPT-2's alphabet (printable ones
 * first), then pieces in order of merging. Nothing is merged across two texts. Errors: E_ARGUMENT for a vocabulary that is too
 * small, special tokens that are empty, given twice or spelled like a piece, and BOS without one; E_TOKENIZER_SPLIT for an unknown rule.
 */
export function trainBpe(
  texts: Iterable<string>,
  { vocabulary, special = [], split = 'gpt2', addBos = false }: BpeTraining,
): CompactTokenizer {
  checkSpecial(special)
  const least = special.length + 256
  if (!Number.isSafeInteger(vocabulary) || vocabulary < least)
    throw new LlamacError(
      'E_ARGUMENT',
      `a vocabulary of ${vocabulary} is too small: ${special.length} special tokens and 256 bytes make ${least}`,
    )
  if (addBos && special.length === 0) throw new LlamacError('E_ARGUMENT', 'BOS before every text needs a special token')
  // Bytes as characters U+0000 to U+00FF while training: comparing two such strings compares their bytes.
  const pieces = [...special, ...alphabetOrder.map((byte) => String.fromCharCode(byte))]
  const ids = new Map(alphabetOrder.map((_, i) => [pieces[special.length + i]!, special.length + i]))
  const words = countWords(texts, special, split, (byte) => ids.get(String.fromCharCode(byte))!)
  const merges: string[] = []
  const pairs = new PairCounts(words, pieces)
  while (pieces.length < vocabulary) {
    const best = pairs.best()
    if (!best) break
    const [left, right] = best
    merges.push(`${spell(pieces[left]!)} ${spell(pieces[right]!)}`)
    // No piece is built in two ways: between two cuts that are still there, what was joined depended on nothing outside. So the
    // joined bytes are new, and the pair never comes back.
    const joined = pieces[left]! + pieces[right]!
    if (special.includes(spell(joined)))
      throw new LlamacError('E_ARGUMENT', `the special token ${JSON.stringify(spell(joined))} is also how a piece of the text is written`)
    pairs.join(left, right, pieces.push(joined) - 1)
  }
  return {
    version: tokenizerVersion,
    kind: 'bpe',
    pieces: pieces.map((piece, id) => (id < special.length ? piece : spell(piece))),
    merges,
    split: splitRule(split),
    special: special.map((_, id) => id),
    bytes: [],
    ...(special.length > 0 ? { bos: 0, eos: 0 } : {}),
    addBos,
    addPrefixSpace: false,
  }
}

/** Bytes by the code of the character that stands for them: printable Latin-1, then the other 68. */
const alphabetOrder: readonly number[] = Array.from({ length: 256 }, (_, byte) => byte).sort(
  (a, b) => byteCharacters[a]!.charCodeAt(0) - byteCharacters[b]!.charCodeAt(0),
)

const spell = (bytes: string): string => Array.from(bytes, (character) => byteCharacters[character.charCodeAt(0)]).join('')

function checkSpecial(special: readonly string[]): void {
  const refuse = (name: string, why: string) => new LlamacError('E_ARGUMENT', `the special token ${JSON.stringify(name)} ${why}`)
  for (const [i, name] of special.entries()) {
    if (name === '') throw refuse(name, 'is empty')
    if (special.indexOf(name) < i) throw refuse(name, 'is given twice')
    if (byteCharacters.includes(name)) throw refuse(name, 'is the piece of a single byte: give it a longer name')
  }
}

/** The different words of the texts in order of appearance, with how often each occurs. */
function countWords(texts: Iterable<string>, special: readonly string[], split: string, idOf: (byte: number) => number): Word[] {
  const splitWords = createSplitter(splitRule(split))
  const counts = new Map<string, number>()
  for (const text of texts) {
    for (const part of cutAt(text.toWellFormed(), special))
      for (const word of splitWords(part)) counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  const utf8 = new TextEncoder()
  return Array.from(counts, ([word, count]) => ({ pieces: Array.from(utf8.encode(word), idOf), count }))
}

/** The text between special tokens; a longer name goes before one that begins it. */
function cutAt(text: string, special: readonly string[]): string[] {
  let parts = [text]
  for (const name of [...special].sort((a, b) => b.length - a.length)) parts = parts.flatMap((part) => part.split(name))
  return parts
}

/** How often each pair of neighbours occurs, kept up to date while pairs are joined. */
class PairCounts {
  readonly #words: readonly Word[]
  readonly #pieces: readonly string[]
  readonly #counts = new Map<number, number>()
  /** Words that held the pair at some time. */
  readonly #holders = new Map<number, Set<number>>()
  readonly #heap: { readonly pair: number; readonly count: number }[] = []

  constructor(words: readonly Word[], pieces: readonly string[]) {
    this.#words = words
    this.#pieces = pieces
    for (const index of words.keys()) this.#count(index, 1)
    for (const pair of this.#counts.keys()) this.#offer(pair)
  }

  /** The most frequent pair; undefined when none occurs `leastCount` times. */
  best(): readonly [number, number] | undefined {
    for (;;) {
      const top = this.#heap[0]
      if (!top || top.count < leastCount) return undefined
      if (top.count === this.#counts.get(top.pair)) return [leftOf(top.pair), rightOf(top.pair)]
      this.#drop()
    }
  }

  /** Puts `id` for every `left right`, from the left. */
  join(left: number, right: number, id: number): void {
    const pair = pairOf(left, right)
    const changed = new Set<number>()
    for (const index of this.#holders.get(pair)!) {
      const word = this.#words[index]!
      this.#count(index, -1, changed)
      const joined: number[] = []
      for (let i = 0; i < word.pieces.length; i++) {
        const here = word.pieces[i] === left && word.pieces[i + 1] === right
        joined.push(here ? id : word.pieces[i]!)
        if (here) i++
      }
      word.pieces = joined
      this.#count(index, 1, changed)
    }
    this.#holders.delete(pair)
    for (const each of changed) this.#offer(each)
  }

  #count(index: number, sign: 1 | -1, changed?: Set<number>): void {
    const { pieces, count } = this.#words[index]!
    for (let i = 0; i + 1 < pieces.length; i++) {
      const pair = pairOf(pieces[i]!, pieces[i + 1]!)
      this.#counts.set(pair, (this.#counts.get(pair) ?? 0) + sign * count)
      changed?.add(pair)
      if (sign < 0) continue
      const holders = this.#holders.get(pair)
      if (holders) holders.add(index)
      else this.#holders.set(pair, new Set([index]))
    }
  }

  #before(a: { pair: number; count: number }, b: { pair: number; count: number }): boolean {
    if (a.count !== b.count) return a.count > b.count
    const [x, y] = [this.#pieces[leftOf(a.pair)]!, this.#pieces[leftOf(b.pair)]!]
    return x === y ? this.#pieces[rightOf(a.pair)]! > this.#pieces[rightOf(b.pair)]! : x > y
  }

  #offer(pair: number): void {
    const count = this.#counts.get(pair)!
    if (count < leastCount) return
    const heap = this.#heap
    const entry = { pair, count }
    let at = heap.push(entry) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#before(entry, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = entry
  }

  #drop(): void {
    const heap = this.#heap
    const entry = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      if (left >= heap.length) break
      const child = left + 1 < heap.length && this.#before(heap[left + 1]!, heap[left]!) ? left + 1 : left
      if (!this.#before(heap[child]!, entry)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = entry
  }
}

// A pair of ids as one number: a key of Map that costs no string.
const factor = 2 ** 26
const pairOf = (left: number, right: number): number => left * factor + right
const leftOf = (pair: number): number => Math.floor(pair / factor)
const rightOf = (pair: number): number => pair % factor
