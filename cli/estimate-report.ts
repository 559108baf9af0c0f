// What `llamac estimate` says: its figures, as JSON has them (estimate-text.ts has the tables).

import type { DispatchCost } from '../compiler/cost-model.ts'
import type { Estimate, PartEstimate, StateEstimate, TargetEstimate } from '../compiler/estimate.ts'
import type { Activations } from '../compiler/targets/index.ts'
import type { SpecialisedModel } from '../dsl/model.ts'
import type { Ceilings } from './measure/ceilings.ts'
import { boundOf, onDevices, type TargetWork } from './measure/floors.ts'

export const total = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

export interface Estimated {
  readonly model: SpecialisedModel
  readonly estimated: Estimate
  /** By target, as `estimated` lists them. */
  readonly programBytes: readonly (number | undefined)[]
  readonly work: readonly TargetWork[]
  readonly threads: number
  readonly maximum: Readonly<Record<string, number>>
  readonly math: 'fast' | 'strict'
  readonly activations: Activations | undefined
  /** Measured with `threads` threads. */
  readonly machine?: Ceilings
}

/** All sizes are bytes; `multiply_adds` of f32, `byte_multiply_adds` of 8-bit activations with quantised weights. */
export interface EstimateReport {
  readonly model: string
  readonly preset?: string
  readonly parameters: number
  readonly math: string
  /** Where it was asked for. */
  readonly activations?: Activations
  readonly context?: number
  readonly most_tokens_in_a_call?: number
  readonly threads: number
  readonly parts: readonly PartEstimate[]
  readonly states: readonly (Omit<StateEstimate, 'bytesPerPosition'> & { readonly bytes_per_position: number })[]
  readonly targets: readonly {
    readonly target: string
    readonly memory: TargetEstimate['memory'] & { readonly further_threads: number }
    readonly total: number
    /** 64: needs an engine with memory64. */
    readonly address_bits?: number
    readonly limit?: number
    readonly largest_buffer?: number
    readonly program_bytes?: number
    readonly arena_lower_bound: number
    readonly entries: readonly {
      readonly entry: string
      readonly bytes: number
      readonly lower_bound: number
      readonly peak: readonly string[]
    }[]
    readonly fits: boolean
    readonly problems: readonly { readonly message: string; readonly notes: readonly string[]; readonly help?: string }[]
    readonly calls: readonly {
      readonly entry: string
      readonly position: number
      readonly tokens: number
      readonly bytes: number
      readonly multiply_adds: number
      readonly byte_multiply_adds: number
      /** What the device is given to run, one after the other. */
      readonly dispatches: number
      /**
       * Dispatches by what their (first) kernels are. `bytes` of weights, states and tables, `values` of what lies between kernels: each
       * once; what invocations load in all, from memory or from caches, is counted on WebGPU.
       */
      readonly classes: readonly {
        readonly class: string
        readonly dispatches: number
        readonly bytes: number
        readonly values: number
        readonly loaded?: { readonly bytes: number; readonly values: number }
      }[]
      /** With --machine, on WASM. */
      readonly at_most?: { readonly tokens_per_second: number; readonly bound_by: string }
    }[]
  }[]
  /** By the cost model; calls are those of their target, in its order. */
  readonly devices: readonly {
    readonly device: string
    readonly target: string
    readonly memory: number
    readonly fits: boolean
    readonly calls: readonly {
      readonly tokens_per_second: number
      readonly bound_by: string
      readonly longest_dispatch_ms: number
    }[]
  }[]
  /** 1e9 per second, of all threads together. */
  readonly machine?: Ceilings
  readonly notes: readonly string[]
}

export function reportOf({
  model,
  estimated,
  programBytes,
  work,
  threads,
  maximum,
  math,
  activations,
  machine,
}: Estimated): EstimateReport {
  const context = model.config['ctx']
  const finite = (bytes: number): number | undefined => (Number.isFinite(bytes) ? bytes : undefined)
  return {
    model: model.name,
    ...(model.preset === undefined ? {} : { preset: model.preset }),
    parameters: model.parameters,
    math,
    ...(activations === undefined ? {} : { activations }),
    ...(typeof context === 'number' ? { context } : {}),
    ...(maximum['seq'] === undefined ? {} : { most_tokens_in_a_call: maximum['seq'] }),
    threads,
    parts: estimated.parts,
    states: estimated.states.map(({ bytesPerPosition, ...state }) => ({ ...state, bytes_per_position: bytesPerPosition })),
    targets: estimated.targets.map((one, i) => {
      const further = (threads - 1) * one.perThread
      const [limit, largest] = [finite(one.memoryBytes), finite(one.bindingBytes)]
      return {
        target: one.target,
        memory: { ...one.memory, further_threads: further },
        total: one.total + further,
        ...(one.addressBits === undefined ? {} : { address_bits: one.addressBits }),
        ...(limit === undefined ? {} : { limit }),
        ...(largest === undefined ? {} : { largest_buffer: largest }),
        ...(programBytes[i] === undefined ? {} : { program_bytes: programBytes[i] }),
        arena_lower_bound: one.arenaLowerBound,
        entries: one.entries.map(({ entry, bytes, lowerBound, peak }) => ({ entry, bytes, lower_bound: lowerBound, peak })),
        fits: one.problems.length === 0,
        problems: one.problems.map(({ message, notes, help }) => ({
          message,
          notes: notes ?? [],
          ...(help === undefined ? {} : { help }),
        })),
        calls: work
          .find(({ target }) => target === one.target)!
          .calls.map((call) => {
            const bound = machine && one.target === 'wasm' ? boundOf(call, machine) : undefined
            return {
              entry: call.entry,
              position: call.position,
              tokens: call.tokens,
              bytes: Math.round(call.bytes),
              multiply_adds: call.madds,
              byte_multiply_adds: call.dots,
              dispatches: call.dispatches.reduce((sum, { launches }) => sum + launches, 0),
              classes: classesOf(call.dispatches),
              ...(bound ? { at_most: { tokens_per_second: bound.rate, bound_by: bound.by } } : {}),
            }
          }),
      }
    }),
    devices: estimated.targets.flatMap((one) => {
      const ofTarget = work.find(({ target }) => target === one.target)!
      return onDevices(ofTarget).map(({ device, costs }) => ({
        device: device.name,
        target: one.target,
        memory: device.memoryBytes,
        fits: one.problems.length === 0 && one.total <= device.memoryBytes,
        calls: costs.map(({ seconds, by, longest }, i) => ({
          tokens_per_second: ofTarget.calls[i]!.tokens / seconds,
          bound_by: by,
          longest_dispatch_ms: 1000 * longest,
        })),
      }))
    }),
    ...(machine ? { machine } : {}),
    notes: estimated.notes,
  }
}

function classesOf(dispatches: readonly DispatchCost[]): EstimateReport['targets'][number]['calls'][number]['classes'] {
  const sum = (costs: readonly DispatchCost[], of: (cost: DispatchCost) => number): number =>
    Math.round(total(costs.map((cost) => cost.launches * of(cost))))
  return [...Map.groupBy(dispatches, ({ shape }) => shape)].map(([shape, costs]) => ({
    class: shape,
    dispatches: sum(costs, () => 1),
    bytes: sum(costs, ({ bytes }) => bytes),
    values: sum(costs, ({ values }) => values),
    ...(costs.every(({ loads }) => loads)
      ? { loaded: { bytes: sum(costs, ({ loads }) => loads!.bytes), values: sum(costs, ({ loads }) => loads!.values) } }
      : {}),
  }))
}
