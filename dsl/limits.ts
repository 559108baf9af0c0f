// What a source may ask of the compiler, in one table: everything a text describes is put in place at compile time, so a short
// text can describe work without end (a function that calls another twice, forty deep). Each number is far above what a model
// needs and low enough that a mistake is told within a second or two. A text beyond one gets L105 (nesting) or L260 (the rest),
// with the row's words. Counted limits hold for one load, or one specialisation, of a model.

interface Limit {
  readonly most: number
  /** What is limited, in the plural, as messages say it. */
  readonly what: string
}

export const limits = {
  characters: { most: 250_000, what: 'characters in a file' },
  words: { most: 60_000, what: 'words and signs in a file' },
  brackets: { most: 100, what: 'brackets or prefixes inside each other' },
  treeHeight: { most: 400, what: 'operations on top of each other in one text' },
  evaluationDepth: { most: 600, what: 'expressions that wait for each other' },
  calls: { most: 100, what: 'calls inside each other' },
  ancestors: { most: 64, what: 'declarations that extend each other' },
  partDepth: { most: 32, what: 'parts inside each other' },
  /** Counted: the work of checking and expanding bodies. */
  steps: { most: 300_000, what: 'expressions after calls and parts are put in place' },
  parts: { most: 20_000, what: 'parts' },
  listItems: { most: 65_536, what: 'items in a list' },
  /** A size is a polynomial; products of long ones grow without end. */
  sizeTerms: { most: 64, what: 'terms in a size' },
  sizeName: { most: 2_000, what: 'characters in the name of a size' },
  axes: { most: 32, what: 'axes of a tensor' },
  /** Counted; below 2^53 bytes in any storage format. */
  elements: { most: 2 ** 50, what: 'numbers in weights and states' },
  pattern: { most: 1_000, what: 'characters in the pattern of a tensor name' },
  /** Each doubles the names that are looked for. */
  optionalSegments: { most: 8, what: 'choices (`.?` and `|`) in the pattern of a tensor name' },
} as const satisfies Record<string, Limit>

export type LimitName = keyof typeof limits

/** The words of a message about a limit: `more than 50,000 parts`. */
export const beyond = (name: LimitName): string => `more than ${limits[name].most.toLocaleString('en-US')} ${limits[name].what}`

/** Thrown where a value cannot say that it is none (arithmetic of sizes); `evaluate` turns it into a message. */
export class TooLarge extends Error {
  readonly why: string

  constructor(why: string) {
    super(`internal: uncaught limit: ${why}`)
    this.why = why
  }
}
