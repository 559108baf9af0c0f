// Which token a text is, for the encoders of all kinds.

export interface PieceIds {
  /** Of equal pieces the first counts. */
  readonly ids: ReadonlyMap<string, number>
  /** Length of the longest piece, in UTF-16 units. */
  readonly longest: number
}

/** Pieces but those that never come from text. */
export function pieceIds(pieces: readonly string[], hidden: Iterable<number>): PieceIds {
  const apart = new Set(hidden)
  const ids = new Map<string, number>()
  let longest = 0
  for (let id = 0; id < pieces.length; id++) {
    const piece = pieces[id]!
    if (apart.has(id) || ids.has(piece)) continue
    ids.set(piece, id)
    longest = Math.max(longest, piece.length)
  }
  return { ids, longest }
}
