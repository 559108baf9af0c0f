// How long each kernel of a call takes on WASM: the program's own kernels, called one by one from JavaScript in the order and at
// the addresses of the entry, in a memory apart from the model that is measured as a whole. A call from JavaScript costs
// about a tenth of a microsecond, so the sum is close to the whole; caches are as warm as in the entry, since all run in turn.

import { launchesOf } from '../../compiler/kernel/launches.ts'
import type { Plan } from '../../compiler/plan/plan.ts'
import type { Binding } from '../../dsl/affine.ts'
import type { WasmProbe } from '../verify/probe-wasm.ts'
import { noWork, sumWork, type Work, workOf } from '../../compiler/kernel/work.ts'

export interface KernelTime {
  readonly kernel: string
  /** How often it runs in one call: once per layer, as a rule. */
  readonly launches: number
  /** Of all its launches together, the best of the passes (neighbours only ever slow one down), or their mean by a coarse clock. */
  readonly milliseconds: number
  readonly work: Work
}

/** Milliseconds: what a page's clock is rounded to, unless it is isolated. Shorter times are right in the mean only. */
const coarse = 0.05

const clockStep = (): number => {
  const start = performance.now()
  for (;;) {
    const step = performance.now() - start
    if (step > 0) return step
  }
}

const warmUp = 8
const fewestPasses = 5

/** Longest first. Runs whole calls for about `milliseconds`, after a warm-up. */
export function timeKernels(probe: WasmProbe, plan: Plan, entry: string, symbols: Binding, milliseconds = 600): KernelTime[] {
  const { program } = plan.entries.find(({ info }) => info.name === entry)!
  const launches = launchesOf(program)
  const times = new Map(launches.map(({ kernel }) => [kernel.name, [] as number[]]))
  const typical = clockStep() < coarse ? (passes: readonly number[]) => Math.min(...passes) : mean
  const start = performance.now()
  for (let pass = -warmUp; pass < fewestPasses || performance.now() - start < milliseconds; pass++) {
    for (const list of times.values()) list.push(0)
    for (const [index, { kernel }] of launches.entries()) {
      const before = performance.now()
      probe.call(entry, index, symbols)
      const list = times.get(kernel.name)!
      list[list.length - 1]! += performance.now() - before
    }
    if (pass < 0) for (const list of times.values()) list.pop()
  }
  return [...times]
    .map(([name, passes]): KernelTime => {
      const own = launches.filter(({ kernel }) => kernel.name === name)
      return {
        kernel: name,
        launches: own.length,
        milliseconds: typical(passes),
        work: own.reduce((sum, { kernel }) => sumWork(sum, workOf(kernel, symbols)), noWork),
      }
    })
    .sort((a, b) => b.milliseconds - a.milliseconds)
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
