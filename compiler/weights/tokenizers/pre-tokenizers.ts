// The pre-tokenizer of a tokenizer.json and the splitting rules of split-rules.ts: they are told by the text of their regular
// expressions, literally. One that is not in the table is refused, because a similar one gives plausible but wrong ids.

import type { JsonValue } from '../strict-json.ts'
import { field, list, text } from './json-fields.ts'
import { families, type Pattern } from './split-rules.ts'

const gpt2Pattern = families['gpt2']!.patterns![0]![0]!

/** The name of the family; undefined when the pre-tokenizer is not byte-level. `refuse` makes the error for a rule that is not known. */
export function byteLevelFamily(preTokenizer: JsonValue | undefined, refuse: (what: string) => Error): string | undefined {
  const steps = text(field(preTokenizer, 'type')) === 'Sequence' ? list(field(preTokenizer, 'pretokenizers')) : [preTokenizer]
  if (!steps.some((step) => text(field(step, 'type')) === 'ByteLevel')) return undefined
  const pattern = steps.flatMap((step) => patternOf(step, refuse))
  const key = keyOf(pattern)
  const found = Object.entries(families).find(([, { patterns = [] }]) => patterns.some((each) => keyOf(each) === key))
  if (!found) throw refuse(`the pre-tokenizer's rule is not known here: ${JSON.stringify(pattern)}`)
  return found[0]
}

const keyOf = (pattern: Pattern): string => JSON.stringify(pattern)

function patternOf(step: JsonValue | undefined, refuse: (what: string) => Error): readonly string[] {
  const kind = text(field(step, 'type'))
  if (kind === 'ByteLevel') {
    if (field(step, 'add_prefix_space') === true) throw refuse('a byte-level pre-tokenizer with add_prefix_space is not supported')
    return field(step, 'use_regex') === false ? [] : [gpt2Pattern]
  }
  if (kind === 'Digits' && field(step, 'individual_digits') === true) return ['\\p{N}']
  const regex = text(field(field(step, 'pattern'), 'Regex'))
  const behaviour = text(field(step, 'behavior'))
  if (kind === 'Split' && regex !== undefined && (behaviour ?? 'Isolated') === 'Isolated' && field(step, 'invert') !== true) return [regex]
  throw refuse(`the pre-tokenizer's step is not known here: ${JSON.stringify(step)}`)
}

/** The pre-tokenizer of a tokenizer.json that means a family; what `byteLevelFamily` reads. */
export function preTokenizerOf(family: string): object {
  const pattern = families[family]?.patterns?.[0]
  if (!pattern) throw new Error(`internal: tokenizer.json has no pre-tokenizer for ${family}`)
  const byteLevel = (regex: boolean) => ({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: regex })
  const regex = pattern.at(-1) === gpt2Pattern
  const steps = (regex ? pattern.slice(0, -1) : pattern).map((each) =>
    each === '\\p{N}'
      ? { type: 'Digits', individual_digits: true }
      : { type: 'Split', pattern: { Regex: each }, behavior: 'Isolated', invert: false },
  )
  return steps.length === 0 ? byteLevel(regex) : { type: 'Sequence', pretokenizers: [...steps, byteLevel(regex)] }
}
