// Where the semantic half puts its diagnostics: one collector that drops a repeated message about the same place (a block is
// checked on its own and again inside each model that uses it) and offers near names.

import type { Diagnostic, Label, Severity } from '../diagnostics.ts'
import type { Span } from '../source.ts'

export interface More {
  readonly notes?: readonly string[]
  readonly help?: string
  readonly severity?: Severity
  /** Tells apart messages of one code about one place. */
  readonly about?: string
}

/** Something that stands somewhere in a source, with what to write beside it. */
export interface Place { readonly span: Span; readonly text?: string }

export class Report {
  readonly diagnostics: Diagnostic[] = []
  readonly #seen = new Set<string>()

  /** Adds a diagnostic; the first place is where the message stands. */
  add(code: string, message: string, places: readonly Place[], more: More = {}): void {
    const first = places[0]?.span
    const key = `${code}@${first?.source.path}:${first?.start}:${first?.end}:${more.about ?? (first ? '' : message)}`
    if (this.#seen.has(key)) return
    this.#seen.add(key)
    const labels: Label[] = places.map(({ span, text }) => (text === undefined ? { span } : { span, text }))
    const base = { code, severity: more.severity ?? ('error' as const), message, labels, notes: more.notes ?? [] }
    this.diagnostics.push(more.help === undefined ? base : { ...base, help: more.help })
  }

  get hasErrors(): boolean {
    return this.diagnostics.some((d) => d.severity === 'error')
  }
}

/** Levenshtein distance, given up (Infinity) above `limit`. */
export function editDistance(a: string, b: string, limit = 3): number {
  if (Math.abs(a.length - b.length) > limit) return Infinity
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(swap, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  const distance = row[b.length] as number
  return distance > limit ? Infinity : distance
}

/** The nearest of `names`, if one is near enough to be meant (a third of the length, at most 3 edits; or one contains the other). */
export function nearest(name: string, names: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Infinity
  for (const candidate of names) {
    if (candidate === name) continue
    const limit = Math.max(1, Math.min(3, Math.floor(Math.max(name.length, candidate.length) / 3)))
    let distance = editDistance(name, candidate, limit)
    if (distance === Infinity && name.length > 2 && (candidate.startsWith(name) || name.startsWith(candidate))) distance = limit + 0.5
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best
}

export const didYouMean = (name: string, names: Iterable<string>): string | undefined => {
  const near = nearest(name, names)
  return near === undefined ? undefined : `did you mean \`${near}\`?`
}
