// How each weight is used over all entries, and what follows for its layout: the interleaved rows `r8` where every use either
// contracts exactly the trailing dims or takes whole rows by the leading ones; `plain` else. Kernels are built with plain
// weights first (fusion does not depend on layouts); `withWeights` then writes layouts and formats into their operands.

import type { Bounds } from '../../dsl/affine.ts'
import { fillPath, type Frame, patternOf } from '../graph/paths.ts'
import type { Affine } from '../graph/types.ts'
import { walkExpr } from './expression.ts'
import { axesOfIndex } from './index-walk.ts'
import { indexRange, linearParts, type IndexScope } from './index-map.ts'
import type { KernelProgram, KernelStep } from './program.ts'
import type { AxisId, Expr, Index, Kernel, Operand } from './types.ts'

/** Instances of an array have one layout, whatever their sizes. */
export interface WeightLayout {
  readonly layout: 'plain' | 'r8'
  /** So many leading dims count rows, the others are contracted; 0 for plain. */
  readonly rowDims: number
}

/** A weight's dims flattened to rows × k. */
export function asMatrix(dims: readonly number[], rowDims: number): { readonly rows: number; readonly k: number } {
  const product = (list: readonly number[]): number => list.reduce((a, b) => a * b, 1)
  return { rows: product(dims.slice(0, rowDims)), k: product(dims.slice(rowDims)) }
}

/** All kernels of some steps, those in loops and launches included. */
export function kernelsOf(steps: readonly KernelStep[]): Kernel[] {
  return steps.flatMap((step) =>
    step.kind === 'kernel' ? [step.kernel] : step.kind === 'launch' ? step.kernels : step.groups.flatMap(kernelsOf),
  )
}

/** The same steps with every kernel replaced. `frames`: the loops around it, each with the first instance that runs the kernel. */
export function mapKernels(
  steps: readonly KernelStep[],
  change: (kernel: Kernel, frames: readonly Frame[]) => Kernel,
  frames: readonly Frame[] = [],
): KernelStep[] {
  return steps.map((step) => {
    if (step.kind === 'kernel') return { ...step, kernel: change(step.kernel, frames) }
    if (step.kind === 'launch') return { ...step, kernels: step.kernels.map((kernel) => change(kernel, frames)) }
    const array = fillPath(step.array, frames)
    const groups = step.groups.map((group, i) => mapKernels(group, change, [...frames, { array, index: step.order.indexOf(i) }]))
    return { ...step, groups }
  })
}

/** Uses of one weight: where contracted dims begin, and the first dim from which on other uses take whole rows. */
interface Uses {
  readonly rank: number
  readonly contracted: Set<number | 'other'>
  rowsFrom: number
}

/** Layout of every weight that some kernel reads, by pattern (`layers[*].attn.wq`). */
export function analyseWeights(programs: readonly KernelProgram[]): Map<string, WeightLayout> {
  const uses = new Map<string, Uses>()
  for (const program of programs) for (const kernel of kernelsOf(program.steps)) collect(kernel, program.symbols, uses)
  return new Map([...uses].map(([pattern, use]) => [pattern, layoutOf(use)] as const))
}

function layoutOf({ rank, contracted, rowsFrom }: Uses): WeightLayout {
  const [at] = contracted
  const split = at === undefined ? (rowsFrom > 0 && rowsFrom < rank ? rowsFrom : 'other') : at
  if (contracted.size > 1 || split === 'other' || rowsFrom > split) return { layout: 'plain', rowDims: 0 }
  return { layout: 'r8', rowDims: split }
}

function collect(kernel: Kernel, symbols: Bounds, uses: Map<string, Uses>): void {
  const scope: IndexScope = { extents: new Map(kernel.axes.map((axis) => [axis.id, axis.extent])), symbols }
  /** Whether the index takes every position of the dim once, by axes that are not in `seen`: an axis, or axes that split it. */
  const isWhole = (index: Index, dim: number, seen: Set<AxisId>): boolean => {
    const { const: offset, terms } = linearParts(index, scope)
    let points = 1
    for (const { atom } of terms) {
      if (atom.kind !== 'axis' || seen.has(atom.axis)) return false
      const extent = scope.extents.get(atom.axis)!
      if (extent.terms.length > 0) return false
      points *= extent.const
      seen.add(atom.axis)
    }
    return offset === 0 && points === dim && indexRange(index, scope).max === dim - 1
  }
  /** The first dim from which on every index is a whole axis; with `over`, one of the reduced axes as it stands. */
  const wholeFrom = (index: readonly Index[], dims: readonly Affine[], over?: readonly AxisId[]): number => {
    const seen = new Set<AxisId>()
    let from = index.length
    for (; from > 0; from--) {
      const at = index[from - 1]!
      if (over && at.kind !== 'const' && (at.kind !== 'axis' || !over.includes(at.axis))) break
      if (!isWhole(at, dims[from - 1]!.const, seen)) break
    }
    return from
  }
  const visit = (e: Expr, over: readonly AxisId[]): void =>
    walkExpr(e, (part) => {
      if (part.kind !== 'load') return
      const { source, dims } = kernel.operands[part.operand]!
      if (source.kind !== 'weight') return
      const pattern = patternOf(source.path)
      const use = uses.get(pattern) ?? { rank: dims.length, contracted: new Set(), rowsFrom: 0 }
      uses.set(pattern, use)
      const inside = part.index.some((index) => [...axesOfIndex(index)].some((axis) => over.includes(axis)))
      if (!inside) {
        use.rowsFrom = Math.max(use.rowsFrom, wholeFrom(part.index, dims))
        return
      }
      const from = wholeFrom(part.index, dims, over)
      const clean = part.index.slice(0, from).every((index) => ![...axesOfIndex(index)].some((axis) => over.includes(axis)))
      use.contracted.add(clean && from < dims.length ? from : 'other')
    })
  for (const { body, over } of kernel.definitions) visit(body, over)
  for (const output of kernel.outputs) {
    visit(output.value, [])
    for (const index of output.index) visit({ kind: 'index', index }, [])
  }
  if (kernel.select) visit(kernel.select.value, [])
}

/** Writes layouts and storage formats into the weight operands of a program. `formatOf` takes concrete paths. */
export function withWeights(
  program: KernelProgram,
  layouts: ReadonlyMap<string, WeightLayout>,
  formatOf: (path: string) => string,
): KernelProgram {
  const change = (operand: Operand, frames: readonly Frame[]): Operand => {
    if (operand.source.kind !== 'weight') return operand
    const { layout, rowDims } = layouts.get(patternOf(operand.source.path))!
    const sizes = operand.dims.map((dim) => dim.const)
    return {
      ...operand,
      format: formatOf(fillPath(operand.source.path, frames)),
      layout,
      ...(layout === 'r8' && { matrix: asMatrix(sizes, rowDims) }),
    }
  }
  const steps = mapKernels(program.steps, (kernel, frames) => ({
    ...kernel,
    operands: kernel.operands.map((operand) => change(operand, frames)),
  }))
  return { ...program, steps }
}
