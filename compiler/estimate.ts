// What a model will take, worked out from its plan: no weight is read or made. Classes of memory, per target: weights, compile-time
// tables, states (the caches), the arena, and what alignment and addresses add. Nothing here knows a model: parts are paths, with the
// instances of an array counted together.

import type { Diagnostic } from '../dsl/diagnostics.ts'
import type { SpecialisedModel } from '../dsl/model.ts'
import type { Graph } from './graph/types.ts'
import { patternOf } from './graph/paths.ts'
import { type CompileOptions, type PlannedTarget, planGraphs } from './compile.ts'
import type { VariantContents } from './artifact/write.ts'
import { checkMemory } from './plan/check-memory.ts'
import { largestLiveSet } from './plan/arena.ts'
import type { EntryPlan, Plan } from './plan/plan.ts'
import { narrowBytes } from './targets/wasm/lower.ts'
import { type TargetName, targets } from './targets/index.ts'

/** Weights of one part: `layers[*].attn`, or a weight of the model itself. Bytes by storage format. */
export interface PartEstimate {
  readonly part: string
  readonly values: number
  readonly formats: Readonly<Record<string, number>>
  readonly bytes: number
}

/** States of one name in all instances of an array. */
export interface StateEstimate {
  readonly state: string
  readonly count: number
  /** How it is stored: its type, or q8_0. */
  readonly dtype: string
  /** Sizes by axis name, of one of them. */
  readonly axes: readonly (readonly [name: string, size: number])[]
  /** Of all of them. */
  readonly bytes: number
  /** What one more position of context adds; 0 where the state does not grow with it (a ring, an encoder's values). */
  readonly bytesPerPosition: number
}

export interface EntryEstimate {
  readonly entry: string
  readonly bytes: number
  /** No placement of the entry's values can take less. */
  readonly lowerBound: number
  /** The kernels of the step that needs most. */
  readonly peak: readonly string[]
}

export interface TargetEstimate {
  readonly target: TargetName
  /** Of one session on one thread; `total` is their sum. */
  readonly memory: {
    readonly weights: number
    readonly tables: number
    readonly states: number
    readonly arena: number
    /** Alignment, tables of addresses, uniforms. */
    readonly rest: number
  }
  readonly total: number
  /** Of addresses; 64 bits need an engine with such memories (memory64) and cost a little speed. Absent where there are none. */
  readonly addressBits?: 32 | 64
  /** What each further thread takes, besides what the engine takes for it. */
  readonly perThread: number
  /** The largest the arena could be shrunk to: that of the entry with the largest live set. */
  readonly arenaLowerBound: number
  readonly entries: readonly EntryEstimate[]
  /** Builds the program, for its size: of the module that would run first, or of all shaders' texts. Absent: it cannot be written (`problems`). */
  readonly programBytes?: () => Promise<number>
  readonly memoryBytes: number
  readonly bindingBytes: number
  /** Why the model does not fit the target (L601); empty when it does. */
  readonly problems: readonly Diagnostic[]
}

export interface Estimate {
  readonly parts: readonly PartEstimate[]
  readonly states: readonly StateEstimate[]
  readonly targets: readonly TargetEstimate[]
  /** As planned, for what else is to be counted. */
  readonly planned: readonly PlannedTarget[]
  readonly notes: readonly string[]
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)
const product = (numbers: readonly number[]): number => numbers.reduce((a, b) => a * b, 1)
const isTable = (path: string): boolean => path.startsWith('table:')

/**
 * Estimates what `compileGraphs` would make of the same. The weights of `options` are asked for their formats only; without any they
 * count as f32 where no rule says otherwise. Targets without a plan (the reference) are left out. Errors: E_SCRATCH, E_QUANT_PATHS.
 */
export function estimateGraphs(model: SpecialisedModel, graphs: readonly Graph[], options: CompileOptions): Estimate {
  const { targets: planned, layout, notes } = planGraphs(model, graphs, options)
  const math = options.math ?? 'fast'
  const parts = Map.groupBy(
    layout.tensors.filter(({ path }) => !isTable(path)),
    ({ path }) => partOf(path),
  )
  const states = Map.groupBy(model.states, ({ path }) => patternOf(path))
  return {
    parts: [...parts].map(([part, tensors]): PartEstimate => {
      const formats = Map.groupBy(tensors, ({ format }) => format)
      return {
        part,
        values: sum(tensors.map(({ dims }) => product(dims))),
        formats: Object.fromEntries([...formats].map(([format, some]) => [format, sum(some.map(({ bytes }) => bytes))])),
        bytes: sum(tensors.map(({ bytes }) => bytes)),
      }
    }),
    states: [...states].map(([state, some]): StateEstimate => {
      const { path, dims, labels } = some[0]!
      const { dtype, format } = layout.states[layout.state(path)]!
      const stored = some.map((one) => ({ one, bytes: layout.states[layout.state(one.path)]!.bytes }))
      return {
        state,
        count: some.length,
        dtype: format ?? dtype,
        axes: labels.map((label, i) => [label, dims[i]!] as const),
        bytes: sum(stored.map(({ bytes }) => bytes)),
        bytesPerPosition: sum(
          stored.map(({ one, bytes }) => (one.labels.includes('ctx') ? bytes / one.dims[one.labels.indexOf('ctx')]! : 0)),
        ),
      }
    }),
    targets: planned.flatMap((one) => (one.plan ? [estimateTarget(one.target, one.plan, model, math, options)] : [])),
    planned,
    notes,
  }
}

/** The path of what owns a weight, or of the weight where the model itself does. */
function partOf(path: string): string {
  const cut = path.lastIndexOf('.')
  return patternOf(cut < 0 ? path : path.slice(0, cut))
}

function estimateTarget(
  target: TargetName,
  plan: Plan,
  model: SpecialisedModel,
  math: 'fast' | 'strict',
  { machines }: CompileOptions,
): TargetEstimate {
  const { lower, machine: own } = targets[target]
  const machine = machines?.[target] ?? own!
  const problems = checkMemory(plan, model, target, machine, false)
  const { tensors, stateBytes } = plan.layout
  const memory = {
    weights: sum(tensors.map(({ path, bytes }) => (isTable(path) ? 0 : bytes))),
    tables: sum(tensors.map(({ path, bytes }) => (isTable(path) ? bytes : 0))),
    states: stateBytes,
    arena: plan.arenaBytes,
  }
  // What does not fit a binding cannot be written down; what is too large in all is written for reading.
  const unwritable = plan.arenaBytes > machine.bindingBytes || plan.layout.states.some(({ bytes }) => bytes > machine.bindingBytes)
  const known = sum(Object.values(memory))
  const variant = unwritable ? undefined : lower!(plan, { math, fits: problems.length === 0 }).variants[0]!
  const total = variant ? memoryOf(variant) : known
  return {
    target,
    memory: { ...memory, rest: total - known },
    total,
    ...(target === 'wasm' ? { addressBits: total > narrowBytes ? 64 : 32 } : {}),
    perThread: plan.arenaBytes - plan.ownFrom,
    arenaLowerBound: Math.max(0, ...plan.entries.map(({ arena }) => arena.lowerBound)),
    entries: plan.entries.map(estimateEntry),
    ...(variant ? { programBytes: () => programSize(variant) } : {}),
    memoryBytes: machine.memoryBytes,
    bindingBytes: machine.bindingBytes,
    problems,
  }
}

function estimateEntry({ info, arena, buffers, steps }: EntryPlan): EntryEstimate {
  const { step } = largestLiveSet(buffers)
  return { entry: info.name, bytes: arena.bytes, lowerBound: arena.lowerBound, peak: steps[step] ?? [] }
}

/** Bytes of all memory with one session on one thread, alignment and addresses included. */
function memoryOf(variant: VariantContents): number {
  switch (variant.target) {
    case 'wasm':
      return variant.memory.statesBase + variant.memory.stateBytes
    case 'webgpu':
      return sum(variant.program.buffers.map(({ bytes }) => bytes))
    case 'reference':
      return 0
  }
}

async function programSize(variant: VariantContents): Promise<number> {
  switch (variant.target) {
    case 'wasm':
      return (await variant.program()).length
    case 'webgpu':
      return sum(variant.program.modules.map(({ wgsl }) => wgsl.length))
    case 'reference':
      return 0
  }
}
