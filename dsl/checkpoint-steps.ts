// The steps of a checkpoint rule, `source |> op(args)`, as the weight reader wants them. One table says what each takes; used with
// numbers for a file's bindings and without them (sizes unknown) when a model is checked.

import type { RuleStep } from './ast.ts'
import { constantOf, evaluate } from './check/expressions.ts'
import type { Frame } from './check/frames.ts'
import { didYouMean, type Report } from './check/report.ts'
import type { Value } from './check/values.ts'
import type { BindingStep } from './model.ts'
import { known } from './sizes.ts'

interface Takes {
  /** How many arguments by position it can have. */
  readonly positional: number
  readonly named: readonly string[]
  readonly write: string
}

const takes = {
  transpose: { positional: 0, named: [], write: 'transpose' },
  cast: { positional: 0, named: [], write: 'cast' },
  add: { positional: 1, named: [], write: 'add(1.0)' },
  scale: { positional: 1, named: [], write: 'scale(2.0)' },
  rope_rows: { positional: 1, named: ['from', 'to'], write: 'rope_rows(heads, from: "adjacent", to: "half")' },
  chunk: { positional: 1, named: ['groups'], write: 'chunk(3)  or  chunk(groups: heads)' },
  join: { positional: Number.POSITIVE_INFINITY, named: [], write: 'join("second.name")' },
} as const satisfies Record<BindingStep['op'], Takes>

const layouts = ['adjacent', 'half'] as const
type Layout = (typeof layouts)[number]

/** A number that is not known yet counts as one. */
function plainOf(value: Value): number | boolean | string | undefined {
  if (value.kind === 'size') return known(value.size) ?? Number.NaN
  if (value.kind === 'float') return value.value ?? Number.NaN
  return constantOf(value)
}

/**
 * One step; undefined after a message. `targets` is how many weights stand on the left of the rule, `fill` puts part indices
 * into a name.
 */
export function stepOf(
  tree: RuleStep,
  targets: number,
  fill: (name: string) => string,
  frame: Frame,
  report: Report,
): BindingStep | undefined {
  const name = tree.name.text
  if (!(name in takes)) {
    const help = didYouMean(name, Object.keys(takes)) ?? `there are ${Object.keys(takes).join(', ')}`
    report.add('L507', `there is no step \`${name}\``, [{ span: tree.name.span }], { help })
    return undefined
  }
  const { positional: most, named: names, write }: Takes = takes[name as keyof typeof takes]
  const wrong = (message: string): undefined => void report.add('L507', message, [{ span: tree.span }], { help: `write  ${write}` })
  const positional: (number | boolean | string | undefined)[] = []
  const named = new Map<string, number | boolean | string | undefined>()
  for (const arg of tree.args) {
    if (arg.kind !== 'positional' && arg.kind !== 'named') return wrong(`\`${name}\` takes values and  name: value`)
    const value = evaluate(arg.value, frame)
    if (value.kind === 'unknown') return undefined
    if (arg.kind === 'positional') positional.push(plainOf(value))
    else if (names.includes(arg.name.text)) named.set(arg.name.text, plainOf(value))
    else return wrong(`\`${name}\` has no argument \`${arg.name.text}\``)
  }
  if (positional.length > most) return wrong(`\`${name}\` takes ${most === 0 ? 'no' : most} argument${most === 1 ? '' : 's'} by position`)
  const [first] = positional
  switch (name as keyof typeof takes) {
    case 'transpose':
      return { op: 'transpose' }
    case 'cast':
      return { op: 'cast' }
    case 'add':
    case 'scale':
      return typeof first === 'number' ? { op: name as 'add' | 'scale', value: first } : wrong(`\`${name}\` wants a number`)
    case 'rope_rows': {
      const from = named.get('from') as Layout
      const to = named.get('to') as Layout
      if (typeof first !== 'number' || !layouts.includes(from) || !layouts.includes(to))
        return wrong('`rope_rows` wants heads and two layouts')
      return { op: 'rope_rows', heads: first, from, to }
    }
    case 'chunk': {
      const groups = named.get('groups')
      if (first !== undefined && first !== targets) return wrong(`${targets} weights stand on the left, but the tensor is cut in ${first}`)
      return { op: 'chunk', ...(typeof first === 'number' ? { count: first } : {}), ...(typeof groups === 'number' ? { groups } : {}) }
    }
    case 'join': {
      const texts = positional.filter((p) => typeof p === 'string')
      return texts.length === positional.length && texts.length > 0
        ? { op: 'join', names: texts.map(fill) }
        : wrong('`join` wants names of tensors')
    }
  }
}
