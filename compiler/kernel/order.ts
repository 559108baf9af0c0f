// A topological order that keeps program order where it can: of the items that may run, the one with the smallest priority.

export interface Ordered<T> {
  readonly item: T
  /** Places, in the sorted list, of the items that must come before. */
  readonly after: readonly number[]
}

/** `before(a, b)`: a must run before b. Gives the items that wait for each other if there is a circle. */
export function orderItems<T extends { readonly priority: number }>(
  items: readonly T[],
  before: (a: T, b: T) => boolean,
): { readonly sorted: readonly Ordered<T>[] } | { readonly stuck: readonly T[] } {
  const waits = new Map(items.map((item) => [item, new Set(items.filter((other) => other !== item && before(other, item)))]))
  const place = new Map<T, number>()
  const sorted: Ordered<T>[] = []
  const left = [...items].sort((a, b) => a.priority - b.priority)
  while (left.length > 0) {
    const next = left.findIndex((item) => [...waits.get(item)!].every((other) => place.has(other)))
    if (next < 0) return { stuck: left }
    const [item] = left.splice(next, 1) as [T]
    place.set(item, sorted.length)
    sorted.push({ item, after: [...waits.get(item)!].map((other) => place.get(other)!).sort((a, b) => a - b) })
  }
  return { sorted }
}
