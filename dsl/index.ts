// The language half in one call: read, parse, resolve, check with unknown numbers; then `specialise` with numbers and
// `elaborate` into a listener. Pure but for `read`; mistakes of the author are diagnostics, never exceptions.

import { genericHome } from './config.ts'
import { checkModule, checkModuleTables } from './check/program.ts'
import { didYouMean, Report } from './check/report.ts'
import type { Diagnostic } from './diagnostics.ts'
import { expand } from './expand.ts'
import type { CheckedModel, ReadSource, SpecialisedModel } from './model.ts'
import { type FlatBlock, flattenBlock } from './resolve/blocks.ts'
import { type Declared, loadModules, type Module } from './resolve/modules.ts'
import { replacementsOf } from './resolve/replacements.ts'
import { specialise } from './specialise.ts'

export type { Affine, Binding, Bounds } from './affine.ts'
export type * from './diagnostics.ts'
export type * from './model.ts'
export * from './sink.ts'
export * from './source.ts'

export interface Loaded {
  readonly model?: CheckedModel
  readonly diagnostics: readonly Diagnostic[]
}

/**
 * Loads and checks a file and everything it imports. `options.model` names the model when the file declares several (default:
 * the last). There is a model unless an error was found; warnings stand beside it. `read` gets paths such as `models/llama.dsl`
 * and `std/nn.dsl`.
 */
export function loadModel(entryPath: string, read: ReadSource, options: { readonly model?: string } = {}): Loaded {
  const report = new Report()
  const { entry, parseDiagnostics } = loadModules(entryPath, read, report)
  const diagnostics = (): Diagnostic[] => sorted([...parseDiagnostics, ...report.diagnostics])
  const failed = (): boolean => diagnostics().some((d) => d.severity === 'error')
  if (!entry || failed()) return { diagnostics: diagnostics() }
  const flat = (declared: Declared): FlatBlock | undefined => flattenBlock(declared, report)
  const modules = everyModule(entry)
  for (const module of modules) checkModule(module, flat, report)
  if (!failed()) for (const module of modules) checkModuleTables(module, flat, report)
  const models = [...entry.names.values()].filter((d) => d.module === entry && d.tree.kind === 'model')
  const chosen = options.model === undefined ? models.at(-1) : models.find((d) => d.tree.name.text === options.model)
  if (!chosen) {
    const names = models.map((d) => d.tree.name.text)
    if (options.model !== undefined) {
      report.add('L201', `${entryPath} has no model \`${options.model}\``, [], {
        help: didYouMean(options.model, names) ?? `it has ${names.join(', ') || 'none'}`,
      })
    }
    return { diagnostics: diagnostics() }
  }
  const block = flat(chosen)
  if (!block || failed()) return { diagnostics: diagnostics() }
  const model: CheckedModel = {
    name: block.name,
    module: entry.name,
    presets: [...block.presets.keys()],
    checkpoints: [...block.tables.values()].map(({ format, arch, rules }) => ({
      format,
      ...(arch === undefined ? {} : { arch }),
      own: rules.some((rule) => rule.own),
    })),
    specialise: (numbers) => specialise(block, flat, numbers),
    expand: () => {
      const home = genericHome(block.config, flat, replacementsOf(block, flat, new Report()), new Report())
      let sizes: SpecialisedModel[] | undefined
      return expand(block, home, ({ format, arch }) => {
        sizes ??= [{}, ...[...block.presets.keys()].map((preset) => ({ preset }))].flatMap((n) => specialise(block, flat, n).model ?? [])
        return sizes.every((size) => size.checkpoint(format, arch).diagnostics.length === 0)
      })
    },
  }
  return { model, diagnostics: diagnostics() }
}

/** The entry's module after those it imports. */
function everyModule(entry: Module): Module[] {
  const order: Module[] = []
  const visit = (module: Module): void => {
    if (order.includes(module)) return
    for (const other of module.imports) visit(other)
    if (!order.includes(module)) order.push(module)
  }
  visit(entry)
  return order
}

function sorted(diagnostics: Diagnostic[]): Diagnostic[] {
  const place = (d: Diagnostic): [string, number] => [d.labels[0]?.span.source.path ?? '', d.labels[0]?.span.start ?? 0]
  return diagnostics.sort((a, b) => {
    const [p, i] = place(a)
    const [q, j] = place(b)
    return p < q ? -1 : p > q ? 1 : i - j
  })
}
