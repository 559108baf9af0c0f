// Names the values of a kernel that would otherwise be computed more than once: sub-expressions that occur in two or more
// definitions or outputs, and those that do not depend on some axis of the loop they stand in (softmax's exponential inside
// Σ_t p[t]·v[t, e] does not depend on e). Only what costs something is named; a load or a sum is cheaper than a name.

import { expensive, mapExpr, walkExpr } from './expression.ts'
import type { DraftKernel, DraftOutput } from './build.ts'
import { reachableDrafts } from './build.ts'
import type { Draft } from './lower.ts'
import type { AxisId, Expr } from './types.ts'

interface Container {
  readonly axes: ReadonlySet<AxisId>
  body: Expr
}

/** What an expression costs (expensive functions 8), whether it reads a definition, and how many calls and loads it has. */
interface Weight {
  readonly cost: number
  readonly calls: number
  readonly loads: number
  readonly reads: boolean
}

export function nameSharedValues(d: DraftKernel): { drafts: readonly Draft[]; outputs: readonly DraftOutput[] } {
  const { lowering } = d
  const drafts = lowering.drafts.slice()
  const order = reachableDrafts(
    drafts,
    d.outputs.map((output) => output.value),
  )
  const definitions = new Map<number, Container>(
    order.map((id) => [id, { axes: new Set([...drafts[id]!.free, ...drafts[id]!.over]), body: drafts[id]!.body }]),
  )
  const outputs: Container[] = d.outputs.map((output) => ({ axes: new Set(output.axes), body: output.value }))
  const axesMemo = new Map<Expr, Set<AxisId>>()
  const axesOf = (e: Expr): Set<AxisId> => {
    let axes = axesMemo.get(e)
    if (!axes) axesMemo.set(e, (axes = axesOfDraft(e)))
    return axes
  }
  const axesOfDraft = (e: Expr): Set<AxisId> => {
    if (e.kind !== 'call') {
      if (e.kind === 'value') return new Set(drafts[e.definition]!.free)
      return lowering.axesOf(e)
    }
    return new Set(e.args.flatMap((arg) => [...axesOf(arg)]))
  }
  const weights = new Map<Expr, Weight>()
  const weigh = (e: Expr): Weight => {
    const known = weights.get(e)
    if (known) return known
    let weight: Weight = { cost: 0, calls: 0, loads: e.kind === 'load' ? 1 : 0, reads: e.kind === 'value' }
    if (e.kind === 'call') {
      for (const arg of e.args) {
        const { cost, calls, loads, reads } = weigh(arg)
        weight = { cost: weight.cost + cost, calls: weight.calls + calls, loads: weight.loads + loads, reads: weight.reads || reads }
      }
      const cheap = e.fn === 'cast' ? 0 : 1
      weight = { ...weight, cost: weight.cost + (expensive.has(e.fn) && e.dtype !== 'i32' ? 8 : cheap), calls: weight.calls + cheap }
    }
    weights.set(e, weight)
    return weight
  }

  const choose = (): Expr | undefined => {
    const where = new Map<Expr, Container[]>()
    for (const container of [...definitions.values(), ...outputs]) {
      walkExpr(container.body, (part) => {
        if (part.kind === 'call' && part.dtype !== 'i32') where.set(part, [...(where.get(part) ?? []), container])
      })
    }
    let best: Expr | undefined
    for (const [e, containers] of where) {
      const { cost, calls, loads, reads } = weigh(e)
      // A definition whose whole body is this expression is its name already.
      if (
        [...definitions.values()].some(
          (container) => container.body === e && container.axes.size === axesOf(e).size && !isReduction(container),
        )
      )
        continue
      // One load from a name's memory is cheaper than several and what is made of them, again for every point of a reduction.
      const worth = (container: Container): boolean => cost >= 8 || (reads && calls >= 2) || (loads >= 2 && isReduction(container))
      const hoisted = containers.some((container) => axesOf(e).size < container.axes.size && worth(container))
      const repeated = containers.length > 1 && (cost >= 8 || (reads && calls >= 2))
      if ((hoisted || repeated) && (!best || weigh(best).calls < calls)) best = e
    }
    return best
  }
  const reductions = new Set(order.map((id) => definitions.get(id)!))
  const isReduction = (container: Container): boolean => reductions.has(container)

  for (let e = choose(); e; e = choose()) {
    const named = e
    const id = drafts.push({ dtype: named.kind === 'call' ? named.dtype : 'f32', free: [...axesOf(named)], over: [], body: named }) - 1
    const value = lowering.intern({ kind: 'value', definition: id, dtype: drafts[id]!.dtype })
    const replace = (body: Expr): Expr =>
      mapExpr(
        body,
        (part) => (part === named ? value : undefined),
        (part) => lowering.intern(part),
      )
    for (const container of [...definitions.values(), ...outputs]) container.body = replace(container.body)
    definitions.set(id, { axes: new Set(axesOf(named)), body: named })
  }
  for (const [id, container] of definitions) drafts[id] = { ...drafts[id]!, body: container.body }
  return { drafts, outputs: d.outputs.map((output, i) => ({ ...output, value: outputs[i]!.body })) }
}
