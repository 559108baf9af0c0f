// The texts that ship with the package, for programs in Node: the language's library and the models. Behind them stay the
// caller's own sources. Nothing else in the compiler's path from text to artifact touches files.

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { ReadSource } from '../dsl/model.ts'

// The library lies beside this folder, in the sources and in dist; models lie at the package's root, one folder further up in dist.
const library = new URL('../dsl/', import.meta.url)
const roots = [new URL('../', import.meta.url), new URL('../../', import.meta.url)]

const text = (path: string, base: URL): string | undefined => {
  const file = fileURLToPath(new URL(path, base))
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
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
