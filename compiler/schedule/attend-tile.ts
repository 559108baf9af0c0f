// One tile of attention, in three passes. Scores: vectors of two or four positions times all rows of a block, twelve sums in registers
// at most. Then, by row, the maximum and the values behind it, four positions a lane. Weighted sums: pieces of the vectors times all rows.

import type { AxisId, Expr, Kernel } from '../kernel/types.ts'
import type { Score, Weighted } from './attend-plan.ts'
import { AttendRows, tileSize } from './attend-rows.ts'
import { constant, load, ops } from './build-loops.ts'
import { combine, identityOf } from './definitions.ts'
import type { LoopExpr } from './loops.ts'
import { type Place, toWords } from './scope.ts'

/** Sums that are computed at once: positions (or vectors) beside the rows, and chains of each, since one chain of additions waits for itself. */
const shapeOf = (rows: number, most: number): { wide: number; chains: number } => {
  const wide = rows === 1 ? most : rows === 2 ? 4 : 2
  return { wide, chains: rows * wide <= 6 ? 2 : 1 }
}

export class AttendTiles extends AttendRows {
  /** Scores of all rows with positions tile … end - 1, at four positions at a time while there are as many. */
  protected scores(score: Score, tile: LoopExpr, full: LoopExpr, end: LoopExpr): void {
    const { axis } = this.plan
    const e = this.e
    const { count } = this.rows
    const { wide, chains } = shapeOf(count, 4)
    const slot = this.tiles.get(score.id)!
    const at = (row: number, position: LoopExpr): LoopExpr => ops.add(ops.sub(position, tile), row * tileSize)
    e.loop(axis.id, tile, full, 4, (position) => {
      for (let part = 0; part < 4; part += wide) {
        const sums = this.dots(score, ops.add(position, part), wide, chains)
        for (let row = 0; row < count; row++) {
          const [a, b, c, d] = sums[row]!
          const low = ops.sum_halves(a!, b!)
          if (wide === 4) e.store(slot, at(row, position), ops.sum_pairs(low, ops.sum_halves(c!, d!)))
          else if (part === 0) e.store(slot, at(row, position), low)
          else e.store(slot, at(row, position), ops.sum_pairs(load('f32x4', slot, at(row, position)), low))
        }
      }
    })
    e.loop(axis.id, full, end, 1, (position) => {
      const sums = this.dots(score, position, 1, chains)
      for (let row = 0; row < count; row++) e.store(slot, at(row, position), ops.hsum(sums[row]![0]!))
    })
  }

  /** By row and position: four partial sums of query · vector. */
  protected dots({ id, axis, vector }: Score, position: LoopExpr, wide: number, chains: number): LoopExpr[][] {
    const e = this.e
    const { count } = this.rows
    const width = axis.extent.const
    const rows = e.value('rows', ops.mul(this.queryBase ?? this.base, width))
    const unroll = [4, 2, 1].find((n) => width % (4 * n) === 0)!
    const used = Math.min(chains, unroll)
    const sums = Array.from({ length: used }, () =>
      Array.from({ length: count }, () => Array.from({ length: wide }, () => e.let('sum', constant('f32x4', 0)))),
    )
    e.loop(axis.id, 0, width, 4 * unroll, (start) => {
      for (let u = 0; u < unroll; u++) {
        const d = ops.add(start, 4 * u)
        const vectors = Array.from({ length: wide }, (_, p) => {
          const place: [AxisId, LoopExpr][] = [
            [this.plan.axis.id, ops.add(position, p)],
            [axis.id, d],
          ]
          return this.scope.at(place, () => this.scope.vector(vector, axis.id))
        })
        for (let row = 0; row < count; row++) {
          const query = e.let('query', load('f32x4', this.queries.get(id)!, ops.add(ops.add(d, rows), row * width)))
          for (const [p, sum] of sums[u % used]![row]!.entries()) e.set(sum, ops.madd(query, vectors[p]!, sum))
        }
      }
    })
    return sums[0]!.map((row, r) => row.map((sum, p) => (used === 1 ? sum : e.let('sum', ops.add(sum, sums[1]![r]![p]!)))))
  }

  /** By row: takes the tile into the maximum, then the values behind it, and its sums of one number. */
  protected weights(tile: LoopExpr, full: LoopExpr, end: LoopExpr): void {
    const { running, before, after, totals, levels, kept } = this.plan
    const { definitions } = this.kernel
    const e = this.e
    const places = [...kept].map((id): [number, Place] => [id, this.tilePlace(id, tile)])
    const isDot = (id: number): boolean => definitions[id]!.over.length > 0
    const maximum = definitions[running.maximum]!
    this.eachRow((row) =>
      this.scope.with(
        places.filter(([id]) => isDot(id)),
        () => {
          const highest = this.reduce(
            [maximum],
            before.filter((id) => !isDot(id)),
            tile,
            full,
            end,
          )[0]!
          const old = this.number(running.maximum, row)
          const now = e.let('maximum', combine('max', old, highest))
          const factor = e.let('factor', ops.exp(ops.sub(this.level(old), this.level(now))))
          e.store(this.numbers.get(running.maximum)!, row, now)
          e.store(this.factor, ops.sub(row, this.base), factor)
          const ready = places.filter(([id]) => before.includes(id))
          this.scope.with([...ready, [running.maximum, { kind: 'scalar', value: now }]], () => {
            for (const id of levels) this.scope.places.set(id, { kind: 'scalar', value: this.scope.scalar(definitions[id]!.body) })
            const sums = this.reduce(
              totals.map((id) => definitions[id]!),
              after.filter((id) => !isDot(id)),
              tile,
              full,
              end,
            )
            for (const [i, id] of totals.entries()) {
              e.store(this.numbers.get(id)!, row, ops.madd(this.number(id, row), factor, sums[i]!))
            }
            for (const id of levels) this.scope.places.delete(id)
          })
        },
      ),
    )
  }

  /** One row's values over a tile, those that are kept stored, and reductions of them. */
  protected reduce(
    reductions: readonly Kernel['definitions'][number][],
    values: readonly number[],
    tile: LoopExpr,
    full: LoopExpr,
    end: LoopExpr,
  ): LoopExpr[] {
    const { axis, kept } = this.plan
    const { definitions } = this.kernel
    const e = this.e
    const lanes = reductions.map((each) => e.let('lanes', constant('f32x4', identityOf(each))))
    const single = reductions.map((each) => e.let('single', constant('f32', identityOf(each))))
    const point = (position: LoopExpr, wide: boolean): void => {
      const value = (expr: Expr): LoopExpr => (wide ? this.scope.vector(expr, axis.id) : this.scope.scalar(expr))
      const go = ([id, ...rest]: readonly number[]): void => {
        if (id === undefined) {
          for (const [i, { combine: how, body }] of reductions.entries()) {
            const acc = (wide ? lanes : single)[i]!
            e.set(acc, combine(how!, acc, value(body)))
          }
          return
        }
        if (!kept.has(id)) return go(rest)
        const result = e.value('value', value(definitions[id]!.body))
        const place = this.tilePlace(id, tile)
        e.store(place.operand, this.scope.scratchAt(place), toWords(result))
        this.scope.with([[id, { kind: wide ? 'lanes' : 'scalar', value: result }]], () => go(rest))
      }
      this.scope.at([[axis.id, position]], () => go(values))
    }
    e.loop(axis.id, tile, full, 4, (position) => point(position, true))
    e.loop(axis.id, full, end, 1, (position) => point(position, false))
    return reductions.map(({ combine: how }, i) =>
      e.let(
        'joined',
        combine(how!, single[i]!, how === 'sum' ? ops.hsum(lanes[i]!) : how === 'max' ? ops.hmax(lanes[i]!) : ops.hmin(lanes[i]!)),
      ),
    )
  }

  /** Sums of all rows go on over a tile. */
  protected weighted(weighted: Weighted, tile: LoopExpr, end: LoopExpr): void {
    const e = this.e
    const { axis } = weighted
    const { wide, chains } = shapeOf(this.rows.count, 8)
    const [step, width] = [4 * wide, axis.extent.const]
    const whole = width - (width % step)
    e.loop(axis.id, 0, whole, step, (from) => this.piece(weighted, from, wide, chains, tile, end))
    if (width > whole) this.piece(weighted, constant('i32', whole), (width - whole) / 4, chains, tile, end)
  }

  /** `wide` lanes of four along the vectors, from `from` on. */
  protected piece(
    { id, axis, weight, vector }: Weighted,
    from: LoopExpr,
    wide: number,
    chains: number,
    tile: LoopExpr,
    end: LoopExpr,
  ): void {
    const e = this.e
    const scope = this.scope
    const { count } = this.rows
    const [slot, width] = [this.sums.get(id)!, axis.extent.const]
    const start = e.value('start', ops.add(ops.mul(this.base, width), from))
    const at = (row: number, v: number): LoopExpr => ops.add(start, row * width + 4 * v)
    const sums = Array.from({ length: chains }, (_, chain) =>
      Array.from({ length: count }, (_, row) => {
        const factor = chain === 0 && e.let('factor', ops.splat_f32(load('f32', this.factor, constant('i32', row))))
        return Array.from({ length: wide }, (_, v) =>
          e.let('sum', factor ? ops.mul(load('f32x4', slot, at(row, v)), factor) : constant('f32x4', 0)),
        )
      }),
    )
    const step = (position: LoopExpr, chain: number): void =>
      scope.at([[this.plan.axis.id, position]], () => {
        const vectors = Array.from({ length: wide }, (_, v) =>
          scope.at([[axis.id, ops.add(from, 4 * v)]], () => scope.vector(vector, axis.id)),
        )
        for (let row = 0; row < count; row++) {
          const place = ops.add(ops.sub(position, tile), row * tileSize)
          const p = e.let('p', ops.splat_f32(load('f32', this.tiles.get(weight)!, place)))
          for (const [v, sum] of sums[chain]![row]!.entries()) e.set(sum, ops.madd(p, vectors[v]!, sum))
        }
      })
    const pairs = e.value('pairs', ops.add(tile, ops.and(ops.sub(end, tile), -2)))
    e.loop(this.plan.axis.id, tile, pairs, 2, (position) => {
      step(position, 0)
      step(ops.add(position, 1), chains - 1)
    })
    e.loop(this.plan.axis.id, pairs, end, 1, (position) => step(position, 0))
    for (let row = 0; row < count; row++) {
      for (let v = 0; v < wide; v++) {
        e.store(slot, at(row, v), chains === 1 ? sums[0]![row]![v]! : ops.add(sums[0]![row]![v]!, sums[1]![row]![v]!))
      }
    }
  }
}
