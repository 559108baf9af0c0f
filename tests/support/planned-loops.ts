// Runs a planned entry on the loop evaluator: every kernel's loops in the arena as planned, instances of layers in order, tensors
// as the artifact stores them. Scratch memory is the evaluator's own.

import type { KernelStep } from '../../compiler/kernel/program.ts'
import type { Kernel, OperandSource } from '../../compiler/kernel/types.ts'
import { argumentKey, valueKey } from '../../compiler/plan/lifetimes.ts'
import type { EntryPlan, Plan } from '../../compiler/plan/plan.ts'
import { evaluateLoops } from '../../compiler/schedule/evaluate-loops.ts'
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

/** Runs one entry; gives a view of the arena at each result, `count(i)` words long. */
export function runPlannedLoops(
  plan: Plan,
  entry: EntryPlan,
  { tensor, state }: LoopMemory,
  binding: Binding,
  inputs: Readonly<Record<string, ArrayLike<number>>>,
): (Int32Array | Float32Array)[] {
  const arena = new Int32Array(plan.arenaBytes / 4).fill(0x7fc0dead)
  const at = (key: string): Int32Array => arena.subarray(entry.arena.offsets.get(key)! / 4)
  const rowsOf = (index: number, source: Extract<OperandSource, { kind: 'weight' }>, operand: Kernel['operands'][number]): Int32Array => {
    const words = tensor(index)
    if (!source.rows) return words
    const { perRow } = plan.layout.sizeOf({ ...operand, source })
    const [from, to] = source.rows
    return words.subarray((from * perRow) / 4, to === plan.layout.tensors[index]!.dims[0] ? words.length : (to * perRow) / 4)
  }
  const memory = (operand: Kernel['operands'][number], frames: Frames): Words => {
    const { source } = operand
    if (source.kind === 'value') return at(valueKey(source.id))
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
  const launch = (kernel: Kernel, frames: Frames): void => {
    const fn = plan.functions.get(kernel.name)!
    const operands = fn.operands.map(({ memory: m }) => (m.kind === 'scratch' ? undefined : memory(kernel.operands[m.operand]!, frames)))
    evaluateLoops(fn, { memory: operands, symbols: binding })
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
