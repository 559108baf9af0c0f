// The r8 layout of a run: 32 unsigned quants of each of 8 rows. Rows 0-3 and 4-7 take turns as vectors of 16 bytes, byte 4r+b of a
// vector belonging to row r of its four; vector v of four rows lies at (2v + row/4) * 16. What a vector's byte holds:
//   4 bits  v = 0..3: q[4v+b] | q[16+4v+b] << 4
//   5 bits  v = 0..4: q[4v+b] in the low five; the high three bits of v = 0, 1, 2 are bits 2..4 of q[20+4v+b], those of v = 3, 4 bits 0, 1
//           of q[20+4(v-3)+b] (bits 6, 7) and bit 1, 0 of q[28+b] (bit 5)
//   6 bits  two halves of three vectors, v = 3h+i: q[16h+4i+b] | (bits 2i, 2i+1 of q[16h+12+b]) << 6
// So a run takes exactly its bits, and most vectors give bytes that a 4-lane dot takes after one mask.

export interface RunRows {
  /** Of all 8 rows. */
  readonly bytes: number
  write(quants: Uint8Array, row: number, out: Uint8Array, start: number): void
  read(packed: Uint8Array, start: number, row: number, quants: Uint8Array): void
}

/** Where a row's byte 0 of vector 0 lies; vector v is 32 v bytes on. */
const lane = (row: number): number => (row >> 2) * 16 + (row & 3) * 4

function writeNibbles(quants: Uint8Array, row: number, out: Uint8Array, start: number): void {
  const at = start + lane(row)
  for (let i = 0; i < 16; i++) out[at + (i >> 2) * 32 + (i & 3)] = (quants[i]! & 15) | (quants[16 + i]! << 4)
}

function readNibbles(packed: Uint8Array, start: number, row: number, quants: Uint8Array): void {
  const at = start + lane(row)
  for (let i = 0; i < 16; i++) {
    const pair = packed[at + (i >> 2) * 32 + (i & 3)]!
    quants[i] = pair & 15
    quants[16 + i] = pair >> 4
  }
}

export const run4: RunRows = { bytes: 128, write: writeNibbles, read: readNibbles }

export const run5: RunRows = {
  bytes: 160,
  write(quants, row, out, start) {
    for (let b = 0; b < 4; b++) {
      const at = start + lane(row) + b
      const [x, y, z] = [quants[20 + b]!, quants[24 + b]!, quants[28 + b]!]
      const high = [x >> 2, y >> 2, z >> 2, ((x & 3) << 1) | ((z >> 1) & 1), ((y & 3) << 1) | (z & 1)]
      for (let v = 0; v < 5; v++) out[at + 32 * v] = quants[4 * v + b]! | (high[v]! << 5)
    }
  },
  read(packed, start, row, quants) {
    for (let b = 0; b < 4; b++) {
      const at = start + lane(row) + b
      const high = (v: number): number => packed[at + 32 * v]! >> 5
      for (let v = 0; v < 5; v++) quants[4 * v + b] = packed[at + 32 * v]! & 31
      quants[20 + b] = (high(0) << 2) | (high(3) >> 1)
      quants[24 + b] = (high(1) << 2) | (high(4) >> 1)
      quants[28 + b] = (high(2) << 2) | ((high(3) & 1) << 1) | (high(4) & 1)
    }
  },
}

export const run6: RunRows = {
  bytes: 192,
  write(quants, row, out, start) {
    for (let h = 0; h < 2; h++) {
      const at = start + 96 * h + lane(row)
      for (let i = 0; i < 12; i++) {
        const spread = quants[16 * h + 12 + (i & 3)]! >> (2 * (i >> 2))
        out[at + (i >> 2) * 32 + (i & 3)] = quants[16 * h + i]! | (spread << 6)
      }
    }
  },
  read(packed, start, row, quants) {
    quants.fill(0)
    for (let h = 0; h < 2; h++) {
      const at = start + 96 * h + lane(row)
      for (let i = 0; i < 12; i++) {
        const byte = packed[at + (i >> 2) * 32 + (i & 3)]!
        quants[16 * h + i] = byte & 63
        quants[16 * h + 12 + (i & 3)]! |= (byte >> 6) << (2 * (i >> 2))
      }
    }
  },
}
