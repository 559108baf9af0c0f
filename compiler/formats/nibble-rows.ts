// The 4-bit part of q4_0 and q4_1. Plain: 16 bytes, byte i = q[i] | q[16+i] << 4. r8: for j = 0..3, g = 0..1 a vector whose
// byte 4r+i is q[row 4g+r][4j+i] | q[row 4g+r][16+4j+i] << 4: a plain byte is moved whole, so packing is a permutation.

/** Where byte `i` of a row's 16 plain bytes lies among the 128 packed ones. */
const placeOf = (row: number, i: number): number => (i >> 2) * 32 + (row >> 2) * 16 + (row & 3) * 4 + (i & 3)

const places = Array.from({ length: 8 }, (_, row) => Uint8Array.from({ length: 16 }, (_, i) => placeOf(row, i)))

export function packNibbles(from: Uint8Array, at: number, row: number, to: Uint8Array, start: number): void {
  const place = places[row]!
  for (let i = 0; i < 16; i++) to[start + place[i]!] = from[at + i]!
}

export function unpackNibbles(from: Uint8Array, start: number, row: number, to: Uint8Array, at: number): void {
  const place = places[row]!
  for (let i = 0; i < 16; i++) to[at + i] = from[start + place[i]!]!
}
