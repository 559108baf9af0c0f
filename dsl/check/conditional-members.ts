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

interface Function {
  /** By the condition's text. */
  readonly needs: ReadonlyMap<string, Need>
  readonly calls: readonly { readonly name: string; readonly under: ReadonlySet<string> }[]
}

const functionsOfBlock = new WeakMap<FlatBlock, ReadonlyMap<string, Function>>()

/** What has to hold where `name` is called: what it uses itself and what the functions need that it calls. */
export function needsOf(block: FlatBlock, name: string, open: readonly string[] = []): ReadonlyMap<string, Need> {
  const own = functionsOf(block).get(name)
  const needs = new Map(own?.needs)
  for (const { name: called, under } of open.includes(name) ? [] : (own?.calls ?? [])) {
    for (const [text, need] of needsOf(block, called, [...open, name])) if (!under.has(text)) needs.set(text, need)
  }
  return needs
}

/** Whether a function is there for others of its block: then its calls are looked at instead of its text. */
export const isHelper = (block: FlatBlock, member: FlatFn | FlatEntry): boolean =>
  member.kind === 'fn' &&
  [...functionsOf(block)].some(([caller, { calls }]) => caller !== member.name && calls.some(({ name }) => name === member.name))

function functionsOf(block: FlatBlock): ReadonlyMap<string, Function> {
  const known = functionsOfBlock.get(block)
  if (known) return known
  const functions = new Map<string, Function>()
  functionsOfBlock.set(block, functions)
  for (const [name, { tree }] of block.members) {
    if (tree.kind === 'fn') functions.set(name, read(block, tree.params, tree.body))
    if (tree.kind === 'entry' && tree.definition.kind === 'body')
      functions.set(name, read(block, tree.definition.params, tree.definition.body))
  }
  return functions
}

function read(block: FlatBlock, params: readonly { readonly name: { readonly text: string } }[], body: Body): Function {
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
