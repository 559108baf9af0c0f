// `block B extends A`, `model M extends N`: one table of members per block, with the module each text was written in (names
// are looked up there), the inherited version of every overridden function (`super`), and the lists a model gathers from root
// to leaf: replacements, requirements, checkpoint tables. Nothing is evaluated here.

import type { BlockDecl, Drop, Entry, Fn, Member, Param, Part, Preset, Replace, Require, RuntimeRange, State, Weight } from '../ast.ts'
import { nearName, type Report } from '../check/report.ts'
import { type FlatConfig, flattenConfig } from './configs.ts'
import { flattenOnce } from './flatten-once.ts'
import { type Declared, declaredIn, type Module } from './modules.ts'
import { type FlatTable, inheritTables } from './tables.ts'

interface Common {
  readonly name: string
  readonly module: Module
  /** The block whose text this is. */
  readonly owner: Declared
}

export interface FlatFn extends Common {
  readonly kind: 'fn'
  readonly tree: Fn
  readonly inherited?: FlatFn
}
export interface FlatEntry extends Common {
  readonly kind: 'entry'
  readonly tree: Entry
  readonly inherited?: FlatEntry
}
export type FlatMember =
  | FlatFn
  | FlatEntry
  | (Common & { readonly kind: 'weight'; readonly tree: Weight })
  | (Common & { readonly kind: 'state'; readonly tree: State })
  | (Common & { readonly kind: 'part'; readonly tree: Part })

export interface FlatBlock {
  readonly name: string
  readonly kind: 'block' | 'model'
  readonly declared: Declared
  /** This declaration and those it extends, leaf first. */
  readonly chain: readonly Declared[]
  readonly config?: FlatConfig
  readonly params: readonly { readonly tree: Param; readonly module: Module }[]
  readonly members: ReadonlyMap<string, FlatMember>
  /** Members that a `drop` took away, with the place of the `drop`. */
  readonly dropped: ReadonlyMap<string, Drop>
  readonly requires: readonly { readonly tree: Require; readonly module: Module }[]
  readonly replaces: readonly { readonly tree: Replace; readonly module: Module }[]
  readonly ranges: ReadonlyMap<string, { readonly tree: RuntimeRange; readonly module: Module }>
  /** A model's own presets: sizes of a parent's preset do not fit a variant. */
  readonly presets: ReadonlyMap<string, Preset>
  readonly tables: ReadonlyMap<string, FlatTable>
}

/** Flattens a block or model; undefined (with a message) if a parent is missing or the parents are in a circle. */
export const flattenBlock = flattenOnce<FlatBlock>((declared, report, flatParent) => {
  const { tree, module } = declared
  if (tree.kind !== 'block' && tree.kind !== 'model') return undefined
  const found = parentOf(declared, tree, report)
  const parent = found && tree.extends && flatParent(found, tree.extends)
  if (tree.extends && !parent) return undefined
  const config = usedConfig(declared, tree, parent, report)
  // Without its config nothing in the block can be judged.
  if (tree.uses && !config) return undefined
  const members = new Map(parent?.members)
  for (const member of tree.members) addMember(members, member, declared, tree, report)
  const own = <K extends Member['kind']>(kind: K): Extract<Member, { kind: K }>[] => tree.members.filter((m) => m.kind === kind) as never
  const dropped = new Map([...(parent?.dropped ?? []), ...own('drop').map((drop) => [drop.name.text, drop] as const)])
  const presets = new Map<string, Preset>()
  for (const preset of own('preset')) presets.set(preset.name, preset)
  const ranges = new Map(parent?.ranges)
  for (const range of own('runtime')) ranges.set(range.name.text, { tree: range, module })
  return {
    name: tree.name.text,
    kind: tree.kind,
    declared,
    chain: [declared, ...(parent?.chain ?? [])],
    ...(config ? { config } : {}),
    params: mergeParams(parent?.params ?? [], tree.params, module),
    members,
    dropped,
    requires: [...(parent?.requires ?? []), ...own('require').map((r) => ({ tree: r, module }))],
    replaces: [...(parent?.replaces ?? []), ...own('replace').map((r) => ({ tree: r, module }))],
    ranges,
    presets,
    tables: inheritTables(parent?.tables ?? new Map(), own('checkpoint'), module, report),
  }
})

function parentOf(declared: Declared, tree: BlockDecl, report: Report): Declared | undefined {
  if (!tree.extends) return undefined
  const { text, span } = tree.extends
  const found = declared.module.names.get(text)
  if (!found || found.tree.kind !== tree.kind) {
    report.unknown(`there is no ${tree.kind} called \`${text}\``, text, span, declaredIn(declared.module, tree.kind))
    return undefined
  }
  return found
}

function usedConfig(declared: Declared, tree: BlockDecl, parent: FlatBlock | undefined, report: Report): FlatConfig | undefined {
  if (!tree.uses) return parent?.config
  const found = declared.module.names.get(tree.uses.text)
  if (found?.tree.kind !== 'config') {
    const { text, span } = tree.uses
    report.unknown(`there is no config called \`${text}\``, text, span, declaredIn(declared.module, 'config'))
    return undefined
  }
  const config = flattenConfig(found, report)
  if (config && parent?.config && !config.chain.includes(parent.config.declared)) {
    const message = `${tree.name.text} extends ${parent.name}, which uses ${parent.config.name}; ${config.name} does not extend it`
    report.add('L420', message, [{ span: tree.uses.span }], { help: `config ${config.name} extends ${parent.config.name}` })
  }
  return config
}

/** A derived list adds parameters or gives inherited ones new defaults. */
function mergeParams(inherited: FlatBlock['params'], own: readonly Param[], module: Module): FlatBlock['params'] {
  const params = [...inherited]
  for (const tree of own) {
    const at = params.findIndex((p) => p.tree.name.text === tree.name.text)
    if (at >= 0) params[at] = { tree, module }
    else params.push({ tree, module })
  }
  return params
}

const memberKinds = { weight: 'weight', state: 'state', part: 'part', fn: 'fn', entry: 'entry' } as const

function addMember(members: Map<string, FlatMember>, member: Member, owner: Declared, tree: BlockDecl, report: Report): void {
  const { module } = owner
  if (member.kind === 'drop') {
    const { text, span } = member.name
    if (!members.delete(text)) {
      const near = nearName(text, new Map([...members].map(([n, m]) => [n, m.tree.name.span])))
      const help = near.help ?? `it inherits ${[...members.keys()].join(', ') || 'nothing'}`
      report.add('L412', `nothing called \`${text}\` to drop in \`${tree.name.text}\``, [{ span }, ...near.places], { help })
    }
    return
  }
  if (!(member.kind in memberKinds)) return
  const item = member as Weight | State | Part | Fn | Entry
  const { text: written, span } = item.name
  const near =
    item.override && !members.has(written) ? nearName(written, new Map([...members].map(([n, m]) => [n, m.tree.name.span]))) : undefined
  // A misspelt override still stands for what it was meant to override.
  const name = near?.name ?? written
  const old = members.get(name)
  if (near) {
    const where = tree.extends?.text ?? tree.name.text
    const more = { ...(near.help ? { help: near.help } : {}), cause: `name ${written}` }
    report.add('L410', `nothing called \`${written}\` to override in \`${where}\``, [{ span }, ...near.places], more)
  } else if (old && !item.override) {
    const places = [
      { span, text: 'here again' },
      { span: old.tree.name.span, text: `\`${name}\` is declared here` },
    ]
    if (old.owner === owner)
      report.add('L204', `\`${name}\` is declared twice in \`${tree.name.text}\``, places, { help: 'rename one of them' })
    else {
      const message = `\`${name}\` exists in \`${old.owner.tree.name.text}\`; write \`override\``
      report.add('L411', message, places, { help: `override ${item.kind} ${name}` })
    }
  } else if (old && old.kind !== item.kind) {
    const places = [
      { span, text: `a ${item.kind}` },
      { span: old.tree.name.span, text: `a ${old.kind}` },
    ]
    report.add('L413', `\`${name}\` is a ${old.kind} and cannot be overridden by a ${item.kind}`, places, {
      help: `override ${old.kind} ${name}`,
    })
  }
  const common = { name, module, owner }
  if (item.kind === 'fn') {
    members.set(name, { kind: 'fn', tree: item, ...common, ...(old?.kind === 'fn' ? { inherited: old } : {}) })
  } else if (item.kind === 'entry') {
    members.set(name, { kind: 'entry', tree: item, ...common, ...(old?.kind === 'entry' ? { inherited: old } : {}) })
  } else members.set(name, { kind: item.kind, tree: item, ...common } as FlatMember)
}
