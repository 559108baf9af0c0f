// What may follow an `@`: one table by the kind of thing it is attached to. An annotation nobody reads would be a silent mistake.

import type { Annotation, Arg } from '../ast.ts'
import { didYouMean, type Report } from './report.ts'

interface Row {
  readonly write: string
  readonly takes: (args: readonly Arg[]) => boolean
}

const isString = (arg: Arg): boolean => arg.kind === 'positional' && arg.value.kind === 'string'
/** At least one key; none at all removes what was inherited, which resolve/configs.ts judges. */
const keys = (name: string): Row => ({ write: `@${name}("key", "other.key")`, takes: (args) => args.every(isString) })
const word = (name: string, only: string): Row => ({
  write: `@${name}(${only})`,
  takes: ([arg, ...more]) => more.length === 0 && arg?.kind === 'positional' && arg.value.kind === 'name' && arg.value.name === only,
})

const annotations: Readonly<Record<'config field' | 'weight' | 'state', Readonly<Record<string, Row>>>> = {
  'config field': { hf: keys('hf'), gguf: keys('gguf') },
  weight: { precision: word('precision', 'f32'), quant: word('quant', 'off') },
  state: {},
}

/** Reports annotations that mean nothing where they stand (L238). */
export function checkAnnotations(kind: keyof typeof annotations, list: readonly Annotation[], report: Report): void {
  const rows = annotations[kind]
  for (const { name, args, span } of list) {
    const row = Object.hasOwn(rows, name.text) ? rows[name.text] : undefined
    const there = Object.values(rows).map(({ write }) => write)
    if (!row) {
      const help = didYouMean(name.text, Object.keys(rows)) ?? (there.length > 0 ? `there are ${there.join(' and ')}` : 'leave it out')
      report.add('L238', `a ${kind} has no annotation \`@${name.text}\``, [{ span: name.span }], { help })
    } else if (!row.takes(args)) report.add('L238', `\`@${name.text}\` does not take this`, [{ span }], { help: `write  ${row.write}` })
  }
}
