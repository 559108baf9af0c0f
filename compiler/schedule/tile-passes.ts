// How a kernel is computed tile by tile along one long axis. Values over the axis live for one tile and are made anew in each pass;
// reductions along it go on from tile to tile; whatever needs a whole reduction waits for the next pass. Two rewrites save
// passes, and leave one for a softmax with a weighted sum behind it:
//   Σ (e / z)·v = (Σ e·v) / z, where z does not depend on what is summed over;
//   online softmax: with m the maximum so far, a sum of exp(x − m)·v goes on from tile to tile when each tile multiplies it
//   by exp(m before − m now).
// Nothing here knows an operation of the library: any chain of this form will do, whatever x, v and the guard of m are.

import { axesOfExpr, constExpr, mapExpr, showExpr, walkExpr } from '../kernel/expression.ts'
import type { AxisId, Definition, Expr, Kernel } from '../kernel/types.ts'
import { uses } from './definitions.ts'

export interface Running {
  /** The reduction that is a maximum. */
  readonly maximum: number
  /** What exponents have subtracted: the maximum, or a guard around it. */
  readonly level: Expr
  /** The sums that are rescaled when it moves. */
  readonly scaled: ReadonlySet<number>
}

export interface TilePass {
  /** Reductions along the axis that end with this pass, in order. */
  readonly reductions: readonly number[]
  readonly running?: Running
}

export interface TilePasses {
  readonly kernel: Kernel
  readonly passes: readonly TilePass[]
  /** By definition: after how many passes everything is there that it needs, for a reduction also its own. */
  readonly ready: readonly number[]
}

/** The passes along `axis`; the kernel they are of computes the same as `original`. */
export function planPasses(original: Kernel, axis: AxisId, outer: ReadonlySet<AxisId>): TilePasses {
  const kernel = withoutDead(hoistFactors(original, axis))
  const { definitions } = kernel
  const passOf = new Map<number, number>()
  const running = new Map<number, Running>()
  let ready = readiness(kernel, axis, passOf)
  const along = definitions.flatMap(({ over }, id) => (over.includes(axis) ? [id] : []))
  for (let pass = 0; along.some((id) => ready[id]! > pass + 1); pass++) {
    const later = along.filter((id) => ready[id] === pass + 2)
    const here = along.filter((id) => ready[id] === pass + 1)
    const found = here.map((maximum) => runningMaximum(kernel, axis, outer, maximum, later, ready)).find((one) => one !== undefined)
    if (!found) continue
    running.set(pass, found)
    for (const id of later) passOf.set(id, pass)
    ready = readiness(kernel, axis, passOf)
  }
  const count = Math.max(0, ...along.map((id) => ready[id]!))
  const passes = Array.from({ length: count }, (_, pass): TilePass => {
    const one = running.get(pass)
    return { reductions: along.filter((id) => ready[id] === pass + 1), ...(one ? { running: one } : {}) }
  })
  return { kernel, passes, ready }
}

const most = (ready: readonly number[], expr: Expr): number => Math.max(0, ...[...uses(expr)].map((id) => ready[id]!))

function readiness({ definitions }: Kernel, axis: AxisId, passOf: ReadonlyMap<number, number>): number[] {
  const ready: number[] = []
  for (const [id, { body, over }] of definitions.entries()) {
    const needed = most(ready, body)
    ready.push(over.includes(axis) ? (passOf.get(id) ?? needed) + 1 : needed)
  }
  return ready
}

// ---- factors out of sums

const isFactor = (e: Expr): e is Expr & { kind: 'call' } => e.kind === 'call' && (e.fn === 'mul' || e.fn === 'div') && e.dtype === 'f32'

/** e = rest · Π over / Π under */
interface Split {
  readonly rest: Expr
  readonly over: readonly Expr[]
  readonly under: readonly Expr[]
}

const one = constExpr(1, 'f32')
const times = (a: Expr, b: Expr): Expr => (a === one ? b : b === one ? a : { kind: 'call', fn: 'mul', args: [a, b], dtype: 'f32' })
const by = (a: Expr, b: Expr): Expr => ({ kind: 'call', fn: 'div', args: [a, b], dtype: 'f32' })

/** Σ rest·z as z·Σ rest, where z waits for a reduction along `axis` and does not depend on what is summed over. */
function hoistFactors(kernel: Kernel, axis: AxisId): Kernel {
  const { definitions } = kernel
  const ready = readiness(kernel, axis, new Map())
  const axesOf = (e: Expr): Set<AxisId> => axesOfExpr(e, (id) => definitions[id]!.free)
  const made: Definition[] = []
  const moved = new Map<number, number>()
  const add = (definition: Definition): Expr => {
    made.push(definition)
    return { kind: 'value', definition: made.length - 1, dtype: definition.dtype }
  }
  const remap = (e: Expr): Expr =>
    mapExpr(e, (part) => (part.kind === 'value' ? { ...part, definition: moved.get(part.definition)! } : undefined))

  /** All parts in the new numbers. */
  function split(e: Expr, over: ReadonlySet<AxisId>): Split {
    const fixed = (part: Expr): boolean => [...axesOf(part)].every((id) => !over.has(id))
    if (fixed(e)) return { rest: one, over: [remap(e)], under: [] }
    if (isFactor(e)) {
      const [a, b] = e.args as [Expr, Expr]
      const left = split(a, over)
      if (e.fn === 'div') {
        if (fixed(b)) return { ...left, under: [...left.under, remap(b)] }
        return { ...left, rest: by(left.rest, remap(b)) }
      }
      const right = split(b, over)
      return { rest: times(left.rest, right.rest), over: [...left.over, ...right.over], under: [...left.under, ...right.under] }
    }
    const named = e.kind === 'value' ? definitions[e.definition]! : undefined
    if (!named || named.over.length > 0 || !isFactor(named.body)) return { rest: remap(e), over: [], under: [] }
    const inner = split(named.body, over)
    if (inner.over.length + inner.under.length === 0) return { rest: remap(e), over: [], under: [] }
    return inner.rest.kind === 'call' ? { ...inner, rest: add({ ...named, body: inner.rest }) } : inner
  }

  for (const [id, definition] of definitions.entries()) {
    const { body, over, combine, dtype, free } = definition
    let value: Expr | undefined
    if (combine === 'sum' && over.includes(axis) && dtype === 'f32' && most(ready, body) > 0) {
      const parts = split(body, new Set(over))
      if (parts.rest !== one && parts.over.length + parts.under.length > 0) {
        const total = add({ ...definition, body: parts.rest })
        value = parts.under.reduce(by, parts.over.reduce(times, total))
      }
    }
    moved.set(id, made.length)
    made.push(value ? { dtype, free, over: [], body: value } : { ...definition, body: remap(body) })
  }
  const outputs = kernel.outputs.map((output) => ({
    ...output,
    value: remap(output.value),
    ...(output.guard ? { guard: remap(output.guard) } : {}),
  }))
  return { ...kernel, definitions: made, outputs }
}

/** Definitions that nothing reads any more would take scratch memory. */
function withoutDead(kernel: Kernel): Kernel {
  const live = new Set<number>()
  const visit = (e: Expr): void => {
    for (const id of uses(e)) {
      if (live.has(id)) continue
      live.add(id)
      visit(kernel.definitions[id]!.body)
    }
  }
  for (const { value, guard } of kernel.outputs) for (const e of guard ? [value, guard] : [value]) visit(e)
  const order = [...live].sort((a, b) => a - b)
  const place = new Map(order.map((id, i) => [id, i]))
  const remap = (e: Expr): Expr =>
    mapExpr(e, (part) => (part.kind === 'value' ? { ...part, definition: place.get(part.definition)! } : undefined))
  return {
    ...kernel,
    definitions: order.map((id) => ({ ...kernel.definitions[id]!, body: remap(kernel.definitions[id]!.body) })),
    outputs: kernel.outputs.map((output) => ({
      ...output,
      value: remap(output.value),
      ...(output.guard ? { guard: remap(output.guard) } : {}),
    })),
  }
}

// ---- the running maximum

/** `maximum` as one that the sums `later` can follow, if all of them can. */
function runningMaximum(
  kernel: Kernel,
  axis: AxisId,
  outer: ReadonlySet<AxisId>,
  maximum: number,
  later: readonly number[],
  ready: readonly number[],
): Running | undefined {
  const { definitions } = kernel
  const { combine, dtype, free } = definitions[maximum]!
  // One value for the whole workgroup: sums of many rows would need many factors.
  if (combine !== 'max' || dtype !== 'f32' || !free.every((id) => outer.has(id))) return undefined
  const before = ready[maximum]!
  const levels = later.map((id) => levelIn(id))
  const [level] = levels
  if (!level || levels.some((other) => !other || showExpr(other) !== showExpr(level))) return undefined
  return { maximum, level, scaled: new Set(later) }

  /** What the sum's one exponential has subtracted. */
  function levelIn(id: number): Expr | undefined {
    const sum = definitions[id]!
    if (sum.combine !== 'sum' || sum.dtype !== 'f32') return undefined
    const waiting = factors(sum.body).filter((factor) => most(ready, factor) >= before)
    if (waiting.length !== 1) return undefined
    const [e] = waiting
    const body = e!.kind === 'value' && definitions[e!.definition]!.over.length === 0 ? definitions[e!.definition]!.body : e!
    if (body.kind !== 'call' || body.fn !== 'exp') return undefined
    const [difference] = body.args
    if (difference?.kind !== 'call' || difference.fn !== 'sub') return undefined
    const [x, m] = difference.args as [Expr, Expr]
    return most(ready, x) < before ? guarded(inlined(m)) : undefined
  }

  /** Factors of a product; a quotient is one factor unless what it is divided by was there before. */
  function factors(e: Expr): Expr[] {
    if (isFactor(e)) {
      const [a, b] = e.args as [Expr, Expr]
      if (e.fn === 'mul') return [...factors(a), ...factors(b)]
      return most(ready, b) < before ? factors(a) : [e]
    }
    const named = e.kind === 'value' ? definitions[e.definition]! : undefined
    return named && named.over.length === 0 && named.free.includes(axis) && isFactor(named.body) ? factors(named.body) : [e]
  }

  /** Names that only stand for an expression of the maximum, written out. */
  function inlined(e: Expr): Expr {
    return mapExpr(e, (part) => {
      if (part.kind !== 'value' || part.definition === maximum) return undefined
      const { over, body } = definitions[part.definition]!
      return over.length === 0 ? inlined(body) : part
    })
  }

  /** The maximum, or a constant where it is too small (several guards do no harm). */
  function guarded(e: Expr): Expr | undefined {
    const isMaximum = (part: Expr): boolean => part.kind === 'value' && part.definition === maximum
    const fits = (part: Expr): boolean => {
      if (isMaximum(part)) return true
      if (part.kind !== 'call' || part.fn !== 'where') return false
      const [condition, yes, no] = part.args as [Expr, Expr, Expr]
      return known(condition) && [yes, no].every((side) => side.kind === 'const' || fits(side))
    }
    const known = (condition: Expr): boolean => {
      let plain = true
      walkExpr(condition, (part) => {
        if (part.kind === 'load' || part.kind === 'index' || (part.kind === 'value' && !isMaximum(part))) plain = false
      })
      return plain
    }
    return fits(e) ? e : undefined
  }
}
