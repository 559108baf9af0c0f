// The canonical layout of a source file (`llamac fmt`). Like gofmt it keeps the author's line breaks (and at most one blank line in
// a row) and decides everything within and around the lines: blanks between tokens, indentation, columns (format-columns.ts).
// It prints the tokens, not the tree, so comments stay and nothing can be lost; the tree tells what the tokens mean.

import { tokenMatcher } from 'chevrotain'
import type { IToken } from 'chevrotain'
import type { FileTree } from './ast.ts'
import { alignColumns } from './format-columns.ts'
import { marksOf } from './format-marks.ts'
import type { Marks } from './format-marks.ts'
import type { Source } from './source.ts'
import { textWidth } from './text-width.ts'
import { Id, lexer, reservedWords } from './tokens.ts'

/** A token or comment with the number of blanks before it (within a line). */
export interface Piece {
  readonly text: string
  readonly token: IToken
  /** `//` or `///` */
  readonly isComment: boolean
  /** Kind of the item that begins here, see Marks. */
  readonly item?: string
  /** Blanks in the source. */
  readonly written: number
  gap: number
}

export interface Line {
  readonly pieces: Piece[]
  readonly blankBefore: boolean
}

const reserved = new Set<string>(reservedWords)
/** Blanks between two items on one line. */
const itemGaps: Record<string, number> = { binding: 2, let: 2, return: 2, store: 2, for: 2, assign: 2, do: 2 }
const declarations = new Set(['import', 'config', 'op', 'block', 'model'])

/** The text of `source` in canonical layout; `tree` is its tree. Formatting the result again changes nothing. */
export function format(tree: FileTree, source: Source): string {
  const lexed = lexer.tokenize(source.text)
  const comments = [...(lexed.groups.docs ?? []), ...(lexed.groups.comments ?? [])]
  const all = [...lexed.tokens, ...comments].sort((a, b) => a.startOffset - b.startOffset)
  const marks = marksOf(tree, lexed.tokens)
  const lines = breakLines(source.text, all, new Set(comments), marks)
  alignColumns(lines, marks)
  return print(lines, marks)
}

function breakLines(text: string, all: readonly IToken[], comments: ReadonlySet<IToken>, marks: Marks): Line[] {
  const lines: Line[] = []
  let before: Piece | undefined
  for (const token of all) {
    const isComment = comments.has(token)
    const item = isComment ? undefined : marks.items.get(token.startOffset)
    const from = before ? before.token.startOffset + before.token.image.length : 0
    const breaks = (text.slice(from, token.startOffset).match(/\n|\r(?!\n)/g) ?? []).length
    const forced = before === undefined || before.isComment || (item !== undefined && declarations.has(item))
    const gap = before && !isComment ? blanks(before, token, item, marks) : 2
    const piece: Piece = { text: token.image.trimEnd(), token, isComment, ...(item && { item }), written: token.startOffset - from, gap }
    if (breaks > 0 || forced) {
      const blankBefore = breaks > 1 && before !== undefined && before.text !== '{' && piece.text !== '}'
      lines.push({ pieces: [piece], blankBefore })
    } else {
      lines.at(-1)?.pieces.push(piece)
    }
    before = piece
  }
  return lines
}

const tightAfter = new Set(['(', '[', '.', '@'])
const tightBefore = new Set([')', ']', ',', '.', ':', '?'])

/** Blanks between two tokens of a line: 0 or 1, more before an item. */
function blanks(before: Piece, token: IToken, item: string | undefined, marks: Marks): number {
  const a = before.text
  const b = token.image
  if (item !== undefined && a !== '{') return itemGaps[item] ?? 3
  if (tightAfter.has(a) || tightBefore.has(b) || marks.prefixes.has(before.token.startOffset)) return 0
  // `..` begins an axis list's row, but stands between the ends of a range.
  if (b === '..') return ['[', '(', ','].includes(a) ? Number(a === ',') : 1
  if (b === '(' || b === '[') {
    const isName = tokenMatcher(before.token, Id) && !reserved.has(a) && !marks.words.has(before.token.startOffset)
    return isName || a === ')' || a === ']' ? 0 : 1
  }
  return 1
}

interface Open {
  readonly text: string
  /** Column of the lines within. */
  readonly column: number
  /** Column of the line that it stands on. */
  readonly lineColumn: number
}

function print(lines: readonly Line[], marks: Marks): string {
  const open: Open[] = []
  const out: string[] = []
  lines.forEach(({ pieces, blankBefore }, at) => {
    const first = pieces[0] as Piece
    const indent = indentation(first, open, marks, lines[at - 1]?.pieces.at(-1), followingToken(lines, at))
    let column = indent
    let text = ' '.repeat(indent)
    pieces.forEach((piece, i) => {
      const gap = i === 0 ? 0 : piece.gap
      text += ' '.repeat(gap) + piece.text
      column += gap + textWidth(piece.text)
      if (piece.isComment) return
      if (piece.text === '{') open.push({ text: '{', column: 2 * (1 + open.filter((o) => o.text === '{').length), lineColumn: indent })
      else if (piece.text === '(' || piece.text === '[') {
        const isLast = i === pieces.length - 1 || (pieces[i + 1] as Piece).isComment
        open.push({ text: piece.text, column: isLast ? indent + 2 : column, lineColumn: indent })
      } else if (piece.text === '}' || piece.text === ')' || piece.text === ']') open.pop()
    })
    if (blankBefore) out.push('')
    out.push(text)
  })
  return `${out.join('\n')}\n`
}

/** The first token after a comment line, which is laid out like it. */
function followingToken(lines: readonly Line[], at: number): Piece | undefined {
  for (const { pieces } of lines.slice(at)) {
    const token = pieces.find((piece) => !piece.isComment)
    if (token) return token
  }
  return undefined
}

function indentation(first: Piece, open: readonly Open[], marks: Marks, before: Piece | undefined, token: Piece | undefined): number {
  const top = open.at(-1)
  const base = top?.column ?? 0
  if (first.isComment && (token === undefined || token.text === '}')) return base
  if (token === undefined) return base
  if (token.text === '}') return Math.max(0, base - 2)
  if (token.text === ')' || token.text === ']') return top ? Math.min(top.lineColumn, base) : 0
  if (top && top.text !== '{') return base
  if (marks.clauses.has(token.token.startOffset)) return base + 2
  const beginsUnit =
    token.item !== undefined || token.text === 'module' || token.text === '{' || before === undefined || before.text === '{'
  return beginsUnit ? base : base + 2
}
