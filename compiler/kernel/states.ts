// In which order the dims of each state lie in memory. Kernels walk along some dims of a state (the positions of a cache, which
// a softmax and a sum run over) and stay at one place of others (the head): those come first, so that what one walk reads is one
// stretch of memory. Decided from the loads of all entries; every state that is read another way lies as the model writes it.

import type { StateManifest } from '../../runtime/artifact/manifest.ts'
import { patternOf } from '../graph/paths.ts'
import { permute } from '../ops/tensor.ts'
import { mapExpr, rebuildIndex, walkExpr } from './expression.ts'
import { axesOfIndex } from './index-map.ts'
import type { KernelProgram } from './program.ts'
import type { Expr, Index, Kernel } from './types.ts'
import { kernelsOf, mapKernels } from './weights.ts'

/** By pattern (`layers[*].attn.keys`): which of the model's dims lies at each place, outermost first. Absent: as the model has them. */
export type StateOrders = ReadonlyMap<string, readonly number[]>

interface Uses {
  readonly rank: number
  /** Dims that some load walks along. */
  readonly walked: Set<number>
}

export function orderStates(programs: readonly KernelProgram[]): StateOrders {
  const uses = new Map<string, Uses>()
  for (const program of programs) for (const kernel of kernelsOf(program.steps)) collect(kernel, uses)
  return new Map(
    [...uses].flatMap(([pattern, use]) => {
      const order = orderOf(use)
      return order.every((dim, place) => dim === place) ? [] : [[pattern, order]]
    }),
  )
}

/** Dims that no load walks along come first; neighbours along the last dim stay neighbours. */
function orderOf({ rank, walked }: Uses): number[] {
  const inner = Array.from({ length: rank - 1 }, (_, dim) => dim)
  if (rank < 2 || walked.size === 0) return [...inner, rank - 1]
  return [...inner.filter((dim) => !walked.has(dim)), ...inner.filter((dim) => walked.has(dim)), rank - 1]
}

function collect(kernel: Kernel, uses: Map<string, Uses>): void {
  const reduced = new Set(kernel.definitions.flatMap(({ over }) => over))
  const visit = (e: Expr): void =>
    walkExpr(e, (part) => {
      if (part.kind !== 'load') return
      const { source } = kernel.operands[part.operand]!
      if (source.kind !== 'state') return
      const pattern = patternOf(source.path)
      const use = uses.get(pattern) ?? { rank: part.index.length, walked: new Set() }
      uses.set(pattern, use)
      for (const [dim, index] of part.index.entries()) if ([...axesOfIndex(index)].some((axis) => reduced.has(axis))) use.walked.add(dim)
    })
  for (const { body } of kernel.definitions) visit(body)
  for (const { value, guard } of kernel.outputs) for (const e of guard ? [value, guard] : [value]) visit(e)
  if (kernel.select) visit(kernel.select.value)
}

/** The same list in the order of memory. */
export const permuted = <T>(list: readonly T[], order: readonly number[]): T[] => order.map((dim) => list[dim]!)

type Lain = Pick<StateManifest, 'dims' | 'order'>

/** A state's values in the order in which kernels have them, and back in the model's. */
export function inMemoryOrder(values: Float64Array, { dims, order }: Lain): Float64Array {
  if (!order) return values
  const own = [...dims]
  for (const [place, dim] of order.entries()) own[dim] = dims[place]!
  return permute({ dtype: 'f32', dims: own, data: values }, order).data
}

export function inModelOrder(values: Float64Array, { dims, order }: Lain): Float64Array {
  if (!order) return values
  const places = order.map((_, dim) => order.indexOf(dim))
  return permute({ dtype: 'f32', dims, data: values }, places).data
}

/** The program with the operands and indices of its states in these orders. */
export function withStateOrders(program: KernelProgram, orders: StateOrders): KernelProgram {
  if (orders.size === 0) return program
  return { ...program, steps: mapKernels(program.steps, (kernel) => reordered(kernel, orders)) }
}

function reordered(kernel: Kernel, orders: StateOrders): Kernel {
  const own = kernel.operands.map(({ source }) => (source.kind === 'state' ? orders.get(patternOf(source.path)) : undefined))
  if (own.every((order) => order === undefined)) return kernel
  const place = (operand: number, index: readonly Index[]): readonly Index[] => (own[operand] ? permuted(index, own[operand]) : index)
  const memo = new Map<Expr, Expr>()
  const change = (e: Expr): Expr =>
    mapExpr(
      e,
      () => undefined,
      (part) => (part.kind === 'load' && own[part.operand] ? { ...part, index: place(part.operand, part.index) } : part),
      memo,
    )
  return {
    ...kernel,
    operands: kernel.operands.map((operand, i) => (own[i] ? { ...operand, dims: permuted(operand.dims, own[i]) } : operand)),
    definitions: kernel.definitions.map((definition) => ({ ...definition, body: change(definition.body) })),
    outputs: kernel.outputs.map((output) => ({
      ...output,
      index: place(
        output.operand,
        output.index.map((index) => rebuildIndex(index, change)),
      ),
      value: change(output.value),
      ...(output.guard ? { guard: change(output.guard) } : {}),
    })),
    ...(kernel.select ? { select: { ...kernel.select, value: change(kernel.select.value) } } : {}),
  }
}
