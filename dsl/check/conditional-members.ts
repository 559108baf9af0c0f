// Weights, states and parts with `when` may be used only under an `if` with that condition. A function that other functions of its
// block call may lean on the `if` around those calls: it stands under what it needs, and the calls are held to it. (That is the
// way to store under a condition: `if` is no statement.) What a function needs is read off the texts, once per block.

import type { Body, Expr, Stmt } from '../ast.ts'
import type { FlatBlock, FlatEntry, FlatFn, FlatMember } from '../resolve/blocks.ts'
import { variablesOf } from '../expand-text.ts'
import { impliedTexts } from './expressions.ts'
import { textOf } from './frames.ts'

export interface Need {
  readonly member: FlatMember
  readonly condition: Expr
}

interface Uses {
  /** By the condition's text. */
  readonly needs: ReadonlyMap<string, Need>
  readonly calls: readonly { readonly name: string; readonly under: ReadonlySet<string> }[]
}

const functionsOfBlock = new WeakMap<FlatBlock, ReadonlyMap<string, Uses>>()
const needsOfBlock = new WeakMap<FlatBlock, Map<string, Map<string, Need>>>()

/** What has to hold where `name` is called: what it uses itself and what the functions need that it calls. */
export function needsOf(block: FlatBlock, name: string): ReadonlyMap<string, Need> {
  const made = needsOfBlock.get(block) ?? new Map<string, Map<string, Need>>()
  needsOfBlock.set(block, made)
  const known = made.get(name)
  if (known) return known
  const own = functionsOf(block).get(name)
  const needs = new Map(own?.needs)
  // In a circle of calls, which is told elsewhere, this is what is known so far.
  made.set(name, needs)
  for (const { name: called, under } of own?.calls ?? []) {
    for (const [text, need] of needsOf(block, called)) if (!under.has(text)) needs.set(text, need)
  }
  return needs
}

const helpersOfBlock = new WeakMap<FlatBlock, ReadonlySet<string>>()

/** Whether a function is there for others of its block: then its calls are looked at instead of its text. */
export function isHelper(block: FlatBlock, { kind, name }: FlatFn | FlatEntry): boolean {
  const helpers =
    helpersOfBlock.get(block) ??
    new Set(
      [...functionsOf(block)].flatMap(([caller, { calls }]) => calls.flatMap((called) => (called.name === caller ? [] : [called.name]))),
    )
  helpersOfBlock.set(block, helpers)
  return kind === 'fn' && helpers.has(name)
}

function functionsOf(block: FlatBlock): ReadonlyMap<string, Uses> {
  const known = functionsOfBlock.get(block)
  if (known) return known
  const functions = new Map<string, Uses>()
  functionsOfBlock.set(block, functions)
  for (const [name, { tree }] of block.members) {
    if (tree.kind === 'fn') functions.set(name, read(block, tree.params, tree.body))
    if (tree.kind === 'entry' && tree.definition.kind === 'body')
      functions.set(name, read(block, tree.definition.params, tree.definition.body))
  }
  return functions
}

function read(block: FlatBlock, params: readonly { readonly name: { readonly text: string } }[], body: Body): Uses {
  const needs = new Map<string, Need>()
  const calls: { name: string; under: ReadonlySet<string> }[] = []
  const hidden = new Set([...params.map(({ name }) => name.text), ...body.flatMap(variablesOf)])
  const use = (name: string, under: ReadonlySet<string>): void => {
    const member = hidden.has(name) ? undefined : block.members.get(name)
    if (member?.kind === 'fn') calls.push({ name, under })
    const condition = member && 'when' in member.tree && !('tied' in member.tree && member.tree.tied) ? member.tree.when : undefined
    if (member && condition && !under.has(textOf(condition))) needs.set(textOf(condition), { member, condition })
  }
  const visit = (part: unknown, under: ReadonlySet<string>): void => {
    if (typeof part !== 'object' || part === null) return
    const node = part as Expr | Extract<Stmt, { kind: 'for' }>
    if (node.kind === 'name') use(node.name, under)
    if (node.kind === 'for') use(node.over.text, under)
    if (node.kind !== 'if') {
      for (const [key, inside] of Object.entries(part)) if (key !== 'span') visit(inside, under)
      return
    }
    visit(node.condition, under)
    visit(node.yes, new Set([...under, ...impliedTexts(node.condition, true)]))
    visit(node.no, new Set([...under, ...impliedTexts(node.condition, false)]))
  }
  visit(body, new Set())
  return { needs, calls }
}
