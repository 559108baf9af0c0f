// What weights are to be stored as: one policy for all, or rules by path, of which the last that fits a weight counts. Weights that
// no rule speaks of keep their format. What the model pins stays pinned (plan/weights.ts says so in its notes).

import { LlamacError } from '../../runtime/error.ts'
import { quantisedNames } from '../formats/types.ts'
import { globTest, nearestNames } from '../weights/names.ts'

/** `keep`: the checkpoint's formats; `none`: f32. */
export const quantPolicies = ['keep', 'none', 'f16', 'bf16', ...quantisedNames] as const
export type QuantPolicy = (typeof quantPolicies)[number]

export interface QuantRule {
  /** A glob over paths, with `*` for any characters: `layers.*.attn.*`, `layers[3].mlp.down`; `[3]` and `.3` are the same. */
  readonly paths: string
  readonly policy: QuantPolicy
}

const dotted = (path: string): string => path.replaceAll(/\[([^\]]*)\]/g, '.$1')

/** The policy of each path. `paths`: all weights that are stored. Throws E_QUANT_PATHS for a rule that fits none of them. */
export function policyOf(quant: QuantPolicy | readonly QuantRule[], paths: readonly string[]): (path: string) => QuantPolicy {
  if (typeof quant === 'string') return () => quant
  const rules = quant.map(({ paths: glob, policy }) => ({ glob, fits: globTest(dotted(glob)), policy }))
  const names = paths.map(dotted)
  const idle = rules.find(({ fits }) => !names.some(fits))
  if (idle) {
    const [near] = nearestNames(idle.glob, paths, 1)
    throw new LlamacError(
      'E_QUANT_PATHS',
      `no weight fits --quant ${idle.glob}=${idle.policy}${near === undefined ? '' : `; there is, for example, ${near}`}`,
    )
  }
  return (path) => rules.findLast(({ fits }) => fits(dotted(path)))?.policy ?? 'keep'
}
