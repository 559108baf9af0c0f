// Which positions a mask can leave to be seen. A softmax over where(condition, x, -∞) gives masked positions a weight of exactly 0
// where its level is guarded; where the condition compares indices, positions are bounded from below or above by an index of the
// other axes, and nobody need walk over the others. Conditions of another kind bound nothing.

import { dtypeOf, f32Max } from '../kernel/expression.ts'
import { addIndex, indexConst, type IndexScope, linearParts, scaleIndex, subtractIndex } from '../kernel/index-map.ts'
import { axesOfIndex } from '../kernel/index-walk.ts'
import { applyScalar } from '../kernel/scalar.ts'
import type { AxisId, Expr, Index, Kernel } from '../kernel/types.ts'
import type { Running } from './tile-passes.ts'

export interface Visible {
  /** Each is the first position, or an earlier one. */
  readonly from: readonly Index[]
  /** Each is the position after the last, or a later one. */
  readonly to: readonly Index[]
}

/** exp of anything below this is 0 in f32. */
const vanishes = -104

/** Bounds on `axis` by indices that have no axis of `mixed` and others only linearly. */
export function visibleRange(
  kernel: Kernel,
  axis: AxisId,
  { maximum, level }: Running,
  mixed: ReadonlySet<AxisId>,
  scope: IndexScope,
): Visible {
  const bounds: { from: Index[]; to: Index[] } = { from: [], to: [] }
  const low = constantAt(level, maximum, -f32Max)
  if (low === undefined || -f32Max - low > vanishes) return bounds
  let e = resolve(kernel, kernel.definitions[maximum]!.body)
  while (e.kind === 'call' && e.fn === 'where') {
    const [condition, yes, no] = e.args as [Expr, Expr, Expr]
    if (no.kind !== 'const' || no.value !== -f32Max) break
    for (const index of conjuncts(kernel, condition)) addBound(index)
    e = resolve(kernel, yes)
  }
  return bounds

  /** index ≥ 0 holds at every position that is seen. */
  function addBound(index: Index): void {
    const { terms } = linearParts(index, scope)
    const own = terms.find(({ atom }) => atom.kind === 'axis' && atom.axis === axis)
    const others = terms.filter((term) => term !== own)
    if (!own || Math.abs(own.factor) !== 1) return
    const simple = others.every(({ atom }) => (atom.kind === 'axis' && !mixed.has(atom.axis)) || axesOfIndex(atom).size === 0)
    if (!simple || others.some(({ atom }) => atom.kind === 'indirect')) return
    const rest = subtractIndex(index, scaleIndex({ kind: 'axis', axis }, own.factor, scope), scope)
    if (own.factor < 0) bounds.to.push(addIndex(rest, indexConst(1), scope))
    else bounds.from.push(scaleIndex(rest, -1, scope))
  }

  /** Indices that are ≥ 0 where a condition holds. */
  function conjuncts(of: Kernel, condition: Expr): Index[] {
    const c = resolve(of, condition)
    if (c.kind !== 'call') return []
    if (c.fn === 'and') return c.args.flatMap((arg) => conjuncts(of, arg))
    const [a, b] = c.args.map(asLinear)
    if (!a || !b) return []
    const minus = (x: Index, y: Index, by: number): Index[] => [addIndex(subtractIndex(x, y, scope), indexConst(by), scope)]
    if (c.fn === 'ge') return minus(a, b, 0)
    if (c.fn === 'gt') return minus(a, b, -1)
    if (c.fn === 'le') return minus(b, a, 0)
    return c.fn === 'lt' ? minus(b, a, -1) : []
  }
}

const asLinear = (e: Expr): Index | undefined =>
  e.kind === 'index' ? e.index : e.kind === 'const' && e.dtype === 'i32' ? indexConst(e.value) : undefined

/** What a name stands for, where it is not a reduction. */
function resolve(kernel: Kernel, e: Expr): Expr {
  if (e.kind !== 'value') return e
  const { over, body } = kernel.definitions[e.definition]!
  return over.length === 0 ? resolve(kernel, body) : e
}

/** The number that an expression of one definition is where that is `value`. */
function constantAt(e: Expr, definition: number, value: number): number | undefined {
  const number = (part: Expr): number | undefined => {
    if (part.kind === 'const') return part.value
    if (part.kind === 'value') return part.definition === definition ? value : undefined
    if (part.kind !== 'call') return undefined
    const args = part.args.map(number)
    if (args.some((arg) => arg === undefined)) return undefined
    return applyScalar(part.fn, args as number[], part.dtype, dtypeOf(part.args[0]!))
  }
  return number(e)
}
