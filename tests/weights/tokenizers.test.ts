// Importers of tokenizers: the same vocabulary in different files must become the same compact tokenizer, and the goldens of
// llama.cpp must come out of it through the runtime's encoder.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openCheckpoint } from '../../compiler/weights/checkpoint.ts'
import { nodeFiles } from '../../compiler/weights/node-source.ts'
import { readHfTokenizer } from '../../compiler/weights/tokenizers/hf-json.ts'
import { packMerges } from '../../compiler/artifact/pack-merges.ts'
import { preNames, preTokenizer } from '../../compiler/weights/tokenizers/gguf-pre.ts'
import { openTokenizer } from '../../compiler/weights/tokenizers/open-tokenizer.ts'
import { byteLevelFamily, preTokenizerOf } from '../../compiler/weights/tokenizers/pre-tokenizers.ts'
import { families, splitRule } from '../../compiler/weights/tokenizers/split-rules.ts'
import { readWordpieceVocabulary } from '../../compiler/weights/tokenizers/wordpiece-vocabulary.ts'
import { readVocabulary } from '../../compiler/weights/tokenizers/vocabulary.ts'
import { LlamacError } from '../../runtime/error.ts'
import { createTokenizer, type CompactTokenizer } from '../../runtime/tokenizer/index.ts'
import type { GgufValue } from '../../compiler/weights/gguf-metadata.ts'
import { readGgufTokenizer } from '../../compiler/weights/tokenizers/gguf-tokenizer.ts'
import { memoryFiles } from '../hostile/memory-files.ts'
import { writeCharsmap } from '../runtime/charsmap-writer.ts'
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

describe('BERT', () => {
  const gguf = open('gguf-vocab/ggml-vocab-bert-bge.gguf')
  const spelled = gguf.pieces.map((piece) => (piece.startsWith('▁') ? piece.slice(1) : /^\[.+\]$/.test(piece) ? piece : `##${piece}`))

  test('vocab.txt gives what the GGUF gives', () => {
    const config = { do_lower_case: true, tokenize_chinese_chars: true, strip_accents: null }
    const files = memoryFiles({
      'bert/vocab.txt': new TextEncoder().encode(`${spelled.join('\n')}\n`),
      'bert/tokenizer_config.json': new TextEncoder().encode(JSON.stringify(config)),
    })
    expect(openTokenizer('bert/vocab.txt', files)).toEqual({ ...gguf, special: [0, 100, 101, 102, 103] })
    expect(gguf.special).toEqual([0, 100, 101, 102, 103])
  })

  test('a cased vocabulary keeps capitals and accents', () => {
    const list = readWordpieceVocabulary('[UNK]\n[CLS]\n[SEP]\nÉa\n##b\n', 'vocab.txt')
    expect(createTokenizer(list).encode('Éab éab')).toEqual([1, 3, 4, 0, 2])
    expect(() => readWordpieceVocabulary('a\nb\n', 'vocab.txt')).toThrow(LlamacError)
  })
})

describe("llama.cpp's names of splitting rules", () => {
  test('each means a family; another is refused, and named', () => {
    for (const name of preNames) expect(preTokenizer(name, 'm.gguf').split.stages.length).toBeGreaterThan(0)
    expect(() => preTokenizer('superbpe', 'm.gguf')).toThrow(/m\.gguf: tokenizer\.ggml\.pre is "superbpe"/)
    expect(preTokenizer('llama-bpe', '')).toMatchObject({ split: { name: 'llama3', wholeWords: true }, addBos: true })
    expect(preTokenizer('dbrx', '')).toMatchObject({ split: { name: 'llama3', wholeWords: false }, addBos: false })
  })

  test('every family that tokenizer.json can say is read back', () => {
    for (const [name, { patterns }] of Object.entries(families)) {
      const read = (): string | undefined => byteLevelFamily(JSON.parse(JSON.stringify(preTokenizerOf(name))), (what) => new Error(what))
      if (patterns) expect(read()).toBe(name)
    }
  })
})

describe('tokens of a text before merging', () => {
  const compact: CompactTokenizer = {
    version: 2,
    kind: 'bpe',
    pieces: [...'abc<>Ġ', '<a>', '<<a>>', '<c>', 'é'],
    merges: [],
    split: splitRule('gpt2'),
    special: [8],
    added: [{ id: 6, left: true }, { id: 7, right: true }, { id: 8, left: true, right: true }, { id: 9 }],
    bytes: [],
    addBos: false,
    addPrefixSpace: false,
  }
  const tokenizer = createTokenizer(compact)

  test('the longest at each place; white space goes with those that take it; special ones only when asked for', () => {
    expect(tokenizer.encode('a  <a> b')).toEqual([0, 6, 5, 1])
    expect(tokenizer.encode('a <<a>>  b')).toEqual([0, 5, 7, 1])
    expect(tokenizer.encode('<<a>')).toEqual([3, 6])
    expect(tokenizer.encode('a <c> b')).toEqual([0, 5, 3, 2, 4, 5, 1])
    expect(tokenizer.encode('a <c> b', { special: true })).toEqual([0, 8, 1])
    expect(tokenizer.encode('é')).toEqual([9])
  })

  test('they are shown as they are written, not as bytes', () => {
    expect(tokenizer.decode([0, 9, 6])).toBe('aé<a>')
  })
})

test('merges in the form of artifacts are the same merges', () => {
  const gpt2 = open('gguf-vocab/ggml-vocab-gpt-2.gguf')
  const packed = packMerges(gpt2)
  expect(packed.merges).toBeUndefined()
  expect(JSON.stringify(packed.packedMerges).length).toBeLessThan(JSON.stringify(gpt2.merges).length / 6)
  const [one, other] = [createTokenizer(gpt2), createTokenizer(packed)]
  const sample = dataText('text/tinystories_sample.txt').slice(0, 50_000)
  expect(other.encode(sample)).toEqual(one.encode(sample))
  // A vocabulary in another order keeps its list.
  const reordered = { ...gpt2, merges: [...gpt2.merges!].reverse() }
  expect(packMerges(reordered)).toBe(reordered)
})

test('tokenizer.json: Metaspace puts a space before the beginning only, and not before a space', () => {
  const { pieces, scores, bytes } = open('checkpoints/tok512.bin')
  const compact = {
    version: 2,
    kind: 'spm',
    pieces,
    scores: scores!,
    special: [0, 1, 2],
    bytes,
    bos: 1,
    addBos: false,
    addPrefixSpace: true,
  } as const
  const [always, once] = [createTokenizer(compact), createTokenizer({ ...compact, prefix: { once: true, unlessSpace: true } })]
  const mark = pieces.indexOf('▁')
  expect(always.encode('<s>a', { special: true })).toEqual([1, pieces.indexOf('▁a')])
  expect(once.encode('<s>a', { special: true })).toEqual([1, pieces.indexOf('a')])
  expect(once.encode(' a')).toEqual([pieces.indexOf('▁a')])
  expect(always.encode(' a')).toEqual([mark, pieces.indexOf('▁a')])
})

describe('unigram models', () => {
  const pieces = ['<pad>', '</s>', '<unk>', '▁', 'a', '▁a', 'b', 'ab', '▁ab']
  const scores = [0, 0, 0, -4, -3, -3.5, -3, -4.5, -7]
  const vocab = pieces.map((piece, id) => [piece, scores[id]!])
  const charsmap = writeCharsmap(
    new Map([
      ['\t', ' '],
      ['Ａ', 'a'],
    ]),
  )
  const json = (more: object = {}): string =>
    JSON.stringify({
      added_tokens: ['<pad>', '</s>', '<unk>'].map((content, id) => ({ id, content, special: true })),
      normalizer: { type: 'Precompiled', precompiled_charsmap: charsmap },
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [{ type: 'WhitespaceSplit' }, { type: 'Metaspace', replacement: '▁', add_prefix_space: true }],
      },
      post_processor: { type: 'TemplateProcessing', single: [{ Sequence: { id: 'A' } }, { SpecialToken: { id: '</s>' } }] },
      model: { type: 'Unigram', unk_id: 2, vocab },
      ...more,
    })

  test('T5: spaces once, a mark before words, EOS behind', () => {
    const compact = readHfTokenizer(json(), 'tokenizer.json', { eos_token: '</s>' })
    expect(compact).toMatchObject({ kind: 'unigram', unknown: 2, eos: 1, addBos: false, addEos: true, addPrefixSpace: true })
    const tokenizer = createTokenizer(compact)
    expect(tokenizer.encode(' ab\t\tＡ?b ')).toEqual([5, 6, 5, 2, 6, 1])
    expect(tokenizer.decode([5, 6, 5, 6, 1])).toBe('ab ab')
    expect(tokenizer.encode('')).toEqual([1])
  })

  test('what is not known is refused', () => {
    const code = (more: object): string => {
      try {
        readHfTokenizer(json(more), 'tokenizer.json')
        return 'valid'
      } catch (error) {
        if (error instanceof LlamacError) return error.code
        throw error
      }
    }
    expect(code({ model: { type: 'Unigram', vocab } })).toBe('E_TOKENIZER_JSON')
    expect(code({ model: { type: 'Unigram', unk_id: 2, vocab: [['a']] } })).toBe('E_TOKENIZER_JSON')
    expect(code({ normalizer: { type: 'Precompiled', precompiled_charsmap: 'AAA' } })).toBe('E_TOKENIZER_JSON')
    expect(code({ pre_tokenizer: { type: 'Whitespace' } })).toBe('E_TOKENIZER_JSON')
    expect(code({ model: { type: 'Unigram', unk_id: 2, vocab: [...vocab, ['a▁b', -1]] } })).toBe('E_TOKENIZER_JSON')
  })

  test('the same model from a GGUF', () => {
    const bytes = new Uint8Array(Buffer.from(charsmap, 'base64'))
    const compact = readGgufTokenizer(
      new Map<string, GgufValue>([
        ['tokenizer.ggml.model', 't5'],
        ['tokenizer.ggml.tokens', pieces],
        ['tokenizer.ggml.scores', Float32Array.from(scores)],
        ['tokenizer.ggml.token_type', Int32Array.from([3, 3, 2, 1, 1, 1, 1, 1, 1])],
        ['tokenizer.ggml.precompiled_charsmap', bytes],
        ['tokenizer.ggml.remove_extra_whitespaces', true],
      ]),
      'm.gguf',
    )!
    expect(createTokenizer(compact).encode(' ab\t\tＡ?b ')).toEqual([5, 6, 5, 2, 6, 1])
  })
})
