// What a call costs on a device that is described by a few numbers: for each dispatch its bytes, multiply-adds and invocations, and from
// them a time. A dispatch takes its launch and then the longest of what its bytes from memory, its loads from caches and its arithmetic
// take, at the device's peak as far as there are invocations to fill it. Nobody is faster, and a share of the peak is what generated code may be expected to
// reach: a roofline (Williams and others, 2009) with launches and occupancy. Nothing here is measured, and nothing knows a model.

import { type Binding, evaluate } from '../dsl/affine.ts'
import { classify } from './kernel/shape.ts'
import type { Kernel, KernelShape, Operand } from './kernel/types.ts'
import type { KernelProgram, KernelStep } from './kernel/program.ts'
import { noWork, sumWork, type Work, workOf } from './kernel/work.ts'
import { evaluateCount } from './schedule/count.ts'
import { countTraffic } from './schedule/count-traffic.ts'
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
  /** What all its cores together are given by their own caches, in 1e9 bytes per second. */
  readonly cacheBytes: number
}

const GiB = 2 ** 30

/**
 * Products of bytes in the time of a multiply-add, where there is no instruction for four of them: a multiply-add each, and seven shifts to
 * take a word apart, which in a tile four tokens and four rows share.
 */
const emulatedDots = 1 / 2

/**
 * Vendors' figures: clock × lanes, width × rate of the memory, and two thirds of a memory that is shared with the system. Four
 * invocations a lane hide the latency of memory. A core's cache gives a byte a clock for each lane (64 bytes to 64 lanes of Intel's, 128 to
 * 128 of NVIDIA's). `dots`: products of bytes in the time of a multiply-add; NVIDIA's instruction for four of them (DP4A) runs on 64 lanes
 * of a multiprocessor, of 128 and 64 for f32; the other two have none. CPUs: what was measured in WASM on a server's (docs/performance.md).
 */
export const describedDevices = [
  // Intel HD 520 (2015): 24 units of 8 lanes at 1.05 GHz, two channels of DDR3L-1600.
  gpu('old integrated GPU', {
    dots: emulatedDots,
    readBytes: 25.6,
    lanes: 192,
    gigahertz: 1.05,
    memoryBytes: 4 * GiB,
    launchSeconds: 10e-6,
  }),
  // Apple M1 (2020): 8 cores of 128 lanes at 1.28 GHz.
  gpu('laptop GPU', { dots: emulatedDots, readBytes: 68, lanes: 1024, gigahertz: 1.28, memoryBytes: 10.6 * GiB, launchSeconds: 6e-6 }),
  // GeForce RTX 4070 (2023).
  gpu('desktop GPU', { dots: 2, readBytes: 504, lanes: 5888, gigahertz: 2.48, memoryBytes: 12 * GiB, launchSeconds: 4e-6 }),
  // NVIDIA A100, 80 GB (2020).
  gpu('server GPU', { dots: 4, readBytes: 2039, lanes: 6912, gigahertz: 1.41, memoryBytes: 80e9, launchSeconds: 4e-6 }),
  cpu('server CPU, 1 thread', 1),
  cpu('server CPU, 2 threads', 2),
] as const satisfies readonly DescribedDevice[]

function gpu(
  name: string,
  {
    lanes,
    gigahertz,
    dots,
    ...rest
  }: Pick<DescribedDevice, 'readBytes' | 'memoryBytes' | 'launchSeconds'> & { lanes: number; gigahertz: number; dots: number },
): DescribedDevice {
  const madd = lanes * gigahertz
  return { name, target: 'webgpu', ...rest, madd, dot: dots * madd, invocations: 4 * lanes, cacheBytes: madd }
}

function cpu(name: string, threads: number): DescribedDevice {
  const [readBytes, madd, dot] = [18.5 * threads, 29 * threads, 100 * threads]
  return {
    name,
    target: 'wasm',
    readBytes,
    madd,
    dot,
    memoryBytes: 16 * GiB,
    launchSeconds: 0,
    invocations: 1,
    cacheBytes: Number.POSITIVE_INFINITY,
  }
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
  readonly shape: KernelShape
  /** Of the largest dimension of its grid; 1 where rows are shared by threads. */
  readonly invocations: number
  /** What its invocations load, again and again: `bytes` and `values` are what is moved once. Where it was asked for. */
  readonly loads?: Moved
}

type Moved = Pick<Work, 'bytes' | 'values'>
type Accesses = Readonly<Record<'loaded' | 'stored', Moved>>

/** Workgroups that loads are counted of. */
const countedGroups = 8

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
 * has a part in is no dispatch. `withLoads`: loads of workgroups are counted, of some of them where there are many; tokens that choose
 * weights choose in turn. That takes some seconds for billions of weights.
 */
export function costsOf(
  { steps }: Pick<KernelProgram, 'steps'>,
  partsOf: PartsOf,
  binding: Binding,
  { withLoads = false }: { readonly withLoads?: boolean } = {},
): DispatchCost[] {
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
        const [first] = kernels as [Kernel]
        const cost = { kernel: first.name, shape: classify(first), launches, invocations: groups * fn.workgroup, ...work }
        const accesses = withLoads && fn.grid.length > 0 ? accessesOf(fn, kernels, binding) : undefined
        costs.push(accesses ? { ...cost, ...movedAtMost(work, accesses), loads: accesses.loaded } : cost)
      }
    }
  }
  visit(steps, 1)
  return costs
}

/** What is not all needed (weights that other tokens choose, room for more positions) is not moved. */
const movedAtMost = ({ bytes, values }: Work, { loaded, stored }: Accesses): Moved => ({
  bytes: Math.min(bytes, loaded.bytes + stored.bytes),
  values: Math.min(values, loaded.values + stored.values),
})

const known = new WeakMap<LoopFunction, Map<string, Accesses>>()

/** Counted once for all sizes that a function is asked for. */
function accessesOf(fn: LoopFunction, kernels: readonly Kernel[], symbols: Binding): Accesses {
  const ofFunction = known.get(fn) ?? new Map<string, Accesses>()
  known.set(fn, ofFunction)
  const key = fn.symbols.map((name) => symbols[name]).join()
  const accesses = ofFunction.get(key) ?? countAccesses(fn, kernels, symbols)
  ofFunction.set(key, accesses)
  return accesses
}

/** What the invocations of a dispatch load and store. What they leave for each other is no kernel's operand: values. */
function countAccesses(fn: LoopFunction, kernels: readonly Kernel[], symbols: Binding): Accesses {
  const operands = kernels.flatMap((kernel) => kernel.operands.map((operand) => ({ operand, kernel })))
  const placeOf = ({ memory }: LoopFunction['operands'][number]) => (memory.kind === 'buffer' ? operands[memory.operand] : undefined)
  const memory = fn.operands.map((each) => {
    const place = placeOf(each)
    return place && inTurn(place.operand, place.kernel, symbols)
  })
  const [loaded, stored] = [
    { bytes: 0, values: 0 },
    { bytes: 0, values: 0 },
  ]
  for (const [i, traffic] of countTraffic(fn, { symbols, memory, mostGroups: countedGroups }).entries()) {
    const kind = placeOf(fn.operands[i]!)?.operand.source.kind
    const what = kind === undefined || kind === 'value' || kind === 'argument' ? 'values' : 'bytes'
    loaded[what] += traffic?.loaded ?? 0
    stored[what] += traffic?.stored ?? 0
  }
  return { loaded, stored }
}

/** Choices of one among all that a kernel's weights hold, each as often as the others. */
function inTurn({ dtype, source, dims }: Operand, { operands }: Kernel, binding: Binding): Int32Array | undefined {
  if (dtype !== 'i32' || source.kind !== 'value') return undefined
  const among = operands.flatMap((other) => (other.source.kind === 'weight' ? [other.source.rows?.[1] ?? other.dims[0]!.const] : []))
  const count = Math.max(1, ...among)
  return Int32Array.from({ length: dims.reduce((product, dim) => product * evaluate(dim, binding), 1) }, (_, i) => i % count)
}

export type Bound = 'memory' | 'caches' | 'arithmetic' | 'launches'

/** Seconds of one launch at a share of the device's peak, and what they go to. What is loaded again comes from caches. */
export function timeOf(
  { bytes, values, loads, madds, dots, invocations }: Omit<DispatchCost, 'kernel' | 'shape' | 'launches'>,
  { readBytes, cacheBytes, madd, dot, launchSeconds, invocations: all }: DescribedDevice,
  share = 1,
): { readonly seconds: number; readonly by: Bound } {
  const speed = share * Math.min(1, invocations / all) * 1e9
  const parts: readonly (readonly [by: Bound, seconds: number])[] = [
    ['memory', (bytes + values) / (readBytes * speed)],
    ['caches', ((loads?.bytes ?? 0) + (loads?.values ?? 0)) / (cacheBytes * speed)],
    ['arithmetic', (madds / madd + dots / dot) / speed],
  ]
  const [by, working] = parts.reduce((most, part) => (part[1] > most[1] ? part : most))
  return { seconds: launchSeconds + working, by: launchSeconds > working ? 'launches' : by }
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
