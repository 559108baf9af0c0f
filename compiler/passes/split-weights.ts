// Cuts weights that are larger than a target's bindings into runs of their first dim, and every kernel that reads one into one
// kernel per run. A kernel whose axis walks the first dim does its part of that axis; one that takes rows by an indirect
// index (embedding) runs in full for each part and writes only where the row lies in it.

import { constant } from '../../dsl/affine.ts'
import { LlamacError } from '../../runtime/error.ts'
import { groupRows, isFormatName, layoutBytes } from '../formats/index.ts'
import { mapExpr } from '../kernel/expression.ts'
import { type IndexScope, showIndex, substituteIndex } from '../kernel/index-map.ts'
import type { KernelProgram, KernelStep } from '../kernel/program.ts'
import type { AxisId, Expr, Index, Kernel, Operand } from '../kernel/types.ts'

/** Bytes of a stored weight operand, and of one position of its first dim. */
interface WeightSize {
  readonly bytes: number
  readonly perRow: number
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
    return { bytes, perRow: bytes / length, unit: 1 }
  }
  // Packed groups hold 8 matrix rows; the first dim counts `per` of them.
  const per = matrix.rows / length
  const perRow = (layoutBytes(format, 'r8', groupRows, matrix.k) / groupRows) * per
  return { bytes: layoutBytes(format, 'r8', matrix.rows, matrix.k), perRow, unit: per % groupRows === 0 ? 1 : groupRows }
}

export function splitWeights(program: KernelProgram, limit: number): KernelProgram {
  if (!Number.isFinite(limit)) return program
  const scopeOf = (kernel: Kernel): IndexScope => ({
    extents: new Map(kernel.axes.map((axis) => [axis.id, axis.extent])),
    symbols: program.symbols,
  })
  const split = (kernel: Kernel): Kernel[] => splitKernel(kernel, limit, scopeOf(kernel))
  const change = (steps: readonly KernelStep[]): KernelStep[] =>
    steps.map((step): KernelStep => {
      if (step.kind === 'loop') return { ...step, groups: step.groups.map(change) }
      const { reads, writes, dependsOn } = step
      const kernels = (step.kind === 'kernel' ? [step.kernel] : step.kernels).flatMap(split)
      return kernels.length === 1
        ? { kind: 'kernel', kernel: kernels[0]!, reads, writes, dependsOn }
        : { kind: 'launch', kernels, reads, writes, dependsOn }
    })
  return { ...program, steps: change(program.steps) }
}

function splitKernel(kernel: Kernel, limit: number, scope: IndexScope): Kernel[] {
  const large = new Set<number>()
  for (const [i, operand] of kernel.operands.entries())
    if (operand.source.kind === 'weight' && weightSize(operand).bytes > limit) large.add(i)
  if (large.size === 0) return [kernel]
  const [first] = large
  const operand = kernel.operands[first!]!
  const length = operand.dims[0]!.const
  // All are cut at the same rows, however many bytes a row of each takes.
  const sizes = [...large].map((i) => weightSize(kernel.operands[i]!))
  const unit = Math.max(...sizes.map((size) => size.unit))
  const run = Math.min(...sizes.map(({ perRow }) => Math.floor(limit / perRow / unit) * unit))
  const path = operand.source.kind === 'weight' ? operand.source.path : ''
  if (run === 0 || [...large].some((i) => kernel.operands[i]!.dims[0]!.const !== length)) {
    throw new LlamacError(
      'E_TENSOR_TOO_LARGE',
      `${path} has ${Math.ceil(sizes[0]!.bytes / 2 ** 20)} MiB, which cannot be cut into bindings of ${limit / 2 ** 20} MiB`,
    )
  }
  const places = firstPlaces(kernel, large)
  const axes = new Set(places.map((place) => (place.kind === 'axis' ? place.axis : undefined)))
  const [axis] = axes
  const [place] = places
  // Without an axis, all loads take one row, found by an index.
  const row = axis === undefined && place?.kind === 'indirect' && new Set(places.map(showIndex)).size === 1 ? place.value : undefined
  if (axes.size !== 1 || (axis === undefined && row === undefined)) {
    throw new LlamacError('E_TENSOR_TOO_LARGE', `${path} is larger than a binding, and ${kernel.name} reads it in a way that cannot be cut`)
  }
  const parts: Kernel[] = []
  for (let from = 0; from < length; from += run) {
    const to = Math.min(length, from + run)
    parts.push(row ? guardedPart(kernel, large, row, from, to, length) : axisPart(kernel, large, axis!, from, to, scope))
  }
  return parts.map((part, i) => ({ ...part, name: `${kernel.name}_part${i}` }))
}

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
