// Concrete tree → dsl/ast.ts for types, axis lists, expressions and statements (the rules of grammar-expressions.ts).
// It expects a tree without syntax errors. What the grammar lets through and no program can mean is reported here: numbers that
// do not fit, unknown escapes, statements without effect. Binary chains are folded to the left; `(x)` gives x itself.

import type { CstNode, IToken } from 'chevrotain'
import type { Arg, Axis, BinaryOp, Body, Expr, Index, Name, Param, Stmt, TypeExpr } from './ast.ts'
import { diagnose } from './codes.ts'
import type { Diagnostic } from './diagnostics.ts'
import type { Source, Span } from './source.ts'
import { suggest } from './suggest.ts'
import { reservedWords } from './tokens.ts'

/** What every builder needs: the text, doc comments by the offset of the token that follows them, and where errors go. */
export interface Building {
  readonly source: Source
  readonly docs: ReadonlyMap<number, string>
  readonly diagnostics: Diagnostic[]
}

export const nodes = (of: CstNode, key: string): CstNode[] => (of.children[key] ?? []) as CstNode[]
export const maybeNode = (of: CstNode, key: string): CstNode | undefined => nodes(of, key)[0]
export const tokens = (of: CstNode, key: string): IToken[] => (of.children[key] ?? []) as IToken[]
export const maybeToken = (of: CstNode, key: string): IToken | undefined => tokens(of, key)[0]

export function node(of: CstNode, key: string): CstNode {
  const found = maybeNode(of, key)
  if (found === undefined) throw new Error(`internal: ${of.name} has no ${key}`)
  return found
}

export function token(of: CstNode, key: string): IToken {
  const found = maybeToken(of, key)
  if (found === undefined) throw new Error(`internal: ${of.name} has no ${key}`)
  return found
}

export function spanOf(b: Building, first: CstNode, last: CstNode = first): Span {
  return { source: b.source, start: first.location?.startOffset ?? 0, end: (last.location?.endOffset ?? -1) + 1 }
}

export const tokenSpan = (b: Building, t: IToken): Span => ({ source: b.source, start: t.startOffset, end: t.startOffset + t.image.length })
export const nameOf = (b: Building, t: IToken): Name => ({ text: t.image, span: tokenSpan(b, t) })
export const maybeName = (b: Building, t: IToken | undefined): Name | undefined => t && nameOf(b, t)

const escapes: Record<string, string> = { n: '\n', t: '\t', '"': '"', '\\': '\\' }

/** The text between the quotes, with `\n \t \" \\` replaced. */
export function textOf(b: Building, t: IToken): string {
  return t.image.slice(1, -1).replace(/\\(.)/gu, (all, char: string, at: number) => {
    const found = escapes[char]
    if (found !== undefined) return found
    const start = t.startOffset + 1 + at
    b.diagnostics.push(
      diagnose('L107', {
        message: `\`${all}\` means nothing in a string`,
        labels: [{ span: { source: b.source, start, end: start + all.length } }],
        help: 'there are  \\n  \\t  \\"  and  \\\\ ; write  \\\\  for the backslash itself',
      }),
    )
    return all
  })
}

export function buildType(b: Building, cst: CstNode): TypeExpr {
  const axes = maybeNode(cst, 'axes')
  return {
    span: spanOf(b, cst),
    name: nameOf(b, token(cst, 'Id')),
    ...(axes && { axes: buildAxes(b, axes) }),
    optional: maybeToken(cst, "'?'") !== undefined,
  }
}

export const buildAxes = (b: Building, cst: CstNode): Axis[] => nodes(cst, 'axis').map((axis) => buildAxis(b, axis))

function buildAxis(b: Building, cst: CstNode): Axis {
  const span = spanOf(b, cst)
  if (maybeToken(cst, "'..'")) {
    const name = maybeName(b, maybeToken(cst, 'row'))
    return { kind: 'row', span, ...(name && { name }) }
  }
  const size = buildExpr(b, node(cst, 'expr'))
  const label = maybeToken(cst, 'label')
  if (label) return { kind: 'axis', span, label: nameOf(b, label), size }
  return size.kind === 'name' ? { kind: 'axis', span, label: { text: size.name, span: size.span }, size } : { kind: 'axis', span, size }
}

export const buildParams = (b: Building, cst: CstNode): Param[] => nodes(cst, 'param').map((param) => buildParam(b, param))

function buildParam(b: Building, cst: CstNode): Param {
  const initial = maybeNode(cst, 'expr')
  return {
    span: spanOf(b, cst),
    name: nameOf(b, token(cst, 'Id')),
    type: buildType(b, node(cst, 'type')),
    ...(initial && { default: buildExpr(b, initial) }),
  }
}

export const buildArgs = (b: Building, cst: CstNode): Arg[] => nodes(cst, 'arg').map((arg) => buildArg(b, arg))

function buildArg(b: Building, cst: CstNode): Arg {
  const span = spanOf(b, cst)
  const [first, second] = nodes(cst, 'expr').map((expr) => buildExpr(b, expr)) as [Expr, Expr?]
  const id = maybeToken(cst, 'Id')
  if (id && maybeToken(cst, "':'")) return { kind: 'named', span, name: nameOf(b, id), value: first }
  if (id) return { kind: 'sized', span, label: nameOf(b, id), size: first }
  return second ? { kind: 'arrow', span, from: first, to: second } : { kind: 'positional', span, value: first }
}

export function buildBody(b: Building, cst: CstNode): Body {
  const stmts = nodes(cst, 'stmt').map((stmt) => buildStmt(b, stmt))
  // Only the first: a misspelt `return` leaves two values without effect, the word and what it should return.
  const idle = stmts.find((stmt) => stmt.kind === 'do' && stmt.value.kind !== 'call')
  if (idle?.kind === 'do') b.diagnostics.push(withoutEffect(idle.value))
  return stmts
}

function withoutEffect(value: Expr): Diagnostic {
  const meant = value.kind === 'name' ? suggest(value.name, reservedWords) : undefined
  return diagnose('L108', {
    message: 'this value is computed and thrown away',
    labels: [{ span: value.span }],
    help: meant
      ? `did you mean  ${meant}  ?`
      : 'a statement is `let`, `return`, `store`, `for`, `name = value` or a call; is an operator missing before it?',
  })
}

const statementWords = ["'let'", "'return'", "'store'", "'for'"] as const

const statements: Record<(typeof statementWords)[number], (b: Building, cst: CstNode, span: Span) => Stmt> = {
  "'let'": (b, cst, span) => ({
    kind: 'let',
    span,
    names: tokens(cst, 'name').map((name) => nameOf(b, name)),
    value: buildExpr(b, node(cst, 'expr')),
  }),
  "'return'": (b, cst, span) => ({ kind: 'return', span, value: buildExpr(b, node(cst, 'expr')) }),
  "'store'": (b, cst, span) => ({
    kind: 'store',
    span,
    place: buildPostfix(b, node(cst, 'postfix')),
    value: buildExpr(b, node(cst, 'expr')),
  }),
  "'for'": (b, cst, span) => ({
    kind: 'for',
    span,
    variable: nameOf(b, token(cst, 'name')),
    over: nameOf(b, token(cst, 'over')),
    body: buildBody(b, node(cst, 'body')),
  }),
}

function buildStmt(b: Building, cst: CstNode): Stmt {
  const span = spanOf(b, cst)
  const opening = statementWords.find((w) => cst.children[w])
  if (opening) return statements[opening](b, cst, span)
  const name = maybeToken(cst, 'name')
  if (name) return { kind: 'assign', span, name: nameOf(b, name), value: buildExpr(b, node(cst, 'expr')) }
  return { kind: 'do', span, value: buildPostfix(b, node(cst, 'postfix')) }
}

export function buildExpr(b: Building, cst: CstNode): Expr {
  let value = buildSides(b, node(cst, 'either'))
  for (const pipe of nodes(cst, 'pipe')) {
    const id = token(pipe, 'Id')
    const callee: Expr = { kind: 'name', span: tokenSpan(b, id), name: id.image }
    value = { kind: 'call', span: spanOf(b, cst, pipe), callee, args: buildArgs(b, node(pipe, 'args')), piped: value }
  }
  return value
}

/** The levels `either both cmp add mul`: operands under `side`, signs under `operator`. */
export function buildSides(b: Building, cst: CstNode): Expr {
  const sides = nodes(cst, 'side')
  const operators = tokens(cst, 'operator')
  let value = buildSide(b, sides[0] as CstNode)
  operators.forEach((operator, i) => {
    const side = sides[i + 1] as CstNode
    const op = operator.image as BinaryOp
    value = { kind: 'binary', span: spanOf(b, cst, side), op, left: value, right: buildSide(b, side) }
  })
  return value
}

function buildSide(b: Building, cst: CstNode): Expr {
  if (cst.name === 'unary') return buildPrefixed(b, cst, '-', 'unary', buildPostfix, 'postfix')
  if (cst.name === 'neg') return buildPrefixed(b, cst, 'not', 'neg', buildSides, 'cmp')
  return buildSides(b, cst)
}

type Build = (b: Building, cst: CstNode) => Expr

function buildPrefixed(b: Building, cst: CstNode, op: '-' | 'not', again: string, inner: Build, below: string): Expr {
  const operand = maybeNode(cst, again)
  if (!operand) return inner(b, node(cst, below))
  return { kind: 'unary', span: spanOf(b, cst), op, value: buildPrefixed(b, operand, op, again, inner, below) }
}

function buildPostfix(b: Building, cst: CstNode): Expr {
  let value = buildPrim(b, node(cst, 'prim'))
  for (const suffix of nodes(cst, 'suffix')) {
    const span = spanOf(b, cst, suffix)
    const id = maybeToken(suffix, 'Id')
    const args = maybeNode(suffix, 'args')
    if (id) value = { kind: 'member', span, of: value, name: nameOf(b, id) }
    else if (args) value = { kind: 'call', span, callee: value, args: buildArgs(b, args) }
    else value = { kind: 'index', span, of: value, indices: nodes(suffix, 'index').map((index) => buildIndex(b, index)) }
  }
  return value
}

function buildIndex(b: Building, cst: CstNode): Index {
  const [from, to] = nodes(cst, 'expr').map((expr) => buildExpr(b, expr)) as [Expr, Expr?]
  const label = maybeName(b, maybeToken(cst, 'Id'))
  const range = maybeToken(cst, 'range')
  return {
    span: spanOf(b, cst),
    ...(label && { label }),
    from,
    ...(range && to && { range: { kind: range.image as '..' | '..+', to } }),
  }
}

const constants: Record<string, (span: Span) => Expr> = {
  "'true'": (span) => ({ kind: 'bool', span, value: true }),
  "'false'": (span) => ({ kind: 'bool', span, value: false }),
  "'none'": (span) => ({ kind: 'none', span }),
  "'inf'": (span) => ({ kind: 'inf', span }),
}

function buildPrim(b: Building, cst: CstNode): Expr {
  const span = spanOf(b, cst)
  const number = maybeToken(cst, 'Num')
  if (number) return buildNumber(b, number)
  const string = maybeToken(cst, 'Str')
  if (string) return { kind: 'string', span, value: textOf(b, string) }
  const id = maybeToken(cst, 'Id')
  if (id) return { kind: 'name', span, name: id.image }
  const list = maybeNode(cst, 'axes')
  if (list) return { kind: 'list', span, axes: buildAxes(b, list) }
  const group = maybeNode(cst, 'group')
  if (group) return buildGroup(b, group)
  const choice = maybeNode(cst, 'choice')
  if (choice) {
    const [condition, yes, no] = nodes(choice, 'expr').map((expr) => buildExpr(b, expr)) as [Expr, Expr, Expr]
    return { kind: 'if', span, condition, yes, no }
  }
  const constant = Object.keys(constants).find((key) => cst.children[key])
  if (constant === undefined) throw new Error('internal: prim without a value')
  return (constants[constant] as (span: Span) => Expr)(span)
}

function buildGroup(b: Building, cst: CstNode): Expr {
  const inner = nodes(cst, 'axis')
  const only = inner.length === 1 ? (inner[0] as CstNode) : undefined
  if (only && !maybeToken(only, 'label') && !maybeToken(only, "'..'")) return buildExpr(b, node(only, 'expr'))
  return { kind: 'group', span: spanOf(b, cst), axes: buildAxes(b, cst) }
}

/** f64 holds whole numbers exactly up to 2^53 only: a larger one would silently be another number. */
function buildNumber(b: Building, t: IToken): Expr {
  const value = Number(t.image)
  const isInteger = /^[0-9]+$/.test(t.image)
  if (!Number.isFinite(value) || (isInteger && !Number.isSafeInteger(value))) {
    b.diagnostics.push(
      diagnose('L106', {
        message: `the number ${t.image} is too large`,
        labels: [{ span: tokenSpan(b, t) }],
        notes: ['whole numbers go up to 2^53 - 1, others up to 1.79e308'],
      }),
    )
  }
  return { kind: 'number', span: tokenSpan(b, t), value, isInteger }
}
