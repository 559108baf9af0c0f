// Tokenizers against llama.cpp's and transformers.js' goldens, and laws: decode inverts encode, streaming equals whole,
// any text costs near-linear time.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openTokenizer, readVocabulary } from '../../compiler/weights/index.ts'
import { byteCharacters } from '../../runtime/tokenizer/byte-alphabet.ts'
import type { CompactTokenizer } from '../../runtime/tokenizer/compact.ts'
import { createTokenizer } from '../../runtime/tokenizer/index.ts'
import { splitRule } from '../../compiler/weights/tokenizers/split-rules.ts'
import { createSplitter } from '../../runtime/tokenizer/split-words.ts'
import { dataBytes as bytes, dataText as text } from '../weights/data.ts'

const llama = openTokenizer(bytes('gguf-vocab/ggml-vocab-llama-spm.gguf'))
const gpt2 = readVocabulary(text('tokenizer-gpt2/vocab.json'), text('tokenizer-gpt2/merges.txt'), 'gpt2')
const llama3 = readVocabulary(text('tokenizer-llama3/encoder.json'), text('tokenizer-llama3/vocab.bpe'), 'llama3', 'llama3')
const stories = openTokenizer(bytes('checkpoints/tok512.bin'))

describe('llama.cpp goldens', () => {
  test.each<[string, CompactTokenizer]>([
    ['llama-spm', llama],
    ['gpt-2', openTokenizer(bytes('gguf-vocab/ggml-vocab-gpt-2.gguf'))],
    ['llama-bpe', llama3],
  ])('%s: 46 texts', (name, compact) => {
    const tokenizer = createTokenizer(compact)
    const texts = text(`gguf-vocab/ggml-vocab-${name}.gguf.inp`).split('\n__ggml_vocab_test__\n').slice(0, -1)
    const expected = text(`gguf-vocab/ggml-vocab-${name}.gguf.out`).split('\n')
    expect(texts).toHaveLength(46)
    for (const [index, input] of texts.entries()) {
      const ids = tokenizer.encode(input, { bos: false })
      expect(ids.join(' '), JSON.stringify(input)).toBe(expected[index]!.trim())
      expect(tokenizer.decode(ids)).toBe(input)
    }
  })
})

interface Golden {
  readonly text: string
  readonly tokens: readonly string[]
  readonly ids: readonly number[]
}
const goldens = (family: string, name: string): Golden[] =>
  Object.values(JSON.parse(text(`tokenizer-golden/transformersjs-${family}.json`))[name])

describe('transformers.js goldens', () => {
  test('gpt2: ids and text', () => {
    const tokenizer = createTokenizer(gpt2)
    for (const golden of goldens('gpt2', 'Xenova/gpt2')) {
      expect(tokenizer.encode(golden.text, { bos: false, special: true }), JSON.stringify(golden.text)).toEqual(golden.ids)
      expect(tokenizer.decode(golden.ids, { special: true })).toBe(golden.text) // `decoded` drops spaces before punctuation
    }
  })

  test('llama: ids', () => {
    const tokenizer = createTokenizer(llama)
    let compared = 0
    for (const golden of goldens('llama', 'Xenova/llama-tokenizer')) {
      if (golden.text.includes('<')) continue // HF's splitting around special tokens differs by version
      expect(tokenizer.encode(golden.text), JSON.stringify(golden.text)).toEqual(golden.ids)
      compared++
    }
    expect(compared).toBeGreaterThan(20)
  })

  test('qwen2: words end where tokens end', () => {
    const splitWords = createSplitter(splitRule('qwen2'))
    const utf8 = new TextEncoder()
    for (const golden of goldens('qwen2', 'Xenova/Qwen1.5-0.5B-Chat')) {
      if (golden.text.includes('<|')) continue
      const ends = new Set<number>()
      let at = 0
      for (const token of golden.tokens) ends.add((at += [...token].length))
      at = 0
      for (const word of splitWords(golden.text.normalize('NFC'))) {
        at += utf8.encode(word).length
        expect(ends.has(at), JSON.stringify([golden.text, word])).toBe(true)
      }
    }
  })
})

test('SmolLM2: prompts with special tokens, digits apart', () => {
  const tokenizer = createTokenizer(openTokenizer(bytes('smollm2/SmolLM2-135M-Instruct.Q4_1.gguf')))
  const golden = JSON.parse(text('smollm2/golden.json')) as {
    cases: { prompt: string; ids: number[]; greedy: number[]; text: string }[]
    nll: { file: string; chars: number; ids: number[] }
  }
  for (const { prompt, ids, greedy, text: shown } of golden.cases) {
    expect(tokenizer.encode(prompt, { special: true })).toEqual(ids)
    expect(tokenizer.decode(greedy, { special: true, after: ids.at(-1)! })).toBe(shown)
  }
  const { file, chars, ids } = golden.nll
  expect(tokenizer.encode(text(`text/${file}`).slice(0, chars)).slice(0, ids.length)).toEqual(ids)
})

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
  const anyText = fc.string({ unit: 'grapheme', maxLength: 60 })
  const tokenizers = { stories, llama, gpt2, llama3 }

  test.each(Object.entries(tokenizers))('%s: decode inverts encode, in pieces of whole characters', (_, compact) => {
    const tokenizer = createTokenizer(compact)
    fc.assert(
      fc.property(anyText, (value) => {
        const ids = tokenizer.encode(value)
        const decoder = tokenizer.decoder()
        let shown = ''
        for (const id of ids) {
          const piece = decoder.push(id)
          expect(piece).not.toContain('\ufffd')
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

  test('a text without words costs near-linear time', () => {
    for (const compact of [llama, gpt2]) {
      const tokenizer = createTokenizer(compact)
      // Quadratic work would not end within the runner's limit.
      expect(tokenizer.encode('a'.repeat(200_000)).length).toBeGreaterThan(1000)
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
