// The r8 layout of a run: 32 unsigned quants of each of 8 rows. Rows 0-3 and 4-7 take turns as vectors of 16 bytes, word r of a vector
// belonging to row r of its four; vector v of four rows lies at (2v + row/4) * 16. A run is a few shares with vectors of their own, laid
// out alike. Four neighbours of a row, one in each byte, are what some words of the row give, shifted right, joined by xor and masked:
// most are the low bits of a word of their own. The free bits above are chosen so that the xor gives the others, whatever the shifts
// bring along from bits that are taken, so one mask after all shifts is enough. A run takes exactly its bits.

/** Word `vector` of a share, shifted right. */
export interface Term {
  readonly vector: number
  readonly shift: number
}

/** The neighbours from 4 · `four` (of the first share) on. */
export interface FourTerms {
  readonly four: number
  readonly terms: readonly Term[]
}

export interface RunRows {
  readonly bits: number
  readonly shares: 1 | 2 | 4
  /** Of a share. */
  readonly vectors: number
  /** Fours of a share: in groups that read the same vectors, those first that others are chosen by. */
  readonly fours: readonly (readonly FourTerms[])[]
  /** Fours from a share to the next. */
  readonly fourStep: number
}

const term = (vector: number, shift: number): Term => ({ vector, shift })
const own = (four: number): FourTerms => ({ four, terms: [term(four, 0)] })
const mixed = (four: number, ...terms: readonly Term[]): FourTerms => ({ four, terms })

/** Two fours of nibbles a vector: a run's first half in the low ones. */
export const run4: RunRows = {
  bits: 4,
  shares: 4,
  vectors: 1,
  fours: [[own(0), mixed(4, term(0, 4))]],
  fourStep: 1,
}

/** Three fours in the high bits of five vectors: of two and two, then of what is left in three. */
export const run5: RunRows = {
  bits: 5,
  shares: 1,
  vectors: 5,
  fours: [
    [own(0), own(3), mixed(5, term(0, 3), term(3, 6))],
    [own(1), own(4), mixed(6, term(1, 3), term(4, 6))],
    [own(2), mixed(7, term(2, 3), term(3, 4), term(4, 5))],
  ],
  fourStep: 8,
}

/** The fourth four of each half run in the high bits of three vectors. */
export const run6: RunRows = {
  bits: 6,
  shares: 2,
  vectors: 3,
  fours: [[own(0), own(1), own(2), mixed(3, term(0, 6), term(1, 4), term(2, 2))]],
  fourStep: 4,
}

/** Bytes of a run of 8 rows. */
export const runBytes = ({ shares, vectors }: RunRows): number => shares * vectors * 32

const inEachByte = 0x01010101
const maskOf = (bits: number): number => (2 ** bits - 1) * inEachByte

/** For each term of each four the bits of the four that it is to give: those it is the first to take from its word. */
function takenBits({ bits, vectors, fours }: RunRows): number[][] {
  const taken = Array.from({ length: vectors }, () => 0)
  return fours.flat().map(({ terms }) => {
    let wanted = 2 ** bits - 1
    return terms.map(({ vector, shift }) => {
      const free = ((~taken[vector]! & 255) >> shift) & wanted
      taken[vector]! |= free << shift
      wanted &= ~free
      return free
    })
  })
}

/** The quants of 8 rows: word 8 · row + j holds values 4j … 4j+3 of a row. */
export interface RunAccess {
  /** Writes the run that begins at byte `start`. */
  write(quants: Int32Array, out: Uint8Array, start: number): void
  read(packed: Uint8Array, start: number, quants: Int32Array): void
}

export function runAccess(rows: RunRows): RunAccess {
  const { bits, shares, vectors, fourStep } = rows
  const fours = rows.fours.flat()
  const gives = takenBits(rows).map((of) => of.map((some) => some * inEachByte))
  const mask = maskOf(bits)
  // Vectors follow each other with a word of each row: 8 v + row is a row's word of vector v.
  const words = new Int32Array(shares * vectors * 8)
  const bytes = new Uint8Array(words.buffer)
  const joined = new Int32Array(8)
  /** What the terms give of 8 rows. */
  const join = (terms: readonly Term[], share: number): void => {
    for (let t = 0; t < terms.length; t++) {
      const { vector, shift } = terms[t]!
      const at = 8 * (share * vectors + vector)
      if (t === 0) for (let row = 0; row < 8; row++) joined[row] = words[at + row]! >>> shift
      else for (let row = 0; row < 8; row++) joined[row]! ^= words[at + row]! >>> shift
    }
  }
  return {
    write(quants, out, start) {
      words.fill(0)
      for (let share = 0; share < shares; share++) {
        for (let f = 0; f < fours.length; f++) {
          const { four, terms } = fours[f]!
          join(terms, share)
          const from = four + share * fourStep
          for (let row = 0; row < 8; row++) joined[row]! ^= quants[8 * row + from]!
          for (let t = 0; t < terms.length; t++) {
            const { vector, shift } = terms[t]!
            const at = 8 * (share * vectors + vector)
            const given = gives[f]![t]!
            for (let row = 0; row < 8; row++) words[at + row]! ^= (joined[row]! & given) << shift
          }
        }
      }
      out.set(bytes, start)
    },
    read(packed, start, quants) {
      for (let i = 0; i < bytes.length; i++) bytes[i] = packed[start + i]!
      for (let share = 0; share < shares; share++) {
        for (const { four, terms } of fours) {
          join(terms, share)
          const to = four + share * fourStep
          for (let row = 0; row < 8; row++) quants[8 * row + to] = joined[row]! & mask
        }
      }
    },
  }
}
