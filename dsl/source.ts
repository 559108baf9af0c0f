// Source text and places in it. Every later stage points back here, so that a message can show the user's own line.

/** One file of the language: `path` as the user would write it (relative to the project root, or `std/nn.dsl`). */
export interface Source {
  readonly path: string
  readonly text: string
}

/** A half-open range of UTF-16 offsets in one source. */
export interface Span {
  readonly source: Source
  readonly start: number
  readonly end: number
}

const lineStarts = new WeakMap<Source, readonly number[]>()

function startsOf(source: Source): readonly number[] {
  const known = lineStarts.get(source)
  if (known) return known
  const starts = [0]
  for (let at = source.text.indexOf('\n'); at >= 0; at = source.text.indexOf('\n', at + 1)) starts.push(at + 1)
  lineStarts.set(source, starts)
  return starts
}

/** Line and column (both from 1) of an offset. The starts of lines are looked up, since one name may be told at every line. */
export function position(source: Source, offset: number): { line: number; column: number } {
  const starts = startsOf(source)
  let [low, high] = [0, starts.length]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if ((starts[middle] as number) <= offset) low = middle
    else high = middle
  }
  return { line: low + 1, column: offset - (starts[low] as number) + 1 }
}
