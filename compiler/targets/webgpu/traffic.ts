// What the dispatches of an entry move, counted (schedule/count-traffic.ts) and told by what is moved: each weight and each position of
// a cache should come from memory once a call.

import type { KernelStep } from '../../kernel/program.ts'
import type { Operand, OperandSource } from '../../kernel/types.ts'
import type { EntryPlan, Plan } from '../../plan/plan.ts'
import { countTraffic, type Traffic } from '../../schedule/count-traffic.ts'
import { dispatcher } from './dispatches.ts'

/** 'values': what lies in the arena. */
export type TrafficKind = 'weights' | 'states' | 'values'

export interface DispatchTraffic {
  readonly name: string
  readonly kernels: readonly string[]
  /** How often it runs in a call: instances of a layer are alike. */
  readonly times: number
  /** Of one run, in bytes. Operands are told apart, so what two kernels of a dispatch both read counts twice. */
  readonly of: Readonly<Record<TrafficKind, Traffic>>
}

const kindOf = ({ kind }: OperandSource): TrafficKind =>
  kind === 'weight' || kind === 'constant' ? 'weights' : kind === 'state' ? 'states' : 'values'

const none: Traffic = { loaded: 0, stored: 0, read: 0, written: 0 }
const plus = (a: Traffic, b: Traffic): Traffic => ({
  loaded: a.loaded + b.loaded,
  stored: a.stored + b.stored,
  read: a.read + b.read,
  written: a.written + b.written,
})

/**
 * Every dispatch of an entry at given symbols, those of a layer once. `contents`: of operands that say where others are read (else words
 * are 0). Seconds for a model of billions of weights.
 */
export function dispatchTraffic(
  { functions }: Plan,
  { program }: EntryPlan,
  symbols: Readonly<Record<string, number>>,
  contents: (operand: Operand) => Int32Array | undefined = () => undefined,
): readonly DispatchTraffic[] {
  const partsOf = dispatcher(functions)
  const visit = (steps: readonly KernelStep[], times: number): DispatchTraffic[] =>
    steps.flatMap((step): DispatchTraffic[] => {
      if (step.kind === 'loop') {
        return step.groups.flatMap((group, i) => visit(group, times * step.order.filter((each) => each === i).length))
      }
      return partsOf(step).map(({ fn, kernels }) => {
        const operands = kernels.flatMap((kernel) => kernel.operands)
        const memory = fn.operands.map(({ memory }) =>
          memory.kind === 'buffer' && operands[memory.operand] ? contents(operands[memory.operand]!) : undefined,
        )
        const of = { weights: none, states: none, values: none }
        for (const [i, traffic] of countTraffic(fn, { symbols, memory }).entries()) {
          const { memory } = fn.operands[i]!
          if (!traffic || memory.kind === 'scratch') continue
          const source = operands[memory.operand]?.source
          const kind = source ? kindOf(source) : 'values'
          of[kind] = plus(of[kind], traffic)
        }
        return { name: fn.name, kernels: kernels.map(({ name }) => name), times, of }
      })
    })
  return visit(program.steps, 1)
}
