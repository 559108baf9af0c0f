// Importers of tokenizers: the same vocabulary in different files must become the same compact tokenizer, and the goldens of
// llama.cpp must come out of it through the runtime's encoder.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openCheckpoint } from '../../compiler/weights/checkpoint.ts'
import { nodeFiles } from '../../compiler/weights/node-source.ts'
import { readHfTokenizer } from '../../compiler/weights/tokenizers/hf-json.ts'
import { openTokenizer } from '../../compiler/weights/tokenizers/open-tokenizer.ts'
import { readVocabulary } from '../../compiler/weights/tokenizers/vocabulary.ts'
import { LlamacError } from '../../runtime/error.ts'
import { createTokenizer } from '../../runtime/tokenizer/index.ts'
import { dataBytes, dataPath, dataText } from './data.ts'

const open = (name: string) => openTokenizer(dataPath(name), nodeFiles)

test('stories260K: the file and the container hold the same vocabulary', () => {
  const file = open('checkpoints/tok512.bin')
  expect(file.pieces.length).toBe(512)
  expect(file.bytes).toEqual(Array.from({ length: 256 }, (_, i) => i + 3))
  expect(openCheckpoint(dataPath('checkpoints/llama2ts.tinystories_260k_v1.bin'), nodeFiles).tokenizer).toEqual(file)
})

test("LLaMA's vocabulary: llama2.c, SentencePiece and two GGUFs agree", () => {
  const bin = open('checkpoints/tokenizer-llama2-32k.bin')
  const model = open('checkpoints/llama2.tokenizer.model')
  expect(model).toEqual(bin)
  const vocab = open('gguf-vocab/ggml-vocab-llama-spm.gguf')
  expect(vocab.pieces).toEqual(bin.pieces)
  expect(vocab).toMatchObject({ kind: 'spm', bos: 1, eos: 2, addBos: true, addPrefixSpace: true, bytes: bin.bytes })
})

describe('tokenizer.json', () => {
  test('byte-level: the Llama 3 excerpt', () => {
    const config = { bos_token: '<|begin_of_text|>', eos_token: { content: '<|end_of_text|>' } }
    const tokenizer = readHfTokenizer(dataText('tokenizer-llama3/ollama.mini_llama.tokenizer.json'), 'tokenizer.json', config)
    expect(tokenizer).toMatchObject({ kind: 'bpe', split: { name: 'llama3' }, bos: 128000, eos: 128001 })
    expect(createTokenizer(tokenizer).encode('Hello world', { bos: false }).length).toBeGreaterThan(0)
  })

  test('SentencePiece-like: scores from merge ranks give the ids of the original model', () => {
    const { pieces, scores } = open('checkpoints/tok512.bin')
    const ids = new Map(pieces.map((piece, id) => [piece, id]))
    const merges = [...pieces.keys()]
      .filter((id) => id > 258 && [...pieces[id]!].length > 1)
      .sort((a, b) => scores![b]! - scores![a]!)
      .flatMap((id) => {
        const letters = [...pieces[id]!]
        return letters.slice(1).flatMap((_, cut) => {
          const [left, right] = [letters.slice(0, cut + 1).join(''), letters.slice(cut + 1).join('')]
          return ids.has(left) && ids.has(right) ? [[left, right]] : []
        })
      })
    const json = JSON.stringify({
      added_tokens: ['<unk>', '<s>', '</s>'].map((content, id) => ({ id, content, special: true })),
      normalizer: {
        type: 'Sequence',
        normalizers: [
          { type: 'Prepend', prepend: '▁' },
          { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
        ],
      },
      pre_tokenizer: null,
      post_processor: {
        type: 'TemplateProcessing',
        single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      },
      model: {
        type: 'BPE',
        unk_token: '<unk>',
        byte_fallback: true,
        vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
        merges,
      },
    })
    const compact = readHfTokenizer(json, 'tokenizer.json', { bos_token: '<s>', eos_token: '</s>' })
    expect(compact).toMatchObject({ kind: 'spm', bos: 1, eos: 2, unknown: 0, addBos: true, addPrefixSpace: true })
    const [original, converted] = [createTokenizer(open('checkpoints/tok512.bin')), createTokenizer(compact)]
    for (const story of dataText('text/tinystories_sample.txt').split('<|endoftext|>')) {
      expect(converted.encode(story)).toEqual(original.encode(story))
    }
  })

  test('a splitting rule that is not known is refused', () => {
    const pre = {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: '\\w+' } },
        { type: 'ByteLevel', use_regex: false },
      ],
    }
    const json = JSON.stringify({ pre_tokenizer: pre, model: { type: 'BPE', vocab: { a: 0 }, merges: [] } })
    expect(() => readHfTokenizer(json, 'tokenizer.json')).toThrow(LlamacError)
  })
})

test("GPT-2's vocab.json and merges.txt give what the GGUF gives", () => {
  const pair = readVocabulary(dataText('tokenizer-gpt2/vocab.json'), dataText('tokenizer-gpt2/merges.txt'), 'vocab.json')
  const gguf = open('gguf-vocab/ggml-vocab-gpt-2.gguf')
  expect(pair.pieces.length).toBe(50257)
  expect(pair.merges).toEqual(gguf.merges)
  expect(gguf.pieces).toEqual(pair.pieces)
})

test('SmolLM2, and BERT', () => {
  const { tokenizer } = openCheckpoint(dataPath('smollm2/SmolLM2-135M-Instruct.Q4_1.gguf'), nodeFiles)
  expect(tokenizer).toMatchObject({ kind: 'bpe', split: { name: 'smollm' }, addBos: false, eos: 2 })
  const bert = openCheckpoint(dataPath('gguf-vocab/ggml-vocab-bert-bge.gguf'), nodeFiles)
  expect(bert.tokenizer).toMatchObject({ kind: 'wordpiece', bos: 101, eos: 102, unknown: 100, addBos: true, addEos: true })
})

test.each(['checkpoints/tok512.bin', 'checkpoints/llama2.tokenizer.model', 'tokenizer-llama3/ollama.mini_llama.tokenizer.json'])(
  '%s, damaged: a typed error or a tokenizer',
  (name) => {
    const bytes = dataBytes(name)
    const damage = fc.tuple(fc.nat(Math.min(bytes.length, 6000) - 1), fc.nat(255), fc.option(fc.nat(bytes.length), { freq: 3 }))
    fc.assert(
      fc.property(damage, ([at, value, length]) => {
        const damaged = bytes.slice(0, length ?? undefined)
        if (at < damaged.length) damaged[at] = value
        try {
          openTokenizer(damaged)
        } catch (error) {
          if (!(error instanceof LlamacError)) throw error
        }
      }),
      { numRuns: 60 },
    )
  },
)
