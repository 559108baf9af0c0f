// Which passes run: none, all, each alone, all but one, every prefix, and random subsets of the optional ones.

import { optionalPasses } from '../../compiler/passes/pipeline.ts'
import type { Choices } from '../../compiler/ops/op.ts'

export interface Configuration {
  readonly name: string
  readonly disabled: readonly string[]
}

const without = (name: string, enabled: readonly string[]): Configuration => ({
  name,
  disabled: optionalPasses.filter((pass) => !enabled.includes(pass)),
})

export const everything: Configuration = { name: 'all passes', disabled: [] }
export const nothing = without('no pass', [])

/** Every configuration once, the default first. */
export function configurations(choices: Choices): readonly Configuration[] {
  const list = [
    everything,
    nothing,
    ...optionalPasses.map((pass) => without(`${pass} alone`, [pass])),
    ...optionalPasses.map((pass) =>
      without(
        `all but ${pass}`,
        optionalPasses.filter((other) => other !== pass),
      ),
    ),
    ...optionalPasses.slice(1).map((_, i) => without(`the first ${i + 1}`, optionalPasses.slice(0, i + 1))),
    ...[0, 1].map(() => {
      const enabled = optionalPasses.filter(() => choices.integer(0, 1) === 1)
      return without(`only ${enabled.join(', ')}`, enabled)
    }),
  ]
  return [...new Map(list.map((each) => [each.disabled.join(), each])).values()]
}
