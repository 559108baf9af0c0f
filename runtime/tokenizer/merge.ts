// The loop that both kinds of BPE share: join the adjacent pair of lowest rank, leftmost among equals, until none is left. Symbols are
// ranges of one text in a linked list. Candidates wait in a heap of numbers, rank · 2³² + left: one that went stale is known by the rank
// that its left symbol has now, so nothing else is stored, and a text of n symbols costs O(n log n) whatever it looks like.

/** Rank of joining text[from, middle) with text[middle, to), 0 or more and below 2²⁰; -1 when they do not join. Lower goes first. */
export type Rank = (from: number, middle: number, to: number) => number

const left32 = 2 ** 32

/**
 * `starts`: where each symbol begins, ascending, then the text's end (n symbols → n + 1 numbers). `joined` is told of each join.
 * Returns the same for the symbols that remain.
 */
export function mergePairs(starts: Int32Array, rank: Rank, joined?: (from: number, middle: number) => void): Int32Array {
  const n = starts.length - 1
  if (n < 2) return starts
  const next = Int32Array.from({ length: n + 1 }, (_, i) => i + 1)
  const previous = Int32Array.from({ length: n }, (_, i) => i - 1)
  /** Of each symbol with the one behind it; -1 also for symbols that are no more. */
  const ranks = new Int32Array(n).fill(-1)
  const heap = new NumberHeap(2 * n)

  const offer = (left: number): void => {
    const right = next[left]!
    const value = right < n ? rank(starts[left]!, starts[right]!, starts[next[right]!]!) : -1
    ranks[left] = value
    if (value >= 0) heap.push(value * left32 + left)
  }
  for (let i = 0; i + 1 < n; i++) offer(i)
  while (heap.size > 0) {
    const top = heap.pop()
    const left = top % left32
    if (ranks[left] !== (top - left) / left32) continue
    const right = next[left]!
    joined?.(starts[left]!, starts[right]!)
    ranks[right] = -1
    next[left] = next[right]!
    if (next[left]! < n) previous[next[left]!] = left
    if (previous[left]! >= 0) offer(previous[left]!)
    offer(left)
  }

  let count = 0
  for (let at = 0; at < n; at = next[at]!) starts[count++] = starts[at]!
  starts[count] = starts[n]!
  return starts.subarray(0, count + 1)
}

/** A heap whose nodes have four children: fewer levels, and siblings lie side by side in memory. */
class NumberHeap {
  size = 0
  #items: Float64Array

  constructor(capacity: number) {
    this.#items = new Float64Array(capacity)
  }

  push(item: number): void {
    if (this.size === this.#items.length) {
      const larger = new Float64Array(2 * this.size + 16)
      larger.set(this.#items)
      this.#items = larger
    }
    const items = this.#items
    let at = this.size++
    while (at > 0) {
      const parent = (at - 1) >> 2
      if (items[parent]! <= item) break
      items[at] = items[parent]!
      at = parent
    }
    items[at] = item
  }

  pop(): number {
    const items = this.#items
    const top = items[0]!
    const last = items[--this.size]!
    let at = 0
    for (;;) {
      const first = 4 * at + 1
      if (first >= this.size) break
      let least = first
      const end = Math.min(first + 4, this.size)
      for (let child = first + 1; child < end; child++) if (items[child]! < items[least]!) least = child
      if (items[least]! >= last) break
      items[at] = items[least]!
      at = least
    }
    items[at] = last
    return top
  }
}
