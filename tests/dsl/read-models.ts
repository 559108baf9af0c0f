// Reads the project's own model files, and texts given in place, the way the command line does.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { loadModel } from '../../dsl/index.ts'
import type { CheckedModel, Numbers, ReadSource, SpecialisedModel } from '../../dsl/index.ts'
import type { Diagnostic } from '../../dsl/diagnostics.ts'

/** Of the project, with a slash at its end. */
export const projectFolder = fileURLToPath(new URL('../../', import.meta.url))

/** Reads a file of the project as the command line does. */
export const readProject: ReadSource = (path) => {
  const file = path.startsWith('std/') ? `${projectFolder}dsl/${path}` : projectFolder + path
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

/** The files of `models/` in order, without their ending. */
export const modelNames: readonly string[] = readdirSync(`${projectFolder}models`)
  .flatMap((file) => (file.endsWith('.dsl') ? [file.slice(0, -4)] : []))
  .sort()

/** A model of `models/`; throws with its messages if it has any. */
export function load(name: string): CheckedModel {
  const { model, diagnostics } = loadModel(`models/${name}.dsl`, readProject)
  if (!model || diagnostics.length > 0) throw new Error(`${name}: ${summary(diagnostics).join('; ')}`)
  return model
}

/** The messages for a program given as text; the models of the project can be imported. */
export function check(text: string): readonly Diagnostic[] {
  return loadModel('test.dsl', (path) => (path === 'test.dsl' ? text : readProject(path))).diagnostics
}

/** A program given as text that must check without messages. */
export function program(text: string): CheckedModel {
  const { model, diagnostics } = loadModel('test.dsl', (path) => (path === 'test.dsl' ? text : readProject(path)))
  if (!model || diagnostics.length > 0) throw new Error(summary(diagnostics).join('; '))
  return model
}

export function numbered(model: CheckedModel, numbers: Numbers): SpecialisedModel {
  const { model: specialised, diagnostics } = model.specialise(numbers)
  if (!specialised || diagnostics.length > 0) throw new Error(summary(diagnostics).join('; '))
  return specialised
}

export const summary = (diagnostics: readonly Diagnostic[]): string[] => diagnostics.map((d) => `${d.code} ${d.message}`)

/** The text under a diagnostic's labels. */
export const pointed = (d: Diagnostic): string[] => d.labels.map(({ span }) => span.source.text.slice(span.start, span.end))

export const dataFolder = (): string => `${process.env.LLAMAC_DATA ?? `${projectFolder}../shared/data`}/`

export const readJson = (path: string): Record<string, unknown> =>
  JSON.parse(readFileSync(dataFolder() + path, 'utf8')) as Record<string, unknown>
