// `replace A with B(name: value) [in C]` of a model and its parents, as declarations found by identity, in order from root to
// leaf; and whether B can stand where A stood.

import type { Axis, Expr, Param, TypeExpr } from '../ast.ts'
import type { Replacement } from '../check/instances.ts'
import { nearName, type Report } from '../check/report.ts'
import type { FlatBlock } from './blocks.ts'
import { type Declared, declaredIn, type Module } from './modules.ts'

/** The model's replacements; those with mistakes are reported and left out. */
export function replacementsOf(model: FlatBlock, flat: (d: Declared) => FlatBlock | undefined, report: Report): Replacement[] {
  const list: Replacement[] = []
  for (const { tree, module } of model.replaces) {
    const find = (name: { text: string; span: Expr['span'] }): Declared | undefined => {
      const found = module.names.get(name.text)
      if (found && found.tree.kind !== 'config') return found
      const all = declaredIn(module, 'op', 'block', 'model')
      report.unknown(`there is no op or block called \`${name.text}\` here`, name.text, name.span, all, 'import it')
      return undefined
    }
    const what = find(tree.what)
    const by = find(tree.by)
    const within = tree.in && find(tree.in)
    if (!what || !by || (tree.in && !within)) continue
    const args: { name: Param['name']; value: Expr }[] = []
    for (const arg of tree.args) {
      if (arg.kind === 'named') args.push({ name: arg.name, value: arg.value })
      else report.add('L321', 'a replacement binds its values by name', [{ span: arg.span }], { help: 'name: value' })
    }
    if (
      !agree(
        what,
        by,
        args.map((a) => a.name.text),
        flat,
        tree.span,
        report,
      )
    )
      continue
    list.push({ what, by, args, ...(within ? { in: within } : {}), module, span: tree.span })
  }
  return list
}

/** The text that a replacement is judged by: an op's signature, or that of a block's `forward`. */
function headOf(declared: Declared, flat: (d: Declared) => FlatBlock | undefined): Expr['span'] {
  const { tree } = declared
  const forward = tree.kind === 'block' ? flat(declared)?.members.get('forward') : undefined
  const of = tree.kind === 'op' ? tree : forward?.kind === 'fn' ? forward.tree : undefined
  return of ? { ...of.name.span, end: (of.result ?? of.params.at(-1) ?? of.name).span.end } : tree.name.span
}

interface Signature {
  readonly params: readonly Param[]
  readonly result?: TypeExpr
  readonly module: Module
}

function agree(
  what: Declared,
  by: Declared,
  bound: readonly string[],
  flat: (d: Declared) => FlatBlock | undefined,
  span: Expr['span'],
  report: Report,
): boolean {
  const names = `replace ${what.tree.name.text} with ${by.tree.name.text}`
  const places = [{ span }, { span: what.tree.name.span, text: 'this' }, { span: by.tree.name.span, text: 'by this' }]
  if (what.tree.kind !== by.tree.kind) {
    report.add(
      'L415',
      `\`${names}\`: one is ${what.tree.kind === 'op' ? 'an op' : 'a block'}, the other ${by.tree.kind === 'op' ? 'an op' : 'a block'}`,
      places,
    )
    return false
  }
  if ([what, by].some((d) => report.hasErrorIn(headOf(d, flat)))) return false
  if (what.tree.kind === 'op' && by.tree.kind === 'op') {
    const [a, b] = [
      { ...what.tree, module: what.module },
      { ...by.tree, module: by.module },
    ]
    const problem = unlike(a, b, bound, () => false)
    if (problem)
      report.add('L415', `\`${names}\`: ${problem}`, places, { notes: [show(what.tree.name.text, a), show(by.tree.name.text, b)] })
    return !problem
  }
  const [a, b] = [flat(what), flat(by)]
  if (!a || !b) return false
  const missing = b.params.find(
    ({ tree }) =>
      !tree.default && !tree.type.optional && !bound.includes(tree.name.text) && !a.params.some((p) => p.tree.name.text === tree.name.text),
  )
  if (missing) {
    report.add('L415', `\`${names}\`: nothing gives \`${missing.tree.name.text}\``, places, {
      help: `bind it: ${by.tree.name.text}(${missing.tree.name.text}: …)`,
    })
    return false
  }
  const [f, g] = [a.members.get('forward'), b.members.get('forward')]
  if (f?.kind !== 'fn') return true
  if (g?.kind !== 'fn') {
    const functions = [...b.members].flatMap(([n, m]) => (m.kind === 'fn' ? [[n, m.tree.name.span] as const] : []))
    const near = nearName('forward', new Map(functions))
    const more = near.help ? { help: near.help } : {}
    report.add('L415', `\`${names}\`: ${b.name} has no \`forward\``, [...places, ...near.places], more)
    return false
  }
  const isField = (name: string): boolean => (a.config?.fields.has(name) ?? false) || (b.config?.fields.has(name) ?? false)
  const [fs, gs] = [
    { ...f.tree, module: f.module },
    { ...g.tree, module: g.module },
  ]
  const problem = unlike(fs, gs, [], isField)
  if (problem)
    report.add('L415', `\`${names}\`: ${problem}`, places, { notes: [show(`${a.name}.forward`, fs), show(`${b.name}.forward`, gs)] })
  return !problem
}

const text = (span: Expr['span']): string => span.source.text.slice(span.start, span.end).replace(/\s+/g, ' ')

const show = (name: string, s: Signature): string =>
  `${name}(${s.params.map((p) => text(p.span)).join(', ')})${s.result ? ` -> ${text(s.result.span)}` : ''}`

/**
 * Why calls of `a` cannot be calls of `b` with some values bound; undefined if they can. Names of sizes do not matter, only which of
 * them are the same: they are numbered in the order of their appearance.
 */
export function unlike(a: Signature, b: Signature, bound: readonly string[], isField: (name: string) => boolean): string | undefined {
  const [x, y] = [new Numbering(isField), new Numbering(isField)]
  for (const [i, param] of a.params.entries()) {
    const other = b.params[i]
    const required = !param.default && !param.type.optional
    if (!other) {
      if (required) return `the second has no parameter for \`${param.name.text}\``
      continue
    }
    const [p, q] = [x.type(param.type), y.type(other.type)]
    if (required && p !== q) return `parameters differ: \`${text(param.type.span)}\` and \`${text(other.type.span)}\``
  }
  for (const param of b.params.slice(a.params.length)) {
    if (!param.default && !param.type.optional && !bound.includes(param.name.text)) return `nothing gives \`${param.name.text}\``
  }
  if (!a.result !== !b.result) return 'results differ: one gives nothing'
  if (a.result && b.result && x.type(a.result) !== y.type(b.result))
    return `results differ: \`${text(a.result.span)}\` and \`${text(b.result.span)}\``
  return undefined
}

class Numbering {
  readonly #numbers = new Map<string, number>()
  readonly #isField: (name: string) => boolean

  constructor(isField: (name: string) => boolean) {
    this.#isField = isField
  }

  type(type: TypeExpr): string {
    const axes = type.axes?.map((axis) => this.#axis(axis)).join(',')
    return `${type.name.text}${axes === undefined ? '' : `[${axes}]`}${type.optional ? '?' : ''}`
  }

  #axis(axis: Axis): string {
    if (axis.kind === 'row') return `..${this.#number(axis.name?.text ?? '')}`
    const name = axis.label?.text ?? ''
    return this.#isField(name) ? name : String(this.#number(name))
  }

  #number(name: string): number {
    const old = this.#numbers.get(name)
    if (old !== undefined) return old
    this.#numbers.set(name, this.#numbers.size)
    return this.#numbers.size - 1
  }
}
