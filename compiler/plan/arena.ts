// Places buffers with live ranges in one arena: largest first, each at the lowest offset where it meets no buffer that lives at
// the same time. Steps are numbered; a buffer lives from the step that writes it to the last step that reads it, both included.
// The lower bound is the largest sum of sizes alive at one step: no placement can be smaller.

export interface Buffer {
  readonly id: string
  readonly bytes: number
  readonly from: number
  readonly to: number
}

export interface Arena {
  readonly offsets: ReadonlyMap<string, number>
  readonly bytes: number
  readonly lowerBound: number
}

/** Alignment of every buffer: a cache line on CPUs, and a multiple of what vector loads want. */
export const alignment = 64

const align = (bytes: number): number => Math.ceil(bytes / alignment) * alignment

/** True if two buffers are alive at a common step. */
export const overlap = (a: Buffer, b: Buffer): boolean => a.from <= b.to && b.from <= a.to

export function placeBuffers(buffers: readonly Buffer[]): Arena {
  const offsets = new Map<string, number>()
  const placed: Buffer[] = []
  let bytes = 0
  const order = [...buffers].sort((a, b) => b.bytes - a.bytes || a.from - b.from || (a.id < b.id ? -1 : 1))
  for (const buffer of order) {
    const size = align(buffer.bytes)
    const others = placed
      .filter((other) => overlap(buffer, other))
      .map((other) => ({ start: offsets.get(other.id)!, end: offsets.get(other.id)! + align(other.bytes) }))
    others.sort((a, b) => a.start - b.start)
    let offset = 0
    for (const { start, end } of others) {
      if (offset + size <= start) break
      offset = Math.max(offset, end)
    }
    offsets.set(buffer.id, offset)
    placed.push(buffer)
    bytes = Math.max(bytes, offset + size)
  }
  return { offsets, bytes, lowerBound: largestLiveSet(buffers) }
}

function largestLiveSet(buffers: readonly Buffer[]): number {
  const changes = new Map<number, number>()
  for (const { bytes, from, to } of buffers) {
    changes.set(from, (changes.get(from) ?? 0) + align(bytes))
    changes.set(to + 1, (changes.get(to + 1) ?? 0) - align(bytes))
  }
  let [alive, most] = [0, 0]
  for (const [, change] of [...changes].sort(([a], [b]) => a - b)) {
    alive += change
    most = Math.max(most, alive)
  }
  return most
}
