// `llamac diff`: how two models differ once all that they inherit is written out.

import type { Command } from 'commander'
import type { Difference } from '../dsl/diff.ts'
import { BadNews, plainText, print, printJson } from './report.ts'

export function addDiff(program: Command): void {
  program
    .command('diff')
    .argument('<a>', '.dsl file')
    .argument('<b>', '.dsl file')
    .description('how two models differ after all inheritance; exit code 1 if they do')
    .option('--json', 'one JSON document')
    .action(diffFiles)
}

async function diffFiles(a: string, b: string, flags: { readonly json?: boolean }): Promise<void> {
  const [{ expandModelFile }, { diffExpanded }] = await Promise.all([import('./project.ts'), import('../dsl/diff.ts')])
  const differences = diffExpanded(await expandModelFile(a), await expandModelFile(b))
  if (flags.json) printJson(differences)
  else if (differences.length > 0) print(plainText(shown(differences)))
  if (differences.length > 0) throw new BadNews()
}

/** By place, in the order in which the places come; a text that is on one side only is not told whole if it is long. */
function shown(differences: readonly Difference[]): string {
  const places = Map.groupBy(differences, ({ where }) => where)
  return [...places].map(([where, items]) => [where === '' ? 'model' : where, ...items.flatMap(lines)].join('\n')).join('\n\n')
}

function lines({ what, before, after }: Difference): string[] {
  if (before !== undefined && after !== undefined) return [`  ~ ${what}`, ...signed('-', before), ...signed('+', after)]
  const sign = before === undefined ? '+' : '-'
  const [first = '', ...rest] = even(before ?? after ?? '')
  return [`  ${sign} ${rest.length === 0 ? first : `${what} (${rest.length + 1} lines)`}`]
}

const signed = (sign: string, text: string): string[] => even(text).map((line) => `    ${sign} ${line}`)

/** Without columns, and as far to the left as its last line. */
function even(text: string): string[] {
  const all = text.split('\n')
  const indent = /^ */.exec(all.length > 1 ? all.at(-1)! : '')![0].length
  return all.map((line, i) => (i === 0 ? line : line.slice(Math.min(indent, line.length))).replaceAll(/(?<=\S) {2,}/g, ' '))
}
