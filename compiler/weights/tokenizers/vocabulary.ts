// GPT-2's published pair: vocab.json {piece: id} and merges.txt, one `left right` a line after an optional `#version` line.

import { tokenizerVersion, type CompactTokenizer } from '../../../runtime/tokenizer/compact.ts'
import { refusal } from '../refusal.ts'
import { isObject, parseStrictJson } from '../strict-json.ts'
import { splitRule } from './split-rules.ts'

const endOfText = '<|endoftext|>'

/** Byte-level BPE from the two texts; `<|endoftext|>`, where it exists, is BOS and EOS. Errors: E_TOKENIZER_JSON, E_TOKENIZER_MERGES. */
export function readVocabulary(vocabJson: string, mergesText: string, file: string, split = 'gpt2'): CompactTokenizer {
  const vocabulary = parseStrictJson(vocabJson, 'E_TOKENIZER_JSON', file)
  if (!isObject(vocabulary)) throw refusal('E_TOKENIZER_JSON', file, 'the vocabulary is not an object')
  const names = Object.keys(vocabulary)
  const pieces: string[] = []
  for (const piece of names) {
    const id = vocabulary[piece]
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= names.length || pieces[id] !== undefined) {
      throw refusal(
        'E_TOKENIZER_JSON',
        file,
        `${JSON.stringify(piece)} has the id ${String(id)}, expected each of 0 to ${names.length - 1} once`,
      )
    }
    pieces[id] = piece
  }
  const lines = mergesText.split('\n').map((line) => line.replace(/\r$/, ''))
  const merges = lines.filter((line, i) => line !== '' && !(i === 0 && line.startsWith('#version')))
  const wrong = merges.find((merge) => merge.split(' ').length !== 2)
  if (wrong !== undefined) throw refusal('E_TOKENIZER_MERGES', file, `a merge is not a pair: ${JSON.stringify(wrong)}`)
  const end = pieces.indexOf(endOfText)
  const special = end < 0 ? [] : [end]
  return {
    version: tokenizerVersion,
    kind: 'bpe',
    pieces,
    merges,
    split: splitRule(split),
    special,
    bytes: [],
    bos: special[0],
    eos: special[0],
    addBos: false,
    addPrefixSpace: false,
  }
}
