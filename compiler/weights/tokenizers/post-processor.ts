// What the post-processor of a tokenizer.json puts around a single text: at most one token before it and one behind it.

import type { JsonValue } from '../strict-json.ts'
import { field, list, text } from './json-fields.ts'

export interface Around {
  readonly first?: string | undefined
  readonly last?: string | undefined
}

/** `refuse` makes the error for a post-processor that does more. */
export function readPostProcessor(processor: JsonValue | undefined, refuse: (what: string) => Error): Around {
  const steps = text(field(processor, 'type')) === 'Sequence' ? list(field(processor, 'processors')) : [processor]
  let around: Around = {}
  for (const step of steps) {
    const kind = text(field(step, 'type'))
    if (kind === undefined || kind === 'ByteLevel') continue
    if (kind === 'TemplateProcessing') around = readTemplate(list(field(step, 'single')), refuse)
    else if (kind === 'BertProcessing' || kind === 'RobertaProcessing')
      around = { first: text(list(field(step, 'cls'))[0]), last: text(list(field(step, 'sep'))[0]) }
    else throw refuse(`the post-processor ${kind} is not known here`)
  }
  return around
}

function readTemplate(single: readonly JsonValue[], refuse: (what: string) => Error): Around {
  const names = single.map((part) => text(field(field(part, 'SpecialToken'), 'id')))
  const sequence = single.findIndex((part) => field(part, 'Sequence') !== undefined)
  const at = sequence < 0 ? names.length : sequence
  const [before, after] = [names.slice(0, at), names.slice(at + 1)]
  if (before.length > 1 || after.length > 1 || after.includes(undefined) || before.includes(undefined))
    throw refuse(`the post-processor puts more around a text than one token at each end: ${JSON.stringify(single)}`)
  return { first: before[0], last: after[0] }
}
