// The loop that both kinds of BPE share: join the adjacent pair with the best priority, leftmost among equals, until none is
// left. Symbols are ranges of one text in a linked list; candidates wait in a heap and are dropped when they went stale, so a
// text of n symbols costs O(n log n) whatever it looks like.

/** Priority of joining text[from, middle) with text[middle, to); NaN when they do not join. Higher goes first. */
export type Priority = (from: number, middle: number, to: number) => number

/**
 * `starts`: where each symbol begins, ascending, then the text's end (n symbols → n + 1 numbers).
 * Returns the same for the symbols that remain.
 */
export function mergePairs(starts: readonly number[], priority: Priority): number[] {
  const n = starts.length - 1
  if (n < 2) return [...starts]
  const end = Int32Array.from({ length: n }, (_, i) => starts[i + 1]!)
  const next = Int32Array.from({ length: n }, (_, i) => (i + 1 < n ? i + 1 : -1))
  const previous = Int32Array.from({ length: n }, (_, i) => i - 1)
  const alive = new Uint8Array(n).fill(1)

  // A candidate: left symbol, the end of left and right when it was made (what tells whether it is stale), priority.
  const lefts: number[] = []
  const middles: number[] = []
  const ends: number[] = []
  const priorities: number[] = []
  const heap: number[] = []
  const first = (a: number, b: number): boolean =>
    priorities[a]! > priorities[b]! || (priorities[a] === priorities[b] && lefts[a]! < lefts[b]!)

  function offer(left: number): void {
    const right = left < 0 ? -1 : next[left]!
    if (right < 0) return
    const value = priority(starts[left]!, end[left]!, end[right]!)
    if (Number.isNaN(value)) return
    const id = lefts.push(left) - 1
    middles.push(end[left]!)
    ends.push(end[right]!)
    priorities.push(value)
    let at = heap.push(id) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!first(heap[at]!, heap[parent]!)) break
      const other = heap[parent]!
      heap[parent] = heap[at]!
      heap[at] = other
      at = parent
    }
  }

  function take(): number {
    const top = heap[0]!
    const last = heap.pop()!
    if (heap.length > 0) {
      heap[0] = last
      let at = 0
      for (;;) {
        const left = 2 * at + 1
        if (left >= heap.length) break
        const child = left + 1 < heap.length && first(heap[left + 1]!, heap[left]!) ? left + 1 : left
        if (!first(heap[child]!, heap[at]!)) break
        const other = heap[at]!
        heap[at] = heap[child]!
        heap[child] = other
        at = child
      }
    }
    return top
  }

  for (let i = 0; i + 1 < n; i++) offer(i)
  while (heap.length > 0) {
    const candidate = take()
    const left = lefts[candidate]!
    const right = next[left]!
    if (!alive[left] || right < 0 || end[left] !== middles[candidate] || end[right] !== ends[candidate]) continue
    end[left] = end[right]!
    alive[right] = 0
    next[left] = next[right]!
    if (next[right]! >= 0) previous[next[right]!] = left
    offer(previous[left]!)
    offer(left)
  }

  const result: number[] = []
  for (let at = 0; at >= 0; at = next[at]!) result.push(starts[at]!)
  result.push(starts[n]!)
  return result
}
