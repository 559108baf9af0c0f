// Laws of tokenizers of every kind: decode inverts encode, pieces of a stream are whole characters and together the text, marked-up text
// cannot smuggle in control tokens, any text costs near-linear time.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openTokenizer, readVocabulary } from '../../compiler/weights/index.ts'
import { splitRule } from '../../compiler/weights/tokenizers/split-rules.ts'
import { byteCharacters } from '../../runtime/tokenizer/byte-alphabet.ts'
import { createTokenizer } from '../../runtime/tokenizer/index.ts'
import { dataBytes as bytes, dataText as text } from '../weights/data.ts'
import { monotonous, trickyText } from './tricky-texts.ts'

const llama = openTokenizer(bytes('gguf-vocab/ggml-vocab-llama-spm.gguf'))
const gpt2 = readVocabulary(text('tokenizer-gpt2/vocab.json'), text('tokenizer-gpt2/merges.txt'), 'gpt2')
const deepseek = openTokenizer(bytes('gguf-vocab/ggml-vocab-deepseek-llm.gguf'))
const bert = openTokenizer(bytes('gguf-vocab/ggml-vocab-bert-bge.gguf'))
const stories = openTokenizer(bytes('checkpoints/tok512.bin'))

test('stories260K: the space after BOS is dropped, only there', () => {
  const tokenizer = createTokenizer(stories)
  const ids = tokenizer.encode('Once upon a time')
  expect(ids[0]).toBe(tokenizer.bos)
  expect(tokenizer.decode(ids)).toBe('Once upon a time')
  expect(tokenizer.decode(ids.slice(1))).toBe('Once upon a time')
  expect(tokenizer.decode(ids.slice(1), { after: ids.at(-1)! })).toBe(' Once upon a time')
  expect([...ids, ...tokenizer.encode(' more', { bos: false, prefixSpace: false })]).toEqual(tokenizer.encode('Once upon a time more'))
})

describe('laws', () => {
  const anyText = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 60 }), trickyText)
  const tokenizers = { stories, llama, gpt2, deepseek }
  const withBert = { ...tokenizers, bert }

  test.each(Object.entries(tokenizers))('%s: decode inverts encode, in pieces of whole characters', (_, compact) => {
    const tokenizer = createTokenizer(compact)
    // SentencePiece writes a space as ▁: a text's own ones come back as spaces.
    const texts = compact.kind === 'spm' ? anyText.map((text) => text.replaceAll('▁', '_')) : anyText
    fc.assert(
      fc.property(texts, (value) => {
        const ids = tokenizer.encode(value)
        const decoder = tokenizer.decoder()
        let shown = ''
        for (const id of ids) {
          const piece = decoder.push(id)
          if (!value.includes('\ufffd')) expect(piece).not.toContain('\ufffd')
          shown += piece
        }
        expect(shown + decoder.end()).toBe(value)
      }),
      { numRuns: 300 },
    )
  })

  test('merging by heap is merging by scanning', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(
          fc.tuple(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 2, maxLength: 4 }), fc.integer({ min: -4, max: 0 })),
          { selector: ([piece]) => piece },
        ),
        fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 30 }),
        (pieces, value) => {
          const all = ['a', 'b', 'c', ...pieces.map(([piece]) => piece)]
          const scores = [-9, -9, -9, ...pieces.map(([, score]) => score)]
          const tokenizer = createTokenizer({
            version: 2,
            kind: 'spm',
            pieces: all,
            scores,
            special: [],
            bytes: [],
            addBos: false,
            addPrefixSpace: false,
          })
          const symbols = [...value]
          for (;;) {
            let best = -1
            for (let i = 0; i + 1 < symbols.length; i++) {
              const id = all.indexOf(symbols[i]! + symbols[i + 1]!)
              if (id >= 0 && (best < 0 || scores[id]! > scores[all.indexOf(symbols[best]! + symbols[best + 1]!)]!)) best = i
            }
            if (best < 0) break
            symbols.splice(best, 2, symbols[best]! + symbols[best + 1]!)
          }
          expect(tokenizer.encode(value).map((id) => all[id])).toEqual(symbols)
        },
      ),
      { numRuns: 500 },
    )
  })

  test.each(Object.entries(withBert))('%s: any ids, streamed: whole characters, and together what decode gives', (_, compact) => {
    const tokenizer = createTokenizer(compact)
    // Single bytes in every order make unfinished and impossible characters.
    const byteIds = compact.bytes.length > 0 ? compact.bytes : byteCharacters.flatMap((each) => Math.max(0, compact.pieces.indexOf(each)))
    const id = fc.oneof(
      fc.constantFrom(...byteIds),
      fc.nat(compact.pieces.length - 1),
      compact.special.length > 0 ? fc.constantFrom(...compact.special) : fc.nat(1),
    )
    const options = fc.record({ special: fc.boolean(), after: fc.option(fc.nat(3), { nil: undefined }) })
    fc.assert(
      fc.property(fc.array(id, { maxLength: 30 }), options, (ids, { special, after }) => {
        const chosen = { special, ...(after === undefined ? {} : { after }) }
        const decoder = tokenizer.decoder(chosen)
        const pieces = [...ids.map((each) => decoder.push(each)), decoder.end()]
        expect(pieces.every((piece) => piece.isWellFormed())).toBe(true)
        expect(pieces.join('')).toBe(tokenizer.decode(ids, chosen))
        // The bytes of all tokens in one go, by the engine's decoder. The space that begins a text is the decoder's to drop.
        if (compact.kind !== 'bpe') return
        const shown = ids.filter((each) => special || !compact.special.includes(each))
        const all = shown.flatMap((each) =>
          compact.special.includes(each) || compact.added?.some(({ id }) => id === each)
            ? [...new TextEncoder().encode(compact.pieces[each])]
            : Array.from(compact.pieces[each]!, (letter) => byteCharacters.indexOf(letter)),
        )
        expect(pieces.join('')).toBe(new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(all)))
      }),
      { numRuns: 200 },
    )
  })

  test.each(Object.entries(withBert))('%s: 100,000 equal characters cost near-linear time', (_, compact) => {
    const tokenizer = createTokenizer(compact)
    for (const character of [...monotonous, '\u0327\u0301', 'a\u0301b ']) {
      const started = process.cpuUsage()
      const ids = tokenizer.encode(character.repeat(100_000))
      // Measured: below 0.2 s; bench/tokenizers.ts has the figures for a million. Quadratic work takes minutes.
      expect(process.cpuUsage(started).user / 1e6, JSON.stringify(character)).toBeLessThan(3)
      expect(ids.length).toBeGreaterThan(0)
    }
  })

  test('control tokens come from text only when asked for', () => {
    const tokenizer = createTokenizer(llama)
    expect(tokenizer.encode('a</s>')).not.toContain(tokenizer.eos)
    expect(tokenizer.encode('a</s>', { special: true }).at(-1)).toBe(tokenizer.eos)
    expect(tokenizer.special('</s>')).toBe(tokenizer.eos)
  })

  test('the byte alphabet has 256 letters', () => {
    expect(new Set(byteCharacters).size).toBe(256)
    expect(byteCharacters[0x20]).toBe('Ġ')
    expect(byteCharacters[0x0a]).toBe('Ċ')
  })

  test('splitting rules that are none are refused', () => {
    expect(() => splitRule('constructor')).toThrow(/unknown splitting rule/)
    const { split: _, ...without } = gpt2
    expect(() => createTokenizer(without)).toThrow(/needs a splitting rule/)
    expect(() => createTokenizer({ ...gpt2, split: { name: 'x', stages: [[{ take: 'run', of: 'z-a' }]], wholeWords: false } })).toThrow(
      /class of characters/,
    )
  })
})
