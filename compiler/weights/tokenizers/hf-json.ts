// Hugging Face's tokenizer.json with a BPE model: byte-level (GPT-2, Llama 3, Qwen2, SmolLM …), or SentencePiece-like (LLaMA 1/2,
// Mistral, Gemma: `byte_fallback`, no pre-tokenizer, spaces replaced by '▁'). The splitting rule is told by its regular expression,
// literally: a rule that is not in the table is refused, because a similar one gives plausible but wrong ids.
// SentencePiece's merges were listed by falling score of their result, so a piece's score is minus its first merge's rank.

import type { CompactTokenizer } from '../../../runtime/tokenizer/compact.ts'
import { refusal } from '../refusal.ts'
import { isObject, parseStrictJson, type JsonObject, type JsonValue } from '../strict-json.ts'
import { byteTokens } from './byte-tokens.ts'

const modern = (digits: string): string =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`

/** Splitting rules of the runtime by the regular expression in the file. */
const splits: ReadonlyMap<string, string> = new Map([
  [modern('\\p{N}{1,3}'), 'llama3'],
  [modern('\\p{N}'), 'qwen2'],
])

/** The pre-tokenizer of a tokenizer.json that means a splitting rule of the runtime; what `byteLevelSplit` reads. */
export function preTokenizerOf(split: string): object {
  const byteLevel = (regex: boolean) => ({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: regex })
  const after = (first: object, regex: boolean) => ({ type: 'Sequence', pretokenizers: [first, byteLevel(regex)] })
  if (split === 'gpt2') return byteLevel(true)
  if (split === 'smollm') return after({ type: 'Digits', individual_digits: true }, true)
  const pattern = [...splits].find(([, name]) => name === split)?.[0]
  if (pattern === undefined) throw new Error(`internal: tokenizer.json has no pre-tokenizer for ${split}`)
  return after({ type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false }, false)
}

interface Added {
  readonly id: number
  readonly content: string
  readonly special: boolean
}

const text = (value: JsonValue | undefined): string | undefined => (typeof value === 'string' ? value : undefined)
const list = (value: JsonValue | undefined): readonly JsonValue[] => (Array.isArray(value) ? value : [])
const field = (value: JsonValue | undefined, name: string): JsonValue | undefined => (isObject(value) ? value[name] : undefined)

/**
 * Reads the text of a tokenizer.json; `config` is the parsed tokenizer_config.json beside it, which names BOS and EOS.
 * Errors: E_TOKENIZER_JSON, E_TOKENIZER_KIND.
 */
export function readHfTokenizer(json: string, file: string, config?: JsonValue): CompactTokenizer {
  const refuse = (what: string) => refusal('E_TOKENIZER_JSON', file, what)
  const root = parseStrictJson(json, 'E_TOKENIZER_JSON', file)
  const model = field(root, 'model')
  if (!isObject(root) || !isObject(model)) throw refuse('there is no model')
  const vocabulary = model['vocab']
  const kind = text(model['type']) ?? 'BPE'
  if (kind !== 'BPE' || !isObject(vocabulary)) throw refusal('E_TOKENIZER_KIND', file, `the model ${kind} is not supported, only BPE`)
  const added = list(root['added_tokens']).map((item) => readAdded(item, refuse))
  const pieces = readPieces(vocabulary, added, refuse)
  const merges = list(model['merges']).map((item) => readMerge(item, refuse))
  const ids = new Map(pieces.map((piece, id) => [piece, id]))
  const byName = (name: string): number | undefined => {
    const given = field(config, name)
    const content = text(given) ?? text(field(given, 'content'))
    return content === undefined ? undefined : ids.get(content)
  }
  const start = templateStart(root['post_processor'])
  const first = start === undefined ? undefined : ids.get(start)
  const common = {
    version: 1 as const,
    pieces,
    special: added.flatMap(({ id, special }) => (special ? [id] : [])).sort((a, b) => a - b),
    bos: byName('bos_token') ?? first,
    eos: byName('eos_token'),
    addBos: first !== undefined && (byName('bos_token') ?? first) === first,
  }
  const split = byteLevelSplit(root, refuse)
  const unknown = text(model['unk_token'])
  if (split !== undefined)
    return { ...common, kind: 'bpe', merges, split, bytes: [], unknown: ids.get(unknown ?? ''), addPrefixSpace: false }
  if (model['byte_fallback'] !== true) throw refuse('this BPE model is neither byte-level nor SentencePiece-like')
  const scores: number[] = new Array(pieces.length).fill(-merges.length)
  for (const [rank, merge] of merges.entries()) {
    const id = ids.get(merge.replace(' ', ''))
    if (id !== undefined) scores[id] = Math.max(scores[id]!, -rank)
  }
  return {
    ...common,
    kind: 'spm',
    scores,
    bytes: byteTokens(pieces),
    unknown: ids.get(unknown ?? '<unk>'),
    addPrefixSpace: putsSpaceFirst(root),
  }
}

function readAdded(item: JsonValue, refuse: (what: string) => Error): Added {
  const [id, content] = [field(item, 'id'), text(field(item, 'content'))]
  if (typeof id !== 'number' || content === undefined) throw refuse('an added token needs an id and its content')
  return { id, content, special: field(item, 'special') === true }
}

/** Texts by id. Ids may have gaps, but not so many that the list is mostly empty. */
function readPieces(vocabulary: JsonObject, added: readonly Added[], refuse: (what: string) => Error): string[] {
  const pairs = Object.keys(vocabulary).map((piece) => [piece, vocabulary[piece]] as const)
  const pieces: string[] = []
  const most = 4 * (pairs.length + added.length) + 2 ** 17
  for (const [piece, id] of [...pairs, ...added.map(({ content, id }) => [content, id] as const)]) {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= most) throw refuse(`${JSON.stringify(piece)} has no usable id`)
    if (pieces[id] !== undefined && pieces[id] !== piece) throw refuse(`the id ${id} is given twice`)
    pieces[id] = piece
  }
  return Array.from(pieces, (piece) => piece ?? '')
}

function readMerge(item: JsonValue, refuse: (what: string) => Error): string {
  const merge = Array.isArray(item) && item.length === 2 ? `${String(item[0])} ${String(item[1])}` : item
  if (typeof merge !== 'string' || merge.split(' ').length !== 2) throw refuse(`a merge is not a pair: ${JSON.stringify(String(item))}`)
  return merge
}

/** The splitting rule when the pre-tokenizer is byte-level; undefined when it is not. */
function byteLevelSplit(root: JsonObject, refuse: (what: string) => Error): string | undefined {
  const outer = root['pre_tokenizer']
  const parts = text(field(outer, 'type')) === 'Sequence' ? list(field(outer, 'pretokenizers')) : [outer]
  const byteLevel = parts.find((part) => text(field(part, 'type')) === 'ByteLevel')
  if (!byteLevel) return undefined
  const before = parts.filter((part) => part !== byteLevel)
  const first = before[0]
  const usesRegex = field(byteLevel, 'use_regex') !== false
  if (before.length === 0 && usesRegex) return 'gpt2'
  if (before.length === 1 && usesRegex && text(field(first, 'type')) === 'Digits' && field(first, 'individual_digits') === true)
    return 'smollm'
  const pattern = text(field(field(first, 'pattern'), 'Regex'))
  const known = before.length === 1 && !usesRegex && pattern !== undefined ? splits.get(pattern) : undefined
  if (known === undefined)
    throw refuse(`the pre-tokenizer's rule is not known here: ${pattern ?? JSON.stringify(before.map((part) => field(part, 'type')))}`)
  return known
}

/** The special token that the post-processor puts before a single text. */
function templateStart(processor: JsonValue | undefined): string | undefined {
  const parts = text(field(processor, 'type')) === 'Sequence' ? list(field(processor, 'processors')) : [processor]
  const template = parts.find((part) => text(field(part, 'type')) === 'TemplateProcessing')
  return text(field(field(list(field(template, 'single'))[0], 'SpecialToken'), 'id'))
}

/** LLaMA's normalizer prepends '▁', newer files have a Metaspace pre-tokenizer for it; Gemma's has neither. */
function putsSpaceFirst(root: JsonObject): boolean {
  const normalizer = root['normalizer']
  const steps = text(field(normalizer, 'type')) === 'Sequence' ? list(field(normalizer, 'normalizers')) : [normalizer]
  if (steps.some((step) => text(field(step, 'type')) === 'Prepend')) return true
  const splitter = root['pre_tokenizer']
  if (text(field(splitter, 'type')) !== 'Metaspace') return false
  const scheme = text(field(splitter, 'prepend_scheme'))
  return scheme === undefined ? field(splitter, 'add_prefix_space') !== false : scheme !== 'never'
}
