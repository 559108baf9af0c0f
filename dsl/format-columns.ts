// Columns over several lines. Neighbouring lines that begin with items of one kind form a block; in each, the places where a
// column may begin (type, `=`, annotation, `<-`, next item, …) are its cells. A column is lined up if the author lined it up, that
// is, if any of its cells was written with more blanks than needed; so laying out a second time changes nothing. A cell that
// would begin more than twelve columns beyond the next one stays out of its column.

import type { Line, Piece } from './format.ts'
import type { Marks } from './format-marks.ts'
import { textWidth } from './text-width.ts'

interface Cell {
  readonly key: string
  readonly piece: Piece
}

interface Row {
  readonly kind: string
  readonly line: Line
  readonly cells: readonly Cell[]
}

const farthest = 12
/** Items whose body or names in braces may be a column. */
const braced = new Set(['import', 'op', 'fn', 'entry', 'preset', 'config', 'block', 'model'])
const valued = new Set(['field', 'let', 'store', 'assign', 'expect', 'binding'])
const typed = new Set(['field', 'weight', 'state', 'part'])

/** Sets the gaps of the pieces that begin columns. */
export function alignColumns(lines: readonly Line[], marks: Marks): void {
  let block: Row[] = []
  let longest: readonly string[] = []
  const flush = () => {
    alignBlock(block, longest.length)
    block = []
    longest = []
  }
  for (const line of lines) {
    const kind = line.pieces[0]?.item
    if (kind === undefined) {
      flush()
      continue
    }
    const row = { kind, line, cells: cellsOf(line, kind, marks) }
    const keys = row.cells.map(({ key }) => key)
    const shared = Math.min(keys.length, longest.length)
    if (line.blankBefore || block[0]?.kind !== kind || keys.slice(0, shared).join() !== longest.slice(0, shared).join()) flush()
    block.push(row)
    if (keys.length > longest.length) longest = keys
  }
  flush()
}

/** The pieces outside of brackets that may begin a column, with what they are. */
function cellsOf(line: Line, firstKind: string, marks: Marks): Cell[] {
  const cells: Cell[] = []
  let kind = firstKind
  let depth = 0
  let hasValue = false
  line.pieces.forEach((piece, i) => {
    const { text } = piece
    const isOpen = text === '(' || text === '[' || text === '{'
    if (i > 0 && piece.isComment) cells.push({ key: '//', piece })
    else if (i > 0 && depth === 0) {
      if (piece.item !== undefined) {
        kind = piece.item
        hasValue = false
        cells.push({ key: `item ${kind}`, piece })
      } else if (isCell(piece, line.pieces[i - 1] as Piece, kind, marks, i === line.pieces.length - 1, hasValue)) {
        cells.push({ key: isType(line.pieces[i - 1] as Piece, kind, hasValue) ? ':' : text, piece })
      }
    }
    if (text === '=' && depth === 0) hasValue = true
    if (isOpen && !piece.isComment) depth++
    else if (text === ')' || text === ']' || text === '}') depth--
  })
  return cells
}

const isType = (before: Piece, kind: string, hasValue: boolean): boolean => before.text === ':' && typed.has(kind) && !hasValue

function isCell(piece: Piece, before: Piece, kind: string, marks: Marks, isLast: boolean, hasValue: boolean): boolean {
  if (isType(before, kind, hasValue)) return true
  switch (piece.text) {
    case '=':
      return valued.has(kind) && !hasValue
    case '{':
      return braced.has(kind) && !isLast
    case '->':
      return braced.has(kind)
    case '@':
    case '<-':
      return true
    case '|>':
      return kind === 'bind'
    case 'when':
      return marks.words.has(piece.token.startOffset)
    case 'tied':
      return kind === 'weight' && before.text === ']'
    default:
      return false
  }
}

function alignBlock(rows: readonly Row[], columns: number): void {
  for (let at = 0; at < columns; at++) {
    const cells = rows.flatMap(({ line, cells: all }) => {
      const cell = all[at]
      return cell ? [{ piece: cell.piece, end: widthBefore(line, cell.piece) }] : []
    })
    if (cells.length < 2 || !cells.some(({ piece }) => piece.written > piece.gap)) continue
    const starts = cells.map(({ piece, end }) => end + piece.gap).sort((a, b) => b - a)
    while (starts.length > 1 && (starts[0] as number) - (starts[1] as number) > farthest) starts.shift()
    for (const { piece, end } of cells) piece.gap = Math.max(piece.gap, (starts[0] as number) - end)
  }
}

/** Width of a line (without its indentation) up to the piece. */
function widthBefore(line: Line, piece: Piece): number {
  let width = 0
  for (const [i, each] of line.pieces.entries()) {
    if (each === piece) break
    width += (i === 0 ? 0 : each.gap) + textWidth(each.text)
  }
  return width
}
