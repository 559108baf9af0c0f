// Schedules a contract: dots of packed weight rows with one or several rows of activations, and their epilogue.
// A tile is 8 rows (or 4, where rows start in the middle of a packed group) by up to 4 tokens (q4_1, GMAC/s by tokens of a tile: 2 42,
// 3 44, 4 48, 5 49, 6 47, 8 47: from 4 on what is saved on unpacking weights is lost to registers). With lanes, four rows are one
// vector and the epilogue runs on vectors. Workgroups take contracts otherwise: contract-group.ts.

import * as affine from '../../dsl/affine.ts'
import type { AxisId, Kernel } from '../kernel/types.ts'
import { builtin, constant, Emitter, load, ops } from './build-loops.ts'
import { countOf } from './count.ts'
import type { LoopExpr, LoopFunction } from './loops.ts'
import type { Machine } from './machine.ts'
import { a8 } from './activation-blocks.ts'
import { emitDots, type Stream, type Unit, walksOf } from './contract-dots.ts'
import { type ContractPlan, type Dot, tokenStride } from './contract-plan.ts'
import { kernelFunction, storeBlock, storeOutput } from './outputs.ts'
import { emitAffine, unflatten } from './affine-loops.ts'
import { nest, type Place, Scope } from './scope.ts'

export function scheduleContract(kernel: Kernel, plan: ContractPlan, machine: Machine, bounds: affine.Bounds): LoopFunction {
  const emitter = new Emitter()
  const scope = new Scope(kernel, emitter, bounds)
  return scheduleLanes(kernel, plan, machine, bounds, scope)
}

/**
 * Places in the weights that are read at once for one token. A core asks ahead for the next lines of each place, but only for a few, and
 * not over the end of a page: with one place it waits (read alone, GB/s by places: 1 17, 2 25, 4 27, 8 29; q4_1 with its products 12, 15, 18).
 * Places must be far apart: of two groups of rows that follow each other both are slower.
 */
const streamsAtOnce = 4

/** Bytes of the weights of one tile. */
const tileBytes = ({ dots, tile }: ContractPlan): number =>
  dots.reduce((sum, { format, k }) => sum + (k / format.k) * format.words * 4, 0) * (tile / 8)

/**
 * Lanes: rows in runs from the caller, cut into blocks of weights that stay in a core's own cache; over each block all tokens
 * pass, four at a time, so that the activations of a tile stay in the nearest cache meanwhile.
 */
function scheduleLanes(kernel: Kernel, plan: ContractPlan, machine: Machine, bounds: affine.Bounds, scope: Scope): LoopFunction {
  const e = scope.emitter
  const unit = plan.writesBlocks ? a8.k : plan.tile
  const units = Math.ceil(plan.lane.extent.const / unit)
  const fixed = plan.rowAxes.filter((axis) => affine.isConstant(axis.extent))
  const moving = plan.rowAxes.filter((axis) => !affine.isConstant(axis.extent))
  const count = fixed.reduce((product, axis) => product * axis.extent.const, units)
  const rest = [...moving, ...plan.others]
  const most = plan.token ? affine.range(plan.token.extent, bounds).max : 1
  const perBlock = Math.max(1, Math.floor(machine.blockBytes / tileBytes(plan)))
  const scratch = kernel.operands.length
  // For one token memory is what limits. Sums of more than two dots would not fit the registers.
  const groupsOf = (tokens: number): readonly (readonly Dot[])[] =>
    walksOf(
      plan.dots,
      () => tokens === 1 && plan.dots.length === 2,
      () => true,
    )
  const parts = plan.token ? 1 : streamsAtOnce / groupsOf(1)[0]!.length
  if (plan.writesBlocks || rest.length > 0 || most < 4) {
    const rows = (units: readonly Unit[]) => (plan.writesBlocks ? overBlocks(units) : overTokens((tokens) => tiles(units, tokens)))
    overUnits(builtin('from'), builtin('to'), parts, (units) => nest(scope, rest, () => rows(units)))
  } else {
    e.loop('block', builtin('from'), builtin('to'), perBlock, (first) => {
      const end = e.value('end', ops.min(ops.add(first, perBlock), builtin('to')))
      overTokens((tokens) => overUnits(first, end, 1, (units) => tiles(units, tokens)))
    })
  }

  /** All units of a range, `parts` at a time that lie far apart. */
  function overUnits(from: LoopExpr, to: LoopExpr, parts: number, body: (units: readonly Unit[]) => void): void {
    const part = parts === 1 ? undefined : e.value('part', ops.div(ops.add(ops.sub(to, from), parts - 1), parts))
    e.loop('tile', from, part ? e.value('end', ops.add(from, part)) : to, 1, (first) => {
      const others = Array.from({ length: parts - 1 }, (_, n): Unit => {
        const at = e.value('other', ops.add(first, ops.mul(part!, n + 1)))
        // At least 0, which it is: so addresses are known not to be negative, and their constant parts cost no instruction.
        return { place: placeOfUnit(e.value('unit', ops.max(ops.min(at, ops.sub(to, 1)), 0))), present: ops.lt(at, to) }
      })
      body([{ place: placeOfUnit(first) }, ...others])
    })
  }

  function placeOfUnit(flat: LoopExpr): Unit['place'] {
    const at = unflatten(e, flat, [...fixed, { id: plan.lane.id, extent: affine.constant(units) }])
    const lane = e.value('row', ops.mul(at.pop()![1], unit))
    return [...at, [plan.lane.id, lane]]
  }

  /** What is done with a unit's results. */
  function atUnit({ place, present }: Unit, body: () => void): void {
    if (present) e.if(present, () => scope.at(place, body))
    else scope.at(place, body)
  }

  function laneOf(): LoopExpr {
    return scope.axes.get(plan.lane.id)!
  }

  /** The tiles of some blocks for all tokens into scratch memory, then rounded. */
  function overBlocks(units: readonly Unit[]): void {
    overTokens((tokens) =>
      e.loop('r', 0, a8.k, plan.tile, (r) => {
        const moved = units.map(({ place }): Unit => {
          const [id, lane] = place.at(-1)!
          return { place: [...place.slice(0, -1), [id, e.value('row', ops.add(lane, r))]] }
        })
        tiles(moved, tokens, r)
      }),
    )
    for (const [n, unit] of units.entries()) {
      atUnit(unit, () =>
        nest(scope, plan.token ? [plan.token] : [], () => {
          const at = e.value('block', placeOfBlock(n))
          const values = Array.from({ length: a8.k / 4 }, (_, i) => e.value('x', load('f32x4', scratch, at, 4 * i)))
          storeBlock(scope, kernel.outputs[0]!, values)
        }),
      )
    }
  }

  /** In scratch memory: of each token, or of each unit. */
  function placeOfBlock(unit: number): LoopExpr {
    return plan.token ? ops.mul(scope.axes.get(plan.token.id)!, a8.k) : constant('i32', unit * a8.k)
  }

  /** Four tokens at a time, then one by one. */
  function overTokens(body: (tokens: number) => void): void {
    if (!plan.token) return body(1)
    const extent = emitAffine(plan.token.extent)
    const full = most >= 4 ? e.value('full', ops.mul(ops.shr_u(extent, 2), 4)) : constant('i32', 0)
    if (most >= 4) e.loop('s', 0, full, 4, (s) => scope.at([[plan.token!.id, s]], () => body(4)))
    e.loop('s', full, extent, 1, (s) => scope.at([[plan.token!.id, s]], () => body(1)))
  }

  /** Words of activations from a token to the next. */
  function strideOf(dot: Dot): number {
    return plan.token ? tokenStride(kernel, dot, plan.token.id, scope.index)! : 0
  }

  /** `inBlock`: where in their blocks of 8-bit activations the tiles begin. */
  function tiles(units: readonly Unit[], tokens: number, inBlock?: LoopExpr): void {
    const results = units.map((): LoopExpr[][][] => [])
    for (const group of groupsOf(tokens)) {
      const streams = units.flatMap((unit) => group.map((dot): Stream => ({ dot, unit, stride: strideOf(dot) })))
      const sums = emitDots(scope, streams, tokens, plan.tile)
      for (const [i, each] of sums.entries()) results[Math.floor(i / group.length)]!.push(each)
    }
    const token = plan.token && scope.axes.get(plan.token.id)!
    for (const [n, unit] of units.entries()) {
      atUnit(unit, () => {
        for (let t = 0; t < tokens; t++) {
          for (let q = 0; q < plan.tile / 4; q++) {
            const row = ops.add(laneOf(), 4 * q)
            const moved: [AxisId, LoopExpr][] = [[plan.lane.id, row]]
            if (plan.token) moved.push([plan.token.id, ops.add(token!, t)])
            const sums = results[n]!.map((each) => each[t]![q]!)
            scope.at(moved, () => (inBlock ? intoBlock(sums, ops.add(placeOfBlock(n), inBlock), q) : epilogue(row, sums)))
          }
        }
      })
    }
  }

  function placesOf(sums: readonly LoopExpr[]): [number, Place][] {
    return plan.dots.map((dot, i) => [dot.definition, { kind: 'lanes', value: sums[i]! }])
  }

  function intoBlock(sums: readonly LoopExpr[], at: LoopExpr, quad: number): void {
    scope.with(placesOf(sums), () => {
      const value = scope.vector(kernel.outputs[0]!.value, plan.lane.id)
      e.store(scratch, at, value, 4 * quad)
    })
  }

  /** Four rows; the last ones of an extent that is no multiple of the tile are cut off. */
  function epilogue(row: LoopExpr, sums: readonly LoopExpr[]): void {
    const extent = plan.lane.extent.const
    const whole = (): void => {
      scope.with(placesOf(sums), () => {
        for (const output of kernel.outputs) storeOutput(scope, output, plan.lane.id)
      })
    }
    if (extent % plan.tile === 0) return whole()
    if (extent % 4 === 0) return e.if(ops.lt(row, extent), () => scope.nested(whole))
    e.if(
      ops.le(row, extent - 4),
      () => scope.nested(whole),
      () => {
        for (let i = 0; i < 3; i++) {
          e.if(ops.lt(row, extent - i), () =>
            scope.at([[plan.lane.id, ops.add(row, i)]], () => {
              const places = plan.dots.map((dot, d): [number, Place] => [
                dot.definition,
                { kind: 'scalar', value: ops.lane_f32(sums[d]!, i) },
              ])
              scope.with(places, () => {
                for (const output of kernel.outputs) storeOutput(scope, output)
              })
            }),
          )
        }
      },
    )
  }

  const rows = { count: countOf(affine.constant(count)), unit }
  return kernelFunction(kernel, e, plan.writesBlocks ? { rows, scratch: [a8.k * Math.max(most, parts)] } : { rows })
}
