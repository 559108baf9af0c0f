// Hugging Face's tokenizer.json. Its models become the runtime's kinds:
//   BPE, byte-level (GPT-2, Llama 3, Qwen2, SmolLM …)            → bpe; the splitting rule is told by pre-tokenizers.ts
//   BPE, SentencePiece-like (LLaMA 1/2, Mistral, Gemma: `byte_fallback`, spaces become '▁')  → spm
//   WordPiece (BERT)                                             → wordpiece
//   Unigram (T5, ALBERT), behind Metaspace                       → unigram
// SentencePiece's merges were listed by falling score of their result, so a piece's score is minus its first merge's rank.
// Whatever changes ids and is not known here is refused: a normalizer, a pre-tokenizer, a template with more tokens.

import { tokenizerVersion, type AddedToken, type CompactTokenizer } from '../../../runtime/tokenizer/compact.ts'
import { refusal } from '../refusal.ts'
import { isObject, parseStrictJson, type JsonObject, type JsonValue } from '../strict-json.ts'
import { byteTokens } from './byte-tokens.ts'
import { field, list, text } from './json-fields.ts'
import { readNormalizer, type Normalizer } from './normalizers.ts'
import { readPostProcessor } from './post-processor.ts'
import { byteLevelFamily } from './pre-tokenizers.ts'
import { splitRule } from './split-rules.ts'
import { phantomSpace } from './wordpiece-vocabulary.ts'

interface Added extends AddedToken {
  readonly content: string
  readonly special: boolean
}

type Refuse = (what: string) => Error
/** What all kinds have in common, and what is left to read. */
interface Opened {
  readonly root: JsonObject
  readonly model: JsonObject
  readonly refuse: Refuse
  readonly common: Pick<CompactTokenizer, 'version' | 'pieces' | 'special' | 'added' | 'bos' | 'eos' | 'addBos' | 'addEos' | 'normalise'>
  readonly added: readonly Added[]
  readonly normalizer: Normalizer
  readonly idOf: (name: string | undefined) => number | undefined
}

/**
 * Reads the text of a tokenizer.json; `config` is the parsed tokenizer_config.json beside it, which names BOS and EOS.
 * Errors: E_TOKENIZER_JSON, E_TOKENIZER_SPLIT, E_TOKENIZER_KIND.
 */
export function readHfTokenizer(json: string, file: string, config?: JsonValue): CompactTokenizer {
  const refuse = (what: string) => refusal('E_TOKENIZER_JSON', file, what)
  const root = parseStrictJson(json, 'E_TOKENIZER_JSON', file)
  const model = field(root, 'model')
  if (!isObject(root) || !isObject(model)) throw refuse('there is no model')
  const kind = text(model['type']) ?? 'BPE'
  const vocabulary = kind === 'Unigram' ? scoredPieces(model, refuse) : model['vocab']
  if (!['BPE', 'WordPiece', 'Unigram'].includes(kind) || !isObject(vocabulary))
    throw refusal('E_TOKENIZER_KIND', file, `the model ${kind} is not supported, only BPE, WordPiece and Unigram`)
  const added = list(root['added_tokens']).map((item) => readAdded(item, refuse))
  const pieces = readPieces(vocabulary, added, refuse)
  const ids = new Map(pieces.map((piece, id) => [piece, id]))
  const idOf = (name: string | undefined): number | undefined => (name === undefined ? undefined : ids.get(name))
  const byName = (name: string): number | undefined => {
    const given = field(config, name)
    return idOf(text(given) ?? text(field(given, 'content')))
  }
  const { first, last } = readPostProcessor(root['post_processor'], refuse)
  const [before, after] = [first, last].map((name) => {
    const id = idOf(name)
    if (name !== undefined && id === undefined) throw refuse(`the post-processor's token ${JSON.stringify(name)} is not in the vocabulary`)
    return id
  })
  const [bos, eos] = [byName('bos_token') ?? before, byName('eos_token') ?? after]
  if (before !== undefined && before !== bos) throw refuse(`${JSON.stringify(first)} goes before every text, but is not BOS`)
  if (after !== undefined && after !== eos) throw refuse(`${JSON.stringify(last)} goes behind every text, but is not EOS`)
  const normalizer = readNormalizer(root['normalizer'], refuse)
  const flagged = added.filter(({ special, left, right }) => !special || left || right)
  const common = {
    version: tokenizerVersion,
    pieces,
    special: added.flatMap(({ id, special }) => (special ? [id] : [])).sort((a, b) => a - b),
    ...(flagged.length > 0
      ? { added: flagged.map(({ id, left, right }) => ({ id, ...(left ? { left } : {}), ...(right ? { right } : {}) })) }
      : {}),
    bos,
    eos,
    addBos: before !== undefined,
    ...(after === undefined ? {} : { addEos: true }),
    ...(normalizer.steps.length > 0 ? { normalise: normalizer.steps } : {}),
  }
  const opened: Opened = { root, model, refuse, common, added, normalizer, idOf }
  if (kind === 'WordPiece') return readWordpiece(opened)
  if (kind === 'Unigram') return readUnigram(opened)
  const family = byteLevelFamily(root['pre_tokenizer'], (what) => refusal('E_TOKENIZER_SPLIT', file, what))
  return family === undefined ? readSentencepieceLike(opened) : readByteLevel(opened, family)
}

function readByteLevel({ model, refuse, common, normalizer, idOf }: Opened, family: string): CompactTokenizer {
  if (normalizer.marksSpaces || normalizer.prependsMark) throw refuse("a byte-level model whose normalizer writes '▁' is not supported")
  return {
    ...common,
    kind: 'bpe',
    merges: readMerges(model, refuse),
    split: splitRule(family, model['ignore_merges'] === true),
    bytes: [],
    unknown: idOf(text(model['unk_token'])),
    addPrefixSpace: false,
  }
}

function readSentencepieceLike({ root, model, refuse, common, normalizer, idOf }: Opened): CompactTokenizer {
  if (model['byte_fallback'] !== true) throw refuse('this BPE model is neither byte-level nor SentencePiece-like')
  const { pieces } = common
  const space = readMetaspace(root['pre_tokenizer'], pieces, refuse)
  if (!normalizer.marksSpaces && !space.metaspace) throw refuse("spaces do not become '▁': this is no SentencePiece-like model")
  const merges = readMerges(model, refuse)
  const scores: number[] = new Array(pieces.length).fill(-merges.length)
  for (const [rank, merge] of merges.entries()) {
    const id = idOf(merge.replace(' ', ''))
    if (id !== undefined) scores[id] = Math.max(scores[id]!, -rank)
  }
  return {
    ...common,
    kind: 'spm',
    scores,
    bytes: byteTokens(pieces),
    unknown: idOf(text(model['unk_token']) ?? '<unk>'),
    addPrefixSpace: normalizer.prependsMark || space.prepends,
    ...(space.prepends ? { prefix: { unlessSpace: true, ...(space.once ? { once: true } : {}) } } : {}),
  }
}

function readWordpiece({ root, model, refuse, common, added, idOf }: Opened): CompactTokenizer {
  const kind = text(field(root['pre_tokenizer'], 'type'))
  if (kind !== 'BertPreTokenizer') throw refuse(`WordPiece behind the pre-tokenizer ${String(kind)} is not supported`)
  const prefix = text(model['continuing_subword_prefix']) ?? '##'
  const apart = new Set(added.map(({ id }) => id))
  const most = model['max_input_chars_per_word']
  const decoder = root['decoder']
  return {
    ...common,
    kind: 'wordpiece',
    pieces: common.pieces.map((piece, id) => (apart.has(id) ? piece : phantomSpace(piece, prefix))),
    ...(typeof most === 'number' && Number.isSafeInteger(most) && most > 0 && most < 2 ** 20 ? { longestWord: most } : {}),
    bytes: [],
    unknown: idOf(text(model['unk_token']) ?? '[UNK]'),
    addPrefixSpace: false,
    tidy: field(decoder, 'cleanup') !== false,
  }
}

function readUnigram({ root, model, refuse, common, normalizer }: Opened): CompactTokenizer {
  const { pieces } = common
  const unknown = model['unk_id']
  if (typeof unknown !== 'number' || pieces[unknown] === undefined) throw refuse('a unigram model needs unk_id, an id of its vocabulary')
  const outer = root['pre_tokenizer']
  const steps = text(field(outer, 'type')) === 'Sequence' ? list(field(outer, 'pretokenizers')) : [outer]
  const [first, last] = [steps[0], steps.at(-1)]
  const perWord = text(field(first, 'type')) === 'WhitespaceSplit'
  if (steps.length !== (perWord ? 2 : 1)) throw refuse('a unigram model behind these pre-tokenizers is not supported')
  // Metaspace splits at every space unless it says that it does not.
  const splits = { ...(isObject(last) ? last : {}), split: perWord || field(last, 'split') !== false }
  const space = readMetaspace(splits, pieces, refuse)
  return {
    ...common,
    kind: 'unigram',
    scores: pieces.map((_, id) => scoreOf(list(model['vocab'])[id])),
    ...(perWord ? { normalise: [...(common.normalise ?? []), 'white-space', 'single-spaces'] } : {}),
    special: common.special.includes(unknown) ? common.special : [...common.special, unknown].sort((a, b) => a - b),
    bytes: model['byte_fallback'] === true ? byteTokens(pieces) : [],
    unknown,
    addPrefixSpace: normalizer.prependsMark || space.prepends,
    ...(space.prepends ? { prefix: { unlessSpace: true, ...(space.once ? { once: true } : {}) } } : {}),
  }
}

const scoreOf = (pair: JsonValue | undefined): number => {
  const score = list(pair)[1]
  return typeof score === 'number' ? score : 0
}

/** Unigram's vocabulary is a list of pairs: as an object from piece to id. A piece that is given twice keeps its first id. */
function scoredPieces(model: JsonObject, refuse: Refuse): JsonObject {
  const vocabulary: Record<string, number> = Object.create(null)
  for (const [id, pair] of list(model['vocab']).entries()) {
    const [piece, score] = list(pair)
    if (typeof piece !== 'string' || typeof score !== 'number') throw refuse('a piece of a unigram model needs a text and a score')
    vocabulary[piece] ??= id
  }
  return vocabulary
}

function readAdded(item: JsonValue, refuse: Refuse): Added {
  const [id, content] = [field(item, 'id'), text(field(item, 'content'))]
  if (typeof id !== 'number' || content === undefined) throw refuse('an added token needs an id and its content')
  if (field(item, 'single_word') === true)
    throw refuse(`the added token ${JSON.stringify(content)} is for whole words only, which is not supported`)
  return {
    id,
    content,
    special: field(item, 'special') === true,
    left: field(item, 'lstrip') === true,
    right: field(item, 'rstrip') === true,
  }
}

/** Texts by id. Ids may have gaps, but not so many that the list is mostly empty. */
function readPieces(vocabulary: JsonObject, added: readonly Added[], refuse: Refuse): string[] {
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

function readMerges(model: JsonObject, refuse: Refuse): string[] {
  return list(model['merges']).map((item) => {
    const merge = Array.isArray(item) && item.length === 2 ? `${String(item[0])} ${String(item[1])}` : item
    if (typeof merge !== 'string' || merge.split(' ').length !== 2) throw refuse(`a merge is not a pair: ${JSON.stringify(String(item))}`)
    return merge
  })
}

/** The pre-tokenizer of newer SentencePiece-like files; Gemma's splits at spaces, which are '▁' by then: that does nothing. */
function readMetaspace(
  preTokenizer: JsonValue | undefined,
  pieces: readonly string[],
  refuse: Refuse,
): { readonly metaspace: boolean; readonly prepends: boolean; readonly once: boolean } {
  const none = { metaspace: false, prepends: false, once: false }
  const kind = text(field(preTokenizer, 'type'))
  if (kind === undefined) return none
  const spaceOnly = kind === 'Split' && text(field(field(preTokenizer, 'pattern'), 'String')) === ' '
  if (spaceOnly) return none
  if (kind !== 'Metaspace' || (text(field(preTokenizer, 'replacement')) ?? '▁') !== '▁')
    throw refuse(`a SentencePiece-like model behind the pre-tokenizer ${kind} is not supported`)
  if (field(preTokenizer, 'split') === true && pieces.some((piece) => piece.lastIndexOf('▁') > 0))
    throw refuse("Metaspace splits words, but the vocabulary has pieces with '▁' inside: this is not supported")
  const scheme = text(field(preTokenizer, 'prepend_scheme'))
  const prepends = scheme === undefined ? field(preTokenizer, 'add_prefix_space') !== false : scheme !== 'never'
  return { metaspace: true, prepends, once: scheme === 'first' }
}
