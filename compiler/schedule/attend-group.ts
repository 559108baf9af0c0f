// Attention by workgroups: rows of a block see the same vectors (query heads of one key head, neighbouring queries) and walk the positions
// in tiles together, so that a vector comes from memory once for all of them, read by neighbours in one stream. Of each row there
// is a running maximum; sums stay in registers and are rescaled when it moves (online softmax).
//
// Invocations change places from step to step: with the scores, some share a position's vector; with the values behind them, some share
// a row; with the weighted sums, each has a piece of the vectors. Where there are no tokens to make rows of, positions are cut
// into chunks, a workgroup each, and a second function joins what they left (LoopFunction.join).

import * as affine from '../../dsl/affine.ts'
import type { AxisId, Kernel } from '../kernel/types.ts'
import { GroupRows, lanesOf, type State, zero } from './attend-group-rows.ts'
import { type Load, planAttend, type Score, type Weighted } from './attend-plan.ts'
import { builtin, constant, load, ops } from './build-loops.ts'
import { combine, identityOf } from './definitions.ts'
import type { LoopExpr, LoopFunction } from './loops.ts'
import type { Machine } from './machine.ts'
import type { Place } from './scope.ts'
import { toWords } from './scalar-calls.ts'
import { commonAxes } from './staged.ts'
import { s8Four } from './state-blocks.ts'

/** Rows of a block and positions of a tile, the best first. */
const shapes = [
  [8, 64],
  [8, 32],
  [4, 64],
  [4, 32],
  [2, 64],
  [2, 32],
  [1, 64],
  [1, 32],
  [1, 16],
] as const
/**
 * Undefined for what is no attention, or has parts that need the general schedule. `alone`: no other kernel is in the launch, so that
 * workgroups may have any size.
 */
export function scheduleAttendGroup(original: Kernel, machine: Machine, bounds: affine.Bounds, alone = false): LoopFunction | undefined {
  const plan = planAttend(original, commonAxes(original), bounds)
  if (!plan || plan.batch.filter(({ extent }) => !affine.isConstant(extent)).length > 1) return undefined
  for (const [rows, tile] of shapes) {
    const make = (by = 1): AttendGroup => new AttendGroup(plan, wider(machine, by), bounds, rows, tile)
    const attend = make()
    if (!attend.fits) continue
    // One token has few blocks: where memory holds what more invocations leave, a block has more of them.
    let by = 1
    const { threads, mostThreads, busyThreads } = machine
    if (alone && !plan.token) while (2 * by * threads <= Math.min(mostThreads, busyThreads / attend.units) && make(2 * by).fits) by *= 2
    return attend.chunked ? make(by).build(make(by).join()) : make(by).build()
  }
  return undefined
}

/** A machine whose workgroups have so many times the invocations, and that is kept busy by as many workgroups: chunks stay as they are. */
const wider = (machine: Machine, by: number): Machine => ({
  ...machine,
  threads: by * machine.threads,
  busyThreads: by * machine.busyThreads,
})

class AttendGroup extends GroupRows {
  build(join?: LoopFunction): LoopFunction {
    const { token, axis, weighted, scores } = this.plan
    const e = this.e
    const one = (size: affine.Affine, divisor = 1) => [{ size, divisor }]
    this.atBlock(() => {
      const { from, to } = this.range()
      const chunk = this.chunks && builtin('group_y')
      const start = chunk ? e.value('start', ops.add(from, ops.mul(chunk, this.chunks!.size))) : from
      const stop = chunk ? e.value('stop', ops.min(ops.add(start, this.chunks!.size), to)) : to
      for (const score of scores) this.ask(score)
      e.barrier()
      const state = this.state()
      const pieces = new Map(weighted.map((each) => [each.id, this.emptySums(each)]))
      e.loop('tile', start, stop, this.tile, (tile) =>
        this.scope.nested(() => {
          const end = e.value('end', ops.min(ops.add(tile, this.tile), stop))
          for (const score of scores) this.scores(score, state, tile, end)
          this.weights(state, tile, end)
          for (const each of weighted) this.weighted(each, pieces.get(each.id)!, tile, end)
          e.barrier()
        }),
      )
      this.leaveNumbers(state)
      for (const each of weighted) this.leaveSums(each, pieces.get(each.id)!)
      if (chunk) this.leaveChunk(chunk)
      else this.outputs()
    })
    const rows = token ? one(token.extent, this.rows.tokens) : this.chunks ? one(axis.extent, this.chunks.size) : []
    return this.functionOf([one(affine.constant(this.units)), rows, this.moving ? one(this.moving.extent) : []], join)
  }

  /** Scores of all rows with the positions of a tile. */
  protected scores({ id, axis, vector }: Score, { row, sharer, sharers, used }: State, tile: LoopExpr, end: LoopExpr): void {
    const e = this.e
    const { count } = this.rows
    const { threads } = this.machine
    const width = axis.extent.const
    const lanes = lanesOf(axis)
    const positions = this.plan.axis
    const lane = e.value('lane', ops.and(builtin('invocation'), lanes - 1))
    const at = (position: LoopExpr, part: LoopExpr, r: LoopExpr): LoopExpr =>
      ops.add(ops.mul(ops.add(ops.mul(ops.sub(position, tile), lanes), part), count), r)
    e.loop(positions.id, ops.add(tile, ops.shr_u(builtin('invocation'), Math.log2(lanes))), end, threads / lanes, (position) =>
      this.scope.at([[positions.id, position]], () => {
        const sums = Array.from({ length: count }, () => e.let('sum', constant('f32x4', 0)))
        e.loop(axis.id, ops.mul(lane, 4), constant('i32', width), 4 * lanes, (d) =>
          this.scope.at([[axis.id, d]], () => {
            const four = this.four(vector, axis.id)
            for (const [r, sum] of sums.entries()) e.set(sum, ops.madd(load('f32x4', this.queries.get(id)!, d, r * width), four, sum))
          }),
        )
        for (const [r, sum] of sums.entries()) e.store(this.partial, at(position, lane, zero), ops.hsum(sum), r)
      }),
    )
    e.barrier()
    e.if(used, () =>
      this.scope.nested(() =>
        e.loop(positions.id, ops.add(tile, sharer), end, sharers, (position) => {
          const first = e.value('first', at(position, zero, row))
          const total = this.sumOf(lanes, (l) => load('f32', this.partial, ops.add(first, ops.mul(l, count))))
          e.store(this.tiles.get(id)!, ops.add(ops.mul(row, this.tile), ops.sub(position, tile)), total)
        }),
      ),
    )
    // Another score would overwrite what slower ones still add up.
    if (this.plan.scores.length > 1) e.barrier()
  }

  /** Four numbers of a vector at the current point, which is at a multiple of four. */
  private four(vector: Load, axis: AxisId): LoopExpr {
    const operand = this.kernel.operands[vector.operand]!
    if (operand.format !== 's8') return this.e.value('four', this.scope.vector(vector, axis))
    return s8Four(this.e, operand, vector.operand, this.e.value('flat', this.scope.flat(operand, vector.index)))
  }

  /** Takes the tile into the maxima of all rows, then the values behind them, and the sums of one number a row. */
  protected weights(state: State, tile: LoopExpr, end: LoopExpr): void {
    const { running, before, after, totals, levels, kept } = this.plan
    const { definitions } = this.kernel
    const e = this.e
    const isDot = (id: number): boolean => definitions[id]!.over.length > 0
    const places = [...kept].map((id): [number, Place] => [id, this.placeIn(id, tile)])
    const { row, sharer, used } = state
    const mine = e.let('mine', constant('f32', identityOf(definitions[running.maximum]!)))
    const known = (ids: (id: number) => boolean): [number, Place][] => places.filter(([id]) => ids(id))
    e.if(used, () =>
      this.atRow(row, () =>
        this.scope.with(known(isDot), () =>
          this.values(
            before.filter((id) => !isDot(id)),
            state,
            tile,
            end,
            () => e.set(mine, combine('max', mine, this.scope.scalar(definitions[running.maximum]!.body))),
          ),
        ),
      ),
    )
    const highest = this.joinRows('max', state, mine)
    const old = this.level(state.maximum)
    e.set(state.maximum, combine('max', state.maximum, highest))
    const factor = e.let('factor', ops.exp(ops.sub(old, this.level(state.maximum))))
    e.if(used, () => {
      e.if(ops.eq(sharer, 0), () => e.store(this.factor, row, factor))
      for (const total of state.totals.values()) e.set(total, ops.mul(total, factor))
      this.atRow(row, () =>
        this.scope.with(
          [...known((id) => isDot(id) || before.includes(id)), [running.maximum, { kind: 'scalar', value: state.maximum }]],
          () =>
            this.scope.withScalars(levels, () =>
              this.values(
                after.filter((id) => !isDot(id)),
                state,
                tile,
                end,
                () => {
                  for (const id of totals) {
                    const total = state.totals.get(id)!
                    e.set(total, combine('sum', total, this.scope.scalar(definitions[id]!.body)))
                  }
                },
              ),
            ),
        ),
      )
    })
    e.barrier()
  }

  /** An invocation's positions of its row: values that are kept are stored, then `last` runs. */
  protected values(ids: readonly number[], { sharer, sharers }: State, tile: LoopExpr, end: LoopExpr, last: () => void): void {
    const { axis, kept } = this.plan
    const e = this.e
    const go = ([id, ...rest]: readonly number[]): void => {
      if (id === undefined) return last()
      if (!kept.has(id)) return go(rest)
      const value = e.value('value', this.scope.scalar(this.kernel.definitions[id]!.body))
      const place = this.placeIn(id, tile)
      e.store(place.operand, this.scope.scratchAt(place), toWords(value))
      this.scope.with([[id, { kind: 'scalar', value }]], () => go(rest))
    }
    e.loop(axis.id, ops.add(tile, sharer), end, sharers, (position) => this.scope.at([[axis.id, position]], () => go(ids)))
  }

  /** [row][own piece] */
  protected emptySums({ axis }: Weighted): LoopExpr[][] {
    const { own } = this.piecesOf(axis)
    return Array.from({ length: this.rows.count }, () => Array.from({ length: own }, () => this.e.let('sum', constant('f32x4', 0))))
  }

  /** Sums of all rows go on over a tile. */
  protected weighted({ axis, weight, vector }: Weighted, sums: LoopExpr[][], tile: LoopExpr, end: LoopExpr): void {
    const { pieces, halves } = this.piecesOf(axis)
    const { threads } = this.machine
    const e = this.e
    const { piece, half } = this.pieceOf(axis)
    const positions = this.plan.axis.id
    for (const [r, row] of sums.entries()) {
      const factor = e.let('factor', ops.splat_f32(load('f32', this.factor, constant('i32', r))))
      for (const sum of row) e.set(sum, ops.mul(sum, factor))
    }
    // Those past the last half have no position.
    e.loop(
      positions,
      ops.add(tile, half),
      halves * pieces < threads ? ops.select(ops.lt(half, halves), end, tile) : end,
      halves,
      (position) =>
        this.scope.at([[positions, position]], () => {
          const at = e.value('at', ops.sub(position, tile))
          const own = sums.map((_, r) => e.let('p', ops.splat_f32(load('f32', this.tiles.get(weight)!, at, r * this.tile))))
          for (const n of sums[0]!.keys()) {
            const place = n === 0 && pieces >= threads ? piece : ops.min(ops.add(piece, n * threads), pieces - 1)
            this.scope.at([[axis.id, e.value('d', ops.mul(place, 4))]], () => {
              const four = this.four(vector, axis.id)
              for (const [r, row] of sums.entries()) e.set(row[n]!, ops.madd(own[r]!, four, row[n]!))
            })
          }
        }),
    )
  }

  /** The maximum and totals of each row into scratch memory. */
  protected leaveNumbers(state: State): void {
    const e = this.e
    const { running } = this.plan
    const leave = (id: number, number: LoopExpr): void =>
      e.if(ops.and(state.used, ops.eq(state.sharer, 0)), () => e.store(this.numbers.get(id)!, state.row, number))
    for (const [id, total] of state.totals) {
      leave(id, this.joinRows('sum', state, total))
      e.barrier()
    }
    leave(running.maximum, state.maximum)
    e.barrier()
  }

  /** The sums of all rows into scratch memory. */
  protected leaveSums({ id, axis }: Weighted, sums: LoopExpr[][]): void {
    const e = this.e
    const { pieces, halves } = this.piecesOf(axis)
    const { threads } = this.machine
    const [slot, width, all] = [this.sums.get(id)!, axis.extent.const, this.rows.count * axis.extent.const]
    const { piece, half } = this.pieceOf(axis)
    const store = (n: number): void => {
      const at = ops.add(ops.mul(half, all), ops.mul(ops.add(piece, n * threads), 4))
      for (const [r, row] of sums.entries()) e.store(slot, at, row[n]!, r * width)
    }
    for (const n of sums[0]!.keys()) {
      const inside =
        (n + 1) * threads <= pieces ? constant('bool', 1) : ops.and(ops.lt(ops.add(piece, n * threads), pieces), ops.lt(half, halves))
      e.if(inside, () => store(n))
    }
    e.barrier()
    if (halves === 1) return
    e.loop('i', ops.mul(builtin('invocation'), 4), constant('i32', all), 4 * threads, (i) => {
      e.store(
        slot,
        i,
        this.sumOf(halves, (h) => load('f32x4', slot, ops.add(i, ops.mul(h, all)))),
      )
    })
    e.barrier()
  }

  /** The sum of what several left, in their order: many are a loop, since WGSL's parsers refuse expressions that are nested deeply. */
  private sumOf(parts: number, part: (n: LoopExpr) => LoopExpr): LoopExpr {
    const at = (n: number): LoopExpr => part(constant('i32', n))
    if (parts <= 8) return Array.from({ length: parts }, (_, n) => at(n)).reduce((sum, each) => ops.add(sum, each))
    const total = this.e.let('total', at(0))
    this.e.loop('part', 1, parts, 1, (n) => this.e.set(total, ops.add(total, part(n))))
    return total
  }

  /** Copies a block's numbers and sums to where the join finds them. */
  protected leaveChunk(chunk: LoopExpr): void {
    const e = this.e
    const { count } = this.rows
    const block = e.value('block', ops.mul(ops.add(ops.mul(chunk, this.units), builtin('group_x')), count))
    const copy = (from: number, to: number, words: number): void =>
      e.loop('i', builtin('invocation'), constant('i32', count * words), this.machine.threads, (i) =>
        e.store(to, ops.add(ops.mul(block, words), i), load('f32', from, i)),
      )
    for (const [id, slot] of this.numbers) copy(slot, this.left.get(id)!, 1)
    for (const { id, axis } of this.plan.weighted) copy(this.sums.get(id)!, this.left.get(id)!, axis.extent.const)
  }

  /** Brings the chunks of each row, in order, to the highest of their maxima. */
  join(): LoopFunction {
    const { weighted, totals, running } = this.plan
    const e = this.e
    const { count } = this.rows
    const { size, most } = this.chunks!
    const { threads } = this.machine
    this.atBlock(() => {
      const { from, to } = this.range()
      const chunks = e.value('chunks', ops.div(ops.add(ops.max(ops.sub(to, from), 0), size - 1), size))
      const start = e.value('start', ops.mul(builtin('group_x'), count))
      const at = (row: LoopExpr, chunk: LoopExpr): LoopExpr => ops.add(ops.add(start, row), ops.mul(chunk, this.units * count))
      const number = (id: number, row: LoopExpr, chunk: LoopExpr): LoopExpr => load('f32', this.left.get(id)!, at(row, chunk))
      const each = (words: number, body: (i: LoopExpr) => void): void => {
        e.loop('i', builtin('invocation'), constant('i32', words), threads, (i) => this.scope.nested(() => body(i)))
        e.barrier()
      }
      each(count, (row) =>
        this.atRow(row, () => {
          const maximum = e.let('maximum', constant('f32', identityOf(this.kernel.definitions[running.maximum]!)))
          e.loop('c', 0, chunks, 1, (c) => e.set(maximum, combine('max', maximum, number(running.maximum, row, c))))
          e.store(this.numbers.get(running.maximum)!, row, maximum)
          const highest = this.level(maximum)
          const sums = totals.map((id) => [id, e.let('total', constant('f32', 0))] as const)
          e.loop('c', 0, chunks, 1, (c) => {
            const factor = e.let('factor', ops.exp(ops.sub(this.level(e.let('own', number(running.maximum, row, c))), highest)))
            e.store(this.factor, ops.add(ops.mul(row, most), c), factor)
            for (const [id, total] of sums) e.set(total, ops.madd(number(id, row, c), factor, total))
          })
          for (const [id, total] of sums) e.store(this.numbers.get(id)!, row, total)
        }),
      )
      for (const { id, axis } of weighted) {
        const width = axis.extent.const
        each(count * width, (i) => {
          const row = e.value('row', ops.div(i, width))
          const total = e.let('total', constant('f32', 0))
          const d = e.value('d', ops.rem(i, width))
          e.loop('c', 0, chunks, 1, (c) => {
            const part = load('f32', this.left.get(id)!, ops.add(ops.mul(at(row, c), width), d))
            e.set(total, ops.madd(part, load('f32', this.factor, ops.add(ops.mul(row, most), c)), total))
          })
          e.store(this.sums.get(id)!, i, total)
        })
      }
      this.outputs()
    })
    return this.functionOf([[{ size: affine.constant(this.units), divisor: 1 }]])
  }
}
