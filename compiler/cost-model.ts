// What a call costs on a device that is described by a few numbers: for each dispatch its bytes, multiply-adds and invocations, and from
// them a time. A dispatch takes its launch and then the longer of what its bytes and its arithmetic take, at the device's peak as
// far as there are invocations to fill it. Nobody is faster, and a share of the peak is what generated code may be expected to
// reach: a roofline (Williams and others, 2009) with launches and occupancy. Nothing here is measured, and nothing knows a model.

import type { Binding } from '../dsl/affine.ts'
import type { Kernel } from './kernel/types.ts'
import type { KernelProgram, KernelStep } from './kernel/program.ts'
import { noWork, sumWork, type Work, workOf } from './kernel/work.ts'
import { evaluateCount } from './schedule/count.ts'
import type { LoopFunction } from './schedule/loops.ts'

/** 1e9 per second at its peak. */
export interface Rates {
  readonly readBytes: number
  /** Multiply-adds of f32, and of 8-bit activations with quantised weights. */
  readonly madd: number
  readonly dot: number
}

export interface DescribedDevice extends Rates {
  readonly name: string
  readonly target: 'wasm' | 'webgpu'
  readonly memoryBytes: number
  /** From the end of a dispatch to the beginning of one that waits for it, and its share of the call's own overhead. */
  readonly launchSeconds: number
  /** So many at once keep all of it busy; fewer a part. */
  readonly invocations: number
}

const GiB = 2 ** 30

/**
 * Vendors' figures: clock × lanes, width × rate of the memory, and two thirds of a memory that is shared with the system. Four
 * invocations a lane hide the latency of memory. CPUs: what was measured in WASM on a server's (docs/performance.md).
 */
export const describedDevices = [
  // Intel HD 520 (2015): 24 units of 8 lanes at 1.05 GHz, two channels of DDR3L-1600.
  gpu('old integrated GPU', { readBytes: 25.6, lanes: 192, gigahertz: 1.05, memoryBytes: 4 * GiB, launchSeconds: 10e-6 }),
  // Apple M1 (2020): 8 cores of 128 lanes at 1.28 GHz.
  gpu('laptop GPU', { readBytes: 68, lanes: 1024, gigahertz: 1.28, memoryBytes: 10.6 * GiB, launchSeconds: 6e-6 }),
  // GeForce RTX 4070 (2023).
  gpu('desktop GPU', { readBytes: 504, lanes: 5888, gigahertz: 2.48, memoryBytes: 12 * GiB, launchSeconds: 4e-6 }),
  // NVIDIA A100, 80 GB (2020).
  gpu('server GPU', { readBytes: 2039, lanes: 6912, gigahertz: 1.41, memoryBytes: 80e9, launchSeconds: 4e-6 }),
  cpu('server CPU, 1 thread', 1),
  cpu('server CPU, 2 threads', 2),
] as const satisfies readonly DescribedDevice[]

function gpu(
  name: string,
  {
    lanes,
    gigahertz,
    ...rest
  }: Pick<DescribedDevice, 'readBytes' | 'memoryBytes' | 'launchSeconds'> & { lanes: number; gigahertz: number },
): DescribedDevice {
  const madd = lanes * gigahertz
  return { name, target: 'webgpu', ...rest, madd, dot: madd, invocations: 4 * lanes }
}

function cpu(name: string, threads: number): DescribedDevice {
  const [readBytes, madd, dot] = [18.5 * threads, 29 * threads, 100 * threads]
  return { name, target: 'wasm', readBytes, madd, dot, memoryBytes: 16 * GiB, launchSeconds: 0, invocations: 1 }
}

/** Of the peak, what code without tuning for a device is trusted to reach, where a time must not be exceeded. */
export const sustained = 0.3

/** No dispatch may be longer: the screen stands still meanwhile, and drivers take a device away that does not answer for seconds. */
export const longestDispatchSeconds = 0.1

/** Of the GPUs described, the one that computes least. */
export const slowestGpu: DescribedDevice = describedDevices
  .filter(({ target }) => target === 'webgpu')
  .reduce((a, b) => (b.madd < a.madd ? b : a))

export interface DispatchCost extends Work {
  /** The first of its kernels. */
  readonly kernel: string
  /** How often a call runs it. */
  readonly launches: number
  /** Of the largest dimension of its grid; 1 where rows are shared by threads. */
  readonly invocations: number
}

/** Kernels that run as one, and their loops. */
export interface Dispatched {
  readonly fn: LoopFunction
  readonly kernels: readonly Kernel[]
  /** What its invocations leave for those of the next dispatch, or find there. */
  readonly shared?: readonly { readonly bytes: number }[]
  /** It joins what the dispatch before has left, which has done the kernels' work. */
  readonly joins?: boolean
}

export type PartsOf = (step: Exclude<KernelStep, { kind: 'loop' }>) => readonly Dispatched[]

/**
 * What the dispatches of one call cost, those of a loop's instances counted together. `partsOf`: those of a step. What no invocation
 * has a part in is no dispatch.
 */
export function costsOf({ steps }: Pick<KernelProgram, 'steps'>, partsOf: PartsOf, binding: Binding): DispatchCost[] {
  const costs: DispatchCost[] = []
  const visit = (list: readonly KernelStep[], launches: number): void => {
    for (const step of list) {
      if (step.kind === 'loop') {
        for (const [group, inside] of step.groups.entries()) visit(inside, launches * step.order.filter((each) => each === group).length)
        continue
      }
      for (const { fn, kernels, shared = [], joins = false } of partsOf(step)) {
        const groups = fn.grid.reduce((product, count) => product * evaluateCount(count, binding), 1)
        if (groups === 0) continue
        const left: Work = { ...noWork, values: shared.reduce((sum, { bytes }) => sum + bytes, 0) }
        const work = joins ? left : kernels.reduce((sum, kernel) => sumWork(sum, workOf(kernel, binding)), left)
        costs.push({ kernel: kernels[0]!.name, launches, invocations: groups * fn.workgroup, ...work })
      }
    }
  }
  visit(steps, 1)
  return costs
}

export type Bound = 'memory' | 'arithmetic' | 'launches'

/** Seconds of one launch at a share of the device's peak, and what they go to. */
export function timeOf(
  { bytes, values, madds, dots, invocations }: Omit<DispatchCost, 'kernel' | 'launches'>,
  { readBytes, madd, dot, launchSeconds, invocations: all }: DescribedDevice,
  share = 1,
): { readonly seconds: number; readonly by: Bound } {
  const speed = share * Math.min(1, invocations / all) * 1e9
  const moving = (bytes + values) / (readBytes * speed)
  const computing = (madds / madd + dots / dot) / speed
  const working = Math.max(moving, computing)
  return { seconds: launchSeconds + working, by: launchSeconds > working ? 'launches' : moving >= computing ? 'memory' : 'arithmetic' }
}

export interface CallCost {
  readonly dispatches: number
  readonly seconds: number
  /** What most of the time goes to. */
  readonly by: Bound
  /** Of the longest dispatch. */
  readonly longest: number
}

/** The dispatches of a call, one after the other. */
export function callCost(costs: readonly DispatchCost[], device: DescribedDevice, share = 1): CallCost {
  const shares = new Map<Bound, number>()
  let [dispatches, longest] = [0, 0]
  for (const cost of costs) {
    const { seconds, by } = timeOf(cost, device, share)
    dispatches += cost.launches
    longest = Math.max(longest, seconds)
    shares.set(by, (shares.get(by) ?? 0) + cost.launches * seconds)
  }
  const [[by] = ['launches' as const]] = [...shares].sort(([, a], [, b]) => b - a)
  return { dispatches, seconds: [...shares.values()].reduce((sum, each) => sum + each, 0), by, longest }
}
