// What weights are to be stored as: one policy for all, or rules by path, of which the last that fits a weight counts. Weights that
// no rule speaks of keep their format. What the model pins stays pinned (plan/weights.ts says so in its notes).

import { quantisedNames } from '../formats/types.ts'
import { type PathRule, policiesOf } from './path-rules.ts'

/** `keep`: the checkpoint's formats; `none`: f32. */
export const quantPolicies = ['keep', 'none', 'f16', 'bf16', ...quantisedNames] as const
export type QuantPolicy = (typeof quantPolicies)[number]
export type QuantRule = PathRule<QuantPolicy>

/** The policy of each path. `paths`: all weights that are stored. Throws E_QUANT_PATHS for a rule that fits none of them. */
export const policyOf = (quant: QuantPolicy | readonly QuantRule[], paths: readonly string[]): ((path: string) => QuantPolicy) =>
  policiesOf(quant, paths, 'keep', { flag: '--quant', thing: 'weight', code: 'E_QUANT_PATHS' })
