// Checkpoint tables as texts: `checkpoint hf { inherit hf … }` unrolled to one list of rules per format, in order, each with
// the module it was written in and whether it is the model's own (an own rule that never matches is an error, an inherited
// one is skipped). A table that is not mentioned is inherited whole, but for GGUF's of other architectures: those are other models.

import type { Checkpoint, Format, Rule } from '../ast.ts'
import { didYouMean, type Report } from '../check/report.ts'
import type { Module } from './modules.ts'

export interface FlatRule {
  readonly tree: Exclude<Rule, { kind: 'inherit' }>
  readonly module: Module
  readonly own: boolean
}

export interface FlatTable {
  readonly format: string
  readonly arch?: string
  readonly rules: readonly FlatRule[]
}

export const formatKey = (format: string, arch?: string): string => (arch === undefined ? format : `${format}("${arch}")`)

export function inheritTables(
  parent: ReadonlyMap<string, FlatTable>,
  own: readonly Checkpoint[],
  module: Module,
  report: Report,
): ReadonlyMap<string, FlatTable> {
  const tables = new Map<string, FlatTable>()
  // A model with an architecture of its own in GGUF is not one of its parent's.
  const hasOwnArch = own.some(({ format }) => format.arch !== undefined)
  for (const [key, table] of parent)
    if (!hasOwnArch || table.arch === undefined) tables.set(key, { ...table, rules: table.rules.map((r) => ({ ...r, own: false })) })
  for (const checkpoint of own) {
    const rules = checkpoint.rules.flatMap((rule) =>
      rule.kind === 'inherit' ? inherited(parent, tables, rule.format, report) : [{ tree: rule, module, own: true }],
    )
    const { name: format, arch } = checkpoint.format
    checkFormat(checkpoint.format, report)
    tables.set(formatKey(format, arch), { format, ...(arch === undefined ? {} : { arch }), rules })
  }
  return tables
}

/** The naming tables that containers ask for; `gguf` names an architecture as well. */
const formats: Readonly<Record<string, { readonly arch: boolean }>> = { hf: { arch: false }, gguf: { arch: true }, meta: { arch: false } }

function checkFormat({ name, arch, span }: Format, report: Report): void {
  const wanted = formats[name]
  if (!wanted) {
    const help = didYouMean(name, Object.keys(formats)) ?? 'there are hf, gguf("architecture") and meta'
    report.add('L509', `there is no checkpoint format \`${name}\``, [{ span }], { help })
  } else if (wanted.arch !== (arch !== undefined)) {
    const message = wanted.arch ? `\`${name}\` needs an architecture` : `\`${name}\` has no architectures`
    report.add('L509', message, [{ span }], { help: wanted.arch ? `${name}("llama")` : name })
  }
}

// `inherit` may also name a table that stands above it in the same model.
function inherited(
  parent: ReadonlyMap<string, FlatTable>,
  above: ReadonlyMap<string, FlatTable>,
  format: Format,
  report: Report,
): FlatRule[] {
  const key = formatKey(format.name, format.arch)
  const table = parent.get(key) ?? above.get(key)
  // A misspelt format of the parent's has been reported there.
  if (!table && [...parent.values()].some((t) => !(t.format in formats))) return []
  if (!table) {
    const there = [...new Set([...parent.keys(), ...above.keys()])].join(', ') || 'none'
    report.add('L414', `there is no table ${key} to inherit`, [{ span: format.span }], { help: `inherited tables: ${there}` })
    return []
  }
  return table.rules.map((r) => ({ ...r, own: false }))
}
