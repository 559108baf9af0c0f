// SentencePiece's byte fallback: 256 pieces `<0x00>` … `<0xFF>` stand for single bytes.

/** Ids of the 256 byte pieces in order of their byte, or an empty list when they are not all there. */
export function byteTokens(pieces: readonly string[]): number[] {
  const ids: number[] = new Array(256).fill(-1)
  pieces.forEach((piece, id) => {
    const match = /^<0x([0-9A-F]{2})>$/.exec(piece)
    if (match) ids[Number.parseInt(match[1]!, 16)] = id
  })
  return ids.includes(-1) ? [] : ids
}
