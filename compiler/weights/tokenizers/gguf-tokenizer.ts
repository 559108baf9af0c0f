// The tokenizer in a GGUF's metadata (`tokenizer.ggml.*`): model 'llama' is SentencePiece BPE with scores, 'gpt2' is byte-level BPE
// with merges and the name of a splitting rule, 'bert' is WordPiece, 't5' is unigram. Other models (RWKV) are refused with their name.
// Defaults where keys are missing are llama.cpp's: 'llama' puts BOS and a space first, 'gpt2' neither, but Llama 3 puts BOS; 'bert'
// puts [CLS] and [SEP] around a text and ignores capitals and accents; 't5' puts EOS behind it. As in llama.cpp, a text is not brought to NFC (GGUF has no word
// for it), although Qwen's own tokenizer does that.

import { tokenizerVersion, type CompactTokenizer, type NormaliseStep } from '../../../runtime/tokenizer/compact.ts'
import type { GgufValue } from '../gguf-metadata.ts'
import { refusal } from '../refusal.ts'
import { byteTokens } from './byte-tokens.ts'
import { preTokenizer } from './gguf-pre.ts'
import { charsmapSteps } from './charsmap.ts'
import { bertSteps } from './normalizers.ts'

/** llama.cpp's token types that are no ordinary text: 2 unknown, 3 control. */
const hiddenTypes: ReadonlySet<number> = new Set([2, 3])
/** Recognised in any text, before merging. */
const userDefined = 4
const models: ReadonlySet<unknown> = new Set(['llama', 'gpt2', 'bert', 't5'])

/** The ids whose type is one of those. */
function tokensOf(types: readonly number[], isOne: (type: number) => boolean): number[] {
  const found: number[] = []
  for (let token = 0; token < types.length; token++) if (isOne(types[token]!)) found.push(token)
  return found
}

/** Undefined when the file has no tokenizer. Errors: E_TOKENIZER_GGUF, E_TOKENIZER_SPLIT, E_TOKENIZER_KIND. */
export function readGgufTokenizer(metadata: ReadonlyMap<string, GgufValue>, file: string): CompactTokenizer | undefined {
  const key = (name: string) => `tokenizer.ggml.${name}`
  const refuse = (name: string, what: string) => refusal('E_TOKENIZER_GGUF', file, `${key(name)} ${what}`)
  const value = (name: string) => metadata.get(key(name))
  const model = value('model')
  if (model === undefined) return undefined
  if (!models.has(model)) {
    throw refusal(
      'E_TOKENIZER_KIND',
      file,
      `the tokenizer model ${JSON.stringify(String(model))} is not supported, only "llama", "gpt2", "bert" and "t5"`,
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

  const sentencepieceSteps = (): NormaliseStep[] => {
    const map = value('precompiled_charsmap')
    if (map !== undefined && !(map instanceof Uint8Array || map instanceof Int8Array))
      throw refuse('precompiled_charsmap', 'is no list of bytes')
    const bytes = map ? new Uint8Array(map.buffer, map.byteOffset, map.length) : new Uint8Array(0)
    return [
      ...charsmapSteps(bytes, (what) => refuse('precompiled_charsmap', what)),
      ...(flag('remove_extra_whitespaces', false) ? (['single-spaces'] as const) : []),
    ]
  }

  const types = numbers('token_type')
  const bos = id('bos_token_id') ?? (model === 'bert' ? (id('cls_token_id') ?? 101) : undefined)
  const eos = model === 'bert' ? (id('seperator_token_id') ?? 102) : id('eos_token_id')
  const hidden = types ? tokensOf(types, (type) => hiddenTypes.has(type)) : [bos, eos].filter((token) => token !== undefined)
  const added = tokensOf(types ?? [], (type) => type === userDefined).map((id) => ({ id }))
  const common = {
    version: tokenizerVersion,
    pieces,
    special: [...new Set(hidden)].sort((a, b) => a - b),
    ...(added.length > 0 ? { added } : {}),
    bytes: [],
    bos,
    eos,
    unknown: id('unknown_token_id'),
    ...(flag('add_eos_token', false) ? { addEos: true } : {}),
  }
  if (model === 'bert') {
    if (Math.max(bos!, eos!) >= pieces.length) throw refuse('cls_token_id', 'is missing')
    return {
      ...common,
      kind: 'wordpiece',
      special: [...new Set([...hidden, bos, eos, id('mask_token_id'), id('padding_token_id')])]
        .filter((token) => token !== undefined)
        .sort((a, b) => a - b),
      normalise: bertSteps({
        lowercase: flag('normalizer.lowercase', true),
        strip_accents: flag('normalizer.strip_accents', flag('normalizer.lowercase', true)),
      }),
      unknown: common.unknown ?? 100,
      addBos: flag('add_bos_token', true),
      addEos: flag('add_sep_token', true),
      addPrefixSpace: false,
      tidy: true,
    }
  }
  if (model === 'llama' || model === 't5') {
    const unigram = model === 't5'
    const scores = numbers('scores')
    if (!scores) throw refuse('scores', 'is missing')
    if (scores.some(Number.isNaN)) throw refuse('scores', 'holds a NaN')
    return {
      ...common,
      kind: unigram ? 'unigram' : 'spm',
      scores,
      bytes: byteTokens(pieces),
      unknown: common.unknown ?? (unigram ? 2 : 0),
      ...(unigram ? { eos: common.eos ?? 1, addEos: flag('add_eos_token', true), normalise: sentencepieceSteps() } : {}),
      addBos: flag('add_bos_token', !unigram),
      addPrefixSpace: flag('add_space_prefix', true),
    }
  }
  const pre = value('pre') ?? 'default'
  if (typeof pre !== 'string') throw refuse('pre', 'is not a string')
  const { split, addBos } = preTokenizer(pre, file)
  const merges = texts('merges')
  const wrong = merges.find((merge) => merge.indexOf(' ', 1) < 1)
  if (wrong !== undefined) throw refuse('merges', `holds ${JSON.stringify(wrong)}, which is no pair`)
  return { ...common, kind: 'bpe', merges, split, addBos: flag('add_bos_token', addBos), addPrefixSpace: flag('add_space_prefix', false) }
}
