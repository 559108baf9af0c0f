// How the threads of a team share each kernel. 'split': every thread takes a run of the kernel's rows. 'each': every thread does
// all of it into memory of its own, so that nobody waits (norms, roundings to 8 bits: cheaper than a barrier). 'one': thread 0
// alone. A value that 'each' kernels write lies in memory of its own per thread, as scratch does. What is decided here is
// correct for any number of threads, and no result depends on it: rows and copies are computed the same way by whoever does it.

import * as affine from '../../dsl/affine.ts'
import { isPerInstance, type KernelProgram } from '../kernel/program.ts'
import { readsWhatItWrites } from '../kernel/small-kernels.ts'
import type { AxisId, Index, Kernel } from '../kernel/types.ts'
import { kernelsOf } from '../kernel/weights.ts'
import { countMost } from '../schedule/count.ts'
import type { LoopFunction } from '../schedule/loops.ts'
import { valueBytes } from './lifetimes.ts'

export type Share = 'split' | 'each' | 'one'

export interface Sharing {
  /** By kernel name. */
  readonly of: ReadonlyMap<string, Share>
  /** Ids of values that every thread has for itself. */
  readonly own: ReadonlySet<string>
}

/** A kernel with fewer points than this is done by each thread even if it could be split: about what a barrier costs. */
const splitFrom = 4096
/** Points of a piece of rows that a thread takes: enough that two microseconds pass until the next one, and that its places in memory are no crumbs. */
const pieceOf = 16 * splitFrom
/** What a kernel writes is not copied into every thread's memory when it is larger. */
const copyUpToBytes = 1 << 20
/** What joins the parts of a kernel is done by each thread up to this many words of them: as long as a barrier, in vectors. */
const joinUpTo = 8 * splitFrom

/** The name, among shares and barriers, of the function that joins what a kernel's rows left. */
export const joinOf = (kernel: string): string => `${kernel} joined`

/** `functions`: the loops of every kernel of the program, by name. */
export function shareKernels(program: KernelProgram, functions: ReadonlyMap<string, LoopFunction>): Sharing {
  const kernels = kernelsOf(program.steps)
  const shared = new Set(program.results.flatMap((source) => (source.kind === 'value' ? [source.id] : [])))
  const written = (kernel: Kernel): readonly string[] | undefined => {
    const ids: string[] = []
    for (const { access, source } of kernel.operands) {
      if (access === 'read') continue
      // Only whole new values: states, results and kept values are everybody's, and a kernel must not read what it replaces.
      if (access === 'readwrite' || source.kind !== 'value' || shared.has(source.id) || isPerInstance(source)) return undefined
      if (kernel.operands.some((other) => other.access === 'read' && other.source.kind === 'value' && other.source.id === source.id))
        return undefined
      ids.push(source.id)
    }
    return ids
  }
  const canSplit = (kernel: Kernel): boolean => {
    const { rows } = functions.get(kernel.name)!
    return rows !== undefined && countMost(rows.count, program.symbols) > 1 && rowsAreApart(kernel)
  }
  const copied = new Map<string, readonly string[]>()
  for (const kernel of kernels) {
    const ids = written(kernel)
    if (!ids) continue
    const fn = functions.get(kernel.name)!
    // What cannot be split is waited for by all: they may as well do it.
    const each = fn.join
      ? sharedWords(fn) <= joinUpTo
      : canSplit(kernel)
        ? points(kernel, program.symbols) <= splitFrom && !readsMatrix(kernel)
        : ids.reduce((sum, id) => sum + valueBytes(program.values.get(id)!, program.symbols), 0) <= copyUpToBytes
    if (each) copied.set(kernel.name, ids)
  }
  // A value with another writer is everybody's after all, and so is what its other writers write.
  for (let before = -1; before !== copied.size; ) {
    before = copied.size
    for (const kernel of kernels) {
      if (copied.has(kernel.name)) continue
      for (const { access, source } of kernel.operands) if (access !== 'read' && source.kind === 'value') shared.add(source.id)
    }
    for (const [name, ids] of copied) if (ids.some((id) => shared.has(id))) copied.delete(name)
  }
  const of = kernels.flatMap((kernel): [string, Share][] => {
    const alone = canSplit(kernel) ? 'split' : 'one'
    const whole = copied.has(kernel.name) ? 'each' : alone
    return functions.get(kernel.name)!.join
      ? [
          [kernel.name, alone],
          [joinOf(kernel.name), whole],
        ]
      : [[kernel.name, whole]]
  })
  return { of: new Map(of), own: new Set([...copied.values()].flat()) }
}

/** How many rows of a function make a piece that is worth taking. */
export const leastRows = (kernel: Kernel, { rows }: LoopFunction, bounds: affine.Bounds): number =>
  rows ? Math.max(1, Math.ceil((pieceOf * countMost(rows.count, bounds)) / Math.max(1, points(kernel, bounds)))) : 1

/** Words that the rows of a function leave to be joined. */
const sharedWords = ({ operands }: LoopFunction): number =>
  operands.reduce((sum, { memory }) => sum + (memory.kind === 'scratch' && memory.shared ? memory.words : 0), 0)

/** No row writes what another reads, nor where another writes (indices that are data may collide). */
const rowsAreApart = (kernel: Kernel): boolean =>
  kernel.operands.every(({ access }, n) => access !== 'readwrite' || readsWhatItWrites(kernel, n)) &&
  !kernel.outputs.some(({ index }) => index.some(isIndirect))

function isIndirect(index: Index): boolean {
  switch (index.kind) {
    case 'indirect':
      return true
    case 'add':
      return isIndirect(index.a) || isIndirect(index.b)
    case 'mul':
    case 'div':
    case 'mod':
      return isIndirect(index.a)
    default:
      return false
  }
}

/** Products with packed weights are worth splitting at any size: they are what threads are for. */
const readsMatrix = (kernel: Kernel): boolean =>
  kernel.definitions.some(({ over }) => over.length > 0) && kernel.operands.some(({ layout }) => layout === 'r8')

/** Points at which a kernel evaluates its definitions and outputs, at the symbols' upper bounds. */
function points(kernel: Kernel, bounds: affine.Bounds): number {
  const extents = new Map(kernel.axes.map(({ id, extent }) => [id, affine.range(extent, bounds).max]))
  const product = (axes: readonly AxisId[]): number => axes.reduce((count, id) => count * extents.get(id)!, 1)
  const chosen = kernel.select ? product(kernel.axes.map(({ id }) => id)) : 0
  return [
    ...kernel.definitions.map(({ free, over }) => product([...free, ...over])),
    ...kernel.outputs.map(({ axes }) => product(axes)),
  ].reduce((a, b) => a + b, chosen)
}
