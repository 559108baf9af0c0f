// In which order the dims of each state lie in memory. Kernels walk along some dims of a state (the positions of a cache, which
// a softmax and a sum run over) and stay at one place of others (the head): those come first, so that what one walk reads is one
// stretch of memory. Decided from the loads of all entries; every state that is read another way lies as the model writes it.

import type { StateManifest } from '../../runtime/artifact/manifest.ts'
import { fillPath, patternOf } from '../graph/paths.ts'
import { permute } from '../ops/tensor.ts'
import { mapExpr, rebuildIndex, walkExpr } from './expression.ts'
import { axesOfIndex } from './index-walk.ts'
import type { KernelProgram } from './program.ts'
import type { Expr, Index, Kernel, Operand } from './types.ts'
import { mapKernels } from './weights.ts'

/** By pattern (`layers[*].attn.keys`): which of the model's dims lies at each place, outermost first. Absent: as the model has them. */
export type StateOrders = ReadonlyMap<string, readonly number[]>

/** The model's dims of a state, by concrete path. */
export type StateDims = (path: string) => readonly number[]

interface Uses {
  readonly rank: number
  /** Dims that some load walks along. */
  readonly walked: Set<number>
  /** Some kernel takes dims together: they must stay where they are. */
  fixed: boolean
}

export function orderStates(programs: readonly KernelProgram[], dimsOf: StateDims): StateOrders {
  const uses = new Map<string, Uses>()
  for (const program of programs) {
    mapKernels(program.steps, (kernel, frames) => {
      collect(kernel, (path) => dimsOf(fillPath(path, frames)), uses)
      return kernel
    })
  }
  return new Map(
    [...uses].flatMap(([pattern, use]) => {
      const order = orderOf(use)
      return order.every((dim, place) => dim === place) ? [] : [[pattern, order]]
    }),
  )
}

/** Dims that no load walks along come first; neighbours along the last dim stay neighbours. */
function orderOf({ rank, walked, fixed }: Uses): number[] {
  const all = Array.from({ length: rank }, (_, dim) => dim)
  if (fixed || rank < 2 || walked.size === 0) return all
  const inner = all.slice(0, -1)
  return [...inner.filter((dim) => !walked.has(dim)), ...inner.filter((dim) => walked.has(dim)), rank - 1]
}

/** Which dims of an operand make each of the model's (a kernel may cut a dim into several); undefined where it has them otherwise. */
function partsOf(operand: Operand, dims: readonly number[]): number[][] | undefined {
  const sizes = operand.dims.map((dim) => dim.const)
  let next = 0
  const parts = dims.map((size) => {
    const part: number[] = []
    let product = 1
    while (next < sizes.length && (product < size || (part.length === 0 && sizes[next] === size))) {
      product *= sizes[next]!
      part.push(next++)
    }
    return product === size ? part : undefined
  })
  return next === sizes.length && parts.every((part) => part !== undefined) ? parts : undefined
}

function collect(kernel: Kernel, dimsOf: StateDims, uses: Map<string, Uses>): void {
  const reduced = new Set(kernel.definitions.flatMap(({ over }) => over))
  const states = kernel.operands.map((operand) => {
    const { source } = operand
    if (source.kind !== 'state') return undefined
    const [pattern, dims] = [patternOf(source.path), dimsOf(source.path)]
    const use = uses.get(pattern) ?? { rank: dims.length, walked: new Set(), fixed: false }
    uses.set(pattern, use)
    const parts = partsOf(operand, dims)
    if (!parts) use.fixed = true
    return parts && { use, parts }
  })
  const visit = (e: Expr): void =>
    walkExpr(e, (part) => {
      const state = part.kind === 'load' ? states[part.operand] : undefined
      if (part.kind !== 'load' || !state) return
      const isWalked = (at: number): boolean => [...axesOfIndex(part.index[at]!)].some((axis) => reduced.has(axis))
      for (const [dim, places] of state.parts.entries()) if (places.some(isWalked)) state.use.walked.add(dim)
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
export function withStateOrders(program: KernelProgram, orders: StateOrders, dimsOf: StateDims): KernelProgram {
  if (orders.size === 0) return program
  const steps = mapKernels(program.steps, (kernel, frames) => reordered(kernel, orders, (path) => dimsOf(fillPath(path, frames))))
  return { ...program, steps }
}

function reordered(kernel: Kernel, orders: StateOrders, dimsOf: StateDims): Kernel {
  const own = kernel.operands.map((operand) => {
    const { source } = operand
    const order = source.kind === 'state' ? orders.get(patternOf(source.path)) : undefined
    return order && source.kind === 'state' ? permuted(partsOf(operand, dimsOf(source.path))!, order).flat() : undefined
  })
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
