// How many ids one call reads at most when nobody says (`--max-seq`): 128, fewer where the results of so many would take most of
// the smallest buffer that a target may have. A vocabulary of 256,000 makes 125 MiB of scores for 128 ids: more than WebGPU binds,
// once the rest of a call lies beside them. One number serves all targets, as entries are the same in each.

import type { CheckedModel, Numbers, SpecialisedModel } from '../dsl/model.ts'
import { type Fitted, fitModel, type WeightChoice } from './fit.ts'
import { valueBytes } from './plan/lifetimes.ts'
import { webgpuMachine } from './schedule/machine.ts'

const usual = 128
const mostResultBytes = 0.75 * webgpuMachine.bindingBytes

export interface FittedForCalls extends Fitted {
  /** Bounds of the entries' free sizes, with that of `seq`. */
  readonly maximum: NonNullable<Numbers['maximum']>
}

/** `fitModel` with a bound for `seq`, where `numbers` have none. */
export function fitForCalls(checked: CheckedModel, numbers: Numbers, choice: WeightChoice): FittedForCalls {
  const fit = (seq: number): FittedForCalls => {
    const maximum = { seq, ...numbers.maximum }
    return { ...fitModel(checked, { ...numbers, maximum }, choice), maximum }
  }
  const first = fit(usual)
  if (numbers.maximum?.['seq'] !== undefined || !first.model) return first
  const bytes = largestResult(first.model)
  if (bytes <= mostResultBytes) return first
  return fit(Math.max(1, 2 ** Math.floor(Math.log2((usual * mostResultBytes) / bytes))))
}

/** Bytes of the largest result that grows with `seq`, at the largest sizes. */
function largestResult({ entries }: SpecialisedModel): number {
  const sizes = entries.flatMap(({ results, symbols }) =>
    results
      .filter(({ type }) => type.dims.some(({ terms }) => terms.some(([name]) => name === 'seq')))
      .map(({ type }) => valueBytes({ dims: type.dims, format: type.dtype }, new Map(symbols.map((symbol) => [symbol.name, symbol])))),
  )
  return Math.max(0, ...sizes)
}
