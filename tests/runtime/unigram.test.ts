// Unigram models and SentencePiece's character map against their definitions: the best of all ways to write a text, the longest key
// at each place.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LlamacError } from '../../runtime/error.ts'
import { createCharsmap } from '../../runtime/tokenizer/charsmap.ts'
import type { CompactTokenizer } from '../../runtime/tokenizer/compact.ts'
import { createTokenizer } from '../../runtime/tokenizer/index.ts'
import { writeCharsmap } from './charsmap-writer.ts'
import { monotonous } from './tricky-texts.ts'

const model = (pieces: readonly string[], scores: readonly number[]): CompactTokenizer => ({
  version: 2,
  kind: 'unigram',
  pieces: ['<unk>', '</s>', ...pieces],
  scores: [0, 0, ...scores],
  special: [0, 1],
  bytes: [],
  unknown: 0,
  eos: 1,
  addBos: false,
  addEos: true,
  addPrefixSpace: true,
})

describe('unigram', () => {
  const letters = fc.constantFrom('a', 'b', 'é', '😀', 'x', ' ')
  const piece = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '😀', '▁'), minLength: 1, maxLength: 4 })
  /** Scores are sums of different powers of two: no two ways have the same sum, so the best is one. */
  const vocabulary = fc
    .uniqueArray(piece, { minLength: 1, maxLength: 20 })
    .map((pieces) => ({ pieces, scores: pieces.map((_, i) => -(2 ** -i) - ((i * 7) % 5)) }))

  test('the best of all ways, with unknown characters at ten below the worst', () => {
    fc.assert(
      fc.property(vocabulary, fc.string({ unit: letters, maxLength: 8 }), ({ pieces, scores }, text) => {
        const tokenizer = createTokenizer(model(pieces, scores))
        const unknown = Math.min(...scores) - 10
        const marked = [...`▁${text.replaceAll(' ', '▁')}`]
        /** The sum of the best way to write what begins at `at`. */
        const best = (at: number): number => {
          if (at === marked.length) return 0
          const known = pieces.flatMap((each, i) => {
            const length = [...each].length
            return marked.slice(at, at + length).join('') === each ? [scores[i]! + best(at + length)] : []
          })
          return Math.max(...known, ...(pieces.includes(marked[at]!) ? [] : [unknown + best(at + 1)]))
        }
        const ids = tokenizer.encode(text)
        expect(ids.at(-1)).toBe(1)
        if (text === '') {
          expect(ids).toHaveLength(1)
          return
        }
        // What the ids say, with as many unknown characters as the text has between them.
        const shown = ids.slice(0, -1)
        const sum = shown.reduce((total, id) => total + (id === 0 ? 0 : scores[id - 2]!), 0)
        const characters = shown.reduce((total, id) => total + (id === 0 ? 0 : [...pieces[id - 2]!].length), 0)
        expect(sum + (marked.length - characters) * unknown).toBeCloseTo(best(0), 9)
        if (!shown.includes(0)) expect(tokenizer.decode(ids)).toBe(text)
      }),
      { numRuns: 500 },
    )
  })

  test('any text of equal characters costs linear time', () => {
    const tokenizer = createTokenizer(model(['▁', 'a', 'aa', 'aaaaaaaa', '中', '😀', '▁▁'], [-1, -2, -3, -4, -5, -6, -1.5]))
    for (const character of monotonous) {
      const started = process.cpuUsage()
      tokenizer.encode(character.repeat(100_000))
      expect(process.cpuUsage(started).user / 1e6, JSON.stringify(character)).toBeLessThan(5) // measured: below 0.1 s
    }
  })

  test('unknown characters in a row are one token, or their bytes', () => {
    const compact = model(['▁a'], [-1])
    expect(createTokenizer(compact).encode('a??a')).toEqual([2, 0, 1])
    const pieces = [
      ...compact.pieces,
      ...Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
    ]
    const bytes = Array.from({ length: 256 }, (_, byte) => 3 + byte)
    const withBytes = createTokenizer({ ...compact, pieces, scores: pieces.map(() => -1), bytes })
    expect(withBytes.encode('aé')).toEqual([2, 3 + 0xc3, 3 + 0xa9, 1])
    expect(withBytes.decode(withBytes.encode('aé😀'))).toBe('aé😀')
  })
})

describe('precompiled_charsmap', () => {
  const key = fc.string({ unit: fc.constantFrom('a', 'e', '\u0301', 'ﬁ', '中', '😀', ' '), minLength: 1, maxLength: 3 })
  const pairs = fc.dictionary(key, fc.string({ unit: fc.constantFrom('x', 'é', ' '), maxLength: 3 }), {
    minKeys: 1,
    maxKeys: 12,
    noNullPrototype: true,
  })

  test('the longest key at each place', () => {
    fc.assert(
      fc.property(
        pairs,
        fc.string({ unit: fc.constantFrom('a', 'e', '\u0301', 'ﬁ', '中', '😀', ' ', 'z', '\0'), maxLength: 20 }),
        (given, text) => {
          const map = new Map(Object.entries(given))
          let expected = ''
          for (let at = 0; at < text.length; ) {
            const found = [...map.keys()].filter((each) => text.startsWith(each, at)).sort((a, b) => b.length - a.length)[0]
            const here = String.fromCodePoint(text.codePointAt(at)!)
            expected += found === undefined ? here : map.get(found)!
            at += (found ?? here).length
          }
          expect(createCharsmap(writeCharsmap(map))(text)).toBe(expected)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('damaged: a code, or some text', () => {
    const bytes = Buffer.from(
      writeCharsmap(
        new Map([
          ['ab', 'x'],
          ['é', 'e'],
          ['a', 'A'],
        ]),
      ),
      'base64',
    )
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.option(fc.nat(bytes.length)), (at, value, length) => {
        const damaged = Uint8Array.from(bytes.subarray(0, length ?? undefined))
        if (at < damaged.length) damaged[at] = value
        try {
          expect(typeof createCharsmap(Buffer.from(damaged).toString('base64'))('abé a')).toBe('string')
        } catch (error) {
          if (!(error instanceof LlamacError)) throw error
          expect(error.code).toBe('E_TOKENIZER')
        }
      }),
      { numRuns: 1000 },
    )
    expect(() => createCharsmap('no base64!')).toThrow(LlamacError)
  })
})
