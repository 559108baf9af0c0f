// Turns the scalar expressions of a kernel into loop IR at the current point of its axes: as scalars, or as four lanes along
// one axis. Loads along the lane axis become vector loads where the stride is one, splats where it is zero, and four scalar
// loads otherwise. Values are bound to locals once per scope, so a shared expression is computed once.

import * as affine from '../../dsl/affine.ts'
import { type IndexScope, strideOf } from '../kernel/index-map.ts'
import type { AxisId, Expr, Index, Kernel, KernelAxis, Operand } from '../kernel/types.ts'
import type { Emitter } from './build-loops.ts'
import { constant, load, loadHalves, ops, symbol, widen } from './build-loops.ts'
import { byteElement, isByteFormat } from './activation-blocks.ts'
import { emitAffine, emitPlace } from './affine-loops.ts'
import { fromHalf } from './halves.ts'
import { loadElement } from './packed.ts'
import type { LoopExpr } from './loops.ts'
import { applyScalarFn, elementOf, scalarType, splat } from './scalar-calls.ts'
import { s8Element } from './state-blocks.ts'

/** Where a definition's value is found at this point. */
export type Place =
  | { readonly kind: 'scalar'; readonly value: LoopExpr }
  /** Four values along the current lane axis. */
  | { readonly kind: 'lanes'; readonly value: LoopExpr }
  | ScratchPlace

/** Scratch memory, row-major over `axes`. `tile`: of one axis it holds `size` values only, from `from` on. */
export interface ScratchPlace {
  readonly kind: 'scratch'
  readonly operand: number
  readonly axes: readonly AxisId[]
  readonly tile?: { readonly axis: AxisId; readonly from: LoopExpr; readonly size: number }
}

export class Scope {
  readonly kernel: Kernel
  readonly emitter: Emitter
  readonly index: IndexScope
  readonly axes = new Map<AxisId, LoopExpr>()
  readonly places = new Map<number, Place>()
  private memo = new Map<Expr, { scalar?: LoopExpr; vector?: LoopExpr }>()
  private readonly dependencies = new Map<Expr, ReadonlySet<AxisId>>()
  private lane: AxisId | undefined

  constructor(kernel: Kernel, emitter: Emitter, bounds: affine.Bounds) {
    this.kernel = kernel
    this.emitter = emitter
    this.index = indexScopeOf(kernel, bounds)
  }

  /** Runs `body` with some axes at the given values; locals bound inside do not leak out. */
  at<T>(values: ReadonlyMap<AxisId, LoopExpr> | readonly (readonly [AxisId, LoopExpr])[], body: () => T): T {
    const before = new Map<AxisId, LoopExpr | undefined>()
    const memo = this.memo
    // What was bound outside stays valid unless it depends on an axis that moves here.
    const moved = new Set<AxisId>()
    for (const [axis, value] of values) {
      before.set(axis, this.axes.get(axis))
      this.axes.set(axis, value)
      moved.add(axis)
    }
    this.memo = new Map([...memo].filter(([expr]) => ![...this.axesOf(expr)].some((axis) => moved.has(axis))))
    const result = body()
    this.memo = memo
    for (const [axis, value] of before) {
      if (value) this.axes.set(axis, value)
      else this.axes.delete(axis)
    }
    return result
  }

  /** Runs `body` in a nested block (loop or if) without moving an axis. */
  nested(body: () => void): void {
    this.at([], body)
  }

  /** Binds definitions to places inside `body` only. */
  with<T>(places: Iterable<readonly [number, Place]>, body: () => T): T {
    const before: [number, Place | undefined][] = []
    const memo = this.memo
    for (const [id, place] of places) {
      before.push([id, this.places.get(id)])
      this.places.set(id, place)
    }
    this.memo = new Map()
    const result = body()
    this.memo = memo
    for (const [id, place] of before) {
      if (place) this.places.set(id, place)
      else this.places.delete(id)
    }
    return result
  }

  /** Definitions that are one number each here, computed in order: each may read those before it. Bound inside `body` only. */
  withScalars(ids: readonly number[], body: () => void): void {
    for (const id of ids) this.places.set(id, { kind: 'scalar', value: this.scalar(this.kernel.definitions[id]!.body) })
    body()
    for (const id of ids) this.places.delete(id)
  }

  /** All axes that an expression depends on. */
  axesOf(expr: Expr): ReadonlySet<AxisId> {
    const known = this.dependencies.get(expr)
    if (known) return known
    const found = new Set<AxisId>()
    const visitIndex = (index: Index): void => {
      if (index.kind === 'axis') found.add(index.axis)
      else if (index.kind === 'add') {
        visitIndex(index.a)
        visitIndex(index.b)
      } else if (index.kind === 'mul' || index.kind === 'div' || index.kind === 'mod') visitIndex(index.a)
      else if (index.kind === 'indirect') for (const axis of this.axesOf(index.value)) found.add(axis)
    }
    if (expr.kind === 'index') visitIndex(expr.index)
    else if (expr.kind === 'load') expr.index.forEach(visitIndex)
    else if (expr.kind === 'value') for (const axis of this.kernel.definitions[expr.definition]!.free) found.add(axis)
    else if (expr.kind === 'call') for (const arg of expr.args) for (const axis of this.axesOf(arg)) found.add(axis)
    this.dependencies.set(expr, found)
    return found
  }

  /** The number of loads that would have to be gathered if `axis` were the lane axis; Infinity where a lane form is impossible. */
  gathers(expr: Expr, axis: AxisId, seen = new Set<Expr>()): number {
    if (seen.has(expr) || !this.axesOf(expr).has(axis)) return 0
    seen.add(expr)
    if (expr.kind === 'call') return expr.args.reduce((sum, arg) => sum + this.gathers(arg, axis, seen), 0)
    if (expr.kind === 'load') return this.laneStride(expr, axis) === 1 ? 0 : 1
    if (expr.kind === 'value') {
      const place = this.places.get(expr.definition)
      return place?.kind === 'scratch' && place.axes.at(-1) !== axis ? 1 : 0
    }
    return 0
  }

  /** Words between neighbours along an axis: 0, 1, or undefined for anything else. */
  private laneStride(load: Extract<Expr, { kind: 'load' }>, axis: AxisId): 0 | 1 | undefined {
    const operand = this.kernel.operands[load.operand]!
    let total = 0
    for (const [i, index] of load.index.entries()) {
      const stride = strideOf(index, axis, this.index)
      if (stride === undefined) return undefined
      if (stride === 0) continue
      if (i !== load.index.length - 1) return undefined
      total += stride
    }
    if (total === 0) return 0
    return total === 1 && operand.layout === 'plain' && !isByteFormat(operand.format) && operand.format !== 's8' ? 1 : undefined
  }

  emitIndex(index: Index): LoopExpr {
    switch (index.kind) {
      case 'const':
        return constant('i32', index.value)
      case 'symbol':
        return symbol(index.name)
      case 'axis': {
        const value = this.axes.get(index.axis)
        if (!value) throw new Error(`internal: the axis ${index.axis} of ${this.kernel.name} has no value here`)
        return value
      }
      case 'add':
        return ops.add(this.emitIndex(index.a), this.emitIndex(index.b))
      case 'mul':
        return ops.mul(this.emitIndex(index.a), constant('i32', index.by))
      case 'div':
        return ops.div(this.emitIndex(index.a), constant('i32', index.by))
      case 'mod':
        return ops.rem(this.emitIndex(index.a), constant('i32', index.by))
      case 'indirect': {
        const top = ops.sub(emitAffine(index.below), constant('i32', 1))
        return ops.max(ops.min(this.scalar(index.value), top), constant('i32', 0))
      }
    }
  }

  /** Word index of a plain operand's element. */
  flat(operand: Operand, index: readonly Index[]): LoopExpr {
    return emitPlace(
      index.map((at) => this.emitIndex(at)),
      operand.dims,
    )
  }

  /** Word index in scratch memory at the current point. */
  scratchAt({ axes, tile }: ScratchPlace): LoopExpr {
    const inTile = (id: AxisId): boolean => id === tile?.axis
    const dims = axes.map((id) => (inTile(id) ? affine.constant(tile!.size) : this.kernel.axes.find((axis) => axis.id === id)!.extent))
    const at = axes.map((id) => (inTile(id) ? ops.sub(this.axes.get(id)!, tile!.from) : this.axes.get(id)!))
    return emitPlace(at, dims)
  }

  /** The value as f32, i32 or bool. */
  scalar(expr: Expr): LoopExpr {
    const known = this.memo.get(expr)?.scalar
    if (known) return known
    const lane = this.lane
    this.lane = undefined
    const value = this.bind(this.scalarOf(expr))
    this.lane = lane
    this.memo.set(expr, { ...this.memo.get(expr), scalar: value })
    return value
  }

  /** The value at four neighbours along `axis`, which starts at the axis's current value: f32x4, i32x4 or boolx4. */
  vector(expr: Expr, axis: AxisId): LoopExpr {
    if (this.lane !== undefined && this.lane !== axis) throw new Error('internal: two lane axes at once')
    const before = this.lane
    this.lane = axis
    const value = this.lanes(expr)
    this.lane = before
    return value
  }

  private lanes(expr: Expr): LoopExpr {
    const known = this.memo.get(expr)?.vector
    if (known) return known
    const value = this.bind(this.lanesOf(expr))
    this.memo.set(expr, { ...this.memo.get(expr), vector: value })
    return value
  }

  private bind(value: LoopExpr): LoopExpr {
    return value.kind === 'op' || value.kind === 'load' ? this.emitter.let('v', value) : value
  }

  private scalarOf(expr: Expr): LoopExpr {
    switch (expr.kind) {
      case 'const':
        return constant(scalarType(expr.dtype), expr.value)
      case 'index':
        return this.emitIndex(expr.index)
      case 'load': {
        const operand = this.kernel.operands[expr.operand]!
        if (operand.layout === 'r8') return loadElement(operand, expr.operand, this.matrixIndex(operand, expr.index), this.emitter)
        if (isByteFormat(operand.format))
          return byteElement(operand.format, expr.operand, this.emitter.value('element', this.flat(operand, expr.index)))
        if (operand.format === 's8') return s8Element(operand, expr.operand, this.emitter.value('element', this.flat(operand, expr.index)))
        if (operand.format === 'f16') return fromHalf(loadHalves('i32', expr.operand, this.flat(operand, expr.index)))
        const type = scalarType(operand.dtype)
        const word = load(elementOf(operand.dtype), expr.operand, this.flat(operand, expr.index))
        return type === 'bool' ? ops.ne(word, constant('i32', 0)) : word
      }
      case 'value': {
        const place = this.places.get(expr.definition)
        const definition = this.kernel.definitions[expr.definition]!
        if (!place) {
          // A named value without a place of its own is computed where it is used.
          if (definition.over.length > 0) throw new Error(`internal: a reduction of ${this.kernel.name} is used before it has a place`)
          return this.scalar(definition.body)
        }
        if (place.kind === 'scalar') return place.value
        if (place.kind === 'lanes') throw new Error('internal: a lane value was asked as a scalar')
        const word = load(elementOf(definition.dtype), place.operand, this.scratchAt(place))
        return definition.dtype === 'bool' ? ops.ne(word, constant('i32', 0)) : word
      }
      case 'call':
        return this.apply(expr, (arg) => this.scalar(arg))
    }
  }

  private lanesOf(expr: Expr): LoopExpr {
    const axis = this.lane!
    if (!this.axesOf(expr).has(axis)) return splat(this.scalar(expr))
    switch (expr.kind) {
      case 'const':
        return splat(this.scalar(expr))
      case 'index': {
        const stride = strideOf(expr.index, axis, this.index)
        if (stride === undefined) return this.gather(expr, axis)
        const steps = ops.pack_i32(0, stride, 2 * stride, 3 * stride)
        return ops.add(ops.splat_i32(this.scalar(expr)), steps)
      }
      case 'load': {
        if (this.laneStride(expr, axis) !== 1) return this.gather(expr, axis)
        const operand = this.kernel.operands[expr.operand]!
        if (operand.format === 'f16') return fromHalf(loadHalves('i32x4', expr.operand, this.flat(operand, expr.index)))
        const type = widen(elementOf(operand.dtype))
        const words = load(type, expr.operand, this.flat(operand, expr.index))
        return operand.dtype === 'bool' ? ops.ne(words, splat(constant('i32', 0))) : words
      }
      case 'value': {
        const place = this.places.get(expr.definition)
        const definition = this.kernel.definitions[expr.definition]!
        if (!place) return this.lanes(definition.body)
        if (place.kind === 'lanes') return place.value
        if (place.kind === 'scalar') return splat(place.value)
        if (place.axes.at(-1) !== axis) return this.gather(expr, axis)
        const words = load(widen(elementOf(definition.dtype)), place.operand, this.scratchAt(place))
        return definition.dtype === 'bool' ? ops.ne(words, splat(constant('i32', 0))) : words
      }
      case 'call':
        return this.apply(expr, (arg) => this.lanes(arg))
    }
  }

  private apply(expr: Extract<Expr, { kind: 'call' }>, value: (arg: Expr) => LoopExpr): LoopExpr {
    // One rounding less, and one instruction, where the target fuses.
    if (expr.fn === 'add' && elementOf(expr.dtype) === 'f32') {
      const at = expr.args.findIndex((arg) => arg.kind === 'call' && arg.fn === 'mul')
      const product = expr.args[at]
      if (product?.kind === 'call') return ops.madd(value(product.args[0]!), value(product.args[1]!), value(expr.args[1 - at]!))
    }
    return applyScalarFn(expr, expr.args.map(value))
  }

  private gather(expr: Expr, axis: AxisId): LoopExpr {
    const base = this.axes.get(axis)!
    const parts: LoopExpr[] = []
    for (let i = 0; i < 4; i++) this.at([[axis, i === 0 ? base : ops.add(base, constant('i32', i))]], () => parts.push(this.scalar(expr)))
    const [a, b, c, d] = parts as [LoopExpr, LoopExpr, LoopExpr, LoopExpr]
    if (a.type === 'f32') return ops.pack_f32(a, b, c, d)
    if (a.type === 'i32') return ops.pack_i32(a, b, c, d)
    const words = ops.pack_i32(ops.to_i32(a), ops.to_i32(b), ops.to_i32(c), ops.to_i32(d))
    return ops.ne(words, splat(constant('i32', 0)))
  }

  /** Row and column of an element of a packed matrix. */
  matrixIndex(operand: Operand, index: readonly Index[]): { row: LoopExpr; column: LoopExpr } {
    const { k } = operand.matrix!
    let inner = operand.dims.length
    for (let size = 1; inner > 0 && size < k; ) size *= operand.dims[--inner]!.const
    const part = (from: number, to: number): LoopExpr =>
      emitPlace(
        index.slice(from, to).map((at) => this.emitIndex(at)),
        operand.dims.slice(from, to),
      )
    return { row: part(0, inner), column: part(inner, operand.dims.length) }
  }
}

/** What the index algebra knows about a kernel's axes and symbols. */
export const indexScopeOf = (kernel: Kernel, bounds: affine.Bounds): IndexScope => ({
  extents: new Map(kernel.axes.map((axis) => [axis.id, axis.extent])),
  symbols: bounds,
})

/** Nested loops over some axes, outermost first. */
export function nest(scope: Scope, axes: readonly KernelAxis[], body: () => void): void {
  const [axis, ...rest] = axes
  if (!axis) return body()
  scope.emitter.loop(axis.id, 0, emitAffine(axis.extent), 1, (value) => scope.at([[axis.id, value]], () => nest(scope, rest, body)))
}
