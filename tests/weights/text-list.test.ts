// Texts that are decoded many at a time are what the decoder makes of each alone, damaged ones among them.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TextList } from '../../compiler/weights/text-list.ts'

const utf8 = new TextEncoder()
/** Beginnings and ends of what UTF-8 allows, marks of byte order, pieces of characters. */
const tricky = [
  [0xef, 0xbb, 0xbf],
  [0xe0, 0x9f, 0x80],
  [0xe0, 0xa0, 0x80],
  [0xed, 0x9f, 0xbf],
  [0xed, 0xa0, 0x80],
  [0xc1, 0xbf],
  [0xc2, 0x80],
  [0xe2, 0x82],
  [0xc4],
  [0x80],
  [0xf0, 0x9f, 0x98, 0x80],
  [0xf8, 0x80],
]

const piece = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 6 }).map((text) => [...utf8.encode(text)]),
  fc.constantFrom('Ġ', 'Ġthe', '▁', '中', '\0').map((text) => [...utf8.encode(text)]),
  fc.constantFrom(...tricky),
  fc.uint8Array({ maxLength: 4 }).map((bytes) => [...bytes]),
)
const text = fc.oneof(
  { weight: 9, arbitrary: fc.array(piece, { maxLength: 4 }) },
  fc
    .tuple(piece, fc.integer({ min: 1, max: 20_000 }))
    .map(([one, times]) => Array<number[]>(Math.ceil(times / (one.length + 1))).fill(one)),
)

test('each text is what the decoder makes of it alone', () => {
  const alone = new TextDecoder('utf-8', { ignoreBOM: true })
  fc.assert(
    fc.property(fc.array(text, { maxLength: 40 }), fc.integer({ min: 1, max: 30 }), (texts, times) => {
      const all = Array.from({ length: times }, () => texts)
        .flat()
        .map((pieces) => Uint8Array.from(pieces.flat()))
      const list = new TextList()
      for (const bytes of all) list.add(Uint8Array.of(0xc3, ...bytes, 0xa9), 1, bytes.length)
      expect(list.end()).toEqual(all.map((bytes) => alone.decode(bytes)))
    }),
    { numRuns: 120 },
  )
})
