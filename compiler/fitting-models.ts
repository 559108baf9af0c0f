// A checkpoint that does not fit the model it was given to may fit another one that is at hand: each is tried, from names and sizes
// alone, and the message names those that take it. What a model takes stands in its own file (fields that read the config, `expect`,
// naming tables), so there is no list of architectures here.

import type { Diagnostic } from '../dsl/diagnostics.ts'
import { type CheckedModel, loadModel, type ReadSource } from '../dsl/index.ts'

/** Files that may be tried, and where their texts are. */
export interface OtherModels {
  readonly paths: readonly string[]
  readonly read: ReadSource
}

/** Which naming table the checkpoint asks for. */
export interface TableName {
  readonly format: string
  readonly arch?: string
}

const formatKey = ({ format, arch = '' }: TableName): string => `${format} ${arch}`

/** What a checkpoint that belongs elsewhere looks like; mistakes in options and numbers of the user's own do not. */
const misfits: ReadonlySet<string> = new Set(['L401', 'L402', 'L405', 'L501', 'L504', 'L505', 'L510', 'L512', 'L520'])

/** Paths of the models that a checkpoint fits. `takes` tries one model. */
export function fittingFiles(table: TableName, takes: (model: CheckedModel) => boolean, { paths, read }: OtherModels): readonly string[] {
  const able = paths.flatMap((path) => {
    const { model } = loadModel(path, read)
    return model && takes(model) ? [{ path, model }] : []
  })
  // Who wrote the table knows best; others have it from a parent and may differ from it in nothing that a file shows.
  const writers = able.filter(({ model }) => model.checkpoints.some((one) => one.own && formatKey(one) === formatKey(table)))
  return (writers.length > 0 ? writers : able).map(({ path }) => path)
}

/** The diagnostics of `asked`, the first error with the file's name where one takes the checkpoint. `takes` tries one model. */
export function nameFittingModels(
  diagnostics: readonly Diagnostic[],
  asked: CheckedModel,
  table: TableName,
  takes: (model: CheckedModel) => boolean,
  others: OtherModels,
): readonly Diagnostic[] {
  const at = diagnostics.findIndex(({ severity }) => severity === 'error')
  const first = diagnostics[at]
  if (!first || !misfits.has(first.code) || takes(asked)) return diagnostics
  const fitting = fittingFiles(table, (model) => model.module !== asked.module && takes(model), others)
  if (fitting.length === 0) return diagnostics
  const notes = first.help === undefined ? first.notes : [...first.notes, `to extend ${asked.name}: ${first.help}`]
  const help = `use  ${fitting.join('  or  ')}  which ${fitting.length === 1 ? 'takes' : 'take'} this checkpoint`
  return diagnostics.with(at, { ...first, notes, help })
}
