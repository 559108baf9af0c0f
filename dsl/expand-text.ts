// A declaration's or member's own text, with what it names called by other names: ops and blocks after replacement (with the values
// that the replacement binds), `super` as the function that it means. Everything else stays as the author wrote it, remarks too.

import type { Arg, Body, Expr, Make, Param, Stmt } from './ast.ts'
import { namesIn } from './config.ts'
import { type Home, replaced, type Replacement } from './check/instances.ts'
import type { FlatBlock } from './resolve/blocks.ts'
import type { Declared, Module } from './resolve/modules.ts'
import type { Span } from './source.ts'

/** What cannot be said in one file: the author has to rename something. */
export class Unexpandable extends Error {}

export interface Surroundings {
  readonly module: Module
  /** Absent in an op: replacements do not act there. */
  readonly block?: FlatBlock
  readonly home?: Home
  readonly nameOf: (declared: Declared) => string
  /** What `super` means. */
  readonly inherited?: () => string
}

interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

export const sliceOf = ({ source, start, end }: Span): string => source.text.slice(start, end)

/** The text of `tree` with other names. `params` and variables of its body hide config fields. */
export function renamed(
  tree: { readonly span: Span; readonly params?: readonly Param[]; readonly body?: Body },
  around: Surroundings,
  more: readonly Edit[] = [],
): string {
  const variables = new Set([...(tree.params ?? []).map(({ name }) => name.text), ...(tree.body ?? []).flatMap(variablesOf)])
  const loops = new Set((tree.body ?? []).flatMap(loopVariablesOf))
  const edits: Edit[] = [...more]
  visit(tree)
  const { source, start, end } = tree.span
  let text = ''
  let at = start
  for (const edit of edits.sort((a, b) => a.start - b.start || a.end - b.end)) {
    text += source.text.slice(at, edit.start) + edit.text
    at = edit.end
  }
  return text + source.text.slice(at, end)

  function visit(part: unknown): void {
    if (typeof part !== 'object' || part === null) return
    const node = part as Expr | Make
    if (node.kind === 'call' && node.callee.kind === 'name') called(node, node.callee)
    if (node.kind === 'make') made(node)
    for (const [key, inside] of Object.entries(part)) if (key !== 'span') visit(inside)
  }

  function called(node: Extract<Expr, { kind: 'call' }>, { name, span }: Extract<Expr, { kind: 'name' }>): void {
    if (name === 'super') {
      if (around.inherited) edits.push({ ...span, text: around.inherited() })
      return
    }
    const member = around.block?.members.get(name)?.kind
    if (member === 'fn' || member === 'entry' || member === 'part' || loops.has(name)) return
    const found = around.module.names.get(name)
    if (found?.tree.kind === 'op') rename(found, name, span, node)
  }

  function made(node: Extract<Make, { kind: 'make' }>): void {
    const found = around.module.names.get(node.block.text)
    if (found) rename(found, node.block.text, node.block.span, node)
  }

  function rename(
    found: Declared,
    name: string,
    span: Span,
    { args, span: whole }: { readonly args: readonly Arg[]; readonly span: Span },
  ): void {
    const { declared, bound } = replaced(around.home, found, around.block)
    const other = around.nameOf(declared)
    if (other !== name) edits.push({ ...span, text: other })
    const values = bound.flatMap((item) => item.args.map((arg) => ({ ...arg, item })))
    if (values.length === 0) return
    const texts = values.map(({ name: parameter, value, item }) => `${parameter.text}: ${outside(value, item)}`)
    edits.push({ start: whole.end - 1, end: whole.end - 1, text: `${args.length > 0 ? ', ' : ''}${texts.join(', ')}` })
  }

  /** A bound value is an expression over the model's config; here its names must mean the same. */
  function outside(value: Expr, item: Replacement): string {
    for (const name of namesIn(value)) {
      const block = around.block
      if (!variables.has(name) && !block?.members.has(name) && !block?.params.some((p) => p.tree.name.text === name)) continue
      const text = `\`replace ${item.what.tree.name.text} with ${item.by.tree.name.text}\` binds a value with the config field \`${name}\``
      throw new Unexpandable(`${text}, but in ${block?.name} that name means something else: rename it there`)
    }
    return sliceOf(value.span)
  }
}

/** Variables that a statement declares, in loops too. */
export const variablesOf = (stmt: Stmt): string[] => {
  if (stmt.kind === 'let') return stmt.names.map(({ text }) => text)
  return stmt.kind === 'for' ? [stmt.variable.text, ...stmt.body.flatMap(variablesOf)] : []
}

const loopVariablesOf = (stmt: Stmt): string[] => (stmt.kind === 'for' ? [stmt.variable.text, ...stmt.body.flatMap(loopVariablesOf)] : [])
