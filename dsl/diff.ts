// How two models differ, structurally: both are expanded first, so what counts is what they mean after all inheritance. Parts are
// compared by where they stand (`layers[i].attn`), not by the names of their blocks; texts by their words, so that layout and
// remarks do not count; config fields, rules and presets each by its name.

import type { BlockDecl, FileTree, Make, Member } from './ast.ts'
import { sliceOf } from './expand-text.ts'
import { parse } from './parse.ts'
import type { Span } from './source.ts'
import { lexer } from './tokens.ts'

export interface Difference {
  /** `config`, `layers[i].attn`, `tables` (whole ones), `checkpoint hf`, `presets`, `ops`; '' for the model's own members. */
  readonly where: string
  /** `fn forward`, `window`, `"7B"`. */
  readonly what: string
  /** Their texts; without one of them it is there on one side only. */
  readonly before?: string
  readonly after?: string
}

/** Named texts of one kind. */
type Items = ReadonlyMap<string, string>

/** What differs between two expanded texts, in the order of the first, then what only the second has. */
export function diffExpanded(before: string, after: string): Difference[] {
  const [a, b] = [read(before), read(after)]
  const differences: Difference[] = []
  const compare = (where: string, one: Items, other: Items): void => {
    for (const what of new Set([...one.keys(), ...other.keys()])) {
      const [x, y] = [one.get(what), other.get(what)]
      if (x !== undefined && y !== undefined && words(x) === words(y)) continue
      differences.push({ where, what, ...(x === undefined ? {} : { before: x }), ...(y === undefined ? {} : { after: y }) })
    }
  }
  const seen = new Set<string>()
  const blocks = (where: string, one: BlockDecl | undefined, other: BlockDecl | undefined): void => {
    const pair = `${one?.name.text} ${other?.name.text}`
    if (!one || !other || seen.has(pair)) return
    seen.add(pair)
    compare(where, membersOf(one), membersOf(other))
    for (const [name, left] of partsOf(one)) {
      const right = partsOf(other).get(name)
      const path = where === '' ? name : `${where}.${name}`
      left.forEach((block, i) => blocks(path, a.blocks.get(block), b.blocks.get(right?.[i] ?? '')))
    }
  }
  compare('config', a.config, b.config)
  blocks('', a.model, b.model)
  const whole = (tables: ReadonlyMap<string, Items>, other: ReadonlyMap<string, Items>): Items =>
    new Map([...tables].flatMap(([name, rules]) => (other.has(name) ? [] : [[name, [...rules.values()].join('\n')] as const])))
  compare('tables', whole(a.tables, b.tables), whole(b.tables, a.tables))
  for (const [name, rules] of a.tables) if (b.tables.has(name)) compare(name, rules, b.tables.get(name)!)
  compare('presets', a.presets, b.presets)
  compare('ops', a.ops, b.ops)
  return differences
}

interface Read {
  readonly config: Items
  readonly ops: Items
  readonly blocks: ReadonlyMap<string, BlockDecl>
  readonly model: BlockDecl | undefined
  readonly tables: ReadonlyMap<string, Items>
  readonly presets: Items
}

function read(text: string): Read {
  const { tree } = parse({ path: 'expanded.dsl', text })
  if (!tree) throw new Error('internal: an expanded text cannot be read')
  const configs = tree.declarations.filter((d) => d.kind === 'config')
  const ops = tree.declarations.filter((d) => d.kind === 'op')
  const blocks = tree.declarations.filter((d): d is BlockDecl => d.kind === 'block' || d.kind === 'model')
  const model = blocks.find((block) => block.kind === 'model')
  const tables = (model?.members ?? []).filter((m) => m.kind === 'checkpoint')
  const presets = (model?.members ?? []).filter((m) => m.kind === 'preset')
  const [config] = configs
  return {
    config: named([...(config?.fields ?? []).map((f) => [f.name.text, f.span] as const), ...(config?.requires ?? []).map(requirement)]),
    ops: new Map([...named(ops.map((op) => [op.name.text, op.span])), ...imported(tree)]),
    blocks: new Map(blocks.map((block) => [block.name.text, block])),
    model,
    tables: new Map(
      tables.map(({ format, rules }) => [`checkpoint ${sliceOf(format.span)}`, named(rules.map((r) => [ruleName(r), r.span]))]),
    ),
    presets: named(presets.map(({ name, span }) => [`"${name}"`, span])),
  }
}

const named = (items: readonly (readonly [string, Span])[]): Map<string, string> =>
  new Map(items.map(([name, span]) => [name, sliceOf(span)]))

const requirement = (require: { readonly span: Span; readonly condition: { readonly span: Span } }): readonly [string, Span] => [
  `require ${sliceOf(require.condition.span)}`,
  require.span,
]

/** Ops of the library are their names. */
const imported = ({ imports }: FileTree): [string, string][] =>
  imports.flatMap(({ path, names }) => names.map(({ text }): [string, string] => [text, `${path}.${text}`]))

function ruleName(rule: Extract<Member, { kind: 'checkpoint' }>['rules'][number]): string {
  if (rule.kind === 'bind')
    return rule.targets.map(({ span }) => sliceOf(span)).join(', ') + (rule.when ? ` when ${sliceOf(rule.when.span)}` : '')
  if (rule.kind === 'ignore') return `ignore "${rule.glob}"`
  return rule.kind === 'expect' ? `expect "${rule.key}"` : 'inherit'
}

/** Tables, presets and the blocks of parts have places of their own. */
function membersOf({ params, members }: BlockDecl): Map<string, string> {
  const items = named(params.map((param) => [`parameter ${param.name.text}`, param.span]))
  for (const member of members) {
    if (member.kind === 'require')
      items.set(...(requirement(member).map((x) => (typeof x === 'string' ? x : sliceOf(x))) as [string, string]))
    if (member.kind === 'part')
      items.set(`part ${member.name.text}`, withoutBlocks(sliceOf(member.span), member.span, makesOf(member.make)))
    else if ('name' in member && typeof member.name !== 'string') items.set(`${member.kind} ${member.name.text}`, sliceOf(member.span))
  }
  return items
}

const makesOf = (make: Make): Extract<Make, { kind: 'make' }>[] =>
  make.kind === 'make' ? [make] : [...makesOf(make.yes), ...makesOf(make.no)]

const partsOf = ({ members }: BlockDecl): Map<string, string[]> =>
  new Map(
    members.flatMap((m) => {
      if (m.kind !== 'part') return []
      return [[m.range ? `${m.name.text}[${m.range.index.text}]` : m.name.text, makesOf(m.make).map(({ block }) => block.text)]]
    }),
  )

/** What a block is called does not matter, what it gets does. */
function withoutBlocks(text: string, { start }: Span, makes: readonly Extract<Make, { kind: 'make' }>[]): string {
  return makes.reduceRight((all, { block }) => `${all.slice(0, block.span.start - start)}…${all.slice(block.span.end - start)}`, text)
}

/** A text without layout and remarks. */
const words = (text: string): string =>
  text.includes('…')
    ? text.replaceAll(/\s+/g, ' ')
    : lexer
        .tokenize(text)
        .tokens.map(({ image }) => image)
        .join(' ')
