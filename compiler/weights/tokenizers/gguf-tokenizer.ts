// The tokenizer in a GGUF's metadata (`tokenizer.ggml.*`): model 'llama' is SentencePiece BPE with scores, 'gpt2' is byte-level BPE
// with merges and the name of a splitting rule. Other models (WordPiece, unigram) are refused with their name.
// Defaults where keys are missing are llama.cpp's: 'llama' puts BOS and a space first, 'gpt2' neither, but Llama 3 puts BOS.

import type { CompactTokenizer } from '../../../runtime/tokenizer/compact.ts'
import type { GgufValue } from '../gguf-metadata.ts'
import { refusal } from '../refusal.ts'
import { byteTokens } from './byte-tokens.ts'

/** llama.cpp's token types that are no ordinary text: 2 unknown, 3 control. */
const hiddenTypes: ReadonlySet<number> = new Set([2, 3])
const addsBos: ReadonlySet<string> = new Set(['llama-bpe', 'llama3', 'llama-v3', 'falcon3', 'tekken', 'chameleon'])

/** Undefined when the file has no tokenizer. Errors: E_TOKENIZER_GGUF, E_TOKENIZER_KIND. */
export function readGgufTokenizer(metadata: ReadonlyMap<string, GgufValue>, file: string): CompactTokenizer | undefined {
  const key = (name: string) => `tokenizer.ggml.${name}`
  const refuse = (name: string, what: string) => refusal('E_TOKENIZER_GGUF', file, `${key(name)} ${what}`)
  const value = (name: string) => metadata.get(key(name))
  const model = value('model')
  if (model === undefined) return undefined
  if (model !== 'llama' && model !== 'gpt2') {
    throw refusal(
      'E_TOKENIZER_KIND',
      file,
      `the tokenizer model ${JSON.stringify(String(model))} is not supported, only "llama" and "gpt2"`,
    )
  }

  const texts = (name: string): string[] => {
    const list = value(name)
    if (!Array.isArray(list) || list.some((item) => typeof item !== 'string')) throw refuse(name, 'is not a list of strings')
    return list
  }
  const pieces = texts('tokens')
  const numbers = (name: string): number[] | undefined => {
    const list = value(name)
    if (list === undefined) return undefined
    if (!ArrayBuffer.isView(list) || list.length !== pieces.length) throw refuse(name, `is not a list of ${pieces.length} numbers`)
    return Array.from(list)
  }
  const id = (name: string): number | undefined => {
    const number = value(name)
    if (number === undefined) return undefined
    // Some exporters write 2^32 - 1 (minus one) for "none".
    if (number === 0xffffffff || number === -1) return undefined
    if (typeof number !== 'number' || !Number.isInteger(number) || number < 0 || number >= pieces.length) {
      throw refuse(name, `is ${String(number)}, which is no id below ${pieces.length}`)
    }
    return number
  }
  const flag = (name: string, otherwise: boolean): boolean => {
    const given = value(name)
    if (given !== undefined && typeof given !== 'boolean') throw refuse(name, 'is not a bool')
    return given ?? otherwise
  }

  const types = numbers('token_type')
  const bos = id('bos_token_id')
  const eos = id('eos_token_id')
  const hidden = types
    ? types.flatMap((type, token) => (hiddenTypes.has(type) ? [token] : []))
    : [bos, eos].filter((token) => token !== undefined)
  const common = {
    version: 1 as const,
    pieces,
    special: [...new Set(hidden)].sort((a, b) => a - b),
    bos,
    eos,
    unknown: id('unknown_token_id'),
  }
  if (model === 'llama') {
    const scores = numbers('scores')
    if (!scores) throw refuse('scores', 'is missing')
    if (scores.some(Number.isNaN)) throw refuse('scores', 'holds a NaN')
    return {
      ...common,
      kind: 'spm',
      scores,
      bytes: byteTokens(pieces),
      unknown: common.unknown ?? 0,
      addBos: flag('add_bos_token', true),
      addPrefixSpace: flag('add_space_prefix', true),
    }
  }
  const split = value('pre') ?? 'default'
  if (typeof split !== 'string') throw refuse('pre', 'is not a string')
  return {
    ...common,
    kind: 'bpe',
    merges: texts('merges'),
    split,
    bytes: [],
    addBos: flag('add_bos_token', addsBos.has(split)),
    addPrefixSpace: flag('add_space_prefix', false),
  }
}
