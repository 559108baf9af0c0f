// Packing rows into r8 as moves of whole words. Most formats only put the bytes of 8 rows into another order, the same for every
// block; the order is found by packing a block whose bytes say where they are from. Formats that also mix bits pack themselves.

import { groupRows, type Format } from './types.ts'
import { readHalves, readWords } from './words.ts'

/** Where the words of a packed block come from. `word`: bytes of each; `rows` and `words` by packed word: the row, and the word in its block. */
interface Moves {
  readonly word: 1 | 2 | 4
  readonly rows: Uint8Array
  readonly words: Uint16Array
}

const known = new Map<Format, Moves | undefined>()

/** `format.packGroup` for rows of K values, faster where it is a permutation: takes 8 plain rows and where their r8 blocks go. */
export function groupPacker(format: Format, K: number): (plainRows: Uint8Array, out: Uint8Array) => void {
  if (!known.has(format)) known.set(format, findMoves(format))
  const moves = known.get(format)
  const slow = (plainRows: Uint8Array, out: Uint8Array): void => format.packGroup(plainRows, K, out)
  if (!moves) return slow
  const { word, rows, words } = moves
  const blocks = K / format.r8Block.k
  const size = words.length
  const stride = size / groupRows
  // Of the first block; that of block b lies b strides further.
  const from = Uint32Array.from(words, (at, i) => rows[i]! * blocks * stride + at)
  const view = { 1: (bytes: Uint8Array) => bytes, 2: readHalves, 4: readWords }[word]
  return (plainRows, out) => {
    // A view of other bytes would be a copy.
    if (out.byteOffset % word !== 0) return slow(plainRows, out)
    move(view(plainRows), view(out), from, stride)
  }
}

type Words = Uint8Array | Uint16Array | Uint32Array

/** Word i of a packed block is word `from[i]` of the first plain block, and of those `stride` further. Eight at a time, as there are rows. */
function move(input: Words, output: Words, from: Uint32Array, stride: number): void {
  for (let at = 0, base = 0; at < output.length; base += stride) {
    for (let i = 0; i < from.length; i += 8, at += 8) {
      output[at] = input[from[i]! + base]!
      output[at + 1] = input[from[i + 1]! + base]!
      output[at + 2] = input[from[i + 2]! + base]!
      output[at + 3] = input[from[i + 3]! + base]!
      output[at + 4] = input[from[i + 4]! + base]!
      output[at + 5] = input[from[i + 5]! + base]!
      output[at + 6] = input[from[i + 6]! + base]!
      output[at + 7] = input[from[i + 7]! + base]!
    }
  }
}

function findMoves(format: Format): Moves | undefined {
  const { k, bytes } = format.r8Block
  const rowBytes = (k * format.bytes) / format.values
  if (bytes !== groupRows * rowBytes) return undefined
  const pack = (byte: (i: number) => number): Uint8Array => {
    const out = new Uint8Array(bytes)
    format.packGroup(
      Uint8Array.from({ length: bytes }, (_, i) => byte(i)),
      k,
      out,
    )
    return out
  }
  const [low, high] = [pack((i) => i), pack((i) => i >> 8)]
  const places = Array.from(low, (value, i) => value | (high[i]! << 8))
  if (new Set(places).size !== bytes || places.some((at) => at >= bytes)) return undefined
  // What mixes bits could look like a permutation once, but not on every pattern.
  for (let seed = 1; seed <= 3; seed++) {
    const noise = (i: number): number => (Math.imul(i + 1, 0x9e3779b1 * seed) >>> 19) & 255
    const packed = pack(noise)
    if (places.some((at, i) => packed[i] !== noise(at))) return undefined
  }
  const whole = (word: number): boolean =>
    rowBytes % word === 0 && places.every((at, i) => (i % word === 0 ? at % word === 0 : at === places[i - 1]! + 1))
  const word = ([4, 2, 1] as const).find(whole)!
  const first = places.filter((_, i) => i % word === 0)
  return {
    word,
    rows: Uint8Array.from(first, (at) => Math.floor(at / rowBytes)),
    words: Uint16Array.from(first, (at) => (at % rowBytes) / word),
  }
}
