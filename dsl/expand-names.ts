// What the declarations of several files are called in one: their own names as long as these are free. An op must not take the
// name of a primitive, which other files' texts mean by it. Ops of the library are imported under their names, or copied if
// a name is taken.

import { primitiveNames } from './check/primitives/names.ts'
import type { Declared } from './resolve/modules.ts'

export class Names {
  readonly #names = new Map<Declared, string>()
  readonly #taken: Set<string>
  /** Names by module of the library. */
  readonly imports = new Map<string, string[]>()

  constructor() {
    this.#taken = new Set(primitiveNames)
  }

  /** `copied` tells whether the declaration's text is needed: it is asked for once. */
  of(declared: Declared): { readonly name: string; readonly copied: boolean } {
    const known = this.#names.get(declared)
    if (known !== undefined) return { name: known, copied: false }
    const wanted = declared.tree.name.text
    const isFree = !this.#taken.has(wanted)
    const module = declared.module.name
    const name = isFree ? wanted : this.#other(`${wanted}_${module.slice(module.lastIndexOf('.') + 1)}`)
    this.#names.set(declared, name)
    this.#taken.add(name)
    const imported = isFree && declared.module.source.path.startsWith('std/')
    if (imported) this.imports.set(module, [...(this.imports.get(module) ?? []), name])
    return { name, copied: !imported }
  }

  #other(wanted: string): string {
    for (let i = 2, name = wanted; ; i++) {
      if (!this.#taken.has(name)) return name
      name = `${wanted}_${i}`
    }
  }
}
