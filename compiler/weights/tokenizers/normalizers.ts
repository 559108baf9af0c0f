// The normalizer of a tokenizer.json as steps of the compact form. What SentencePiece-like tokenizers do with spaces ('▁' for each,
// one before the text) is no step here: the runtime does it for their kind, so it is told apart.

import type { NormaliseStep } from '../../../runtime/tokenizer/compact.ts'
import type { JsonValue } from '../strict-json.ts'
import { charsmapSteps } from './charsmap.ts'
import { field, list, text } from './json-fields.ts'

export interface Normalizer {
  readonly steps: readonly NormaliseStep[]
  /** Spaces become '▁'. */
  readonly marksSpaces: boolean
  /** A '▁' goes before the text. */
  readonly prependsMark: boolean
}

const forms: ReadonlyMap<string, NormaliseStep> = new Map([
  ['NFC', 'nfc'],
  ['NFD', 'nfd'],
  ['NFKC', 'nfkc'],
  ['NFKD', 'nfkd'],
  ['Lowercase', 'lowercase'],
])

/** `refuse` makes the error for a step that is not known. */
export function readNormalizer(normalizer: JsonValue | undefined, refuse: (what: string) => Error): Normalizer {
  const steps: NormaliseStep[] = []
  let [marksSpaces, prependsMark] = [false, false]
  for (const step of flatten(normalizer)) {
    const kind = text(field(step, 'type')) ?? ''
    const form = forms.get(kind)
    const from = text(field(field(step, 'pattern'), 'String'))
    const by = text(field(step, 'content'))
    if (form !== undefined) steps.push(form)
    else if (kind === 'BertNormalizer') steps.push(...bertSteps(step))
    else if (kind === 'Precompiled') steps.push(...charsmapSteps(bytesOf(text(field(step, 'precompiled_charsmap')), refuse), refuse))
    // What SentencePiece does by itself (`remove_extra_whitespaces`), said after it.
    else if (kind === 'Replace' && text(field(field(step, 'pattern'), 'Regex')) === ' {2,}' && (by === ' ' || by === '▁'))
      steps.push('single-spaces')
    else if (kind === 'Strip' && field(step, 'strip_left') !== false && field(step, 'strip_right') !== false) steps.push('strip')
    else if (kind === 'Prepend' && text(field(step, 'prepend')) === '▁') prependsMark = true
    else if (kind === 'Replace' && from === ' ' && by === '▁') marksSpaces = true
    else if (kind === 'Replace' && from !== undefined && from !== '' && by !== undefined && by.length <= 3 * from.length)
      steps.push({ replace: from, by })
    else throw refuse(`the normalizer's step is not known here: ${JSON.stringify(step)}`)
  }
  if (steps.length > 8) throw refuse('the normalizer has more than 8 steps')
  return { steps, marksSpaces, prependsMark }
}

function bytesOf(base64: string | undefined, refuse: (what: string) => Error): Uint8Array {
  try {
    return Uint8Array.from(atob(base64 ?? ''), (byte) => byte.charCodeAt(0))
  } catch {
    throw refuse('precompiled_charsmap is no base64')
  }
}

function flatten(normalizer: JsonValue | undefined): readonly JsonValue[] {
  if (normalizer === undefined || normalizer === null) return []
  return text(field(normalizer, 'type')) === 'Sequence' ? list(field(normalizer, 'normalizers')) : [normalizer]
}

/** Accents go with capitals where the file does not say. */
export function bertSteps(options: JsonValue | undefined): readonly NormaliseStep[] {
  const on = (name: string): boolean => field(options, name) !== false
  const accents = field(options, 'strip_accents')
  return [
    ...(on('clean_text') ? (['clean'] as const) : []),
    ...(on('handle_chinese_chars') ? (['space-ideographs'] as const) : []),
    ...(accents === true || (typeof accents !== 'boolean' && on('lowercase')) ? (['strip-accents'] as const) : []),
    ...(on('lowercase') ? (['lowercase'] as const) : []),
  ]
}
