// Choices by path: one for all, or rules of which the last that fits a path counts.

import { type AnyErrorCode, LlamacError } from '../../runtime/error.ts'
import { globTest, nearestNames } from '../weights/names.ts'

export interface PathRule<Policy extends string> {
  /** A glob over paths, with `*` for any characters: `layers.*.attn.*`, `layers[3].mlp.down`; `[3]` and `.3` are the same. */
  readonly paths: string
  readonly policy: Policy
}

const dotted = (path: string): string => path.replaceAll(/\[([^\]]*)\]/g, '.$1')

/** The policy of each path, `rest` where no rule fits. `what` names the flag in messages. Throws `what.code` for a rule that fits none of `paths`. */
export function policiesOf<Policy extends string>(
  rules: Policy | readonly PathRule<Policy>[],
  paths: readonly string[],
  rest: Policy,
  what: { readonly flag: string; readonly thing: string; readonly code: AnyErrorCode },
): (path: string) => Policy {
  if (typeof rules === 'string') return () => rules
  const tests = rules.map(({ paths: glob, policy }) => ({ glob, fits: globTest(dotted(glob)), policy }))
  const names = paths.map(dotted)
  const idle = tests.find(({ fits }) => !names.some(fits))
  if (idle) {
    const [near] = nearestNames(idle.glob, paths, 1)
    throw new LlamacError(
      what.code,
      `no ${what.thing} fits ${what.flag} ${idle.glob}=${idle.policy}${near === undefined ? '' : `; there is, for example, ${near}`}`,
    )
  }
  return (path) => tests.findLast(({ fits }) => fits(dotted(path)))?.policy ?? rest
}
