// Where the semantic half puts its diagnostics: one collector that drops a repeated message about the same place (a block is
// checked on its own and again inside each model that uses it), adds the call when the place is in another file, offers near names.

import { type Code, diagnose } from '../codes.ts'
import type { Diagnostic, Label } from '../diagnostics.ts'
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

  get hasErrors(): boolean {
    return this.diagnostics.some((d) => d.severity === 'error')
  }
}

export const didYouMean = (name: string, names: Iterable<string>): string | undefined => {
  const near = suggest(name, names)
  return near === undefined ? undefined : `did you mean \`${near}\`?`
}
