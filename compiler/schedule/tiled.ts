// The staged schedule for axes too long for scratch memory, on machines with workgroups: one workgroup a point of the outer axes
// walks the long axis in tiles, as many times as tile-passes.ts found necessary. Attention over a context of any length is one such
// walk: scores of a tile, the running maximum, exponentials, and sums that are rescaled when the maximum moved.

import * as affine from '../../dsl/affine.ts'
import type { AxisId, Definition, Kernel, KernelAxis } from '../kernel/types.ts'
import { builtin, constant, Emitter, load, ops } from './build-loops.ts'
import { accumulate, axisOf, combine, identityOf, innerAxes, typeOf, valuesFor } from './definitions.ts'
import type { LoopExpr, LoopFunction } from './loops.ts'
import type { Machine } from './machine.ts'
import { emitAffine } from './affine-loops.ts'
import { nest, Scope, type ScratchPlace } from './scope.ts'
import { toWords } from './scalar-calls.ts'
import { assignScratch, commonAxes, scheduleGroups, sum } from './staged.ts'
import { emitDefinition, emitOutput, type Staged, whole } from './stages.ts'
import { planPasses, type Running, type TilePass, type TilePasses } from './tile-passes.ts'
import { joinAll, type Span, shareOut } from './work-group.ts'

/** Longer tiles would only keep other workgroups out of the same memory. */
const longest = 512

interface Tiled extends Staged {
  readonly axis: KernelAxis
  readonly size: number
  readonly plan: TilePasses
}

interface Tile {
  readonly from: LoopExpr
  readonly end: LoopExpr
}

/** Undefined where tiles do not help: what takes the memory is long along an output. */
export function scheduleTiled(original: Kernel, machine: Machine, bounds: affine.Bounds): LoopFunction | undefined {
  if (machine.threads === 1) return undefined
  const outer = commonAxes(original)
  const extent = (axis: KernelAxis): number => affine.range(axis.extent, bounds).max
  const kept = new Set(original.outputs.flatMap(({ axes }) => axes))
  const inner = new Set(original.definitions.flatMap((definition) => innerAxes(definition, outer)))
  const [axis] = original.axes.filter(({ id }) => inner.has(id) && !kept.has(id)).sort((a, b) => extent(b) - extent(a))
  if (!axis) return undefined
  const plan = planPasses(original, axis.id, new Set(outer.map(({ id }) => id)))
  const { kernel } = plan
  const wordsFor = (size: number): { slots: Map<number, number>; words: number[] } =>
    assignScratch(kernel, outer, (each) => (each.id === axis.id ? size : extent(each)))
  const [one, two] = [sum(wordsFor(1).words), sum(wordsFor(2).words)]
  const room = machine.scratchWords - machine.threads - (one - (two - one))
  const fitting = Math.min(longest, Math.floor(room / Math.max(1, two - one)))
  if (fitting < 1) return undefined
  const size = fitting < machine.threads ? fitting : fitting - (fitting % machine.threads)
  const { slots, words } = wordsFor(size)
  const base = kernel.operands.length
  const scratch = new Map([...slots].map(([definition, slot]) => [definition, base + slot] as const))
  const scope = new Scope(kernel, new Emitter(), bounds)
  const tiled: Tiled = { kernel, machine, scope, outer, scratch, tree: base + words.length, axis, size, plan }
  return scheduleGroups(tiled, [...words, machine.threads], () => emitPasses(tiled))
}

function emitPasses(tiled: Tiled): void {
  const { kernel, scope, axis, plan } = tiled
  const along = ({ free, over }: Definition): boolean => free.includes(axis.id) || over.includes(axis.id)
  const others = (passes: number): void => {
    for (const [id, definition] of kernel.definitions.entries()) {
      if (!along(definition) && plan.ready[id] === passes) emitDefinition(tiled, id)
    }
  }
  others(0)
  for (const [i, pass] of plan.passes.entries()) {
    emitPass(tiled, pass)
    others(i + 1)
  }
  for (const output of kernel.outputs) emitOutput(tiled, output)
  for (const id of kernel.definitions.keys()) scope.places.delete(id)
}

/** The axis in tiles; all invocations have finished one before the next begins. */
function overTiles({ scope, axis, size }: Tiled, body: (tile: Tile) => void): void {
  const e = scope.emitter
  const extent = emitAffine(axis.extent)
  e.loop('tile', 0, extent, size, (from) =>
    scope.nested(() => {
      body({ from, end: e.value('end', ops.min(ops.add(from, size), extent)) })
      e.barrier()
    }),
  )
}

const spanIn = (tiled: Tiled, id: AxisId, { from, end }: Tile): Span =>
  id === tiled.axis.id ? { id, from, count: ops.sub(end, from) } : whole(axisOf(tiled.kernel, id))

/** A value over the axis, for one tile, into scratch memory. */
function emitValue(tiled: Tiled, id: number, tile: Tile): void {
  const { kernel, scope, machine, axis, size } = tiled
  const definition = kernel.definitions[id]!
  const axes = innerAxes(definition, tiled.outer)
  const place: ScratchPlace = { kind: 'scratch', operand: tiled.scratch.get(id)!, axes, tile: { axis: axis.id, from: tile.from, size } }
  shareOut(
    scope,
    machine.threads,
    axes.map((each) => spanIn(tiled, each, tile)),
    () => {
      const value = definition.over.length > 0 ? reduceAlone(tiled, definition) : toWords(scope.scalar(definition.body))
      scope.emitter.store(place.operand, scope.scratchAt(place), value)
    },
  )
  scope.emitter.barrier()
  scope.places.set(id, place)
}

/** A reduction over other axes, by one invocation. */
function reduceAlone({ kernel, scope }: Tiled, definition: Definition): LoopExpr {
  const acc = scope.emitter.let('acc', constant(typeOf(definition), identityOf(definition)))
  const axes = definition.over.map((id) => axisOf(kernel, id))
  nest(scope, axes, () => accumulate(scope, definition, acc))
  return acc
}

/** acc goes on over a tile: positions `first`, `first` + step, … before its end. */
function goOn({ kernel, scope, axis }: Tiled, definition: Definition, acc: LoopExpr, first: LoopExpr, end: LoopExpr, step: number): void {
  const others = definition.over.filter((id) => id !== axis.id).map((id) => axisOf(kernel, id))
  scope.emitter.loop(axis.id, first, end, step, (value) =>
    scope.at([[axis.id, value]], () => nest(scope, others, () => accumulate(scope, definition, acc))),
  )
}

/** One walk along the axis. */
function emitPass(tiled: Tiled, { reductions, running }: TilePass): void {
  const { kernel, scope, machine, outer, tree } = tiled
  const e = scope.emitter
  const { threads } = machine
  const definitionOf = (id: number): Definition => kernel.definitions[id]!
  const innerOf = (id: number): AxisId[] => innerAxes(definitionOf(id), outer)
  const identity = (id: number): LoopExpr => constant(typeOf(definitionOf(id)), identityOf(definitionOf(id)))
  const spread = reductions.filter((id) => innerOf(id).length > 0)
  const single = reductions.filter((id) => innerOf(id).length === 0)
  const placeOf = (id: number): ScratchPlace => ({ kind: 'scratch', operand: tiled.scratch.get(id)!, axes: innerOf(id) })
  const eachOf = (id: number, body: () => void): void =>
    shareOut(
      scope,
      threads,
      innerOf(id).map((axis) => whole(axisOf(kernel, axis))),
      body,
    )
  const accs = new Map(single.map((id) => [id, e.let(id === running?.maximum ? 'maximum' : 'acc', identity(id))]))
  for (const id of spread) eachOf(id, () => e.store(placeOf(id).operand, scope.scratchAt(placeOf(id)), identity(id)))
  const bodies = reductions.map((id) => definitionOf(id).body)
  const values = new Set(valuesFor(kernel, tiled.axis.id, bodies))
  overTiles(tiled, (tile) => {
    let factor: LoopExpr | undefined
    for (const id of [...values, ...reductions].sort((a, b) => a - b)) {
      if (values.has(id)) emitValue(tiled, id, tile)
      else if (id === running?.maximum) factor = moveMaximum(tiled, running, accs.get(id)!, tile)
      else {
        const scale = running?.scaled.has(id) ? factor : undefined
        const acc = accs.get(id)
        if (acc) {
          if (scale) e.set(acc, ops.mul(acc, scale))
          goOn(tiled, definitionOf(id), acc, ops.add(tile.from, builtin('invocation')), tile.end, threads)
        } else {
          // An invocation finds its own points again in every tile, so nobody has to wait.
          eachOf(id, () => {
            const at = scope.scratchAt(placeOf(id))
            const before = load(typeOf(definitionOf(id)), placeOf(id).operand, at)
            const total = e.let('acc', scale ? ops.mul(before, scale) : before)
            goOn(tiled, definitionOf(id), total, tile.from, tile.end, 1)
            e.store(placeOf(id).operand, at, total)
          })
        }
      }
    }
  })
  for (const id of values) scope.places.delete(id)
  for (const id of single) {
    const acc = accs.get(id)!
    const value = id === running?.maximum ? acc : joinAll(scope, machine, tree, definitionOf(id).combine!, acc)
    scope.places.set(id, { kind: 'scalar', value })
  }
  for (const id of spread) scope.places.set(id, placeOf(id))
  if (spread.length > 0) e.barrier()
}

/** Takes a tile into the maximum; gives what sums so far are multiplied by. */
function moveMaximum(tiled: Tiled, { maximum, level }: Running, acc: LoopExpr, tile: Tile): LoopExpr {
  const { kernel, scope, machine, tree } = tiled
  const e = scope.emitter
  const definition = kernel.definitions[maximum]!
  const mine = e.let('mine', constant('f32', identityOf(definition)))
  goOn(tiled, definition, mine, ops.add(tile.from, builtin('invocation')), tile.end, machine.threads)
  const highest = joinAll(scope, machine, tree, 'max', mine)
  const levelAt = (): LoopExpr => {
    let value: LoopExpr = acc
    scope.with([[maximum, { kind: 'scalar', value: acc }]], () => {
      value = e.let('level', scope.scalar(level))
    })
    return value
  }
  const before = levelAt()
  e.set(acc, combine('max', acc, highest))
  scope.places.set(maximum, { kind: 'scalar', value: acc })
  return e.let('factor', ops.exp(ops.sub(before, levelAt())))
}
