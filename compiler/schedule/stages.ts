// The stages of a point: a definition after the other, into a local or over its inner axes into scratch memory, then the outputs. With lanes
// loops are written in vectors along an axis whose loads are contiguous, with threads invocations share them (staged.ts, which chooses the points).

import type { AxisId, Definition, Expr, Kernel, KernelAxis, Output } from '../kernel/types.ts'
import { a8 } from './activation-blocks.ts'
import { builtin, constant, ops } from './build-loops.ts'
import { accumulate, axisOf, combine, identityOf, innerAxes, typeOf } from './definitions.ts'
import type { LoopExpr, LoopType } from './loops.ts'
import type { Machine } from './machine.ts'
import { blockValues, isContiguous, isInBlocks, storeBlock, storeBlockAlong, storeOutput } from './outputs.ts'
import { elementOf, toWords } from './scalar-calls.ts'
import { emitAffine } from './affine-loops.ts'
import { nest, type Place, type Scope } from './scope.ts'
import { chainLoop, chainsOf, vectorBlocks, vectorLoop } from './vector-loops.ts'
import { joinAll, type Span, shareOut } from './work-group.ts'

export interface Staged {
  readonly kernel: Kernel
  readonly machine: Machine
  readonly scope: Scope
  readonly outer: readonly KernelAxis[]
  /** Definitions that get scratch memory, with its operand number. */
  readonly scratch: ReadonlyMap<number, number>
  /** Scratch operand of the tree reduction (threads only). */
  readonly tree: number
}

export function cannotWriteBlocks({ name }: Kernel): never {
  throw new Error(`internal: ${name} cannot write blocks of 8 bits`)
}

/** Computes a definition at the current point and gives it its place. */
export function emitDefinition(staged: Staged, id: number): void {
  const { kernel, outer, scope } = staged
  const definition = kernel.definitions[id]!
  const inner = innerAxes(definition, outer)
  let place: Place
  if (inner.length > 0) {
    emitInto(staged, id, inner)
    place = { kind: 'scratch', operand: staged.scratch.get(id)!, axes: inner }
  } else if (definition.over.length > 0) {
    place = { kind: 'scalar', value: reduceAll(staged, definition) }
  } else place = { kind: 'scalar', value: scope.scalar(definition.body) }
  scope.places.set(id, place)
}

/** The axis to write vectors along: the last one without gathers. */
const laneOf = (staged: Staged, exprs: readonly Expr[], axes: readonly AxisId[]): AxisId | undefined =>
  staged.machine.lanes === 1
    ? undefined
    : axes.findLast(
        (axis) =>
          exprs.every((expr) => staged.scope.gathers(expr, axis) === 0) && exprs.some((expr) => staged.scope.axesOf(expr).has(axis)),
      )

/** Integers have no max and min of vectors. */
const takesVectors = ({ dtype, combine: how }: Definition): boolean => elementOf(dtype) === 'f32' || how === undefined || how === 'sum'

/** Reduces to one scalar at the current point. */
function reduceAll(staged: Staged, definition: Definition): LoopExpr {
  const { kernel, machine, scope } = staged
  const e = scope.emitter
  const type = typeOf(definition)
  const axes = definition.over.map((id) => axisOf(kernel, id))
  const start = identityOf(definition)
  if (machine.threads > 1) return reduceThreads(staged, definition, axes)
  const lane = type === 'f32' ? laneOf(staged, [definition.body], definition.over) : undefined
  const acc = e.let('acc', constant(type, start))
  if (lane === undefined) {
    nest(scope, axes, () => accumulate(scope, definition, acc))
    return acc
  }
  const along = axisOf(kernel, lane)
  const parts = Array.from({ length: chainsOf(along) }, () => e.let('part', constant('f32x4', start)))
  nest(
    scope,
    axes.filter((axis) => axis !== along),
    () =>
      chainLoop(
        scope,
        along,
        parts,
        (part) => accumulate(scope, definition, part, lane),
        () => accumulate(scope, definition, acc),
      ),
  )
  const joined = parts.reduce((a, b) => combine(definition.combine!, a, b))
  const across = definition.combine === 'sum' ? ops.hsum(joined) : definition.combine === 'max' ? ops.hmax(joined) : ops.hmin(joined)
  return e.let('acc', combine(definition.combine!, acc, across))
}

/** All invocations: partial results, and their total for everybody. */
function reduceThreads(staged: Staged, definition: Definition, axes: readonly KernelAxis[]): LoopExpr {
  const { machine, scope, tree } = staged
  const e = scope.emitter
  const acc = e.let('acc', constant(typeOf(definition), identityOf(definition)))
  const last = axes.at(-1)!
  nest(scope, axes.slice(0, -1), () => {
    e.loop(last.id, builtin('invocation'), emitAffine(last.extent), machine.threads, (value) =>
      scope.at([[last.id, value]], () => accumulate(scope, definition, acc)),
    )
  })
  return joinAll(scope, machine, tree, definition.combine!, acc)
}

/** Writes a definition over its inner free axes to scratch memory. */
function emitInto(staged: Staged, id: number, inner: readonly AxisId[]): void {
  const { kernel, machine, scope } = staged
  const e = scope.emitter
  const definition = kernel.definitions[id]!
  const operand = staged.scratch.get(id)!
  const axes = inner.map((axis) => axisOf(kernel, axis))
  const at = (): LoopExpr => {
    let flat: LoopExpr = constant('i32', 0)
    for (const axis of axes) flat = ops.add(ops.mul(flat, emitAffine(axis.extent)), scope.axes.get(axis.id)!)
    return flat
  }
  const single = (): void => {
    const value = definition.over.length > 0 ? reduceHere(staged, definition) : toWords(scope.scalar(definition.body))
    e.store(operand, at(), value)
  }
  if (machine.threads > 1) {
    shareOut(scope, machine.threads, axes.map(whole), single)
    e.barrier()
    return
  }
  const lane = takesVectors(definition) ? laneOf(staged, [definition.body], inner.slice(-1)) : undefined
  if (lane === undefined) {
    nest(scope, axes, single)
    return
  }
  const along = axes.at(-1)!
  nest(scope, axes.slice(0, -1), () => {
    if (definition.over.length === 0) {
      vectorLoop(scope, along, (lanes) => (lanes ? e.store(operand, at(), toWords(scope.vector(definition.body, lane))) : single()))
      return
    }
    vectorBlocks(
      scope,
      along,
      (width) => {
        const type: LoopType = typeOf(definition) === 'f32' ? 'f32x4' : 'i32x4'
        const start = scope.axes.get(lane)!
        const sums = Array.from({ length: width }, () => e.let('sum', constant(type, identityOf(definition))))
        nest(
          scope,
          definition.over.map((axis) => axisOf(kernel, axis)),
          () => {
            for (const [i, sum] of sums.entries()) scope.at([[lane, ops.add(start, 4 * i)]], () => accumulate(scope, definition, sum, lane))
          },
        )
        for (const [i, sum] of sums.entries()) scope.at([[lane, ops.add(start, 4 * i)]], () => e.store(operand, at(), sum))
      },
      single,
    )
  })
}

/** A reduction by one invocation alone, in vectors along a reduced axis where that needs no gather. */
function reduceHere(staged: Staged, definition: Definition): LoopExpr {
  const alone: Staged = { ...staged, machine: { ...staged.machine, threads: 1 } }
  return reduceAll(alone, definition)
}

/** All values of an axis. */
export const whole = ({ id, extent }: KernelAxis): Span => ({ id, count: emitAffine(extent) })

/** The blocks of 32 values of an axis. */
export const blocksOf = ({ id, extent }: KernelAxis): Span => ({ id, count: constant('i32', extent.const / a8.k) })

/** Runs `body` at the first value of the block that the axis counts. */
export const atBlock = (scope: Scope, { id }: KernelAxis, body: () => void): void =>
  scope.at([[id, scope.emitter.value(id, ops.mul(scope.axes.get(id)!, a8.k))]], body)

export function emitOutput(staged: Staged, output: Output): void {
  const { kernel, machine, scope, outer } = staged
  const inner = output.axes.filter((id) => !outer.some((axis) => axis.id === id)).map((id) => axisOf(kernel, id))
  if (isInBlocks(kernel, output)) {
    const along = inner.at(-1)
    if (!along || !isContiguous(scope.index, output, along.id) || along.extent.const % a8.k !== 0) return cannotWriteBlocks(kernel)
    if (machine.threads > 1) {
      const spans = [...inner.slice(0, -1).map(whole), blocksOf(along)]
      return shareOut(scope, machine.threads, spans, () => atBlock(scope, along, () => storeBlockAlong(scope, output, along.id)))
    }
    nest(scope, inner.slice(0, -1), () =>
      scope.emitter.loop(along.id, 0, emitAffine(along.extent), a8.k, (value) =>
        scope.at([[along.id, value]], () => storeBlock(scope, output, blockValues(scope, output, along.id))),
      ),
    )
    return
  }
  if (machine.threads > 1) {
    if (inner.length > 0) return shareOut(scope, machine.threads, inner.map(whole), () => storeOutput(scope, output))
    return scope.emitter.if(ops.eq(builtin('invocation'), 0), () => scope.nested(() => storeOutput(scope, output)))
  }
  const lane = machine.lanes > 1 ? inner.findLast((axis) => isContiguous(scope.index, output, axis.id)) : undefined
  if (!lane) return nest(scope, inner, () => storeOutput(scope, output))
  nest(
    scope,
    inner.filter((axis) => axis !== lane),
    () => vectorLoop(scope, lane, (lanes) => storeOutput(scope, output, lanes ? lane.id : undefined)),
  )
}
