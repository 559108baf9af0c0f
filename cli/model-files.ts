// Source files: reading one, and which the arguments of a command stand for: a file is itself, a folder is all below it, in order of their names.
// What is not looked into (installed packages, hidden folders) is said.

import { existsSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LlamacError } from '../runtime/error.ts'
import { note, UsageError } from './report.ts'

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

/** E_SOURCE_FILE for a folder, where one file is wanted. */
export function refuseFolder(path: string): void {
  if (!isFolder(path)) return
  const what = existsSync(join(path, 'manifest.json'))
    ? "an artifact, compiled already: name its model's .dsl file"
    : 'a folder: name a .dsl file'
  throw new LlamacError('E_SOURCE_FILE', `${path} is ${what}`)
}

/** A source file's text. E_SOURCE_FILE when it cannot be read. */
export function readSource(path: string): string {
  refuseFolder(path)
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new LlamacError('E_SOURCE_FILE', `cannot read ${path}: ${(cause as Error).message}`, { cause })
  }
}

/** Another text in a file's place, at once: a full disk or a crash leaves the old one. E_OUTPUT_FILE. */
export function replaceSource(path: string, text: string): void {
  const file = realpathSync(path)
  const partial = `${file}.${process.pid}.partial`
  try {
    writeFileSync(partial, text, { mode: statSync(file).mode, flag: 'wx' })
    renameSync(partial, file)
  } catch (cause) {
    rmSync(partial, { force: true })
    throw new LlamacError('E_OUTPUT_FILE', `cannot write ${path}: ${(cause as Error).message}`, { cause })
  }
}

const passedOver = (name: string): boolean => name === 'node_modules' || name.startsWith('.')

/** UsageError for a folder without any. A path that is not there stays: the language says what is wrong with it. */
export function modelFiles(paths: readonly string[]): readonly string[] {
  const found = paths.flatMap((path) => {
    if (!isFolder(path)) return [path]
    const below = filesBelow(path)
    if (below.length === 0) throw new UsageError(`${path} is a folder with no .dsl file in it`)
    return below
  })
  return [...new Set(found)]
}

function filesBelow(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name)
    const stat = entry.isSymbolicLink() ? statSync(path, { throwIfNoEntry: false }) : entry
    if (!stat?.isDirectory()) return entry.name.endsWith('.dsl') ? [path] : []
    // A link to a folder may lead in a circle.
    if (!passedOver(entry.name) && !entry.isSymbolicLink()) return filesBelow(path)
    note(`note: ${path} is passed over`)
    return []
  })
}
