// A plan as a WebGPU program: one buffer per tensor (cut into row segments where it is larger than a binding may be), one per
// state, one arena, one uniform for the symbols. Loops over instances are unrolled into the dispatch list; instances share their
// modules, since tensors and states are bindings of their own.

import type { WebgpuProgram } from '../../../runtime/artifact/manifest.ts'
import { LlamacError } from '../../../runtime/error.ts'
import type { Kernel, Operand } from '../../kernel/types.ts'
import { isPerInstance } from '../../kernel/program.ts'
import type { KernelStep } from '../../kernel/steps.ts'
import { weightSize } from '../../passes/split-weights.ts'
import { argumentKey, valueBytes, valueKey } from '../../plan/lifetimes.ts'
import type { EntryPlan, Plan } from '../../plan/plan.ts'
import { type OperandPlace, guaranteed, planBindings } from './bindings.ts'
import { planDispatch } from './dispatch.ts'

type Dispatch = WebgpuProgram['entries'][string]['dispatches'][number]

interface Module {
  readonly number: number
  readonly workgroups: Dispatch['workgroups']
  readonly needsUniform: boolean
}

export function lowerWebgpu(plan: Plan): WebgpuProgram {
  const modules: WebgpuProgram['modules'][number][] = []
  const numbers = new Map<string, number>()
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
  /** The buffer of a tensor or of a run of its rows, made when it is first asked for. */
  const tensorBuffer = (tensor: number, offset: number, bytes: number): number => {
    const key = `${tensor}:${offset}`
    const known = tensors.get(key)
    if (known !== undefined) return known
    if (bytes > guaranteed.storageBytes) {
      throw new LlamacError(
        'E_TENSOR_TOO_LARGE',
        `${plan.layout.tensors[tensor]!.path} has ${mebibytes(bytes)} MiB, a binding holds ${mebibytes(guaranteed.storageBytes)} MiB`,
      )
    }
    const buffer = buffers.push({ kind: 'tensor', tensor, offset, bytes }) - 1
    tensors.set(key, buffer)
    return buffer
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
    const tensor = plan.layout.tensor(path)
    const whole = plan.layout.tensors[tensor]!.bytes
    let [offset, bytes] = [0, whole]
    if (source.kind === 'weight' && source.rows) {
      const [from, to] = source.rows
      const { perRow } = weightSize(operand)
      offset = from * perRow
      // The last run ends with the tensor: packed groups are whole, whatever the number of rows.
      bytes = (to === plan.layout.tensors[tensor]!.dims[0] ? whole : to * perRow) - offset
    }
    return { kind: 'tensor', buffer: tensorBuffer(tensor, offset, bytes), offset: 0, bytes }
  }
  const inArena = (entry: EntryPlan, key: string, bytes: number): OperandPlace => {
    const offset = entry.arena.offsets.get(key)
    if (offset === undefined) throw new Error(`internal: ${entry.info.name} has no place for ${key}`)
    return { kind: 'arena', buffer: arena, offset, bytes }
  }

  const entries: Record<string, WebgpuProgram['entries'][string]> = {}
  for (const entry of plan.entries) {
    const { info, program } = entry
    const symbols = info.symbols.map(({ name }) => name)
    const known = new Map<string, Module>()
    const dispatches: Dispatch[] = []
    const dispatch = (kernel: Kernel, instance: number): void => {
      const fn = plan.functions.get(kernel.name)!
      const places = kernel.operands.map((operand) => placeOf(entry, operand, instance))
      // Places in the arena are constants of the module: the copies of kept values have one of their own for each instance.
      const before = kernel.operands.some(isKept) ? undefined : known.get(kernel.name)
      if (before) {
        const { ranges } = planBindings(fn, places, buffers, { symbols, uniform, needsUniform: before.needsUniform })
        dispatches.push({ module: before.number, bindings: ranges, workgroups: before.workgroups })
        return
      }
      const planned = planDispatch(fn, places, buffers, { symbols, bounds: program.symbols, uniform })
      let number = numbers.get(planned.wgsl)
      if (number === undefined) {
        number = modules.push({ name: kernel.name, wgsl: planned.wgsl }) - 1
        numbers.set(planned.wgsl, number)
      }
      known.set(kernel.name, { number, workgroups: planned.workgroups, needsUniform: planned.bindings[0]?.buffer === uniform })
      dispatches.push({ module: number, bindings: planned.bindings, workgroups: planned.workgroups })
    }
    const walk = (steps: readonly KernelStep[], instance: number): void => {
      for (const step of steps) {
        if (step.kind === 'kernel') dispatch(step.kernel, instance)
        else if (step.kind === 'launch') for (const kernel of step.kernels) dispatch(kernel, instance)
        else for (const [i, group] of step.order.entries()) walk(step.groups[group]!, i)
      }
    }
    walk(program.steps, 0)
    entries[info.name] = {
      symbols,
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
      dispatches,
    }
  }
  return { modules, buffers, entries }
}

const isKept = ({ source }: Operand): boolean => source.kind === 'value' && isPerInstance(source)

const mebibytes = (bytes: number): number => Math.ceil(bytes / 2 ** 20)
