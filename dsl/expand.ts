// A model that inherits as one file that does not: `extends`, `override`, `super`, `drop`, `replace`, `inherit` and imports from
// files are carried out as texts, the library stays imported. What comes out means the same (tests: the same checkpoint bindings
// and the same bytes). Each block is written once, since what a replacement does in it depends on the block alone.

import type { Entry, Fn, Rule, WeightPath } from './ast.ts'
import { isDeclaredIn } from './check/checkpoints.ts'
import type { Home } from './check/instances.ts'
import { isTensorType } from './check/parameters.ts'
import { Names } from './expand-names.ts'
import { renamed, sliceOf, type Surroundings, Unexpandable } from './expand-text.ts'
import { format } from './format.ts'
import { parse } from './parse.ts'
import type { FlatBlock, FlatEntry, FlatFn, FlatMember } from './resolve/blocks.ts'
import type { FlatConfig } from './resolve/configs.ts'
import type { Declared } from './resolve/modules.ts'
import { formatKey, type FlatTable } from './resolve/tables.ts'

export interface Expanded {
  readonly text?: string
  /** Why there is none. */
  readonly problem?: string
}

/**
 * The text of a checked model in one file. `home` is that of its generic check. `isComplete` tells of a table that the model only
 * inherited whether it names every weight: if it does not, no file of that kind is meant for the model, and it is left out.
 */
export function expand(model: FlatBlock, home: Home, isComplete: (table: FlatTable) => boolean): Expanded {
  try {
    const text = new Expansion(model, home, (table) => table.rules.some(({ own }) => own) || isComplete(table)).text()
    const source = { path: 'expanded.dsl', text }
    const { tree, diagnostics } = parse(source)
    if (!tree) throw new Error(`internal: the expanded text cannot be read: ${diagnostics[0]?.message}`)
    return { text: format(tree, source) }
  } catch (cause) {
    if (cause instanceof Unexpandable) return { problem: cause.message }
    throw cause
  }
}

class Expansion {
  readonly #model: FlatBlock
  readonly #home: Home
  readonly #isMeant: (table: FlatTable) => boolean
  readonly #names = new Names()
  readonly #ops: string[] = []
  readonly #blocks: string[] = []

  constructor(model: FlatBlock, home: Home, isMeant: (table: FlatTable) => boolean) {
    this.#model = model
    this.#home = home
    this.#isMeant = isMeant
    // The model keeps its name, whatever it contains.
    this.#names.of(model.declared)
    if (model.config) this.#names.of(model.config.declared)
  }

  text(): string {
    const model = this.#block(this.#model)
    const imports = [...this.#names.imports].map(([module, names]) => `import ${module} { ${names.join(', ')} }`)
    const config = this.#model.config ? [configText(this.#model.config)] : []
    const head = [`module ${this.#model.declared.module.name}`, imports.join('\n')]
    return `${[...head, ...config, ...this.#ops, ...this.#blocks, model].filter((part) => part !== '').join('\n\n')}\n`
  }

  readonly #nameOf = (declared: Declared): string => {
    const { name, copied } = this.#names.of(declared)
    if (!copied) return name
    const { tree, module } = declared
    if (tree.kind === 'op') {
      const title = { start: tree.name.span.start, end: tree.name.span.end, text: name }
      const text = renamed(tree, { module, nameOf: this.#nameOf }, name === tree.name.text ? [] : [title])
      this.#ops.push(documented(tree.doc, text))
    } else {
      const block = this.#home.flat(declared)
      if (!block) throw new Error(`internal: ${tree.name.text} was checked and cannot be found`)
      this.#blocks.push(this.#block(block, name))
    }
    return name
  }

  #block(block: FlatBlock, name: string = block.name): string {
    const { tree } = block.declared
    const config = block.config && this.#model.config
    const params = block.params.length > 0 ? `(${block.params.map((p) => sliceOf(p.tree.span)).join(', ')})` : ''
    let wasFunction = true
    // Weights, states and parts stand together where they follow each other; each function is a paragraph.
    const members: string[][] = []
    for (const member of block.members.values()) {
      const isFunction = member.kind === 'fn' || member.kind === 'entry'
      const texts = this.#member(block, member)
      if (isFunction) members.push(...texts.map((text) => [text]))
      else if (wasFunction) members.push(texts)
      else members.at(-1)!.push(...texts)
      wasFunction = isFunction
    }
    const groups = [
      block.requires.map((require) => sliceOf(require.tree.span)),
      ...members,
      [...block.ranges.values()].map((range) => sliceOf(range.tree.span)),
      ...[...block.tables.values()].filter(this.#isMeant).map((table) => [this.#table(table)]),
      [...block.presets.values()].map((preset) => sliceOf(preset.span)),
    ]
    const body = groups.flatMap((group) => (group.length > 0 ? [group.join('\n')] : [])).join('\n\n')
    return documented(
      'doc' in tree ? tree.doc : undefined,
      `${block.kind} ${name}${params}${config ? ` uses ${config.name}` : ''} {\n${body}\n}`,
    )
  }

  #member(block: FlatBlock, member: FlatMember): string[] {
    if (member.kind === 'fn' || member.kind === 'entry') return this.#functions(block, member)
    const text = renamed(member.tree, { module: member.module, block, home: this.#home, nameOf: this.#nameOf })
    return [documented(member.tree.doc, withoutOverride(text))]
  }

  /** A function, after the inherited versions of it that it calls. */
  #functions(block: FlatBlock, member: FlatFn | FlatEntry, name?: string): string[] {
    const before: string[] = []
    const { inherited, tree } = member
    this.#checkSizes(block, tree)
    const around: Surroundings = {
      module: member.module,
      block,
      home: this.#home,
      nameOf: this.#nameOf,
      ...(inherited
        ? {
            inherited: () => {
              const other = freeName(`${member.name}_of_${inherited.owner.tree.name.text}`, block)
              if (before.length === 0) before.push(...this.#functions(block, inherited, other))
              return other
            },
          }
        : {}),
    }
    const title = name === undefined ? [] : [{ start: tree.name.span.start, end: tree.name.span.end, text: name }]
    const definition = tree.kind === 'fn' ? tree : tree.definition.kind === 'body' ? tree.definition : undefined
    const text = withoutOverride(renamed({ ...definition, span: tree.span }, around, title))
    return [...before, documented(name === undefined ? tree.doc : undefined, name === undefined ? text : text.replace(/^entry\b/, 'fn'))]
  }

  /** In one file every block sees the whole config, so no field may have the name of a size that the caller brings. */
  #checkSizes(block: FlatBlock, tree: Fn | Entry): void {
    const params = tree.kind === 'fn' ? tree.params : tree.definition.kind === 'body' ? tree.definition.params : []
    for (const { type } of params) {
      for (const axis of isTensorType(type) ? (type.axes ?? []) : []) {
        const name = axis.kind === 'axis' && axis.size.kind === 'name' ? axis.size.name : undefined
        if (name === undefined || !this.#model.config?.fields.has(name) || block.config?.fields.has(name)) continue
        throw new Unexpandable(
          `\`${name}\` is a size that callers of ${block.name}.${tree.name.text} bring, and a field of ${this.#model.config.name}: rename one of them`,
        )
      }
    }
  }

  #table({ format: kind, arch, rules }: FlatTable): string {
    const kept = rules.filter(({ tree }, i) => {
      const later = rules.slice(i + 1).map((rule) => rule.tree)
      if (tree.kind === 'ignore') return !later.some((rule) => rule.kind === 'ignore' && rule.glob === tree.glob)
      if (tree.kind === 'expect') return !later.some((rule) => rule.kind === 'expect' && rule.key === tree.key)
      if (!tree.targets.every((target) => isDeclaredIn(target, this.#model, this.#home))) return false
      return !tree.targets.every((target) => later.some((rule) => takesOver(rule, target)))
    })
    return `checkpoint ${formatKey(kind, arch)} {\n${kept.map(({ tree }) => sliceOf(tree.span)).join('\n')}\n}`
  }
}

const takesOver = (rule: Exclude<Rule, { kind: 'inherit' }>, target: WeightPath): boolean =>
  rule.kind === 'bind' && !rule.when && rule.targets.some((other) => pathKey(other) === pathKey(target))

/** The names of indices do not matter. */
const pathKey = ({ steps }: WeightPath): string => steps.map(({ name, index }) => name.text + (index ? '[]' : '')).join('.')

function configText({ name, fields, requires }: FlatConfig): string {
  const lines = [...fields.values()].map(({ name: field, type, default: value, annotations }) =>
    // Two blanks begin a column for the formatter.
    [
      `${field}:  ${sliceOf(type.span)}`,
      ...(value ? [`= ${sliceOf(value.span)}`] : []),
      ...[...annotations.values()].map((a) => sliceOf(a.span)),
    ].join('  '),
  )
  return `config ${name} {\n${[...lines, ...requires.map(({ tree }) => sliceOf(tree.span))].join('\n')}\n}`
}

const documented = (doc: string | undefined, text: string): string =>
  doc === undefined
    ? text
    : `${doc
        .split('\n')
        .map((line) => `/// ${line}`)
        .join('\n')}\n${text}`

const withoutOverride = (text: string): string => text.replace(/^override\s+/, '')

function freeName(wanted: string, block: FlatBlock): string {
  let name = wanted
  while (block.members.has(name)) name += '_'
  return name
}
