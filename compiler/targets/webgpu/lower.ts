// A plan as a WebGPU program: one buffer per tensor (one per run of its rows where no kernel binds it whole), one per
// state, one arena, one uniform for the symbols. Loops over instances are unrolled into the dispatch list; instances share their
// modules, since tensors and states are bindings of their own.

import type { WebgpuProgram } from '../../../runtime/artifact/manifest.ts'
import { LlamacError } from '../../../runtime/error.ts'
import type { Operand } from '../../kernel/types.ts'
import { fillSource, launchesOf } from '../../kernel/launches.ts'
import type { KernelStep } from '../../kernel/program.ts'
import { weightSize } from '../../passes/split-weights.ts'
import { argumentKey, valueBytes, valueKey } from '../../plan/lifetimes.ts'
import { functionsOf } from '../../plan/functions.ts'
import type { EntryPlan, Plan } from '../../plan/plan.ts'
import { webgpuSubgroup } from '../../schedule/machine.ts'
import { type OperandPlace, guaranteed } from './bindings.ts'
import { type Emulated, type PlannedDispatch, planDispatch } from './dispatch.ts'
import { type DispatchPart, dispatcher } from './dispatches.ts'
import { ModulePool } from './modules.ts'
import { withSampler } from './sampling.ts'

export interface LowerWebgpuOptions {
  /** With forms for devices that have subgroups, whose sums are added up in an order of the device's own. */
  readonly subgroups: boolean
  readonly emulated?: Emulated
}

export function lowerWebgpu(plan: Plan, { subgroups: wanted, emulated }: LowerWebgpuOptions): WebgpuProgram {
  const buffers: WebgpuProgram['buffers'][number][] = []
  const arenaBytes = Math.max(plan.arenaBytes, 16)
  if (arenaBytes > guaranteed.storageBytes) {
    throw new LlamacError(
      'E_ARENA_TOO_LARGE',
      `the intermediate values need ${mebibytes(arenaBytes)} MiB, a binding holds ${mebibytes(guaranteed.storageBytes)} MiB: use a smaller --max-seq or --ctx`,
    )
  }
  const arena = buffers.push({ kind: 'arena', bytes: arenaBytes }) - 1
  const symbolCount = Math.max(1, ...plan.entries.map(({ info }) => info.symbols.length))
  const uniform = buffers.push({ kind: 'uniform', bytes: Math.ceil(symbolCount / 4) * 16 }) - 1
  const tensors = new Map<string, number>()
  const runsOf = tensorRuns(plan)
  /** The place of a tensor or of a run of its rows, in a buffer that is made when it is first asked for. */
  const tensorPlace = ({ tensor, offset, bytes }: TensorRun): OperandPlace => {
    const run = runsOf.get(tensor)!.find((one) => contains(one, { tensor, offset, bytes }))!
    if (run.bytes > guaranteed.storageBytes) {
      throw new LlamacError(
        'E_TENSOR_TOO_LARGE',
        `${plan.layout.tensors[tensor]!.path} has ${mebibytes(run.bytes)} MiB, a binding holds ${mebibytes(guaranteed.storageBytes)} MiB`,
      )
    }
    const key = `${tensor}:${run.offset}:${run.bytes}`
    const buffer = tensors.get(key) ?? buffers.push({ kind: 'tensor', ...run }) - 1
    tensors.set(key, buffer)
    return { kind: 'tensor', buffer, offset: offset - run.offset, bytes }
  }
  const states = plan.layout.states.map(({ path, bytes }, state) => {
    if (bytes > guaranteed.storageBytes) {
      throw new LlamacError(
        'E_STATE_TOO_LARGE',
        `${path} has ${mebibytes(bytes)} MiB, a binding holds ${mebibytes(guaranteed.storageBytes)} MiB: use a smaller --ctx`,
      )
    }
    return buffers.push({ kind: 'state', state, bytes: Math.max(bytes, 16) }) - 1
  })

  const placeOf = (entry: EntryPlan, operand: Operand, instance: number): OperandPlace => {
    const { source } = operand
    if (source.kind === 'value') {
      const bytes = valueBytes(entry.program.values.get(source.id)!, entry.program.symbols)
      return inArena(entry, valueKey(source.id.replace('[*]', `[${instance}]`)), bytes)
    }
    if (source.kind === 'argument') return inArena(entry, argumentKey(source.name), 0)
    if (source.kind === 'state') {
      const buffer = states[plan.layout.state(source.path.replace('[*]', `[${instance}]`))]!
      return { kind: 'state', buffer, offset: 0, bytes: buffers[buffer]!.bytes }
    }
    const path = source.kind === 'weight' ? source.path.replace('[*]', `[${instance}]`) : `table:${source.id}`
    return tensorPlace(runOf(plan, operand, path))
  }
  const inArena = (entry: EntryPlan, key: string, bytes: number): OperandPlace => {
    const offset = entry.arena.offsets.get(key)
    if (offset === undefined) throw new Error(`internal: ${entry.info.name} has no place for ${key}`)
    return { kind: 'arena', buffer: arena, offset, bytes }
  }

  const pool = new ModulePool()
  const partsOf = dispatcher(plan.functions, wanted ? functionsWithSubgroups(plan) : undefined)
  const requested = plan.entries.map((entry) => {
    const { info, program } = entry
    const layout = { symbols: info.symbols.map(({ name }) => name), bounds: program.symbols, uniform }
    const known = new Map<string, PlannedDispatch>()
    const request = ({ fn, subgroups, kernels, shared }: DispatchPart, instance: number): ReturnType<ModulePool['request']> => {
      const places = [
        ...kernels.flatMap((kernel) => kernel.operands.map((operand) => placeOf(entry, operand, instance))),
        ...shared.map(({ key, bytes }) => inArena(entry, key, bytes)),
      ]
      const name = [fn.name, ...kernels.map((kernel) => kernel.name)].join()
      const before = known.get(name)
      const planned = planDispatch(fn, places, buffers, layout, {}, { subgroups, emulated })
      if (before) return pool.request(fn.name, before, planned)
      known.set(name, planned)
      return pool.request(fn.name, planned)
    }
    const walk = (steps: readonly KernelStep[], instance: number): ReturnType<typeof request>[] =>
      steps.flatMap((step) =>
        step.kind === 'loop'
          ? step.order.flatMap((group, i) => walk(step.groups[group]!, i))
          : partsOf(step).map((part) => request(part, instance)),
      )
    return walk(program.steps, 0)
  })
  const places = buffers.length
  const dispatches = requested.map((list) => list.map((one) => pool.dispatch(one, places)))
  buffers.push(...pool.buffer())

  const entries: Record<string, WebgpuProgram['entries'][string]> = {}
  for (const [i, entry] of plan.entries.entries()) {
    const { info, program } = entry
    entries[info.name] = {
      symbols: info.symbols.map(({ name }) => name),
      arguments: Object.fromEntries(
        info.arguments.flatMap((argument) =>
          argument.kind === 'tensor'
            ? [[argument.name, { buffer: arena, offset: inArena(entry, argumentKey(argument.name), 0).offset }]]
            : [],
        ),
      ),
      results: program.results.map((source) => {
        if (source.kind !== 'value') throw new Error('internal: a result that is not in the arena')
        return { buffer: arena, offset: inArena(entry, valueKey(source.id), 0).offset }
      }),
      dispatches: dispatches[i]!,
    }
  }
  return withSampler(
    { modules: pool.modules, buffers, entries },
    plan.entries.map(({ info }) => info),
  )
}

/** The loops of every kernel for devices with subgroups. */
export const functionsWithSubgroups = ({ entries, machine }: Plan): Plan['functions'] =>
  functionsOf(
    entries.map(({ program }) => program),
    { ...machine, leastSubgroup: webgpuSubgroup },
  )

const mebibytes = (bytes: number): number => Math.ceil(bytes / 2 ** 20)

/** Bytes of a tensor. */
interface TensorRun {
  readonly tensor: number
  readonly offset: number
  readonly bytes: number
}

const contains = (outer: TensorRun, inner: TensorRun): boolean =>
  outer.offset <= inner.offset && inner.offset + inner.bytes <= outer.offset + outer.bytes

/** What an operand reads of the weight or table with this path. */
function runOf({ layout }: Plan, operand: Operand, path: string): TensorRun {
  const tensor = layout.tensor(path)
  const { bytes: whole, dims } = layout.tensors[tensor]!
  const { source } = operand
  if (source.kind !== 'weight' || !source.rows) return { tensor, offset: 0, bytes: whole }
  const [from, to] = source.rows
  const { perRow } = weightSize(operand)
  const offset = from * perRow
  // The last run ends with the tensor: packed groups are whole, whatever the number of rows.
  return { tensor, offset, bytes: (to === dims[0] ? whole : to * perRow) - offset }
}

/** By tensor, the runs that kernels read, but for those that lie in others: each is a buffer. */
function tensorRuns(plan: Plan): ReadonlyMap<number, readonly TensorRun[]> {
  const all = new Map<string, TensorRun>()
  for (const { program } of plan.entries) {
    for (const { kernel, frames } of launchesOf(program)) {
      for (const operand of kernel.operands) {
        const source = fillSource(operand.source, frames)
        if (source.kind !== 'weight' && source.kind !== 'constant') continue
        const run = runOf(plan, operand, source.kind === 'weight' ? source.path : `table:${source.id}`)
        all.set(`${run.tensor}:${run.offset}:${run.bytes}`, run)
      }
    }
  }
  const byTensor = Map.groupBy(all.values(), ({ tensor }) => tensor)
  return new Map(
    [...byTensor].map(([tensor, runs]) => [tensor, runs.filter((run) => !runs.some((other) => other !== run && contains(other, run)))]),
  )
}
