// Runs a planned entry on the loop evaluator: every kernel's loops in the arena as planned, instances of layers in order, tensors
// as the artifact stores them; by one thread, or by a team whose threads run one after the other between two barriers, in
// any order. What a thread has for itself is its own array here, and full of NaNs at first: a value that another thread should
// have made, or that comes too early or too late, shows. Scratch memory is the evaluator's own.

import { joinOf } from '../../compiler/plan/share.ts'
import { partsOf } from '../../compiler/schedule/loops.ts'
import type { KernelStep } from '../../compiler/kernel/program.ts'
import type { Kernel, OperandSource } from '../../compiler/kernel/types.ts'
import { weightSize } from '../../compiler/passes/split-weights.ts'
import { argumentKey, scratchKey, valueKey } from '../../compiler/plan/lifetimes.ts'
import type { EntryPlan, Plan } from '../../compiler/plan/plan.ts'
import { evaluateLoops } from '../../compiler/schedule/evaluate-loops.ts'
import { evaluateCount } from '../../compiler/schedule/count.ts'
import { type Binding, evaluate } from '../../dsl/affine.ts'

type Frames = readonly (readonly [array: string, index: number])[]
type Words = Int32Array<ArrayBufferLike> | Float32Array<ArrayBufferLike>

/** `layers[*].w` in the running instances. */
const fill = (path: string, frames: Frames): string =>
  frames.reduce(
    (filled, [array, index]) => (filled.startsWith(`${array}[*]`) ? `${array}[${index}]${filled.slice(array.length + 3)}` : filled),
    path,
  )

export interface LoopMemory {
  /** A stored tensor, by its index in the layout. */
  readonly tensor: (index: number) => Int32Array
  /** A state's words, written in place. */
  readonly state: (path: string) => Words
}

export interface Team {
  readonly threads: number
  /** The order in which threads run their parts after barrier number `epoch`: a permutation of 0 … threads - 1. */
  order(epoch: number): readonly number[]
  /** Instead of the plan's own, for tests of barriers. */
  readonly barriers?: ReadonlySet<string>
}

const alone: Team = { threads: 1, order: () => [0] }

/** Runs one entry; gives a view of the arena at each result. */
export function runPlannedLoops(
  plan: Plan,
  entry: EntryPlan,
  { tensor, state }: LoopMemory,
  binding: Binding,
  inputs: Readonly<Record<string, ArrayLike<number>>>,
  { threads, order, barriers = entry.barriers }: Team = alone,
  subgroup?: number,
): (Int32Array | Float32Array)[] {
  const empty = (bytes: number): Int32Array => new Int32Array(bytes / 4).fill(0x7fc0dead)
  const shared = empty(plan.ownFrom)
  const own = Array.from({ length: threads }, () => empty(plan.arenaBytes - plan.ownFrom))
  const at = (key: string, thread = 0): Int32Array => {
    const offset = entry.arena.offsets.get(key)!
    return offset < plan.ownFrom ? shared.subarray(offset / 4) : own[thread]!.subarray((offset - plan.ownFrom) / 4)
  }
  const rowsOf = (index: number, source: Extract<OperandSource, { kind: 'weight' }>, operand: Kernel['operands'][number]): Int32Array => {
    const words = tensor(index)
    if (!source.rows) return words
    const { perRow } = weightSize(operand)
    const [from, to] = source.rows
    return words.subarray((from * perRow) / 4, to === plan.layout.tensors[index]!.dims[0] ? words.length : (to * perRow) / 4)
  }
  const memory = (operand: Kernel['operands'][number], frames: Frames, thread: number): Words => {
    const { source } = operand
    if (source.kind === 'value') return at(valueKey(fill(source.id, frames)), thread)
    if (source.kind === 'argument') return at(argumentKey(source.name))
    if (source.kind === 'constant') return tensor(plan.layout.tensor(`table:${source.id}`))
    return source.kind === 'state'
      ? state(fill(source.path, frames))
      : rowsOf(plan.layout.tensor(fill(source.path, frames)), source, operand)
  }
  for (const argument of entry.info.arguments) {
    if (argument.kind !== 'tensor') continue
    const words = at(argumentKey(argument.name))
    const view = argument.type.dtype === 'i32' ? words : new Float32Array(words.buffer, words.byteOffset, words.length)
    view.set(inputs[argument.name]!)
  }

  let since: ((thread: number) => void)[] = []
  let epoch = 0
  const meet = (): void => {
    for (const thread of order(epoch++)) for (const part of since) part(thread)
    since = []
  }
  const launch = (kernel: Kernel, frames: Frames): void => {
    const whole = plan.functions.get(kernel.name)!
    for (const fn of partsOf(whole)) {
      const name = fn === whole ? kernel.name : joinOf(kernel.name)
      if (barriers.has(name)) meet()
      const share = entry.shares.get(name)!
      since.push((thread) => {
        if (share === 'one' && thread > 0) return
        let scratch = 0
        const operands = fn.operands.map(({ memory: m }) => {
          if (m.kind === 'buffer') return memory(kernel.operands[m.operand]!, frames, thread)
          const key = scratchKey(kernel.name, scratch++)
          return m.shared ? at(key).subarray(0, m.words) : undefined
        })
        const rows = fn.rows && share === 'split' ? evaluateCount(fn.rows.count, binding) : undefined
        const cut = (part: number): number => Math.floor((rows! * part) / threads)
        evaluateLoops(fn, {
          memory: operands,
          symbols: binding,
          ...(subgroup === undefined ? {} : { subgroup }),
          ...(rows === undefined ? {} : { from: cut(thread), to: cut(thread + 1) }),
        })
      })
    }
  }
  const run = (steps: readonly KernelStep[], frames: Frames): void => {
    for (const step of steps) {
      if (step.kind === 'loop') {
        const array = fill(step.array, frames)
        for (const [index, group] of step.order.entries()) run(step.groups[group]!, [...frames, [array, index]])
      } else for (const kernel of step.kind === 'launch' ? step.kernels : [step.kernel]) launch(kernel, frames)
    }
  }
  run(entry.program.steps, [])
  meet()
  return entry.program.results.map((source, i) => {
    if (source.kind !== 'value') throw new Error('internal: a result that is not in the arena')
    const { dtype, dims } = entry.info.results[i]!.type
    const words = at(valueKey(source.id)).subarray(
      0,
      dims.reduce((count, dim) => count * evaluate(dim, binding), 1),
    )
    return dtype === 'i32' || dtype === 'bool' ? words : new Float32Array(words.buffer, words.byteOffset, words.length)
  })
}
