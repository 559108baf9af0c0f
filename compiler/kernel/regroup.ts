// Gives an operand the axes that its kernel reduces over: a row of heads·size values that is read at `size*k0 + k1` in every load
// becomes two dims, [heads, size] read at [k0, k1]. The memory is the same. Schedules then see plain axes on both sides of a dot
// whose weight has the dims [rows, heads, size].

import type { Bounds } from '../../dsl/affine.ts'
import { constant } from '../../dsl/affine.ts'
import { mapExpr, walkExpr } from './expression.ts'
import { indexAxis, linearParts, type IndexScope } from './index-map.ts'
import type { AxisId, Expr, Index, Kernel } from './types.ts'

type Load = Extract<Expr, { kind: 'load' }>

/** The reduced axes that a dim is read by, outermost first, if they are its mixed-radix digits. */
function digitsOf(index: Index, dim: number, over: ReadonlySet<AxisId>, scope: IndexScope): AxisId[] | undefined {
  const { const: offset, terms } = linearParts(index, scope)
  if (offset !== 0 || terms.length < 2) return undefined
  const digits: AxisId[] = []
  let stride = 1
  for (const { atom, factor } of [...terms].sort((a, b) => a.factor - b.factor)) {
    if (atom.kind !== 'axis' || !over.has(atom.axis) || factor !== stride) return undefined
    const extent = scope.extents.get(atom.axis)!
    if (extent.terms.length > 0) return undefined
    stride *= extent.const
    digits.unshift(atom.axis)
  }
  return stride === dim ? digits : undefined
}

/** The kernel with regrouped operands; the same kernel where there is nothing to do. */
export function regroupOperands(kernel: Kernel, symbols: Bounds): Kernel {
  const scope: IndexScope = { extents: new Map(kernel.axes.map((axis) => [axis.id, axis.extent])), symbols }
  const loads = new Map<number, { load: Load; over: ReadonlySet<AxisId> }[]>()
  const collect = (e: Expr, over: ReadonlySet<AxisId>): void =>
    walkExpr(e, (part) => {
      if (part.kind === 'load') loads.set(part.operand, [...(loads.get(part.operand) ?? []), { load: part, over }])
    })
  for (const { body, over } of kernel.definitions) collect(body, new Set(over))
  for (const { value, guard, index } of kernel.outputs) {
    for (const e of [value, ...(guard ? [guard] : []), ...index.map((i): Expr => ({ kind: 'index', index: i }))]) collect(e, new Set())
  }
  if (kernel.select) return kernel
  // Per operand and dim: the digits that all loads agree on.
  const plans = new Map<number, Map<number, AxisId[]>>()
  for (const [operand, uses] of loads) {
    const { access, layout, source, dims } = kernel.operands[operand]!
    if (access !== 'read' || layout !== 'plain' || source.kind === 'weight') continue
    dims.forEach((dim, place) => {
      const [first, ...others] = uses.map(({ load, over }) =>
        dim.terms.length > 0 ? undefined : digitsOf(load.index[place]!, dim.const, over, scope),
      )
      if (!first || others.some((digits) => digits?.join() !== first.join())) return
      plans.set(operand, (plans.get(operand) ?? new Map<number, AxisId[]>()).set(place, first))
    })
  }
  if (plans.size === 0) return kernel
  const memo = new Map<Expr, Expr>()
  const change = (e: Expr): Expr =>
    mapExpr(
      e,
      (part) => {
        const plan = part.kind === 'load' ? plans.get(part.operand) : undefined
        return plan && part.kind === 'load'
          ? { ...part, index: part.index.flatMap((index, place) => plan.get(place)?.map(indexAxis) ?? [index]) }
          : undefined
      },
      undefined,
      memo,
    )
  return {
    ...kernel,
    operands: kernel.operands.map((operand, i) => {
      const plan = plans.get(i)
      return plan
        ? {
            ...operand,
            dims: operand.dims.flatMap((dim, place) => plan.get(place)?.map((axis) => constant(scope.extents.get(axis)!.const)) ?? [dim]),
          }
        : operand
    }),
    definitions: kernel.definitions.map((definition) => ({ ...definition, body: change(definition.body) })),
    outputs: kernel.outputs.map((output) => ({
      ...output,
      value: change(output.value),
      ...(output.guard && { guard: change(output.guard) }),
    })),
  }
}
