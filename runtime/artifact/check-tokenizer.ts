// What a tokenizer file must look like before anything is built from it: first the shapes, then the relations between its lists.
import { tokenizerVersion } from '../tokenizer/compact.ts'
import type { CompactTokenizer } from '../tokenizer/compact.ts'
import { fail } from '../error-codes.ts'
import { integer, listOf, object, oneOf, optional, tagged, text } from './shape.ts'

const tokenId = integer(0)
const finite = (value: unknown, path: string): void => {
  if (typeof value !== 'number') fail('E_ARTIFACT_MANIFEST', `${path}: expected a number`)
}
const flag = (value: unknown, path: string): void => {
  if (typeof value !== 'boolean') fail('E_ARTIFACT_MANIFEST', `${path}: expected true or false`)
}
const shapeOfWords = tagged('take', {
  text: object({ texts: listOf(text), anyCase: optional(flag) }),
  run: object({
    of: text,
    need: optional(text),
    before: optional(text),
    after: optional(text),
    least: optional(integer(1, 64)),
    most: optional(integer(1, 64)),
  }),
  cased: object({ before: optional(text), upper: text, lower: text, tail: optional(listOf(text)) }),
  lines: object({}),
  'spaces-before': object({}),
  spaces: object({}),
  'spaces-at-end': object({}),
})
const normaliseStep = (value: unknown, path: string): void => {
  if (typeof value === 'string') return
  if (typeof value === 'object' && value !== null && 'charsmap' in value) return text(value.charsmap, `${path}.charsmap`)
  object({ replace: text, by: text })(value, path)
  const { replace, by } = value as { replace: string; by: string }
  if (replace === '' || by.length > 3 * replace.length) fail('E_ARTIFACT_MANIFEST', `${path}: a replacement must not multiply the text`)
}
/** With few steps, so that together they cannot multiply it either. */
const normaliseSteps = (value: unknown, path: string): void => {
  listOf(normaliseStep)(value, path)
  if ((value as unknown[]).length > 8) fail('E_ARTIFACT_MANIFEST', `${path}: more than 8 steps`)
}
const tokenizer = object({
  version: integer(tokenizerVersion, tokenizerVersion),
  kind: oneOf('spm', 'bpe', 'wordpiece', 'unigram'),
  pieces: listOf(text),
  scores: optional(listOf(finite)),
  merges: optional(listOf(text)),
  packedMerges: optional(object({ before: integer(-1), cuts: text })),
  split: optional(object({ name: text, stages: listOf(listOf(shapeOfWords)), wholeWords: flag })),
  normalise: optional(normaliseSteps),
  longestWord: optional(integer(1, 2 ** 20)),
  special: listOf(tokenId),
  added: optional(listOf(object({ id: tokenId, left: optional(flag), right: optional(flag) }))),
  bytes: listOf(tokenId),
  bos: optional(tokenId),
  eos: optional(tokenId),
  unknown: optional(tokenId),
  addBos: flag,
  addEos: optional(flag),
  addPrefixSpace: flag,
  prefix: optional(object({ once: optional(flag), unlessSpace: optional(flag) })),
  tidy: optional(flag),
})

/** E_ARTIFACT_MANIFEST. */
export function checkTokenizer(value: unknown): CompactTokenizer {
  tokenizer(value, 'tokenizer')
  const checked = value as CompactTokenizer
  const { pieces, scores, special, bytes, bos, eos, unknown, added = [] } = checked
  const wrong = [...special, ...bytes, ...added.map(({ id }) => id), bos, eos, unknown].find(
    (id) => id !== undefined && id >= pieces.length,
  )
  if (wrong !== undefined) fail('E_ARTIFACT_MANIFEST', `tokenizer: the id ${wrong} is not one of ${pieces.length}`)
  if (scores && scores.length !== pieces.length)
    fail('E_ARTIFACT_MANIFEST', `tokenizer: ${scores.length} scores for ${pieces.length} pieces`)
  return checked
}
