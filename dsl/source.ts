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

/** Line and column (both from 1) of an offset. */
export function position(source: Source, offset: number): { line: number; column: number } {
  const before = source.text.slice(0, offset)
  const line = before.split('\n').length
  return { line, column: offset - (before.lastIndexOf('\n') + 1) + 1 }
}
