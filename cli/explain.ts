// `llamac explain CODE`: what a code means, a program that gets it, and the corrected one. Without a code: the list of all.

import { type Command, Option } from 'commander'
import { compilerCodes } from '../compiler/error-codes.ts'
import type { Example } from '../compiler/explain.ts'
import { codes } from '../dsl/codes.ts'
import { renderAll } from '../dsl/render.ts'
import { suggest } from '../dsl/suggest.ts'
import { errorCodes } from '../runtime/error-codes.ts'
import { cliCodes } from './error-codes.ts'
import { print, printJson, UsageError, wantsColour } from './report.ts'

const errors: Readonly<Record<string, string>> = { ...compilerCodes, ...errorCodes, ...cliCodes }

export function addExplain(program: Command): void {
  program
    .command('explain')
    .argument('[code]', 'such as L301')
    .description('what a diagnostic means, with an example')
    .addOption(new Option('--json', 'one JSON document'))
    .action(explainCode)
}

async function explainCode(given: string | undefined, flags: { readonly json?: boolean }): Promise<void> {
  const rows = [...Object.entries(codes).map(([code, { title }]) => [code, title] as const), ...Object.entries(errors)]
  if (given === undefined) {
    const width = Math.max(...rows.map(([code]) => code.length))
    if (flags.json) printJson(Object.fromEntries(rows))
    else print(rows.map(([code, title]) => `${code.padEnd(width)} ${title}`).join('\n'))
    return
  }
  const { commandOf, isCode, explain } = await import('../compiler/explain.ts')
  const code = given.toUpperCase()
  if (isCode(code)) {
    const { title, why, wrong, right } = explain(code)
    if (!flags.json) print(await explanationText(code, wantsColour(process.stdout)))
    else
      printJson({
        code,
        title,
        why,
        wrong: { command: commandOf(wrong), text: wrong.text },
        right: { command: commandOf(right), text: right.text },
      })
    return
  }
  const meaning = Object.hasOwn(errors, code) ? errors[code] : undefined
  if (meaning === undefined) {
    const near = suggest(
      code,
      rows.map(([name]) => name),
    )
    throw new UsageError(`there is no code ${given}${near === undefined ? '; llamac explain  lists them' : `; did you mean ${near}?`}`)
  }
  if (flags.json) printJson({ code, why: meaning })
  else print(`${code}\n\n${wrapped(meaning)}`)
}

/** Title, reason, the wrong program with its message, the right one. */
export async function explanationText(code: keyof typeof codes, colour = false): Promise<string> {
  const { commandOf, diagnose, explain } = await import('../compiler/explain.ts')
  const { title, why, wrong, right } = explain(code)
  const command = commandOf(wrong)
  const shown = renderAll(diagnose(wrong), { colour })
  const corrected = commandOf(right)
  const sections = [
    `${code}: ${title}`,
    wrapped(why),
    `For example, in mine.dsl:`,
    indented(wrong.text),
    ...given(wrong),
    `$ ${command}`,
    shown,
    right.text === wrong.text ? `Right is:  ${corrected}` : `Right is${corrected === command ? '' : `, with  ${corrected}`}:`,
    ...(JSON.stringify(given(right)) === JSON.stringify(given(wrong)) ? [] : given(right)),
    ...(right.text === wrong.text ? [] : [indented(right.text)]),
  ]
  return sections.join('\n\n')
}

/** The files beside the program. */
const given = ({ config, tensors }: Example): string[] => [
  ...(config ? [`config.json:  ${JSON.stringify(config)}`] : []),
  ...(tensors.size > 0 ? [`model.safetensors:  ${[...tensors].map(([name, dims]) => `${name} [${dims.join(', ')}]`).join(',  ')}`] : []),
]

const indented = (text: string): string => text.replaceAll(/^(?=.)/gm, '    ')

/** In lines of at most 100 characters. */
function wrapped(text: string): string {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + word.length >= 100) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines.join('\n')
}
