// Errors of lexer and parser → diagnostics, few and near the mistake.
// Recovery lets the parser go on after an error, but the first misunderstanding of a member often causes more in it. So only the
// first error of each member (or declaration, or stretch between reserved words that begin one) is shown.

import { EOF } from 'chevrotain'
import type { ILexingError, IRecognitionException, IToken } from 'chevrotain'
import { diagnose } from './codes.ts'
import type { Diagnostic, Label } from './diagnostics.ts'
import type { Source } from './source.ts'
import { distance, suggest } from './suggest.ts'
import { contextualWords, reservedWords } from './tokens.ts'

const declarationWords = ['module', 'import', 'config', 'op', 'block', 'model']
const memberWords = ['weight', 'state', 'part', 'fn', 'entry', 'override', 'replace', 'checkpoint', 'runtime']
const statementWords = ['let', 'return', 'store', 'for']
const reserved = new Set<string>(reservedWords)
/** More are of no use, and each costs a search for its place. */
const mostErrors = 50
/** An error this few tokens behind another is its consequence: the parser has only just found its feet. */
const closest = 3
const sectionStarts = new Set([...declarationWords, ...memberWords])

/** What may be meant by a misspelt word at the beginning of something, by grammar rule. */
const openings: Record<string, readonly string[]> = {
  file: declarationWords,
  block: [...memberWords, 'preset', 'drop', 'require'],
  member: memberWords,
  body: statementWords,
  config: ['require'],
}

/** What a name names, by grammar rule; for "cannot name a …". */
const nameables: Record<string, string> = {
  config: 'a config',
  field: 'a config field',
  op: 'an op',
  param: 'a parameter',
  block: 'a block',
  weight: 'a weight',
  state: 'a state',
  part: 'a part',
  fn: 'a function',
  entry: 'an entry',
  bind: 'a value',
  preset: 'a config field',
  stmt: 'a variable',
  type: 'a type',
  import_: 'an import',
  path: 'a module',
}

/** A reserved word in the middle of something (`let weight = 3`) is a mistake for a name and begins nothing. */
const beginsSection = (token: IToken, before: IToken | undefined): boolean =>
  sectionStarts.has(token.image) &&
  (before === undefined || !/^(?:[-+*/%,:=<>(.[@]|==|!=|<=|>=|->|\.\..?|\|>|let|return|for|store|in|not|and|or)$/.test(before.image))

export function lexicalErrors(source: Source, errors: readonly ILexingError[]): Diagnostic[] {
  let numberEnd = 0
  return errors.flatMap(({ offset, length }) => {
    const text = source.text.slice(offset, offset + length)
    // The rest of `1e-5q`, which was told as a whole.
    if (offset < numberEnd) return []
    if (/^[0-9]/.test(text)) {
      const all = /^[0-9A-Za-z_.]+(?:(?<=^[0-9.]+[eE])[-+][0-9A-Za-z_.]+)?/.exec(source.text.slice(offset, offset + 100))?.[0] ?? text
      numberEnd = offset + all.length
      const labels = [{ span: { source, start: offset, end: offset + all.length } }]
      return diagnose('L106', { message: `\`${all}\` is no number`, labels, help: 'numbers are  4096  1.5  1e-5' })
    }
    const point = text.codePointAt(0) ?? 0
    const shown = point < 33 || point === 127 ? `U+${point.toString(16).toUpperCase().padStart(4, '0')}` : String.fromCodePoint(point)
    const end = offset + String.fromCodePoint(point).length
    const help = /\p{L}/u.test(shown) ? 'names have the letters a to z, digits and _' : 'leave it out'
    return diagnose('L102', {
      message: `the character \`${shown}\` has no meaning here`,
      labels: [{ span: { source, start: offset, end } }],
      help,
    })
  })
}

export function unclosedStrings(source: Source, tokens: readonly IToken[]): Diagnostic[] {
  return tokens.map((token) =>
    diagnose('L103', { message: 'this string is not closed', labels: [{ span: spanOf(source, token) }], help: 'add `"` at its end' }),
  )
}

/** `tokens` are those that were parsed; each error names one of them or the end of the file. */
export function grammarErrors(source: Source, errors: readonly IRecognitionException[], tokens: readonly IToken[]): Diagnostic[] {
  const place = new Map(tokens.map((token, i) => [token, i]))
  const sections: number[] = []
  for (const [i, token] of tokens.entries()) sections.push((sections[i - 1] ?? 0) + (beginsSection(token, tokens[i - 1]) ? 1 : 0))
  const seen = new Set<number>()
  const shown: Diagnostic[] = []
  let last = -Infinity
  for (const error of errors) {
    const at = place.get(error.token) ?? tokens.length
    // A closing error is noticed at the first word of the next section, but belongs to the one before.
    const section = sections[beginsSection(error.token, tokens[at - 1]) ? at - 1 : at] ?? sections.at(-1) ?? 0
    if (shown.length >= mostErrors) break
    const follows = at - last <= closest
    last = at
    if (follows || seen.has(section) || seen.has(sections[at] ?? section)) continue
    seen.add(section).add(sections[at] ?? section)
    shown.push(grammarError(source, error, tokens, at))
  }
  return shown
}

function grammarError(source: Source, error: IRecognitionException, tokens: readonly IToken[], at: number): Diagnostic {
  const { token, message: wanted, context } = error
  const rule = context.ruleStack.at(-1) ?? 'file'
  const isEnd = token.tokenType === EOF
  const before = tokens[at - 1]
  const next = tokens[at + 1]
  // What is missing before the next section, or before the end of the file, is missing behind the last token.
  const closer = Object.values(closers).find((c) => wanted.includes(c))
  const isName = reserved.has(token.image) && namesWhat(rule, wanted, next) !== undefined
  const isLate =
    before !== undefined &&
    (beginsSection(token, before) || (closer !== undefined && closer !== closers['{'])) &&
    isAtLineStart(source, token)
  const behind = isEnd || (isLate && !isName)
  const start = behind ? (before ? before.startOffset + before.image.length : 0) : token.startOffset
  const label: Label = { span: { source, start, end: behind ? start : start + token.image.length } }
  const thing = namesWhat(rule, wanted, next)
  if (reserved.has(token.image) && thing !== undefined) {
    const help = `choose another name, such as  ${token.image}_  or  my_${token.image}`
    return diagnose('L104', { message: `\`${token.image}\` is a reserved word and cannot name ${thing}`, labels: [label], help })
  }
  const found = isEnd ? 'but the file ends' : `found \`${token.image}\``
  const open = behind ? innermostOpen(tokens.slice(0, at)) : undefined
  const labels =
    open && wanted.includes(closers[open.image] as string) ? [label, { span: spanOf(source, open), text: 'opened here' }] : [label]
  const help =
    hint(token, rule, wanted) ??
    misspeltWord(tokens, at) ??
    (labels.length > 1 && closer ? `close it with  ${closer.replaceAll('`', '')}` : undefined)
  return diagnose('L101', { message: `expected ${wanted}, ${found}`, labels, ...(help && { help }) })
}

const isAtLineStart = (source: Source, token: IToken): boolean => /(?:^|\n)[ \t]*$/.test(source.text.slice(0, token.startOffset))

const spanOf = (source: Source, token: IToken) => ({ source, start: token.startOffset, end: token.startOffset + token.image.length })

/** A reserved word stands for a name if a name was wanted, or if what follows would follow a name. */
function namesWhat(rule: string, wanted: string, next: IToken | undefined): string | undefined {
  if (wanted.startsWith('a name')) return nameables[rule] ?? 'anything'
  const follows = next?.image
  if (rule === 'config' && (follows === ':' || follows === '=')) return nameables.field
  if (rule === 'preset' && follows === '=') return nameables.preset
  if (rule === 'params' && follows === ':') return nameables.param
  if (rule === 'body' && follows === '=') return nameables.stmt
  if (/an expression|an argument|an axis/.test(wanted) && follows !== undefined && /^(?:[)\],:=*/+.]|\.\.\+?|->)$/.test(follows))
    return 'a value'
  return undefined
}

const closers: Record<string, string> = { '(': '`)`', '[': '`]`', '{': '`}`' }

function innermostOpen(tokens: readonly IToken[]): IToken | undefined {
  const open: IToken[] = []
  for (const token of tokens) {
    if (closers[token.image]) open.push(token)
    else if (')]}'.includes(token.image)) open.pop()
  }
  return open.at(-1)
}

const allWords: readonly string[] = [...reservedWords, ...contextualWords]

/**
 * A word of the language with one slip, at the error or before it on its line: `retrun x + y` reads as two values, and the
 * error is noticed at the sign only.
 */
function misspeltWord(tokens: readonly IToken[], at: number): string | undefined {
  const error = tokens[at]
  for (let i = at; error && i >= 0 && i > at - 40; i--) {
    const token = tokens[i]
    if (token?.startLine !== error.startLine) return undefined
    if (!/^[A-Za-z_]\w+$/.test(token.image) || allWords.includes(token.image)) continue
    const meant = allWords.find((word) => distance(token.image, word) === 1)
    if (meant !== undefined) return `did you mean  ${meant}  ?`
  }
  return undefined
}

function hint(token: IToken, rule: string, wanted: string): string | undefined {
  const words = [...wanted.matchAll(/`(\w+)`/g)].map(([, word]) => word as string)
  const meant = suggest(token.image, words) ?? suggest(token.image, openings[rule] ?? [])
  if (meant) return `did you mean  ${meant}  ?`
  if (token.image === '<-') return 'write  < -  for a comparison with a negative number'
  if (token.image === '==' && rule !== 'cmp') return 'write  =  to give a value'
  if (token.image === '=' && rule === 'choice') return 'write  ==  to compare'
  if (token.image === '..=') return 'a range in an index is  from .. to  (without to) or  from ..+ count'
  return undefined
}
