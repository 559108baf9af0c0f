// Cuts a text into words by a rule of the compact form. The rules are those of the models' own tokenizer.json, whose regular
// expressions would be run with backtracking: here each shape of a word is found by scanning forward. A run of one class is scanned at
// most three times before it is consumed ('lines' looks for a line end and fails, 'spaces-before' takes the run; 'cased' looks
// for a small letter behind capitals and fails, then takes the capitals), so a text costs time linear in its length, whatever it is.
// What a letter, a mark or a space is, the engine's own Unicode tables say, asked once for each character of a class.
import type { CharacterSet, SplitRule, WordShape } from './compact.ts'
import { fail } from '../error-codes.ts'

type Has = (code: number) => boolean
/** The end of the word at `at` within text[…, to); `at` when there is none. */
type Scan = (text: string, at: number, to: number) => number

/** JavaScript's `\s` is not Unicode's: it lacks U+0085 and has U+FEFF. */
const whiteSpace = '\\p{White_Space}'

/** Stages ready to run. E_TOKENIZER for a class that is none, or a shape that this runtime does not know. */
export function createSplitter({ stages }: SplitRule): (text: string) => string[] {
  const scans = stages.map((shapes) => shapes.map((shape) => scanOf(shape)))
  return (text) => {
    let cuts = text === '' ? [0] : [0, text.length]
    for (const stage of scans) {
      const finer = [0]
      for (let i = 1; i < cuts.length; i++) cutOnce(text, cuts[i - 1]!, cuts[i]!, stage, finer)
      cuts = finer
    }
    return cuts.slice(1).map((end, i) => text.slice(cuts[i], end))
  }
}

function cutOnce(text: string, from: number, to: number, stage: readonly Scan[], cuts: number[]): void {
  let gap = from
  for (let at = from; at < to; ) {
    let end = at
    for (const scan of stage) if ((end = scan(text, at, to)) > at) break
    if (end === at) at += width(text, at)
    else {
      if (gap < at) cuts.push(at)
      cuts.push(end)
      at = gap = end
    }
  }
  if (gap < to) cuts.push(to)
}

const width = (text: string, at: number): number => (text.codePointAt(at)! > 0xffff ? 2 : 1)

/** Classes by their text: families share most of them. */
const classes = new Map<CharacterSet, Has>()
const mostClasses = 64

function classOf(set: CharacterSet): Has {
  const made = classes.get(set)
  if (made) return made
  let pattern: RegExp
  try {
    const [of, but] = set.split('--')
    pattern = new RegExp(`^${but === undefined ? '' : `(?![${but}])`}[${of}]$`, 'u')
  } catch (cause) {
    return fail('E_TOKENIZER', `the splitting rule has a class of characters that is none: ${JSON.stringify(set)}`, cause)
  }
  const known = new Uint8Array(0x110000)
  const has: Has = (code) => (known[code] ||= pattern.test(String.fromCodePoint(code)) ? 2 : 1) === 2
  if (classes.size >= mostClasses) classes.clear()
  classes.set(set, has)
  return has
}

function runEnd(has: Has, text: string, at: number, to: number, most = Number.POSITIVE_INFINITY): number {
  for (let count = 0; at < to && count < most; count++) {
    const code = text.codePointAt(at)!
    if (!has(code)) break
    at += code > 0xffff ? 2 : 1
  }
  return at
}

function scanOf(shape: WordShape): Scan {
  const optional = (set: CharacterSet | undefined): Has | undefined => (set === undefined ? undefined : classOf(set))
  const space = classOf(whiteSpace)
  switch (shape.take) {
    case 'text':
      return textScan(shape.texts, shape.anyCase === true)
    case 'run': {
      const { least = 1, most } = shape
      const [of, need, before, after] = [classOf(shape.of), optional(shape.need), optional(shape.before), optional(shape.after)]
      const fits = (text: string, at: number, to: number): number => {
        const end = runEnd(of, text, at, to, most)
        return end === at || (least > 1 && [...text.slice(at, end)].length < least) ? -1 : end
      }
      return withPrefix(need ?? before, need !== undefined, (text, at, to) => {
        const end = fits(text, at, to)
        return end < 0 || !after ? end : runEnd(after, text, end, to)
      })
    }
    case 'cased':
      return casedScan(optional(shape.before), classOf(shape.upper), classOf(shape.lower), textScan(shape.tail ?? [], true))
    case 'lines':
      return (text, at, to) => {
        for (let end = runEnd(space, text, at, to); end > at; end--) if (/[\r\n]/.test(text[end - 1]!)) return end
        return at
      }
    case 'spaces-before':
      return (text, at, to) => {
        const end = runEnd(space, text, at, to)
        return end === to ? end : Math.max(at, end - 1)
      }
    case 'spaces':
      return (text, at, to) => runEnd(space, text, at, to)
    case 'spaces-at-end':
      return spacesAtEnd(space)
    default:
      return fail('E_TOKENIZER', `the splitting rule needs a newer runtime: ${JSON.stringify((shape as { take: unknown }).take)}`)
  }
}

/** `scan` gives -1 where nothing fits. The prefix is tried first, as a greedy `?` would; a needed one is not left out. */
function withPrefix(prefix: Has | undefined, needed: boolean, scan: Scan): Scan {
  return (text, at, to) => {
    if (prefix?.(text.codePointAt(at)!)) {
      const end = scan(text, at + width(text, at), to)
      if (end >= 0) return end
    }
    return needed ? at : Math.max(at, scan(text, at, to))
  }
}

function casedScan(before: Has | undefined, upper: Has, lower: Has, tail: Scan): Scan {
  const ended = (text: string, end: number, to: number): number => (end < 0 ? end : tail(text, end, to))
  const small = withPrefix(before, false, (text, at, to) => {
    const capitals = runEnd(upper, text, at, to)
    const end = runEnd(lower, text, capitals, to)
    if (end > capitals) return ended(text, end, to)
    // Behind the capitals is no small letter: the last of them that counts as one too ends the word.
    for (let back = capitals; back > at; ) {
      const begins = back - (back > at + 1 && isLowSurrogate(text, back - 1) ? 2 : 1)
      if (lower(text.codePointAt(begins)!)) return ended(text, back, to)
      back = begins
    }
    return -1
  })
  const large = withPrefix(before, false, (text, at, to) => {
    const capitals = runEnd(upper, text, at, to)
    return capitals === at ? -1 : ended(text, runEnd(lower, text, capitals, to), to)
  })
  return (text, at, to) => {
    const end = small(text, at, to)
    return end > at ? end : large(text, at, to)
  }
}

const isLowSurrogate = (text: string, at: number): boolean => (text.charCodeAt(at) & 0xfc00) === 0xdc00

/** Texts that ignore case begin with no letter. */
function textScan(texts: readonly string[], anyCase: boolean): Scan {
  // An expression of literals, anchored: it looks at no more characters than the longest of them has.
  const literals = texts.map((each) => each.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')).join('|')
  const pattern = new RegExp(`^(?:${literals})`, anyCase ? 'iu' : 'u')
  const longest = Math.max(0, ...texts.map(({ length }) => length))
  const firsts = new Set(texts.map((each) => each.charCodeAt(0)))
  return (text, at, to) =>
    at < to && firsts.has(text.charCodeAt(at)) ? at + (pattern.exec(text.slice(at, Math.min(at + longest, to)))?.[0].length ?? 0) : at
}

/** Remembers where the white space at the end of a piece begins: looking for it at each place would be quadratic. */
function spacesAtEnd(space: Has): Scan {
  let [lastText, lastTo, start] = ['', -1, 0]
  return (text, at, to) => {
    if (to !== lastTo || text !== lastText) {
      for (start = to; start > at && space(text.charCodeAt(start - 1)); ) start--
      lastText = text
      lastTo = to
    }
    return at >= start ? to : at
  }
}
