// Which kernels are contracts, and how one is cut: its dots of packed weight rows with contiguous activations, the axis along the
// rows, the axes that choose rows, the axis of tokens. What does not fit (no row axis, unaligned rows, other reductions) is left to
// the staged schedule.

import * as affine from '../../dsl/affine.ts'
import { axesOfExpr, showExpr } from '../kernel/expression.ts'
import { axesOfIndex, showIndex } from '../kernel/index-walk.ts'
import { type IndexScope, linearParts } from '../kernel/index-map.ts'
import type { AxisId, Expr, Index, Kernel, KernelAxis, Operand } from '../kernel/types.ts'
import { a8, type ByteBlocks, byteWords, isByteFormat } from './activation-blocks.ts'
import { isContiguous, isInBlocks } from './outputs.ts'
import { stripCasts } from './definitions.ts'
import { packedFormat } from './packed.ts'
import type { PackedFormat } from './packed-words.ts'
import { indexScopeOf } from './scope.ts'

/** Σ over k of a row of packed weights times activations. */
export interface Dot {
  readonly definition: number
  readonly weight: number
  readonly activation: number
  readonly format: PackedFormat
  /** How activations of 8 bits are stored; else they are f32. */
  readonly bytes: ByteBlocks | undefined
  /** Row of the matrix, leading dims only. */
  readonly rows: readonly Index[]
  readonly activationIndex: readonly Index[]
  readonly k: number
}

/** Tokens choose their weights: where they choose alike, they meet the same rows. */
export interface Choice {
  /** What chooses are the points of these axes; only the first may have an extent that is no number. */
  readonly axes: readonly KernelAxis[]
  /** What is chosen: 0 … count - 1. */
  readonly index: Index
  readonly count: number
  /** Where this does not hold nothing is written: what is chosen there lies in another kernel's part of the weights. */
  readonly where?: Expr
}

export interface ContractPlan {
  readonly dots: readonly Dot[]
  /** The axis along the rows: coefficient 1 in every row index. */
  readonly lane: KernelAxis
  /** Other axes that rows depend on, in kernel order. */
  readonly rowAxes: readonly KernelAxis[]
  /** The axis that only activations depend on and that tiles run over, if any. */
  readonly token?: KernelAxis
  /** What row axes choose, where rows depend on some of them in no other way and there is no other axis of tokens. */
  readonly choice?: Choice
  /** All remaining axes. */
  readonly others: readonly KernelAxis[]
  /** Rows of a tile: 8, or 4 when rows may start in the middle of a group. */
  readonly tile: 8 | 4
  /** The one output is made of blocks of 8 bits along the lane axis. */
  readonly writesBlocks: boolean
}

/** The form of a definition that is a dot of packed rows with contiguous activations, or undefined. */
function dotOf(kernel: Kernel, id: number): Dot | undefined {
  const definition = kernel.definitions[id]!
  if (definition.combine !== 'sum' || definition.body.kind !== 'call' || definition.body.fn !== 'mul') return undefined
  const loads = definition.body.args.map(stripCasts)
  const at = loads.findIndex((arg) => arg.kind === 'load' && kernel.operands[arg.operand]!.layout === 'r8')
  const [weight, activation] = [loads[at], loads[1 - at]]
  if (weight?.kind !== 'load' || activation?.kind !== 'load') return undefined
  const [w, x] = [kernel.operands[weight.operand]!, kernel.operands[activation.operand]!]
  if (x.layout !== 'plain' || x.format === 'f16' || x.format === 's8') return undefined
  const n = definition.over.length
  const trails = (operand: Operand, index: readonly Index[]): boolean =>
    definition.over.every((axis, i) => {
      const place = index.length - n + i
      const at = index[place]
      const extent = kernel.axes.find((other) => other.id === axis)!.extent
      return at?.kind === 'axis' && at.axis === axis && affine.isConstant(extent) && affine.equals(operand.dims[place]!, extent)
    })
  if (!trails(w, weight.index) || !trails(x, activation.index)) return undefined
  const k = definition.over.reduce((product, axis) => product * kernel.axes.find((other) => other.id === axis)!.extent.const, 1)
  const format = packedFormat(w.format)
  if (w.matrix!.k !== k || k % format.k !== 0) return undefined
  const bytes = isByteFormat(x.format) ? x.format : undefined
  if ((bytes === 'a8' && !format.dotBytes) || (bytes === 'd8' && !format.packed)) return undefined
  return {
    definition: id,
    weight: weight.operand,
    activation: activation.operand,
    format,
    bytes,
    rows: weight.index.slice(0, -n),
    activationIndex: activation.index.slice(0, -n),
    k,
  }
}

/** A row index taken apart: factors of axes, and of indirect or other terms with the axes inside them. */
interface RowForm {
  readonly const: number
  readonly axes: ReadonlyMap<AxisId, number>
  readonly opaque: readonly { readonly atom: Index; readonly axes: ReadonlySet<AxisId>; readonly factor: number }[]
}

function formOf(index: Index, scope: IndexScope): RowForm {
  const { const: rest, terms } = linearParts(index, scope)
  const axes = new Map<AxisId, number>()
  const opaque: RowForm['opaque'][number][] = []
  for (const { atom, factor } of terms) {
    if (atom.kind === 'axis') axes.set(atom.axis, factor)
    else opaque.push({ atom, axes: axesOfIndex(atom), factor })
  }
  return { const: rest, axes, opaque }
}

/** Row of the matrix: Σ index_i · stride_i over the leading dims. */
function rowForm(kernel: Kernel, dot: Dot, scope: IndexScope): RowForm {
  const operand = kernel.operands[dot.weight]!
  let sum: Index = { kind: 'const', value: 0 }
  let stride = 1
  for (let i = dot.rows.length - 1; i >= 0; i--) {
    sum = { kind: 'add', a: sum, b: { kind: 'mul', a: dot.rows[i]!, by: stride } }
    stride *= operand.dims[i]!.const
  }
  return formOf(sum, scope)
}

/** The contract that a kernel is, or undefined. */
export function planContract(kernel: Kernel, bounds: affine.Bounds): ContractPlan | undefined {
  if (kernel.select) return undefined
  const scope = indexScopeOf(kernel, bounds)
  const dots: Dot[] = []
  for (const [id, definition] of kernel.definitions.entries()) {
    if (definition.over.length === 0) continue
    const dot = dotOf(kernel, id)
    if (!dot) return undefined
    dots.push(dot)
  }
  if (dots.length === 0) return undefined
  const blocks = kernel.outputs.find((output) => isInBlocks(kernel, output))
  if (blocks && kernel.outputs.length > 1) return undefined
  const forms = dots.map((dot) => rowForm(kernel, dot, scope))
  const reduced = new Set(dots.flatMap((dot) => kernel.definitions[dot.definition]!.over))
  const parallel = kernel.axes.filter((axis) => !reduced.has(axis.id))
  // Every output and every dot runs over the same points.
  for (const output of kernel.outputs) if (output.axes.length !== parallel.length) return undefined
  if (!dots.every((dot) => kernel.definitions[dot.definition]!.free.every((id) => parallel.some((axis) => axis.id === id))))
    return undefined
  const lane = parallel.findLast(
    (axis) =>
      affine.isConstant(axis.extent) &&
      // Rows of a tile meet the same activations.
      !dots.some((dot) => dot.activationIndex.some((index) => axesOfIndex(index).has(axis.id))) &&
      forms.every((form) => form.axes.get(axis.id) === 1 && !form.opaque.some((part) => part.axes.has(axis.id))),
  )
  if (!lane) return undefined
  if (blocks && (lane.extent.const % a8.k !== 0 || !isContiguous(scope, blocks, lane.id))) return undefined
  let tile: 8 | 4 = 8
  const rowAxes = new Set<AxisId>()
  for (const form of forms) {
    const others = [...form.axes].filter(([axis]) => axis !== lane.id)
    const factors = [form.const, ...others.map(([, factor]) => factor), ...form.opaque.map((part) => part.factor)]
    if (factors.some((factor) => factor % 4 !== 0)) return undefined
    if (factors.some((factor) => factor % 8 !== 0)) tile = 4
    for (const [axis] of others) rowAxes.add(axis)
    for (const part of form.opaque) for (const axis of part.axes) rowAxes.add(axis)
  }
  const free = parallel.filter((axis) => axis !== lane && !rowAxes.has(axis.id))
  const token = free.find((axis) => dots.every((dot) => tokenStride(kernel, dot, axis.id, scope) !== undefined))
  const choice = token ? undefined : choiceOf(kernel, forms, parallel)
  return {
    dots,
    lane,
    tile,
    writesBlocks: blocks !== undefined,
    rowAxes: parallel.filter((axis) => rowAxes.has(axis.id)),
    token,
    ...(choice ? { choice } : {}),
    others: free.filter((axis) => axis !== token),
  }
}

/** The one thing that all rows are chosen by. */
function choiceOf({ outputs }: Kernel, forms: readonly RowForm[], parallel: readonly KernelAxis[]): Choice | undefined {
  const chosen = forms.flatMap(({ opaque }) => opaque)
  const [first] = chosen
  const index = first?.atom
  if (index?.kind !== 'indirect' || !affine.isConstant(index.below)) return undefined
  if (chosen.some(({ atom }) => showIndex(atom) !== showIndex(index))) return undefined
  if (forms.some(({ axes }) => [...axes.keys()].some((axis) => first!.axes.has(axis)))) return undefined
  const own = parallel.filter(({ id }) => first!.axes.has(id))
  const axes = [...own.filter(({ extent }) => !affine.isConstant(extent)), ...own.filter(({ extent }) => affine.isConstant(extent))]
  if (axes.slice(1).some(({ extent }) => !affine.isConstant(extent))) return undefined
  const guards = new Set(outputs.map(({ guard }) => guard && showExpr(guard)))
  const guard = guards.size === 1 ? outputs[0]!.guard : undefined
  const reads = guard && axesOfExpr(guard, () => parallel.map(({ id }) => id))
  const where = reads && [...reads].every((id) => first!.axes.has(id)) ? { where: guard } : {}
  return { axes, index, count: index.below.const, ...where }
}

/** Words of so many activations of a row: all that a dot sums over, or those of a block. */
export const activationWords = ({ bytes, k }: Dot, count = k): number => (bytes ? byteWords(bytes, count) : count)

/** Words between the activations of neighbouring tokens, if that is a constant. */
export function tokenStride(kernel: Kernel, dot: Dot, axis: AxisId, scope: IndexScope): number | undefined {
  const dims = kernel.operands[dot.activation]!.dims
  let [total, stride] = [0, activationWords(dot)]
  for (let i = dot.activationIndex.length - 1; i >= 0; i--) {
    const form = formOf(dot.activationIndex[i]!, scope)
    if (form.opaque.some((part) => part.axes.has(axis))) return undefined
    total += (form.axes.get(axis) ?? 0) * stride
    if (i > 0 && !affine.isConstant(dims[i]!)) return undefined
    stride *= dims[i]!.const
  }
  return total
}
