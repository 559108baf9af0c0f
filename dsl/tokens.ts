// The words and signs of the language, as chevrotain token types.
// Reserved words match whole words only. Contextual words belong to the category `Id` as well, so the grammar can use them as
// words and authors can still use them as names. Comments go to groups of their own: the parser never sees them, doc
// comments are attached by build-ast.ts and plain ones are kept by format.ts.

import { createToken, Lexer } from 'chevrotain'
import type { TokenType } from 'chevrotain'

export const reservedWords = [
  'module',
  'import',
  'config',
  'extends',
  'op',
  'block',
  'model',
  'uses',
  'weight',
  'state',
  'part',
  'fn',
  'entry',
  'override',
  'replace',
  'checkpoint',
  'require',
  'let',
  'return',
  'store',
  'for',
  'if',
  'else',
  'true',
  'false',
  'none',
  'inf',
  'not',
  'and',
  'or',
] as const
export const contextualWords = ['tied', 'when', 'with', 'in', 'ignore', 'inherit', 'preset', 'drop', 'expect', 'runtime'] as const
export type Word = (typeof reservedWords)[number] | (typeof contextualWords)[number]

export const Id = createToken({ name: 'Id', pattern: /[A-Za-z_][A-Za-z0-9_]*/ })
/** `== != < <= > >= in` */
export const CmpOp = createToken({ name: 'CmpOp', pattern: Lexer.NA })
/** `+ -` */
export const AddOp = createToken({ name: 'AddOp', pattern: Lexer.NA })
/** `* / %` */
export const MulOp = createToken({ name: 'MulOp', pattern: Lexer.NA })

/** The regular expression needs its own look-ahead: with `longer_alt` alone chevrotain calls `inherit` unreachable behind `in`. */
const wordToken = (word: Word, categories: TokenType[]): TokenType =>
  createToken({ name: `'${word}'`, pattern: new RegExp(`${word}(?![A-Za-z0-9_])`), longer_alt: Id, categories })

export const word = Object.fromEntries([
  ...reservedWords.map((w) => [w, wordToken(w, [])]),
  ...contextualWords.map((w) => [w, wordToken(w, w === 'in' ? [Id, CmpOp] : [Id])]),
]) as Record<Word, TokenType>

/** Longest first where one sign begins another. */
const signs = {
  rangeTo: ['..=', []],
  rangeBy: ['..+', []],
  dots: ['..', []],
  dot: ['.', []],
  arrow: ['->', []],
  from: ['<-', []],
  pipe: ['|>', []],
  equal: ['==', [CmpOp]],
  unequal: ['!=', [CmpOp]],
  atMost: ['<=', [CmpOp]],
  atLeast: ['>=', [CmpOp]],
  less: ['<', [CmpOp]],
  more: ['>', [CmpOp]],
  assign: ['=', []],
  plus: ['+', [AddOp]],
  minus: ['-', [AddOp]],
  times: ['*', [MulOp]],
  over: ['/', [MulOp]],
  remainder: ['%', [MulOp]],
  comma: [',', []],
  colon: [':', []],
  question: ['?', []],
  at: ['@', []],
  openRound: ['(', []],
  closeRound: [')', []],
  openSquare: ['[', []],
  closeSquare: [']', []],
  openCurly: ['{', []],
  closeCurly: ['}', []],
} satisfies Record<string, [string, TokenType[]]>

export const sign = Object.fromEntries(
  Object.entries(signs).map(([name, [text, categories]]) => [name, createToken({ name: `'${text}'`, pattern: text, categories })]),
) as Record<keyof typeof signs, TokenType>

/** A digit string that runs into letters (`12abc`) is no number: without the look-ahead `a = 3b = 4` would be two settings. */
export const Num = createToken({ name: 'Num', pattern: /[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_])/ })
export const Str = createToken({ name: 'Str', pattern: /"(?:[^"\\\n\r]|\\[^\n\r])*"/ })
/** A string without its end takes the line, or the lexer would try again at every quote in it: quadratic in a long line. */
const Unclosed = createToken({ name: 'Unclosed', pattern: /"[^\n\r]*/, group: 'unclosed' })
const White = createToken({ name: 'White', pattern: /[ \t\r\n\uFEFF]+/, group: Lexer.SKIPPED, line_breaks: true })
const Doc = createToken({ name: 'Doc', pattern: /\/\/\/[^\n\r]*/, group: 'docs' })
const Comment = createToken({ name: 'Comment', pattern: /\/\/[^\n\r]*/, group: 'comments' })

export const tokenTypes: TokenType[] = [
  White,
  Doc,
  Comment,
  Num,
  Str,
  Unclosed,
  ...Object.values(word),
  Id,
  CmpOp,
  AddOp,
  MulOp,
  ...Object.values(sign),
]

/** Full tracking because only then tokens know their end, from which the parser takes the extent of each rule. Tests validate it. */
export const lexer = new Lexer(tokenTypes, { positionTracking: 'full', skipValidations: true })

/** What can begin an expression; decides whether a contextual `in` is an operator or the next name. */
export const expressionStarts: readonly TokenType[] = [
  Num,
  Str,
  Id,
  word.true,
  word.false,
  word.none,
  word.inf,
  word.not,
  word.if,
  sign.minus,
  sign.openRound,
  sign.openSquare,
]
