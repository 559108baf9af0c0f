// What an artifact keeps of how it was made: the texts of the model and the request, a few kB. Numbers, math and storage formats
// are in the manifest anyway. With this and the stored weights the compilation can be repeated (compiler/recompile.ts), so that
// a wrong number on someone's device can be followed into the kernels. The runtime never reads it; an artifact may lack it.

import { LlamacError } from '../../runtime/error.ts'
import type { ReadSource } from '../../dsl/model.ts'
import type { TargetName } from '../targets/index.ts'

export const sourceRecordFile = 'source.json'

export interface SourceRecord {
  /** Path of the file with the model. */
  readonly entry: string
  readonly model: string
  /** Every file that was read, by the path that asked for it. */
  readonly files: Readonly<Record<string, string>>
  readonly maximum: Readonly<Record<string, number>>
  readonly targets: readonly TargetName[]
  readonly disabledPasses: readonly string[]
  /** Patterns of values by path that are results; absent: none. */
  readonly taps?: readonly string[]
}

/**
 * The texts with the entry's own folder under a fixed name, since an artifact must not tell where it was compiled. Imports
 * look beside the importing file first, then at the root and in `models/`: both stay as they are. Packages are looked for in every
 * folder above, so all of them can stand at the root.
 */
export function portableSources(entry: string, files: Readonly<Record<string, string>>): Pick<SourceRecord, 'entry' | 'files'> {
  const folder = entry.slice(0, entry.lastIndexOf('/') + 1)
  const isShipped = (path: string): boolean => /^(std|models)\//.test(path)
  const moved = (path: string): string => {
    const inPackage = path.search(/(?<=^|\/)node_modules\//)
    if (inPackage >= 0) return path.slice(inPackage)
    return path.startsWith(folder) && (folder !== '' || !isShipped(path)) ? `model/${path.slice(folder.length)}` : path
  }
  const texts: Record<string, string> = Object.create(null)
  for (const [path, text] of Object.entries(files)) texts[moved(path)] = text
  return { entry: moved(entry), files: texts }
}

/** A reader that keeps what it gave. */
export function recordSources(read: ReadSource): { readonly read: ReadSource; readonly files: Record<string, string> } {
  // Paths come from imports in a user's text: no key may reach a prototype.
  const files: Record<string, string> = Object.create(null)
  return {
    files,
    read(path) {
      const text = read(path)
      if (text !== undefined) files[path] = text
      return text
    },
  }
}

const isTexts = (value: unknown): value is Record<string, string> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every((text) => typeof text === 'string')
const isNames = (value: unknown): value is string[] => Array.isArray(value) && value.every((name) => typeof name === 'string')

/** The record in a file's bytes. E_ARTIFACT_MANIFEST when it has another shape. */
export function parseSourceRecord(bytes: Uint8Array): SourceRecord {
  const wrong = (): never => {
    throw new LlamacError('E_ARTIFACT_MANIFEST', `${sourceRecordFile} does not have the right shape`)
  }
  let value: Partial<Record<keyof SourceRecord, unknown>>
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) ?? {}
  } catch {
    return wrong()
  }
  const { entry, model, files, maximum, targets, disabledPasses, taps } = value
  const known: readonly string[] = ['wasm', 'webgpu', 'reference'] satisfies TargetName[]
  if (
    typeof entry !== 'string' ||
    typeof model !== 'string' ||
    !isTexts(files) ||
    !isNames(targets) ||
    !isNames(disabledPasses) ||
    !(taps === undefined || isNames(taps))
  )
    return wrong()
  if (
    typeof maximum !== 'object' ||
    maximum === null ||
    !Object.values(maximum).every(Number.isSafeInteger) ||
    !targets.every((name) => known.includes(name))
  )
    return wrong()
  const record = { entry, model, files, maximum: maximum as Record<string, number>, targets: targets as TargetName[], disabledPasses }
  return { ...record, ...(taps ? { taps } : {}) }
}
