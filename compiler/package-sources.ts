// What ships with the package, for programs in Node: the language's library, the models, and one model's weights. Behind the texts
// stay the caller's own sources. Nothing else in the compiler's path from text to artifact touches files.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { ReadSource } from '../dsl/model.ts'
import { LlamacError } from '../runtime/error.ts'

// The library lies beside this folder, in the sources and in dist; models lie at the package's root, one folder further up in dist.
const library = new URL('../dsl/', import.meta.url)
const roots = [new URL('../', import.meta.url), new URL('../../', import.meta.url)]

const existing = (path: string, base: URL): string | undefined => {
  const file = fileURLToPath(new URL(path, base))
  return existsSync(file) ? file : undefined
}

const text = (path: string, base: URL): string | undefined => {
  const file = existing(path, base)
  return file === undefined ? undefined : readFileSync(file, 'utf8')
}

/** `own` first (never for `std/…`), then `std/*.dsl` and `models/*.dsl` of the package. */
export function packageSources(own: ReadSource | ReadonlyMap<string, string> = new Map()): ReadSource {
  const readOwn: ReadSource = typeof own === 'function' ? own : (path) => own.get(path)
  return (path) => {
    if (/^std\/\w+\.dsl$/.test(path)) return text(path, library)
    const found = readOwn(path)
    if (found !== undefined || !/^models\/\w+\.dsl$/.test(path)) return found
    return roots.map((root) => text(path, root)).find((each) => each !== undefined)
  }
}

/** The model files that ship, as `packageSources` reads them. */
export function modelPaths(): string[] {
  const folder = roots.map((root) => existing('models/', root)).find((each) => each !== undefined)
  return folder === undefined
    ? []
    : readdirSync(folder)
        .filter((name) => /^\w+\.dsl$/.test(name))
        .sort()
        .map((name) => `models/${name}`)
}

export interface ShippedModel {
  /** The file of the model. */
  readonly entry: string
  /** Its checkpoint, for `openCheckpoint`. */
  readonly weights: string
}

/** The small trained LLaMA of models/default, by paths in the package. E_CHECKPOINT_NOT_FOUND when they were not installed. */
export function defaultModel(): ShippedModel {
  const find = (path: string): string => {
    const file = roots.map((root) => existing(path, root)).find((each) => each !== undefined)
    if (file === undefined) throw new LlamacError('E_CHECKPOINT_NOT_FOUND', `${path} is not in this package: install it again`)
    return file
  }
  return { entry: find('models/llama.dsl'), weights: find('models/default/model.gguf') }
}
