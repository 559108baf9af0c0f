// docs/errors.md from the tables in the source: every code that a user can meet, what it means and what helps. `npm run docs:errors`
// writes the file; a test holds it current.

import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { cliCodes } from '../cli/error-codes.ts'
import { compilerCodes } from '../compiler/error-codes.ts'
import { codes } from '../dsl/codes.ts'
import { limits } from '../dsl/limits.ts'
import { errorCodes } from '../runtime/error-codes.ts'

const groups: readonly (readonly [title: string, codes: RegExp])[] = [
  ['Syntax', /^L1/],
  ['Names, types and sizes', /^L2/],
  ['Bodies and calls', /^L3/],
  ['Configs and inheritance', /^L4/],
  ['Checkpoints', /^L5/],
  ['Targets', /^L6/],
]

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
const rows = (head: readonly string[], body: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...body].map((cells) => `| ${cells.map(cell).join(' | ')} |`).join('\n')
const byCode = (table: Readonly<Record<string, string>>): string =>
  rows(
    ['code', 'what it means, and what helps'],
    Object.entries(table).map(([code, text]) => [code, text]),
  )

/** The whole document. */
export function errorTable(): string {
  const language = groups.map(([title, pattern]) => {
    const body = Object.entries(codes).filter(([code]) => pattern.test(code))
    return `### ${title}\n\n${rows(
      ['code', 'title', 'explanation'],
      body.map(([code, { severity, title: short, explanation }]) => [
        code,
        severity === 'warning' ? `${short} (warning)` : short,
        explanation,
      ]),
    )}`
  })
  return `${[
    '# Error codes',
    'Made from the source by `npm run docs:errors`. Codes are stable: texts may change, numbers and names do not.',
    'The command line prints a code in brackets, `error[L301]: …`, and ends with 0 when all is well, 1 after an error, 2 for wrong usage and 130 when interrupted. From JavaScript, `compile` gives diagnostics with a `code`; everything else throws a `LlamacError` with one.',
    '## The language',
    ...language,
    '### Limits',
    'A source beyond one of these gets L100, L105, L203 or L260.',
    rows(
      ['most', 'what'],
      Object.values(limits).map(({ most, what }) => [most.toLocaleString('en-US'), what]),
    ),
    '## The compiler, and files from elsewhere',
    byCode(compilerCodes),
    '## The runtime',
    byCode(errorCodes),
    '## The command line',
    byCode(cliCodes),
  ].join('\n\n')}\n`
}

const target = fileURLToPath(new URL('../docs/errors.md', import.meta.url))
if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(target, errorTable())
