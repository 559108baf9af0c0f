// Weights on their way to an artifact: packed piece by piece they are what packing a group at a time gives, whatever the format, the
// layout and the size of the pieces, and whether a tensor is read in parts or as a whole.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fits, type FormatName, formatNames, formats, groupRows, layoutBytes, type LayoutName } from '../../compiler/formats/index.ts'
import { groupPacker } from '../../compiler/formats/moves.ts'
import type { BoundWeight } from '../../compiler/weights/bind.ts'
import { preparePieces, type Prepared, prepareTensor } from '../../compiler/weights/prepare.ts'

const bytesOf = (length: number, seed: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length }, (_, i) => Math.imul(i + 1, 0x9e3779b1 ^ seed) >>> 23)

test.each(formatNames)('%s: rows are packed as its own packGroup does', (name) => {
  const format = formats[name]
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.nat(), fc.constantFrom(0, 1, 2, 3), (blocks, seed, shift) => {
      const k = blocks * format.r8Block.k
      const [plain, packed] = [groupRows * layoutBytes(name, 'plain', 1, k), layoutBytes(name, 'r8', groupRows, k)]
      // Rows from a file lie at any byte.
      const rows = bytesOf(plain + shift, seed).subarray(shift)
      const [expected, found] = [new Uint8Array(packed), new Uint8Array(packed)]
      format.packGroup(rows, k, expected)
      groupPacker(format, k)(rows, found)
      expect(found).toEqual(expected)
    }),
    { numRuns: 30 },
  )
})

/** A group at a time, with every step apart. */
function packedWhole({ format: from, read }: BoundWeight, { format: to, layout, rows, k }: Prepared): Uint8Array {
  const values = new Float32Array(rows * k)
  formats[from].decode(read(), values)
  const plain = from === to ? read() : new Uint8Array(layoutBytes(to, 'plain', rows, k))
  if (from !== to) formats[to].encode(values, plain)
  if (layout === 'plain') return plain
  const out = new Uint8Array(layoutBytes(to, 'r8', rows, k))
  const [row, group] = [layoutBytes(to, 'plain', 1, k), layoutBytes(to, 'r8', groupRows, k)]
  for (let at = 0; at < rows; at += groupRows) {
    const padded = new Uint8Array(groupRows * row)
    padded.set(plain.subarray(at * row, Math.min(rows, at + groupRows) * row))
    formats[to].packGroup(padded, k, out.subarray((at / groupRows) * group, (at / groupRows + 1) * group))
  }
  return out
}

const cases = fc.record({
  from: fc.constantFrom<FormatName>('f32', 'f16', 'q8_0', 'q4_1', 'q6_k'),
  to: fc.option(fc.constantFrom<FormatName>('f32', 'f16', 'q8_0', 'q4_0', 'q4_k'), { nil: undefined }),
  layout: fc.constantFrom<LayoutName>('plain', 'r8'),
  rows: fc.integer({ min: 1, max: 40 }),
  blocks: fc.constantFrom(1, 3, 8, 9),
  most: fc.integer({ min: 1, max: 20_000 }),
  inParts: fc.boolean(),
  seed: fc.nat(),
})

test('pieces of any size are the weight packed as a whole', () => {
  fc.assert(
    fc.property(cases, ({ from, to = from, layout, rows, blocks, most, inParts, seed }) => {
      const k = 32 * blocks
      fc.pre(fits(from, 'plain', k) && fits(to, layout, k))
      const values = Float32Array.from(bytesOf(rows * k, seed), (byte) => (byte - 128) / 64)
      const stored = new Uint8Array(layoutBytes(from, 'plain', rows, k))
      formats[from].encode(values, stored)
      const part = (offset: number, into: Uint8Array): Uint8Array => {
        into.set(stored.subarray(offset, offset + into.length))
        return into
      }
      const bound: BoundWeight = { path: 'w', dims: [rows, k], format: from, read: () => stored.slice(), ...(inParts ? { part } : {}) }
      const wanted = { format: to, layout, rows, k }
      const expected = packedWhole(bound, wanted)
      expect(prepareTensor(bound, wanted)).toEqual(expected)
      const pieces: number[] = []
      for (const piece of preparePieces(bound, wanted, { most })) pieces.push(...piece)
      expect(Uint8Array.from(pieces)).toEqual(expected)
      // Into memory that others see, beginning where a tensor may lie.
      const memory = new Uint8Array(new SharedArrayBuffer(expected.length + 128)).fill(7)
      const into = memory.subarray(64, 64 + expected.length)
      let made = 0
      for (const piece of preparePieces(bound, wanted, { most, into })) {
        expect([piece.buffer, piece.byteOffset]).toEqual([memory.buffer, 64 + made])
        made += piece.length
      }
      expect(Uint8Array.from(memory)).toEqual(Uint8Array.of(...Array(64).fill(7), ...expected, ...Array(64).fill(7)))
    }),
    { numRuns: 150 },
  )
})
