// Cuts weights that are larger than a target's bindings into runs of their first dim, and every kernel that reads one into one
// kernel per run. A kernel whose axis walks the first dim does its part of that axis; one that takes rows by an indirect
// index (embedding) runs in full for each part and writes only where the row lies in it. Kernels that would run too long at once are
// cut the same way, where they walk the rows of a weight.

import { type Binding, constant } from '../../dsl/affine.ts'
import { LlamacError } from '../../runtime/error.ts'
import { groupRows, isFormatName, layoutBytes } from '../formats/index.ts'
import { mapExpr } from '../kernel/expression.ts'
import { type IndexScope, substituteIndex } from '../kernel/index-map.ts'
import { showIndex } from '../kernel/index-walk.ts'
import type { KernelProgram, KernelStep } from '../kernel/program.ts'
import type { AxisId, Expr, Index, Kernel, Operand } from '../kernel/types.ts'
import { workOf } from '../kernel/work.ts'
import { blockSize } from '../ops/quantise.ts'
import { isByteFormat } from '../schedule/activation-blocks.ts'
import type { Machine } from '../schedule/machine.ts'

/** Bytes of a stored weight operand, and of one position of its first dim. */
interface WeightSize {
  readonly bytes: number
  readonly perRow: number
  /** Of its rows for each position. */
  readonly per: number
  /** Cuts must lie at multiples of this. */
  readonly unit: number
}

/** Of an operand with its storage written in. */
export function weightSize({ dims, format, layout, matrix }: Operand): WeightSize {
  const length = dims[0]?.const ?? 1
  if (!isFormatName(format)) throw new Error(`internal: a weight is stored as ${format}`)
  if (layout === 'plain' || !matrix) {
    const bytes = layoutBytes(
      format,
      'plain',
      1,
      dims.reduce((product, dim) => product * dim.const, 1),
    )
    return { bytes, perRow: bytes / length, per: 1, unit: 1 }
  }
  // Packed groups hold 8 matrix rows; the first dim counts `per` of them.
  const per = matrix.rows / length
  const perRow = (layoutBytes(format, 'r8', groupRows, matrix.k) / groupRows) * per
  return { bytes: layoutBytes(format, 'r8', matrix.rows, matrix.k), perRow, per, unit: per % groupRows === 0 ? 1 : groupRows }
}

/** A kernel that writes blocks of 8 bits must have all rows of each. */
const unitIn = ({ operands, outputs }: Kernel, { per, unit }: WeightSize): number =>
  outputs.some(({ operand }) => isByteFormat(operands[operand]!.format)) && (unit * per) % blockSize !== 0 ? blockSize : unit

export type SplitLimits = Pick<Machine, 'bindingBytes' | 'dispatchMadds' | 'maddsPerDot'>

export function splitWeights(program: KernelProgram, limits: SplitLimits): KernelProgram {
  if (!Number.isFinite(limits.bindingBytes)) return program
  const largest = Object.fromEntries([...program.symbols].map(([name, { max }]) => [name, max]))
  const scopeOf = (kernel: Kernel): IndexScope => ({
    extents: new Map(kernel.axes.map((axis) => [axis.id, axis.extent])),
    symbols: program.symbols,
  })
  const change = (steps: readonly KernelStep[]): KernelStep[] =>
    steps.map((step): KernelStep => {
      if (step.kind === 'loop') return { ...step, groups: step.groups.map(change) }
      const { reads, writes, dependsOn } = step
      const whole = step.kind === 'kernel' ? [step.kernel] : step.kernels
      // All kernels of a launch may become one dispatch.
      const own = { ...limits, dispatchMadds: limits.dispatchMadds / whole.length }
      const kernels = whole.flatMap((kernel) => splitKernel(kernel, own, largest, scopeOf(kernel)))
      return kernels.length === 1
        ? { kind: 'kernel', kernel: kernels[0]!, reads, writes, dependsOn }
        : { kind: 'launch', kernels, reads, writes, dependsOn }
    })
  return { ...program, steps: change(program.steps) }
}

function splitKernel(kernel: Kernel, limits: SplitLimits, largest: Binding, scope: IndexScope): Kernel[] {
  const [needed, long] = [cutOf(kernel, limits), longCutOf(kernel, limits, largest)]
  const { cut: large } = needed ?? long ?? { cut: new Set<number>() }
  if (large.size === 0) return [kernel]
  const [first] = large
  const { source, dims } = kernel.operands[first!]!
  const length = dims[0]!.const
  const path = source.kind === 'weight' ? source.path : ''
  const places = firstPlaces(kernel, large)
  const axes = new Set(places.map((place) => (place.kind === 'axis' ? place.axis : undefined)))
  const [axis] = axes
  const [place] = places
  // Without an axis, all loads take one row, found by an index.
  const row = axis === undefined && place?.kind === 'indirect' && new Set(places.map(showIndex)).size === 1 ? place.value : undefined
  if (axes.size !== 1 || (axis === undefined ? row === undefined : !isKeptAxis(kernel, axis))) {
    throw new LlamacError('E_TENSOR_TOO_LARGE', `${path} is larger than a binding, and ${kernel.name} reads it in a way that cannot be cut`)
  }
  // Runs for bindings are those of every kernel that reads the weight: runs for time lie inside them.
  const runs = cutInto({ from: 0, to: length }, needed?.run).flatMap((run) => cutInto(run, long?.cut.has(first!) ? long.run : undefined))
  const parts = runs.map(({ from, to }) =>
    row ? guardedPart(kernel, large, row, from, to, length) : axisPart(kernel, large, axis!, from, to, scope),
  )
  return parts.map((part, i) => ({ ...part, name: `${kernel.name}_part${i}` }))
}

interface Run {
  readonly from: number
  readonly to: number
}

const cutInto = ({ from, to }: Run, run = to - from): Run[] =>
  Array.from({ length: Math.ceil((to - from) / run) }, (_, i) => ({ from: from + i * run, to: Math.min(to, from + (i + 1) * run) }))

/** Operands to cut, and how many of their first dim each part has. */
interface Cut {
  readonly cut: ReadonlySet<number>
  readonly run: number
}

/** What bindings ask for. */
function cutOf(kernel: Kernel, { bindingBytes }: SplitLimits): Cut | undefined {
  const large = new Set<number>()
  for (const [i, operand] of kernel.operands.entries())
    if (operand.source.kind === 'weight' && weightSize(operand).bytes > bindingBytes) large.add(i)
  if (large.size === 0) return undefined
  const [first] = large
  const { source, dims } = kernel.operands[first!]!
  // All are cut at the same rows, however many bytes a row of each takes.
  const sizes = [...large].map((i) => weightSize(kernel.operands[i]!))
  const unit = Math.max(...sizes.map((size) => unitIn(kernel, size)))
  const run = Math.min(...sizes.map(({ perRow }) => Math.floor(bindingBytes / perRow / unit) * unit))
  if (run === 0 || [...large].some((i) => kernel.operands[i]!.dims[0]!.const !== dims[0]!.const)) {
    throw new LlamacError(
      'E_TENSOR_TOO_LARGE',
      `${source.kind === 'weight' ? source.path : ''} has ${Math.ceil(sizes[0]!.bytes / 2 ** 20)} MiB, which cannot be cut into bindings of ${bindingBytes / 2 ** 20} MiB`,
    )
  }
  return { cut: large, run }
}

/** A dispatch that is too long is cut along the rows of its largest weight; one that walks no rows stays whole. */
function longCutOf(kernel: Kernel, { dispatchMadds, maddsPerDot }: SplitLimits, largest: Binding): Cut | undefined {
  const { madds, dots } = workOf(kernel, largest)
  const work = madds + dots * maddsPerDot
  if (work <= dispatchMadds) return undefined
  const axisOf = (i: number): AxisId | undefined => {
    const places = firstPlaces(kernel, new Set([i]))
    const [place] = places
    return place?.kind === 'axis' && new Set(places.map(showIndex)).size === 1 && isKeptAxis(kernel, place.axis) ? place.axis : undefined
  }
  const weights = kernel.operands.flatMap((operand, i) =>
    operand.source.kind === 'weight' && operand.dims.length > 1 && axisOf(i) !== undefined
      ? [{ i, operand, size: weightSize(operand) }]
      : [],
  )
  if (weights.length === 0) return undefined
  const most = weights.reduce((a, b) => (b.size.bytes > a.size.bytes ? b : a))
  const length = most.operand.dims[0]!.const
  const same = weights.filter(({ i, operand }) => axisOf(i) === axisOf(most.i) && operand.dims[0]!.const === length)
  const unit = Math.max(...same.map(({ size }) => unitIn(kernel, size)))
  const parts = Math.ceil(work / dispatchMadds)
  return { cut: new Set(same.map(({ i }) => i)), run: Math.max(1, Math.ceil(length / parts / unit)) * unit }
}

/** Whether nothing goes over the axis as a whole: no sum, no choice. */
const isKeptAxis = ({ definitions, select }: Kernel, axis: AxisId): boolean =>
  !definitions.some(({ over }) => over.includes(axis)) && select?.axis !== axis

/** The first index of every load of the large operands. */
function firstPlaces(kernel: Kernel, large: ReadonlySet<number>): Index[] {
  const places: Index[] = []
  const seen = new Set<Expr>()
  const visit = (expr: Expr): void => {
    if (seen.has(expr)) return
    seen.add(expr)
    if (expr.kind === 'load' && large.has(expr.operand)) places.push(expr.index[0]!)
    else if (expr.kind === 'call') expr.args.forEach(visit)
  }
  for (const { body } of kernel.definitions) visit(body)
  for (const { value } of kernel.outputs) visit(value)
  return places
}

const cut = (kernel: Kernel, large: ReadonlySet<number>, from: number, to: number): Operand[] =>
  kernel.operands.map((operand, i): Operand => {
    if (!large.has(i) || operand.source.kind !== 'weight') return operand
    const rowsPer = operand.matrix ? operand.matrix.rows / operand.dims[0]!.const : 0
    return {
      ...operand,
      source: { ...operand.source, rows: [from, to] },
      dims: [constant(to - from), ...operand.dims.slice(1)],
      ...(operand.matrix ? { matrix: { rows: rowsPer * (to - from), k: operand.matrix.k } } : {}),
    }
  })

/** Rewrites every expression; `place` gives the first index of a large operand's load. */
function rewrite(
  kernel: Kernel,
  large: ReadonlySet<number>,
  index: (at: Index, go: (e: Expr) => Expr) => Index,
  place: (at: Index, go: (e: Expr) => Expr) => Index,
): Pick<Kernel, 'definitions' | 'outputs'> {
  const memo = new Map<Expr, Expr>()
  const go = (expr: Expr): Expr =>
    mapExpr(
      expr,
      (part) => {
        if (part.kind === 'index') return { kind: 'index', index: index(part.index, go) }
        if (part.kind !== 'load') return undefined
        return { ...part, index: part.index.map((at, i) => (i === 0 && large.has(part.operand) ? place(at, go) : index(at, go))) }
      },
      undefined,
      memo,
    )
  return {
    definitions: kernel.definitions.map((definition) => ({ ...definition, body: go(definition.body) })),
    outputs: kernel.outputs.map((output) => ({
      ...output,
      index: output.index.map((at) => index(at, go)),
      value: go(output.value),
      ...(output.guard ? { guard: go(output.guard) } : {}),
    })),
  }
}

function axisPart(kernel: Kernel, large: ReadonlySet<number>, axis: AxisId, from: number, to: number, scope: IndexScope): Kernel {
  const moved = (id: AxisId): Index | undefined =>
    id === axis && from > 0 ? { kind: 'add', a: { kind: 'axis', axis }, b: { kind: 'const', value: from } } : undefined
  const body = rewrite(
    kernel,
    large,
    (at, go) => substituteIndex(at, moved, go, scope),
    (at) => at,
  )
  return {
    ...kernel,
    ...body,
    operands: cut(kernel, large, from, to),
    axes: kernel.axes.map((each) => (each.id === axis ? { id: axis, extent: constant(to - from) } : each)),
  }
}

/** All loads take the row `row`. The ends also take what lies outside the weight, which is clamped. */
function guardedPart(kernel: Kernel, large: ReadonlySet<number>, row: Expr, from: number, to: number, length: number): Kernel {
  const number = (value: number): Expr => ({ kind: 'const', value, dtype: 'i32' })
  const call = (fn: 'ge' | 'lt' | 'and' | 'sub', args: Expr[], dtype: 'bool' | 'i32'): Expr => ({ kind: 'call', fn, args, dtype })
  const body = rewrite(
    kernel,
    large,
    (at) => at,
    () => ({ kind: 'indirect', value: call('sub', [row, number(from)], 'i32'), below: constant(to - from) }),
  )
  const guards = [
    ...(from > 0 ? [call('ge', [row, number(from)], 'bool')] : []),
    ...(to < length ? [call('lt', [row, number(to)], 'bool')] : []),
  ]
  const guard = guards.reduce((a, b) => call('and', [a, b], 'bool'))
  return {
    ...kernel,
    definitions: body.definitions,
    outputs: body.outputs.map((output) => ({ ...output, guard: output.guard ? call('and', [output.guard, guard], 'bool') : guard })),
    operands: cut(kernel, large, from, to),
  }
}
