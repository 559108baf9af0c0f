// Where the semantic half puts its diagnostics: one collector that drops a repeated message about the same place (a block is
// checked on its own and again inside each model that uses it), adds the call when the place is in another file, offers near names.

import { type Code, diagnose } from '../codes.ts'
import type { Diagnostic, Label } from '../diagnostics.ts'
import { beyond, type LimitName, limits } from '../limits.ts'
import type { Span } from '../source.ts'
import { suggest } from '../suggest.ts'

export interface More {
  readonly notes?: readonly string[]
  readonly help?: string
  /** Tells apart messages of one code about one place. */
  readonly about?: string
}

/** Something that stands somewhere in a source, with what to write beside it. */
export interface Place {
  readonly span: Span
  readonly text?: string
}

export class Report {
  readonly diagnostics: Diagnostic[] = []
  /** Calls that are being evaluated, outermost first: a mistake inside a library text also points at the author's. */
  readonly calls: Span[] = []
  readonly #seen = new Set<string>()
  readonly #used = new Map<LimitName, number>()

  /** Adds a diagnostic; the first place is where the message stands. */
  add(code: Code, message: string, places: readonly Place[], more: More = {}): void {
    const first = places[0]?.span
    const key = `${code}@${first?.source.path}:${first?.start}:${first?.end}:${more.about ?? (first ? '' : message)}`
    if (this.#seen.has(key)) return
    this.#seen.add(key)
    const call = this.calls.findLast((span) => span.source !== first?.source)
    const all = call && first ? [...places, { span: call, text: 'called here' }] : places
    const labels: Label[] = all.map(({ span, text }) => (text === undefined ? { span } : { span, text }))
    const { notes = [], help } = more
    this.diagnostics.push(diagnose(code, { message, labels, notes, ...(help === undefined ? {} : { help }) }))
  }

  /** Counts `amount` towards a limit of limits.ts. False, with one message for the whole report (L260), once it is exceeded. */
  use(limit: LimitName, amount: number, span: Span): boolean {
    const used = (this.#used.get(limit) ?? 0) + amount
    this.#used.set(limit, used)
    return used <= limits[limit].most || this.exceeds(beyond(limit), span)
  }

  /** Says that something is too large (L260), once for each kind of it; false. */
  exceeds(why: string, span: Span): false {
    if (this.#seen.has(why)) return false
    this.#seen.add(why)
    this.add('L260', why, [{ span }], { about: why })
    return false
  }

  get hasErrors(): boolean {
    return this.diagnostics.some((d) => d.severity === 'error')
  }
}

export const didYouMean = (name: string, names: Iterable<string>): string | undefined => {
  const near = suggest(name, names)
  return near === undefined ? undefined : `did you mean \`${near}\`?`
}
