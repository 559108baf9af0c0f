// `config B extends A`: the fields of a config with everything it inherits. Re-assigning keeps the type and each annotation
// that is not repeated; an unknown field is an error.

import type { Annotation, ConfigDecl, Expr, Require, TypeExpr } from '../ast.ts'
import type { Span } from '../source.ts'
import { didYouMean, type Report } from '../check/report.ts'
import { flattenOnce } from './flatten-once.ts'
import type { Declared, Module } from './modules.ts'

export interface FlatField {
  readonly name: string
  readonly type: TypeExpr
  readonly default?: Expr
  /** By annotation name: `hf`, `gguf`. */
  readonly annotations: ReadonlyMap<string, Annotation>
  readonly span: Span
  /** Where the default was written: its text is looked up there. */
  readonly module: Module
}

export interface FlatConfig {
  readonly name: string
  readonly declared: Declared
  /** This declaration and those it extends, leaf first. */
  readonly chain: readonly Declared[]
  readonly fields: ReadonlyMap<string, FlatField>
  readonly requires: readonly { readonly tree: Require; readonly module: Module }[]
}

const compileTypes = ['dim', 'int', 'float', 'bool', 'text']

/** Flattens a config declaration; undefined (with a message) if it is not one or its parents are in a circle. */
export const flattenConfig = flattenOnce<FlatConfig>((declared, report, flatParent) => {
  const { tree, module } = declared
  if (tree.kind !== 'config') return undefined
  const found = parentOf(declared, tree, report)
  const parent = found && tree.extends && flatParent(found, tree.extends)
  if (tree.extends && !parent) return undefined
  const fields = new Map(parent?.fields)
  const requires = [...(parent?.requires ?? []), ...tree.requires.map((r) => ({ tree: r, module }))]
  const firsts = new Map(tree.fields.toReversed().map((field) => [field.name.text, field]))
  for (const field of tree.fields) {
    const name = field.name.text
    const old = fields.get(name)
    const own = firsts.get(name)
    if (own && own !== field) {
      report.add('L204', `\`${name}\` is set twice`, [
        { span: field.name.span, text: 'here again' },
        { span: own.name.span, text: 'first here' },
      ])
      continue
    }
    const type = field.type ?? old?.type
    if (!type) {
      const help = didYouMean(name, fields.keys()) ?? `a new field needs a type: ${name}: dim = …`
      report.add('L201', `${tree.name.text} has no field \`${name}\` to set`, [{ span: field.name.span }], { help })
      continue
    }
    if (!compileTypes.includes(type.name.text)) {
      report.add('L205', `a config field cannot be of type \`${type.name.text}\``, [{ span: type.name.span }], {
        help: `one of ${compileTypes.join(', ')}`,
      })
    }
    const annotations = new Map(old?.annotations)
    for (const annotation of field.annotations) {
      if (annotation.args.length === 0) annotations.delete(annotation.name.text)
      else annotations.set(annotation.name.text, annotation)
    }
    const value = field.default ?? old?.default
    const home = field.default || !old ? module : old.module
    fields.set(name, { name, type, ...(value ? { default: value } : {}), annotations, span: field.name.span, module: home })
  }
  return { name: tree.name.text, declared, chain: [declared, ...(parent?.chain ?? [])], fields, requires }
})

function parentOf(declared: Declared, tree: ConfigDecl, report: Report): Declared | undefined {
  if (!tree.extends) return undefined
  const { text, span } = tree.extends
  const found = declared.module.names.get(text)
  if (found?.tree.kind !== 'config') {
    const configs = [...declared.module.names].filter(([, d]) => d.tree.kind === 'config').map(([n]) => n)
    const more = didYouMean(text, configs)
    report.add('L201', `there is no config called \`${text}\``, [{ span }], more ? { help: more } : {})
    return undefined
  }
  return found
}
