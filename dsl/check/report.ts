// Where the semantic half puts its diagnostics, and what makes one mistake one error: of a statement, field or rule only the first
// error is told; a repeated message about the same place (a block is checked on its own and again inside each model that uses it)
// or about the same unknown name is dropped. Adds the call when the place is in another file, offers near names.

import { type Code, codes, diagnose } from '../codes.ts'
import type { Diagnostic, Label } from '../diagnostics.ts'
import { beyond, type LimitName, limits } from '../limits.ts'
import { position, type Span } from '../source.ts'
import { suggest } from '../suggest.ts'

export interface More {
  readonly notes?: readonly string[]
  readonly help?: string
  /** Tells apart messages of one code about one place. */
  readonly about?: string
  /** The one thing that is wrong wherever it shows (an unknown name): later places are only listed. */
  readonly cause?: string
}

/** Something that stands somewhere in a source, with what to write beside it. */
export interface Place {
  readonly span: Span
  readonly text?: string
  /** Where an operand was declared: one message about it is enough, others are most likely the same mistake. */
  readonly blame?: boolean
  /** A promise that is not kept: whatever relies on that text is not judged either. */
  readonly doubt?: boolean
}

const keyOf = (span: Span): string => `${span.source.path}:${span.start}:${span.end}`

export class Report {
  readonly diagnostics: Diagnostic[] = []
  /** Calls that are being evaluated, outermost first: a mistake inside a library text also points at the author's. */
  readonly calls: Span[] = []
  readonly #seen = new Set<string>()
  readonly #causes = new Map<string, { readonly first: Span; readonly lines: Set<number>; readonly notes: string[] }>()
  /** Statements and the like that have an error already, from this walk or an earlier one. */
  readonly #failed = new Set<string>()
  /** Declarations that a message has blamed, with its cause. */
  readonly #blamed = new Map<string, string>()
  readonly #errors: Span[] = []
  #within: string[] = []
  #reasons: (() => readonly Place[])[] = []
  readonly #used = new Map<LimitName, number>()

  /** Adds a diagnostic; the first place is where the message stands. */
  add(code: Code, message: string, places: readonly Place[], more: More = {}): void {
    const first = places[0]?.span
    const isError = codes[code].severity === 'error'
    if (isError && this.#within.some((key) => this.#failed.has(key))) return
    if (isError) for (const key of this.#within) this.#failed.add(key)
    const reasons = isError ? this.#reasons.flatMap((reason) => reason()) : []
    const blamed = isError
      ? [...places, ...reasons].map(({ span }) => this.#blamed.get(keyOf(span))).find((cause) => cause !== undefined)
      : undefined
    if (blamed !== undefined && first && this.#again(blamed, first)) return
    if (more.cause !== undefined && first && this.#again(more.cause, first)) return
    const key = `${code}@${first?.source.path}:${first?.start}:${first?.end}:${more.about ?? (first ? '' : message)}`
    if (this.#seen.has(key)) return
    this.#seen.add(key)
    const call = this.calls.findLast((span) => span.source !== first?.source)
    const told = [...places, ...reasons.filter((r, i) => reasons.findIndex((o) => keyOf(o.span) === keyOf(r.span)) === i)]
    const all = call && first ? [...told, { span: call, text: 'called here' }] : told
    const labels: Label[] = all.map(({ span, text }) => (text === undefined ? { span } : { span, text }))
    const { help } = more
    const notes = [...(more.notes ?? [])]
    if (first) {
      this.#causes.set(more.cause ?? key, { first, lines: new Set<number>(), notes })
      if (isError) for (const place of all) if (place.blame) this.#blamed.set(keyOf(place.span), more.cause ?? key)
      if (isError) this.#errors.push(first, ...places.filter(({ doubt }) => doubt).map(({ span }) => span))
    }
    this.diagnostics.push(diagnose(code, { message, labels, notes, ...(help === undefined ? {} : { help }) }))
  }

  /** Whether the cause is known already; the place is then listed under the message that told it. */
  #again(cause: string, place: Span): boolean {
    const old = this.#causes.get(cause)
    if (!old) return false
    if (old.first.source !== place.source) return true
    const line = position(place.source, place.start).line
    if (line === position(old.first.source, old.first.start).line) return true
    // Enough is told; a name can be missing in thousands of lines.
    if (old.lines.size > 4) return true
    if (old.lines.size > 0) old.notes.pop()
    old.lines.add(line)
    const lines = [...old.lines].sort((a, b) => a - b)
    old.notes.push(`also in line ${lines.slice(0, 4).join(', ')}${lines.length > 4 ? ' and others' : ''}`)
    return true
  }

  /**
   * Reports (L201) a name that stands for nothing; `declared` are those that could stand there, by where they are declared. One
   * name is one mistake however often it is used.
   */
  unknown(message: string, name: string, span: Span, declared: ReadonlyMap<string, Span | undefined>, otherwise?: string): void {
    const near = nearName(name, declared)
    const help = near.help ?? otherwise
    this.add('L201', message, [{ span }, ...near.places], { ...(help === undefined ? {} : { help }), cause: `name ${name}` })
  }

  /** While `check` runs, errors also show `reason`'s places: where the numbers came from that they are about. */
  because<T>(reason: () => readonly Place[], check: () => T): T {
    this.#reasons.push(reason)
    try {
      return check()
    } finally {
      this.#reasons.pop()
    }
  }

  /** Checks one statement, field, member or rule: its first error is told, what follows from that is not, in later walks either. */
  once<T>(span: Span, check: () => T): T {
    this.#within.push(keyOf(span))
    try {
      return check()
    } finally {
      this.#within.pop()
    }
  }

  /**
   * What a suspicious declaration is told to be after all if errors followed: the warnings of a code since `mark` become the one
   * error, and the errors since then a note of it.
   */
  explainBy(code: Code, mark: number): void {
    const since = this.diagnostics.slice(mark)
    const at = since.findIndex((d) => d.code === code)
    const errors = since.filter((d) => d.severity === 'error')
    const [first] = errors
    const suspect = since[at]
    if (!suspect || !first) return
    const place = suspect.labels[0]?.span
    if (place) this.#errors.push(place)
    const told: Diagnostic = { ...suspect, severity: 'error', notes: [...suspect.notes, `as it stands, ${first.message}`] }
    const kept = since.filter((d) => d.severity !== 'error').map((d) => (d === suspect ? told : d))
    this.diagnostics.splice(mark, since.length, ...kept)
  }

  /** Whether a message stands inside `span`: then what relies on that text is not judged. */
  hasErrorIn(span: Span): boolean {
    return this.#errors.some((e) => e.source.path === span.source.path && span.start <= e.start && e.end <= span.end)
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

/** The nearest of the names, for the help and for a label where it is declared. */
export function nearName(name: string, declared: ReadonlyMap<string, Span | undefined>): { name?: string; help?: string; places: Place[] } {
  const near = suggest(name, declared.keys())
  if (near === undefined) return { places: [] }
  const span = declared.get(near)
  return { name: near, help: `did you mean \`${near}\`?`, places: span ? [{ span, text: `\`${near}\` is declared here` }] : [] }
}

/** One name for a circle of declarations, whichever of them it was entered by. */
export const circleOf = (declared: readonly { readonly tree: { readonly name: { readonly text: string } } }[]): string =>
  `circle ${[...new Set(declared.map((d) => d.tree.name.text))].sort().join(' ')}`

export const didYouMean = (name: string, names: Iterable<string>): string | undefined => {
  const near = suggest(name, names)
  return near === undefined ? undefined : `did you mean \`${near}\`?`
}
