// `config B extends A`: the fields of a config with everything it inherits. Re-assigning keeps the type and each annotation
// that is not repeated; an unknown field is an error.

import type { Annotation, ConfigDecl, Expr, Name, Require, TypeExpr } from '../ast.ts'
import type { Span } from '../source.ts'
import { checkAnnotations } from '../check/annotations.ts'
import { didYouMean, type Report } from '../check/report.ts'
import { flattenOnce } from './flatten-once.ts'
import { type Declared, declaredIn, type Module } from './modules.ts'

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

/** Whether a field can be of this type; what cannot has been reported and is not judged further. */
export const isCompileType = (type: TypeExpr): boolean => compileTypes.includes(type.name.text)

/** Reports a setting of a field that the config does not have. */
export function noField(report: Report, config: FlatConfig | undefined, name: Name): void {
  const fields = new Map([...(config?.fields ?? [])].map(([n, f]) => [n, f.span]))
  const all = `it has ${[...fields.keys()].join(', ') || 'none'}`
  report.unknown(`${config?.name ?? 'the model'} has no field \`${name.text}\``, name.text, name.span, fields, all)
}

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
      const known = new Map([...fields].map(([n, f]) => [n, f.span]))
      const fix = `a new field needs a type: ${name}: dim = …`
      report.unknown(`${tree.name.text} has no field \`${name}\` to set`, name, field.name.span, known, fix)
      continue
    }
    if (field.type && !isCompileType(type)) {
      report.add('L205', `a config field cannot be of type \`${type.name.text}\``, [{ span: type.name.span }], {
        help: didYouMean(type.name.text, compileTypes) ?? `one of ${compileTypes.join(', ')}`,
      })
    } else if (field.type?.axes && field.type.axes.length !== 1) {
      report.add('L205', 'a list has one length', [{ span: type.span }], { help: `${type.name.text}[n]  or  ${type.name.text}[..]` })
    }
    checkAnnotations('config field', field.annotations, report)
    const annotations = new Map(old?.annotations)
    for (const annotation of field.annotations) {
      if (annotation.args.length === 0) {
        const { text: key } = annotation.name
        if (!annotations.delete(key) && (key === 'hf' || key === 'gguf')) {
          report.add('L238', `\`${name}\` has no inherited \`@${key}\` to remove`, [{ span: annotation.span }], { help: `@${key}("key")` })
        }
      } else annotations.set(annotation.name.text, annotation)
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
    report.unknown(`there is no config called \`${text}\``, text, span, declaredIn(declared.module, 'config'))
    return undefined
  }
  return found
}
