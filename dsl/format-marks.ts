// What the formatter takes from the tree: where things begin that are laid out as units, and which of several readings a token
// has. Everything else about spacing is seen from the tokens alone.

import type { IToken } from 'chevrotain'
import type { Body, Declaration, FileTree, Member } from './ast.ts'

/** A unit of layout by the offset of its first token: one of the kinds of imports, declarations, fields, members, rules, statements. */
export interface Marks {
  readonly items: ReadonlyMap<number, string>
  /** `require` of an op: between signature and body. */
  readonly clauses: ReadonlySet<number>
  /** `-` signs with one operand, and `..` before the name of a row of axes. */
  readonly prefixes: ReadonlySet<number>
  /** `in` and `when` where they are words and no names: a bracket after them is no call. */
  readonly words: ReadonlySet<number>
}

export function marksOf(tree: FileTree, tokens: readonly IToken[]): Marks {
  const items = new Map<number, string>()
  const clauses = new Set<number>()
  const prefixes = new Set<number>()
  const words = new Set<number>()
  const add = (kind: string, of: { readonly span: { readonly start: number } }) => items.set(of.span.start, kind)

  const body = (stmts: Body) => {
    for (const stmt of stmts) {
      add(stmt.kind, stmt)
      if (stmt.kind === 'for') body(stmt.body)
    }
  }
  const member = (of: Member) => {
    add(of.kind, of)
    if (of.kind === 'preset') for (const binding of of.bindings) add('binding', binding)
    if (of.kind === 'checkpoint') for (const rule of of.rules) add(rule.kind, rule)
    if (of.kind === 'fn') body(of.body)
    if (of.kind === 'entry' && of.definition.kind === 'body') body(of.definition.body)
  }
  const declaration = (of: Declaration) => {
    add(of.kind, of)
    if (of.kind === 'config') for (const part of of.fields) add('field', part)
    if (of.kind === 'config') for (const part of of.requires) add('require', part)
    if (of.kind === 'op') for (const part of of.requires) clauses.add(part.span.start)
    if (of.kind === 'op') body(of.body)
    if (of.kind === 'block' || of.kind === 'model') of.members.forEach(member)
  }
  for (const item of tree.imports) add('import', item)
  tree.declarations.forEach(declaration)

  const wordBefore = (image: string, offset: number) => {
    const found = tokens.findLast((token) => token.startOffset < offset && token.image === image)
    if (found) words.add(found.startOffset)
  }
  const visit = (value: object) => {
    const of = value as {
      kind?: string
      op?: string
      span?: { start: number }
      right?: { span: { start: number } }
      when?: { span: { start: number } }
    }
    if (((of.kind === 'unary' && of.op === '-') || of.kind === 'row') && of.span) prefixes.add(of.span.start)
    if (of.kind === 'binary' && of.op === 'in' && of.right) wordBefore('in', of.right.span.start)
    if (of.when) wordBefore('when', of.when.span.start)
    for (const [key, inner] of Object.entries(value)) if (key !== 'span' && typeof inner === 'object' && inner !== null) visit(inner)
  }
  visit(tree)
  return { items, clauses, prefixes, words }
}
