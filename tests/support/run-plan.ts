// A plan executed by the loop evaluator, on the artifact's own tensors, in the arena as planned: by one thread, or by a team whose
// threads run one after the other between two barriers, in any order. What a thread has for itself is its own array here, and
// full of NaNs at first, so a value that another thread should have made, or that comes too early or too late, shows.

import type { KernelStep } from '../../compiler/kernel/program.ts'
import type { Kernel, OperandSource } from '../../compiler/kernel/types.ts'
import { argumentKey, valueKey } from '../../compiler/plan/lifetimes.ts'
import type { EntryPlan, Plan } from '../../compiler/plan/plan.ts'
import { evaluateLoops } from '../../compiler/schedule/evaluate-loops.ts'
import { type Binding, evaluate } from '../../dsl/affine.ts'
import type { EntryInfo } from '../../dsl/model.ts'
import type { Compiled } from './compiled.ts'

export const product = (dims: readonly number[]): number => dims.reduce((count, dim) => count * dim, 1)

export interface Call {
  readonly entry: EntryInfo
  readonly binding: Binding
  readonly inputs: Readonly<Record<string, Float64Array>>
}

/** Every entry once, in order, on ids of its own; positions go on from call to call, so later calls read what earlier ones stored. */
export function callsOf({ compilation: { model } }: Compiled): Call[] {
  let start = 0
  return model.entries.map((entry) => {
    const binding = Object.fromEntries(entry.symbols.map(({ name }) => [name, name === 'start' ? start : 3]))
    if ('start' in binding) start += 'seq' in binding ? 3 : 1
    const inputs = Object.fromEntries(
      entry.arguments.flatMap((argument) => {
        if (argument.kind === 'index') return []
        const ids = argument.name !== 'segments'
        const count = product(argument.type.dims.map((dim) => evaluate(dim, binding)))
        return [[argument.name, Float64Array.from({ length: count }, (_, i) => (ids ? 3 + ((i * 17 + start * 5) % 80) : i % 2))] as const]
      }),
    )
    return { entry, binding, inputs }
  })
}

/** Bytes of every tensor as the artifact stores them, by number. */
export async function tensorsOf({ compilation }: Compiled): Promise<(index: number) => Int32Array> {
  const tensors = await Promise.all(
    compilation.contents.tensors.map(async ({ produce }) => new Int32Array((await produce()).slice().buffer)),
  )
  return (index) => tensors[index]!
}

export interface PlanMemory {
  tensor(index: number): Int32Array
  state(path: string): Float32Array
}

export interface TeamOrder {
  readonly threads: number
  /** The order in which threads run their parts after barrier number `epoch`: a permutation of 0 … threads - 1. */
  order(epoch: number): readonly number[]
}

type Frames = readonly (readonly [array: string, index: number])[]

const fill = (path: string, frames: Frames): string =>
  frames.reduce(
    (filled, [array, index]) => (filled.startsWith(`${array}[*]`) ? `${array}[${index}]${filled.slice(array.length + 3)}` : filled),
    path,
  )

const alone: TeamOrder = { threads: 1, order: () => [0] }

/** Runs one call; gives its results. `barriers` instead of the plan's own, for tests of barriers. */
export function runPlan(
  plan: Plan,
  entry: EntryPlan,
  { tensor, state }: PlanMemory,
  { binding, inputs }: Call,
  team: TeamOrder = alone,
  barriers: ReadonlySet<string> = entry.barriers,
): Float32Array[] {
  const shared = new Int32Array(plan.ownFrom / 4).fill(0x7fc0dead)
  const own = Array.from({ length: team.threads }, () => new Int32Array((plan.arenaBytes - plan.ownFrom) / 4).fill(0x7fc0dead))
  const at = (key: string, thread: number): Int32Array => {
    const offset = entry.arena.offsets.get(key)!
    return offset < plan.ownFrom ? shared.subarray(offset / 4) : own[thread]!.subarray((offset - plan.ownFrom) / 4)
  }
  const memory = (source: OperandSource, frames: Frames, thread: number): Int32Array | Float32Array => {
    if (source.kind === 'value') return at(valueKey(source.id), thread)
    if (source.kind === 'argument') return at(argumentKey(source.name), thread)
    if (source.kind === 'constant') return tensor(plan.layout.tensor(`table:${source.id}`))
    return source.kind === 'state' ? state(fill(source.path, frames)) : tensor(plan.layout.tensor(fill(source.path, frames)))
  }
  for (const argument of entry.info.arguments) if (argument.kind === 'tensor') at(argumentKey(argument.name), 0).set(inputs[argument.name]!)

  let since: ((thread: number) => void)[] = []
  let epoch = 0
  const meet = (): void => {
    for (const thread of team.order(epoch++)) for (const part of since) part(thread)
    since = []
  }
  const launch = (kernel: Kernel, frames: Frames): void => {
    if (barriers.has(kernel.name)) meet()
    const fn = plan.functions.get(kernel.name)!
    const share = entry.shares.get(kernel.name)!
    since.push((thread) => {
      if (share === 'one' && thread > 0) return
      const operands = fn.operands.map(({ memory: m }) =>
        m.kind === 'scratch' ? undefined : memory(kernel.operands[m.operand]!.source, frames, thread),
      )
      const rows = fn.rows && share === 'split' ? evaluate(fn.rows.count, binding) : undefined
      const cut = (part: number): number => Math.floor((rows! * part) / team.threads)
      evaluateLoops(fn, { memory: operands, symbols: binding, ...(rows === undefined ? {} : { from: cut(thread), to: cut(thread + 1) }) })
    })
  }
  const walk = (steps: readonly KernelStep[], frames: Frames): void => {
    for (const step of steps) {
      if (step.kind === 'loop') {
        const array = fill(step.array, frames)
        for (const [index, group] of step.order.entries()) walk(step.groups[group]!, [...frames, [array, index]])
      } else for (const kernel of step.kind === 'launch' ? step.kernels : [step.kernel]) launch(kernel, frames)
    }
  }
  walk(entry.program.steps, [])
  meet()
  return entry.program.results.map((source, i) => {
    const words = memory(source, [], 0)
    const count = product(entry.info.results[i]!.type.dims.map((dim) => evaluate(dim, binding)))
    return new Float32Array(words.buffer, words.byteOffset, count)
  })
}
