// Source text → tree. Never throws for any text: it gives the tree, or diagnostics, or both when there are only warnings.
// Lexer, then limits (size, nesting), then parser, then tree builder; a file with a syntax error has no tree, so that later stages
// see whole trees only. The limits keep every later stage, all of them recursive, far from the end of the stack.

import type { CstNode, IToken } from 'chevrotain'
import type { FileTree } from './ast.ts'
import { buildFile } from './build-ast.ts'
import { diagnose } from './codes.ts'
import type { Diagnostic } from './diagnostics.ts'
import { parser } from './grammar.ts'
import { TooManyErrors } from './grammar-expressions.ts'
import { beyond, limits } from './limits.ts'
import type { Source } from './source.ts'
import { grammarErrors, lexicalErrors, unclosedStrings } from './syntax-errors.ts'
import { lexer } from './tokens.ts'

/** A binary file read as source has errors at every character. */
const mostLexicalErrors = 20

export interface Parsed {
  /** Absent if any diagnostic is an error. */
  readonly tree?: FileTree
  readonly diagnostics: Diagnostic[]
}

/** Parses one file. Errors are L1xx diagnostics with exact spans; see grammar.ts for the language. */
export function parse(source: Source): Parsed {
  if (source.text.length > limits.characters.most) return { diagnostics: [tooLarge(source, 'characters')] }
  const lexed = lexer.tokenize(source.text)
  const unclosed = lexed.groups.unclosed ?? []
  if (lexed.errors.length + unclosed.length > 0) {
    const errors = lexed.errors.slice(0, mostLexicalErrors)
    return { diagnostics: [...lexicalErrors(source, errors), ...unclosedStrings(source, unclosed.slice(0, mostLexicalErrors))] }
  }
  if (lexed.tokens.length > limits.words.most) return { diagnostics: [tooLarge(source, 'words')] }
  const magic = lexed.tokens.filter(({ image }) => image === '__proto__')
  if (magic.length > 0) return { diagnostics: magic.slice(0, mostLexicalErrors).map((token) => magicName(source, token)) }
  const deep = tooDeep(lexed.tokens)
  if (deep) return { diagnostics: [tooDeepAt(source, deep.startOffset, deep.startOffset + deep.image.length)] }

  const cst = grammarTree(lexed.tokens)
  if (!cst) return { diagnostics: grammarErrors(source, parser.errors, lexed.tokens) }

  const { docs, orphans } = attachDocs(lexed.tokens, lexed.groups.docs ?? [])
  const diagnostics: Diagnostic[] = []
  const tree = buildFile({ source, docs, diagnostics }, cst)
  const high = tooHigh(tree)
  if (high) diagnostics.push(tooDeepAt(source, high.start, high.end))
  if (diagnostics.some((d) => d.severity === 'error')) return { diagnostics }
  for (const orphan of orphans) {
    const span = { source, start: orphan.startOffset, end: orphan.startOffset + orphan.image.length }
    diagnostics.push(
      diagnose('L110', { message: 'nothing follows that this could describe', labels: [{ span }], help: 'write  //  for a remark' }),
    )
  }
  return { tree, diagnostics }
}

/** Undefined when the parser has errors. */
function grammarTree(tokens: IToken[]): CstNode | undefined {
  parser.input = tokens
  try {
    const tree = parser.file()
    return parser.errors.length > 0 ? undefined : tree
  } catch (cause) {
    if (cause instanceof TooManyErrors) return undefined
    throw cause
  }
}

const tooLarge = (source: Source, limit: 'characters' | 'words'): Diagnostic =>
  diagnose('L100', { message: beyond(limit), labels: [{ span: { source, start: 0, end: 0 } }] })

/** The one name that is no ordinary key of JavaScript's objects: manifests and typed bindings could not hold it. */
const magicName = (source: Source, { startOffset, image }: IToken): Diagnostic =>
  diagnose('L104', {
    message: `\`${image}\` is reserved and cannot name anything`,
    labels: [{ span: { source, start: startOffset, end: startOffset + image.length } }],
  })

const tooDeepAt = (source: Source, start: number, end: number): Diagnostic =>
  diagnose('L105', {
    message: 'this is nested too deeply',
    labels: [{ span: { source, start, end } }],
    help: 'name inner values with  let',
  })

/** The first token beyond the limit of open brackets and prefix operators, both of which cost the parser stack. */
function tooDeep(tokens: readonly IToken[]): IToken | undefined {
  let open = 0
  let prefixes = 0
  for (const token of tokens) {
    const { image } = token
    if (image === '(' || image === '[' || image === '{') open++
    else if (image === ')' || image === ']' || image === '}') open--
    prefixes = image === '-' || image === 'not' ? prefixes + 1 : 0
    if (Math.max(open, prefixes) > limits.brackets.most) return token
  }
  return undefined
}

/** The span of a node beyond the limit of height (a chain of a thousand `+` is a tree that high), found without recursion. */
function tooHigh(tree: FileTree): { start: number; end: number } | undefined {
  interface Visit {
    readonly value: object
    readonly height: number
    readonly start: number
    readonly end: number
  }
  const open: Visit[] = [{ value: tree, height: 0, start: 0, end: 0 }]
  for (let visit = open.pop(); visit !== undefined; visit = open.pop()) {
    const { value, height } = visit
    const span = 'span' in value ? (value.span as { start: number; end: number }) : visit
    if (height > limits.treeHeight.most) return span
    for (const [key, inner] of Object.entries(value)) {
      if (key === 'span' || typeof inner !== 'object' || inner === null) continue
      open.push({ value: inner, height: height + ('kind' in inner ? 1 : 0), start: span.start, end: span.end })
    }
  }
  return undefined
}

/** Doc comments by the offset of the token after them, lines joined, `///` and one blank removed; those before nothing apart. */
function attachDocs(tokens: readonly IToken[], docs: readonly IToken[]): { docs: Map<number, string>; orphans: IToken[] } {
  const attached = new Map<number, string>()
  const orphans: IToken[] = []
  let next = 0
  for (const doc of docs) {
    while (next < tokens.length && (tokens[next] as IToken).startOffset < doc.startOffset) next++
    const token = tokens[next]
    if (token === undefined || token.image === '}') {
      orphans.push(doc)
      continue
    }
    const line = doc.image.replace(/^\/\/\/ ?/, '').trimEnd()
    const before = attached.get(token.startOffset)
    attached.set(token.startOffset, before === undefined ? line : `${before}\n${line}`)
  }
  return { docs: attached, orphans }
}
