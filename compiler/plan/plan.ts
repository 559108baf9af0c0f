// What a target lowers: the entries as kernels with stored weights, their loops, one arena that all entries share, and how
// threads share the work. The arena's end is memory that every thread has for itself (scratch, and values of 'each' kernels).

import type { EntryInfo } from '../../dsl/model.ts'
import { range } from '../../dsl/affine.ts'
import type { Kernel } from '../kernel/types.ts'
import { fillSource } from '../kernel/launches.ts'
import { isPerInstance, type KernelProgram, type KernelStep } from '../kernel/program.ts'
import { kernelsOf } from '../kernel/weights.ts'
import { type LoopFunction, partsOf } from '../schedule/loops.ts'
import type { Machine } from '../schedule/machine.ts'
import { type Arena, type Buffer, placeBuffers } from './arena.ts'
import { placeBarriers } from './barriers.ts'
import { functionsOf } from './functions.ts'
import type { Layout } from './layout.ts'
import { argumentKey, lifetimes, scratchKey, valueBytes, valueKey } from './lifetimes.ts'
import type { SharedStep, Touch } from './races.ts'
import { joinOf, type Share, shareKernels } from './share.ts'

export interface EntryPlan {
  readonly info: EntryInfo
  readonly program: KernelProgram
  /** Offsets from `Plan.ownFrom` on lie in memory that every thread has for itself. */
  readonly arena: Arena
  /**
   * What lies in the arena, and when: steps are numbered as in `steps`, -1 is before the first. Where the largest entry leaves room, values
   * live until the threads have met, so the arena of the others may exceed their lower bound.
   */
  readonly buffers: readonly Buffer[]
  /** Names of the kernels of each step. */
  readonly steps: readonly (readonly string[])[]
  /** How threads share each kernel, by name; and what joins its parts (`joinOf`). */
  readonly shares: ReadonlyMap<string, Share>
  /** What kernels touch of the memory that threads share. */
  readonly touches: readonly SharedStep[]
  /** Names of the kernels before which all threads meet. */
  readonly barriers: ReadonlySet<string>
}

export interface Plan {
  readonly layout: Layout
  readonly entries: readonly EntryPlan[]
  readonly machine: Machine
  /** Loops of each kernel, by the kernel's name; some kernels share theirs. */
  readonly functions: ReadonlyMap<string, LoopFunction>
  /** The shared part, then one thread's own. */
  readonly arenaBytes: number
  /** Where that part begins. */
  readonly ownFrom: number
}

const scratchOperands = (fn: LoopFunction) => fn.operands.flatMap(({ memory }) => (memory.kind === 'scratch' ? [memory] : []))

export function makePlan(
  layout: Layout,
  programs: readonly { readonly info: EntryInfo; readonly program: KernelProgram }[],
  machine: Machine,
): Plan {
  const functions = functionsOf(
    programs.map(({ program }) => program),
    machine,
  )
  const placed = programs.map(({ info, program }) => {
    const args = info.arguments.flatMap((argument) =>
      argument.kind === 'tensor'
        ? [{ name: argument.name, bytes: argument.type.dims.reduce((product, dim) => product * range(dim, program.symbols).max, 4) }]
        : [],
    )
    // Scratch lies in the arena where the machine has no memory of its own for it, and where a second function finds it.
    const scratchIn = (kernel: Kernel) =>
      scratchOperands(functions.get(kernel.name)!).map((scratch) =>
        machine.rowBlocks || scratch.shared ? scratch : { ...scratch, words: 0 },
      )
    const scratchOf = (kernel: Kernel): readonly number[] => scratchIn(kernel).map(({ words }) => words)
    const sharing = shareKernels(program, functions)
    const own = new Set([
      ...[...sharing.own].map(valueKey),
      ...kernelsOf(program.steps).flatMap((kernel) =>
        scratchIn(kernel).flatMap(({ shared }, i) => (shared ? [] : [scratchKey(kernel.name, i)])),
      ),
    ])
    const { buffers, steps } = lifetimes(program, args, scratchOf)
    const isShared = ({ id }: Buffer): boolean => !(machine.rowBlocks && own.has(id))
    const touchesIn = (arena: Pick<Arena, 'offsets'>): readonly SharedStep[] =>
      machine.rowBlocks ? touchesOf(program, sharing.of, functions, arena, new Map(args.map(({ name, bytes }) => [name, bytes]))) : []
    return {
      info,
      program,
      steps,
      shares: sharing.of,
      shared: place(buffers.filter(isShared)),
      own: place(buffers.filter((buffer) => !isShared(buffer))),
      touchesIn,
      /** The shared part where values live until the threads have met. */
      longer: () => {
        const meetings = placeBarriers(touchesIn(apart(buffers.filter(isShared))))
        return place(lifetimes(program, args, scratchOf, meetings).buffers.filter(isShared))
      },
    }
  })
  const sharedBytes = Math.max(0, ...placed.map(({ shared }) => shared.bytes))
  const ownFrom = alignOwn(sharedBytes)
  const entries = placed.map(({ info, program, steps, shares, shared: tight, own, touchesIn, longer }): EntryPlan => {
    // All entries share the arena: what the largest one needs is there for the meetings that others can do without.
    const roomy = machine.rowBlocks ? longer() : tight
    const shared = roomy.bytes <= sharedBytes ? roomy : tight
    const offsets = new Map([...shared.offsets, ...[...own.offsets].map(([key, offset]) => [key, ownFrom + offset] as const)])
    const arena = { offsets, bytes: shared.bytes + own.bytes, lowerBound: tight.lowerBound + own.lowerBound }
    const touches = touchesIn(shared)
    return { info, program, arena, buffers: [...shared.buffers, ...own.buffers], steps, shares, touches, barriers: placeBarriers(touches) }
  })
  return { layout, entries, machine, functions, ownFrom, arenaBytes: Math.max(0, ...placed.map(({ own }) => ownFrom + own.bytes)) }
}

/** Every buffer where no other is. */
function apart(buffers: readonly Buffer[]): Pick<Arena, 'offsets'> {
  let end = 0
  return {
    offsets: new Map(
      buffers.map(({ id, bytes }) => {
        const offset = end
        end += bytes
        return [id, offset]
      }),
    ),
  }
}

const place = (buffers: readonly Buffer[]): Arena & Pick<EntryPlan, 'buffers'> => ({ ...placeBuffers(buffers), buffers })

type Loop = Extract<KernelStep, { kind: 'loop' }>

/** The own memory of two threads shares no line of any cache. */
const alignOwn = (bytes: number): number => Math.ceil(bytes / 256) * 256

/** The steps with the bytes that they touch of arena and states; weights and tables are never written. */
function touchesOf(
  program: KernelProgram,
  shares: ReadonlyMap<string, Share>,
  functions: ReadonlyMap<string, LoopFunction>,
  arena: Pick<Arena, 'offsets'>,
  args: ReadonlyMap<string, number>,
): SharedStep[] {
  const inArena = (key: string, bytes: number, write: boolean): Touch[] => {
    const from = arena.offsets.get(key)
    return from === undefined ? [] : [{ memory: 'arena', from, to: from + bytes, write }]
  }
  const touch = ({ source, access }: Kernel['operands'][number], loop: Loop | undefined): Touch[] => {
    const write = access !== 'read'
    switch (source.kind) {
      case 'value':
        if (loop && isPerInstance(source)) {
          const bytes = valueBytes(program.values.get(source.id)!, program.symbols)
          // Instances of other groups have none.
          const starts = loop.order.map((_, index) => arena.offsets.get(valueKey(fillSource(source, [{ ...loop, index }]).id)) ?? -1)
          return [{ memory: 'arena', from: 0, to: bytes, write, starts }]
        }
        return inArena(valueKey(source.id), valueBytes(program.values.get(source.id)!, program.symbols), write)
      case 'argument':
        return inArena(argumentKey(source.name), args.get(source.name)!, write)
      case 'state':
        return [{ memory: source.path, from: 0, to: 1, write }]
      default:
        return []
    }
  }
  const visit = (steps: readonly KernelStep[], loop?: Loop): SharedStep[] =>
    steps.flatMap((step): SharedStep[] => {
      if (step.kind === 'loop') return [{ kind: 'loop', order: step.order, groups: step.groups.map((group) => visit(group, step)) }]
      const kernels = step.kind === 'kernel' ? [step.kernel] : step.kernels
      return kernels.flatMap((kernel): SharedStep[] => {
        const fn = functions.get(kernel.name)!
        const operands = kernel.operands.flatMap((operand) => touch(operand, loop))
        return partsOf(fn).map((part): SharedStep => {
          const name = part === fn ? kernel.name : joinOf(kernel.name)
          const scratch = scratchOperands(fn).flatMap(({ words }, i) => inArena(scratchKey(kernel.name, i), words * 4, part === fn))
          return { kind: 'kernel', name, share: shares.get(name)!, touches: [...operands, ...scratch] }
        })
      })
    })
  return visit(program.steps)
}
