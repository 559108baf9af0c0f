// Diagnostics for other programs: one JSON document, SARIF 2.1.0 for code scanning, and the commands that GitHub's runners turn
// into annotations. Lines and columns count from 1 in UTF-16 units, ends are exclusive. For people there is dsl/render.ts.

import { codes } from '../dsl/codes.ts'
import type { Diagnostic, Label } from '../dsl/diagnostics.ts'
import { inOrder } from '../dsl/render.ts'
import { position } from '../dsl/source.ts'

export const diagnosticFormats = ['pretty', 'json', 'sarif', 'github'] as const
export type DiagnosticFormat = (typeof diagnosticFormats)[number]

const extent = ({ span }: Label): { line: number; column: number; endLine: number; endColumn: number } => {
  const { line, column } = position(span.source, span.start)
  const end = position(span.source, Math.max(span.start, span.end))
  return { line, column, endLine: end.line, endColumn: end.column }
}

/** Plain data, in order of file and place, without repetitions. */
export const asJson = (diagnostics: readonly Diagnostic[]): readonly object[] =>
  inOrder(diagnostics).map(({ code, severity, message, labels, notes, help }) => ({
    code,
    severity,
    message,
    labels: labels.map((label) => ({
      path: label.span.source.path,
      ...extent(label),
      ...(label.text === undefined ? {} : { text: label.text }),
    })),
    notes,
    ...(help === undefined ? {} : { help }),
  }))

/** A SARIF 2.1.0 log with one run; rules are the codes that occur. */
export function asSarif(diagnostics: readonly Diagnostic[], version: string): object {
  const sorted = inOrder(diagnostics)
  const ids = [...new Set(sorted.map(({ code }) => code))].sort()
  const rule = (id: string): object => {
    const row = Object.hasOwn(codes, id) ? codes[id as keyof typeof codes] : undefined
    return row ? { id, shortDescription: { text: row.title }, fullDescription: { text: row.explanation } } : { id }
  }
  const location = (label: Label): object => {
    const { line, column, endLine, endColumn } = extent(label)
    const region = { startLine: line, startColumn: column, endLine, endColumn }
    const uri = label.span.source.path.split('/').map(encodeURIComponent).join('/')
    return {
      physicalLocation: { artifactLocation: { uri }, region },
      ...(label.text === undefined ? {} : { message: { text: label.text } }),
    }
  }
  const results = sorted.map(({ code, severity, message, labels: [first, ...others], notes, help }) => ({
    ruleId: code,
    ruleIndex: ids.indexOf(code),
    level: severity,
    message: { text: [message, ...notes, ...(help === undefined ? [] : [help])].join('\n') },
    ...(first ? { locations: [location(first)] } : {}),
    ...(others.length > 0 ? { relatedLocations: others.map((label, id) => ({ id, ...location(label) })) } : {}),
  }))
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [{ tool: { driver: { name: 'llamac', version, rules: ids.map(rule) } }, columnKind: 'utf16CodeUnits', results }],
  }
}

const github = { error: 'error', warning: 'warning', note: 'notice' } as const
const escaped = (text: string): string => text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
const property = (text: string): string => escaped(text).replaceAll(':', '%3A').replaceAll(',', '%2C')

/** `::error file=…,line=…,col=…,title=L301::message`, one line each. */
export const asGithub = (diagnostics: readonly Diagnostic[]): string =>
  inOrder(diagnostics)
    .map(({ code, severity, message, labels: [first], notes, help }) => {
      const { line, column, endLine, endColumn } = first ? extent(first) : { line: 1, column: 1, endLine: 1, endColumn: 1 }
      const place = first
        ? `file=${property(first.span.source.path)},line=${line},endLine=${endLine},col=${column},endColumn=${endColumn},`
        : ''
      return `::${github[severity]} ${place}title=${code}::${escaped([message, ...notes, ...(help === undefined ? [] : [help])].join('\n'))}`
    })
    .join('\n')
