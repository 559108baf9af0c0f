// What the parser wanted, in words. Chevrotain asks for a message at each error and knows the rule and the token types that may
// come; a plain list of them is unhelpful where a whole expression or member may come, or where a loop has just ended and
// more could have followed. This file turns rule and token type into the text after "expected".

import type { IParserErrorMessageProvider, TokenType } from 'chevrotain'
import { AddOp, CmpOp, Id, MulOp, Num, Str } from './tokens.ts'

const kinds = new Map<string, string>([
  [Id.name, 'a name'],
  [Num.name, 'a number'],
  [Str.name, 'a string'],
  [CmpOp.name, 'a comparison'],
  [AddOp.name, '`+` or `-`'],
  [MulOp.name, '`*`, `/` or `%`'],
  ['EOF', 'the end of the file'],
])

/** `'weight'` and the like are named so that only the quotes change. */
const inWords = (type: TokenType): string => kinds.get(type.name) ?? `\`${type.name.slice(1, -1)}\``

/** `rule first-alternative`: choices in which anything of a kind may come. */
const choices: Record<string, string> = {
  "unary '-'": 'an expression',
  'prim Num': 'an expression',
  "neg 'not'": 'an expression',
  "axis '..'": 'an axis or an expression',
  'arg Id': 'an argument',
  "stmt 'let'": 'a statement',
  'make Id': 'a block with its arguments, or `if`',
  "member 'override'":
    'a member (`weight`, `state`, `part`, `fn`, `entry`, `replace`, `checkpoint`, `preset`, `drop`, `require` or `runtime`)',
  "rule 'ignore'": 'a weight path, `ignore`, `inherit` or `expect`',
  'source Str': 'the name of a tensor, or `stack(…)`',
  'import_ Id': 'a module path or a string',
}
const declaration = 'a declaration (`config`, `op`, `block` or `model`)'

/** `rule token`: what else could have come where a loop or an option of the rule ended. */
const closings: Record<string, string> = {
  "block '}'": 'a member or `}`',
  "block '{'": '`(`, `extends`, `uses` or `{`',
  "config '}'": 'a field, `require` or `}`',
  "config '{'": '`extends` or `{`',
  "body '}'": 'a statement or `}`',
  "body '{'": '`{`',
  "preset '}'": '`name = value` or `}`',
  "checkpoint '}'": 'a rule or `}`',
  "checkpoint '{'": '`(` or `{`',
  "import_ '}'": '`,` or `}`',
  "import_ '{'": '`.` or `{`',
  "args ')'": '`,`, an operator or `)`',
  "params ')'": '`,` or `)`',
  "axes ']'": '`,`, an operator or `]`',
  "group ')'": '`,`, an operator or `)`',
  "suffix ']'": '`,`, an operator, `..`, `..+` or `]`',
  "choice '{'": 'an operator or `{`',
  "choice '}'": 'an operator or `}`',
  "stmt ')'": '`,` or `)`',
  "part ':'": '`[` or `:`',
  'file EOF': declaration,
  "op '{'": '`require` or `{`',
}

export const expected: IParserErrorMessageProvider = {
  buildMismatchTokenMessage: ({ expected: type, ruleName }) => closings[`${ruleName} ${type.name}`] ?? inWords(type),
  buildNotAllInputParsedMessage: () => declaration,
  buildNoViableAltMessage: ({ expectedPathsPerAlt, ruleName }) => oneOf(ruleName, expectedPathsPerAlt.flat()),
  buildEarlyExitMessage: ({ expectedIterationPaths, ruleName }) => oneOf(ruleName, expectedIterationPaths),
}

function oneOf(ruleName: string, paths: readonly TokenType[][]): string {
  const types = paths.flatMap((path) => path[0] ?? [])
  return choices[`${ruleName} ${types[0]?.name}`] ?? listed(types)
}

function listed(types: readonly TokenType[]): string {
  const words = [...new Set(types.map(inWords))]
  const last = words.pop() ?? 'something else'
  return words.length === 0 ? last : `${words.join(', ')} or ${last}`
}
