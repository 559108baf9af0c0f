// The tokenizer trainer: against merges that someone else's trainer found, against a slow trainer written from the definition,
// and its tokenizer.json through another library.

import { Tokenizer as HfTokenizer } from '@huggingface/tokenizers'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readHfTokenizer } from '../../compiler/weights/tokenizers/hf-json.ts'
import { type BpeTraining, trainBpe } from '../../compiler/weights/tokenizers/train-bpe.ts'
import { writeHfTokenizer } from '../../compiler/weights/tokenizers/write-hf-json.ts'
import { byteCharacters } from '../../runtime/tokenizer/byte-alphabet.ts'
import { createTokenizer } from '../../runtime/tokenizer/index.ts'
import { splitRule } from '../../compiler/weights/tokenizers/split-rules.ts'
import { createSplitter } from '../../runtime/tokenizer/split-words.ts'
import { dataText } from './data.ts'

const endOfText = '<|endoftext|>'
const splits = ['gpt2', 'llama3', 'qwen2', 'smollm']

test('merges and vocabulary of the reference, in order', () => {
  const trained = trainBpe([dataText('bpe-train/corpus.en')], { vocabulary: 500, special: [endOfText] })
  const wanted = dataText('bpe-train/reference-merges.txt')
    .split('\n')
    .filter((line) => line !== '')
  expect(wanted.length).toBe(243)
  expect(trained.merges).toEqual(wanted)
  expect(Object.fromEntries(trained.pieces.map((piece, id) => [piece, id]))).toEqual(JSON.parse(dataText('bpe-train/reference-vocab.json')))
})

/** From the definition: counts everything anew for each merge. */
function slowMerges(text: string, split: string, most: number): string[] {
  const words = createSplitter(splitRule(split))(text.toWellFormed()).map((word) =>
    Array.from(new TextEncoder().encode(word), (byte) => [byte]),
  )
  const merges: string[] = []
  const spell = (bytes: readonly number[]) => bytes.map((byte) => byteCharacters[byte]).join('')
  while (merges.length < most) {
    const counts = new Map<string, { left: number[]; right: number[]; count: number }>()
    for (const word of words) {
      for (let i = 0; i + 1 < word.length; i++) {
        const [left, right] = [word[i]!, word[i + 1]!]
        const key = `${left}|${right}`
        const found = counts.get(key)
        counts.set(key, { left, right, count: (found?.count ?? 0) + 1 })
      }
    }
    const compare = (a: readonly number[], b: readonly number[]) => Buffer.compare(Buffer.from(a), Buffer.from(b))
    const [best] = [...counts.values()].sort((a, b) => b.count - a.count || compare(b.left, a.left) || compare(b.right, a.right))
    if (!best || best.count < 2) break
    const { left, right } = best
    merges.push(`${spell(left)} ${spell(right)}`)
    for (const word of words) {
      for (let i = 0; i + 1 < word.length; i++) {
        if (compare(word[i]!, left) === 0 && compare(word[i + 1]!, right) === 0) word.splice(i, 2, [...left, ...right])
      }
    }
  }
  return merges
}

// Few letters make repetitions, which is where merging has its corners; the rest is any Unicode, also broken.
const repetitive = fc.string({ unit: fc.constantFrom('a', 'b', 'c', ' ', '\n', 'é', '1'), maxLength: 200 })
const anyText = fc.oneof(repetitive, fc.string({ unit: 'binary', maxLength: 60 }), fc.string({ unit: 'grapheme', maxLength: 60 }))

test('merges are those of the definition', () => {
  fc.assert(
    fc.property(anyText, fc.constantFrom(...splits), fc.nat(60), (text, split, most) => {
      const { merges, pieces } = trainBpe([text], { vocabulary: 256 + most, split })
      expect(merges).toEqual(slowMerges(text, split, most))
      expect(new Set(pieces).size).toBe(256 + merges!.length)
    }),
    { numRuns: 300 },
  )
})

const training = fc.record({
  texts: fc.array(anyText, { maxLength: 3 }),
  vocabulary: fc.integer({ min: 260, max: 330 }),
  special: fc.constantFrom<readonly string[]>([endOfText], [endOfText, '<s> x', '<s>'], []),
  split: fc.constantFrom(...splits),
})

test('any text comes back through training, the file, encoding and decoding, and another library gives the same ids', () => {
  fc.assert(
    fc.property(training, anyText, ({ texts, ...options }, text) => {
      const addBos = options.special.length > 0
      const trained = trainBpe(texts, { ...options, addBos } satisfies BpeTraining)
      const json = writeHfTokenizer(trained)
      const read = readHfTokenizer(json, 'tokenizer.json', { eos_token: options.special[0] ?? null })
      expect(read).toEqual({ ...trained, unknown: undefined, bos: trained.bos, eos: trained.eos })
      const tokenizer = createTokenizer(read)
      for (const each of [text, ...texts]) {
        const ids = tokenizer.encode(each, { bos: false })
        expect(tokenizer.decode(ids)).toBe(each.toWellFormed())
        const other = new HfTokenizer(JSON.parse(json), {})
        expect(other.encode(each.toWellFormed(), { add_special_tokens: false }).ids).toEqual(ids)
      }
    }),
    { numRuns: 200 },
  )
})

describe('special tokens', () => {
  test('are no part of the text: nothing is merged with or across them', () => {
    const text = `ab${endOfText}`.repeat(10)
    const { pieces, merges } = trainBpe([text], { vocabulary: 400, special: [endOfText] })
    expect(merges).toEqual(['a b'])
    expect(pieces.length).toBe(258)
  })

  test.each([
    [[''], 300],
    [['<a>', '<a>'], 300],
    [['a'], 300],
    [['Ġt'], 300],
    [['<a>', '<b>'], 257],
  ])('%j with a vocabulary of %d is refused', (special, vocabulary) => {
    expect(() => trainBpe([' t t t'], { vocabulary, special })).toThrow(expect.objectContaining({ code: 'E_ARGUMENT' }))
  })
})

test('a long word without a place to cut: pieces of 2, 4 … 65,536 letters; no word at all: bytes', () => {
  const { merges } = trainBpe(['a'.repeat(100_000)], { vocabulary: 300 })
  expect(merges?.map((merge) => merge.length)).toEqual(Array.from({ length: 16 }, (_, i) => 2 ** (i + 1) + 1))
  expect(trainBpe([], { vocabulary: 300 }).pieces.length).toBe(256)
})
