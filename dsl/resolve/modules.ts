// Files and the names in them: reads the entry file and everything it imports, parses each once, and gives every module the
// table of declarations that its texts may name. A declaration's identity is its `Declared` object, wherever it is imported.

import type { Declaration, FileTree, Import } from '../ast.ts'
import type { Diagnostic } from '../diagnostics.ts'
import type { ReadSource } from '../model.ts'
import { parse } from '../parse.ts'
import type { Source, Span } from '../source.ts'
import type { Report } from '../check/report.ts'
import { candidatePaths } from './import-paths.ts'

export interface Declared {
  readonly tree: Declaration
  readonly module: Module
}

export interface Module {
  /** Dotted path as declared: `std.nn`. */
  readonly name: string
  readonly source: Source
  readonly tree: FileTree
  /** Own and imported declarations by name. */
  readonly names: Map<string, Declared>
  /** Modules this one imports. */
  readonly imports: Module[]
}

/** The declarations of some kinds that a module's texts may name, with their places. */
export const declaredIn = (module: Module, ...kinds: readonly Declaration['kind'][]): Map<string, Span> =>
  new Map([...module.names].filter(([, d]) => kinds.includes(d.tree.kind)).map(([name, d]) => [name, d.tree.name.span]))

/** Loads `entryPath` and its imports; undefined if the entry itself cannot be read or parsed. */
export function loadModules(entryPath: string, read: ReadSource, report: Report): { entry?: Module; parseDiagnostics: Diagnostic[] } {
  const loader = { read, report, loaded: new Map<string, Module | 'loading' | 'failed'>(), parseDiagnostics: [] as Diagnostic[] }
  const text = read(entryPath)
  if (text === undefined) {
    report.add('L202', `there is no file ${entryPath}`, [])
    return { parseDiagnostics: [] }
  }
  const entry = loadText(loader, entryPath, text)
  return entry ? { entry, parseDiagnostics: loader.parseDiagnostics } : { parseDiagnostics: loader.parseDiagnostics }
}

interface Loader {
  readonly read: ReadSource
  readonly report: Report
  /** Each file is read once, also one that does not parse: its errors are told once. */
  readonly loaded: Map<string, Module | 'loading' | 'failed'>
  readonly parseDiagnostics: Diagnostic[]
}

function loadText(loader: Loader, path: string, text: string): Module | undefined {
  loader.loaded.set(path, 'loading')
  const source: Source = { path, text }
  const { tree, diagnostics } = parse(source)
  loader.parseDiagnostics.push(...diagnostics)
  if (!tree) {
    loader.loaded.set(path, 'failed')
    return undefined
  }
  const module: Module = { name: tree.module, source, tree, names: new Map(), imports: [] }
  for (const item of tree.imports) importNames(loader, module, item)
  for (const declaration of tree.declarations) {
    const { text: name, span } = declaration.name
    const old = module.names.get(name)
    if (old) {
      const places = [
        { span, text: 'here again' },
        { span: old.tree.name.span, text: 'first declared here' },
      ]
      loader.report.add('L204', `\`${name}\` is declared twice`, places, { help: 'rename one of them' })
    } else module.names.set(name, { tree: declaration, module })
  }
  loader.loaded.set(path, module)
  return module
}

function importNames(loader: Loader, into: Module, item: Import): void {
  const from = importedModule(loader, into, item)
  if (!from) {
    // The names exist as far as later messages are concerned: the missing file has been reported.
    return
  }
  into.imports.push(from)
  for (const name of item.names) {
    const declared = from.names.get(name.text)
    if (declared) into.names.set(name.text, declared)
    else {
      const own = new Map([...from.names].filter(([, d]) => d.module === from).map(([n, d]) => [n, d.tree.name.span]))
      const all = `it has ${[...own.keys()].join(', ') || 'no declarations'}`
      loader.report.unknown(`${item.path} has nothing called \`${name.text}\``, name.text, name.span, own, all)
    }
  }
}

function importedModule(loader: Loader, into: Module, item: Import): Module | undefined {
  const candidates = candidatePaths(into.source.path, item)
  for (const path of candidates) {
    const known = loader.loaded.get(path)
    if (known === 'loading') {
      loader.report.add('L203', `${item.path} imports itself in a circle`, [{ span: item.span }])
      return undefined
    }
    if (known) return known === 'failed' ? undefined : known
    const text = loader.read(path)
    if (text !== undefined) return loadText(loader, path, text)
  }
  loader.report.add('L202', `cannot find the module ${item.path}`, [{ span: item.span }], { help: whereLooked(item, candidates) })
  return undefined
}

function whereLooked(item: Import, candidates: readonly string[]): string {
  if (item.path.startsWith('std.') && !item.isPackage) return 'the library has std.nn, std.rope and std.attention'
  if (candidates.length === 0) return 'a string is a package and a file in it: "@acme/models/llama"'
  return `looked for ${candidates.join(', ')}`
}
