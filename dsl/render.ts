// Diagnostics as text for a terminal: the user's own lines with labels under them, then notes and the fix.
// Labels are grouped by source (that of the first label leads) and line. On a line they share one row of markers; the rightmost
// text stands behind its marker, the others hang below theirs, from right to left. Markers are `^` on the line of the message's
// place and `-` elsewhere. Columns are counted as a terminal shows them (text-width.ts).

import type { Diagnostic, Label } from './diagnostics.ts'
import { position } from './source.ts'
import type { Source } from './source.ts'
import { printable, textWidth } from './text-width.ts'

export interface RenderOptions {
  /** ANSI colours; off unless asked for. */
  readonly colour?: boolean
}

/** Longest stretch of a source line that is shown, in characters. */
const longestLine = 160
const mostErrors = 20

type Paint = (style: keyof typeof styles, text: string) => string
const styles = { error: '1;31', warning: '1;33', note: '1;36', frame: '34', bold: '1' }
const plain: Paint = (_, text) => text
const coloured: Paint = (style, text) => (text === '' ? '' : `\u001b[${styles[style]}m${text}\u001b[0m`)

/** One diagnostic in the form of the language reference, without a line break at the end. */
export function render(diagnostic: Diagnostic, options: RenderOptions = {}): string {
  const { code, severity, message, labels, notes, help } = diagnostic
  const paint = options.colour ? coloured : plain
  const title = `${paint(severity, `${severity}[${code}]`)}${paint('bold', `: ${printable(message)}`)}`
  const first = labels[0]
  const gutter = Math.max(2, ...labels.map(({ span }) => String(position(span.source, span.start).line).length))
  const blank = ' '.repeat(gutter + 1)
  const frame = (sign: string) => paint('frame', `${blank}${sign}`)
  const rows = [title]
  const sources = [...new Set(labels.map(({ span }) => span.source))]
  for (const source of sources) {
    const here = labels.filter(({ span }) => span.source === source)
    const { line, column } = position(source, (here[0] as Label).span.start)
    rows.push(`${frame('┌─')} ${printable(source.path)}:${line}:${column}`)
    const placed = here.map((label) => place(label)).sort((a, b) => a.line - b.line || a.start - b.start)
    for (const number of [...new Set(placed.map((label) => label.line))]) {
      const main = source === first?.span.source && number === position(source, first.span.start).line
      const { text, markers } = excerpt(
        source,
        placed.filter((label) => label.line === number),
      )
      rows.push(`${paint('frame', `${String(number).padStart(gutter)} │`)} ${text}`.trimEnd())
      rows.push(...markerRows(markers, main ? '^' : '-').map((row) => `${frame('│')} ${paint(main ? severity : 'frame', row)}`))
    }
  }
  const remarks = [...notes, ...(help === undefined ? [] : [help])]
  if (labels.length > 0 && remarks.length > 0) rows.push(frame('│'))
  for (const remark of remarks) {
    const [head, ...more] = remark.split('\n').map(printable)
    rows.push(`${frame('=')} ${head}`, ...more.map((text) => `${blank}  ${text}`))
  }
  return rows.join('\n')
}

/** All of them by file and position, without repetitions, at most 20 errors; ends with a count of what was left out. */
export function renderAll(diagnostics: readonly Diagnostic[], options: RenderOptions = {}): string {
  const sorted = inOrder(diagnostics)
  let errors = 0
  const shown = sorted.filter(({ severity }) => severity !== 'error' || ++errors <= mostErrors)
  const rest = sorted.length - shown.length
  const blocks = shown.map((diagnostic) => render(diagnostic, options))
  if (rest > 0) blocks.push(`and ${rest} more ${rest === 1 ? 'error' : 'errors'}`)
  return blocks.join('\n\n')
}

/** Sorted by source (in order of first mention) and place; equal ones (code, place, message) once. Without a place: last. */
export function inOrder(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  const sources: (Source | undefined)[] = [
    ...new Set(diagnostics.flatMap(({ labels }) => labels.slice(0, 1).map(({ span }) => span.source))),
  ]
  const start = ({ labels }: Diagnostic): number => labels[0]?.span.start ?? 0
  const rank = ({ labels }: Diagnostic): number => (labels[0] ? sources.indexOf(labels[0].span.source) : sources.length)
  const seen = new Set<string>()
  return [...diagnostics]
    .sort((a, b) => rank(a) - rank(b) || start(a) - start(b))
    .filter((diagnostic) => {
      const key = [diagnostic.code, rank(diagnostic), start(diagnostic), diagnostic.message].join('\n')
      return seen.has(key) ? false : seen.add(key)
    })
}

interface Placed {
  readonly line: number
  /** Offsets in the source; the end is cut at the end of the first line. */
  readonly start: number
  readonly end: number
  readonly text: string
}

interface Marker {
  readonly column: number
  readonly width: number
  readonly text: string
}

function place({ span, text = '' }: Label): Placed {
  const lineEnd = span.source.text.slice(span.start).search(/\r?\n|\r?$/)
  const end = Math.max(span.start, Math.min(span.end, span.start + lineEnd))
  return { line: position(span.source, span.start).line, start: span.start, end, text: printable(text) }
}

/** The source line, or the part of it around the labels if it is long, and the markers in columns of what is shown. */
function excerpt(source: Source, placed: readonly Placed[]): { text: string; markers: Marker[] } {
  const starts = placed.map(({ start }) => start)
  const from = source.text.lastIndexOf('\n', Math.min(...starts) - 1) + 1
  const lineEnd = from + source.text.slice(from).search(/\r?\n|\r?$/)
  const isLong = lineEnd - from > longestLine
  const cutFrom = isLong ? Math.max(from, Math.min(...starts) - longestLine / 4) : from
  const cutTo = isLong ? Math.min(lineEnd, cutFrom + longestLine) : lineEnd
  const head = cutFrom > from ? '… ' : ''
  const tail = cutTo < lineEnd ? ' …' : ''
  const columnOf = (offset: number) => textWidth(head + printable(source.text.slice(cutFrom, Math.min(offset, cutTo))))
  // A label without text around labelled parts only says where the message belongs: the parts are marked instead.
  const isFrame = (label: Placed) =>
    label.text === '' &&
    placed.some((other) => other !== label && other.text !== '' && label.start <= other.start && other.end <= label.end)
  const markers = placed
    .filter((label) => !isFrame(label))
    .map(({ start, end, text }) => ({ column: columnOf(start), width: Math.max(1, columnOf(end) - columnOf(start)), text }))
  return { text: head + printable(source.text.slice(cutFrom, cutTo)) + tail, markers }
}

function markerRows(markers: readonly Marker[], sign: string): string[] {
  const length = Math.max(...markers.map(({ column, width }) => column + width))
  const row = Array.from({ length }, (_, i) => (markers.some(({ column, width }) => column <= i && i < column + width) ? sign : ' '))
  const texts = markers.filter(({ text }) => text !== '').sort((a, b) => a.column - b.column)
  const last = texts.at(-1)
  const fits = last !== undefined && last.column + last.width === length
  const hanging = fits ? texts.slice(0, -1) : texts
  const rows = [row.join('') + (fits ? ` ${last.text}` : '')]
  for (let i = hanging.length - 1; i >= 0; i--) {
    const { column, text } = hanging[i] as Marker
    const stems = new Set(
      hanging
        .slice(0, i)
        .map((other) => other.column)
        .filter((other) => other < column),
    )
    rows.push(Array.from({ length: column }, (_, at) => (stems.has(at) ? '│' : ' ')).join('') + text)
  }
  return rows
}
