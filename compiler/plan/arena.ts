// Places buffers with live ranges in one arena, one after the other, each at the lowest offset where it meets no buffer that lives at
// the same time. What counts is the order: largest first is nearly always best, others are tried where it is not (dynamic storage
// allocation is NP-hard), and then what stands out at the top is placed earlier and earlier. Steps are numbered; a buffer lives from
// the step that writes it to the last step that reads it, both included, and again where it is written anew (what a loop carries is
// idle between its last reader and the step that makes the next one). The lower bound is the largest sum of sizes alive at one step: no
// placement can be smaller.

/** Steps from … to, both included. */
export interface Span {
  readonly from: number
  readonly to: number
}

export interface Buffer {
  readonly id: string
  readonly bytes: number
  /** When it is alive: at least one span; in order, apart. */
  readonly spans: readonly Span[]
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
export const overlap = (a: Buffer, b: Buffer): boolean => a.spans.some((x) => b.spans.some((y) => x.from <= y.to && y.from <= x.to))

/** Its first step and its last. */
export const firstStep = ({ spans }: Buffer): number => spans[0]!.from
export const lastStep = ({ spans }: Buffer): number => spans.at(-1)!.to

type Order = (a: Buffer, b: Buffer) => number

const length = ({ spans }: Buffer): number => spans.reduce((steps, { from, to }) => steps + to - from + 1, 0)
const ties: Order = (a, b) => firstStep(a) - firstStep(b) || (a.id < b.id ? -1 : 1)

/** By which buffers are sorted before they are placed, in the order of trying. */
const orders: readonly Order[] = [
  (a, b) => b.bytes - a.bytes || ties(a, b),
  (a, b) => b.bytes * length(b) - a.bytes * length(a) || ties(a, b),
  (a, b) => length(b) - length(a) || b.bytes - a.bytes || ties(a, b),
  ties,
]

/** How often what stands out at the top is placed earlier. */
const attempts = 64

/** Deterministic: the same buffers lie at the same places. Ids are distinct. */
export function placeBuffers(buffers: readonly Buffer[]): Arena {
  const lowerBound = largestLiveSet(buffers).bytes
  let best: Placement | undefined
  for (const order of orders) {
    const placed = placeInOrder([...buffers].sort(order))
    if (!best || placed.bytes < best.bytes) best = placed
    if (best.bytes === lowerBound) break
  }
  let last = best!
  for (let attempt = 0; attempt < attempts && best!.bytes > lowerBound; attempt++) {
    const top = last.order.filter((buffer) => last.offsets.get(buffer.id)! + align(buffer.bytes) === last.bytes)
    last = placeInOrder([...top, ...last.order.filter((buffer) => !top.includes(buffer))])
    if (last.bytes < best!.bytes) best = last
  }
  return { offsets: best!.offsets, bytes: best!.bytes, lowerBound }
}

interface Placement {
  readonly order: readonly Buffer[]
  readonly offsets: ReadonlyMap<string, number>
  readonly bytes: number
}

function placeInOrder(order: readonly Buffer[]): Placement {
  const offsets = new Map<string, number>()
  const placed: Buffer[] = []
  let bytes = 0
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
  return { order, offsets, bytes }
}

/** Bytes that live at a step, each buffer aligned. */
export const aliveAt = (buffers: readonly Buffer[], step: number): number =>
  buffers.reduce((sum, { bytes, spans }) => sum + (spans.some(({ from, to }) => from <= step && step <= to) ? align(bytes) : 0), 0)

/** The step at which most bytes are alive, the first of several, and how many they are. */
export function largestLiveSet(buffers: readonly Buffer[]): { readonly step: number; readonly bytes: number } {
  const changes = new Map<number, number>()
  for (const { bytes, spans } of buffers) {
    for (const { from, to } of spans) {
      changes.set(from, (changes.get(from) ?? 0) + align(bytes))
      changes.set(to + 1, (changes.get(to + 1) ?? 0) - align(bytes))
    }
  }
  let alive = 0
  let most = { step: 0, bytes: 0 }
  for (const [step, change] of [...changes].sort(([a], [b]) => a - b)) {
    alive += change
    if (alive > most.bytes) most = { step, bytes: alive }
  }
  return most
}
