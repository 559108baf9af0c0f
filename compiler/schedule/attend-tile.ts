// What happens to the scores of a tile: by row, the maximum and the values behind it, four positions a lane. Vectors are read in
// attend-vectors.ts.

import type { Expr, Kernel } from '../kernel/types.ts'
import type { Tile } from './attend-rows.ts'
import { AttendVectors } from './attend-vectors.ts'
import { constant, ops } from './build-loops.ts'
import { combine, identityOf } from './definitions.ts'
import type { LoopExpr } from './loops.ts'
import type { Place } from './scope.ts'
import { toWords } from './scalar-calls.ts'

export class AttendTiles extends AttendVectors {
  /** By row: takes the tile into the maximum, then the values behind it, and its sums of one number. */
  protected weights(tile: Tile): void {
    const { running, before, after, totals, levels, kept } = this.plan
    const { definitions } = this.kernel
    const e = this.e
    const isDot = (id: number): boolean => definitions[id]!.over.length > 0
    const maximum = definitions[running.maximum]!
    const dots = [...kept].filter(isDot)
    this.eachRow((row) => {
      const highest = this.reduce(
        [maximum],
        before.filter((id) => !isDot(id)),
        dots,
        tile,
      )[0]!
      const old = this.number(running.maximum, row)
      const now = e.let('maximum', combine('max', old, highest))
      const factor = e.let('factor', ops.exp(ops.sub(this.level(old), this.level(now))))
      e.store(this.numbers.get(running.maximum)!, row, now)
      e.store(this.factor, ops.sub(row, this.base), factor)
      this.scope.with([[running.maximum, { kind: 'scalar', value: now }]], () =>
        this.scope.withScalars(levels, () => {
          const sums = this.reduce(
            totals.map((id) => definitions[id]!),
            after.filter((id) => !isDot(id)),
            [...kept].filter((id) => isDot(id) || before.includes(id)),
            tile,
          )
          for (const [i, id] of totals.entries()) {
            e.store(this.numbers.get(id)!, row, ops.madd(this.number(id, row), factor, sums[i]!))
          }
        }),
      )
    })
  }

  /** One row's values over a tile, those that are kept stored, and reductions of them; what is `known` of the tile was stored before. */
  protected reduce(
    reductions: readonly Kernel['definitions'][number][],
    values: readonly number[],
    known: readonly number[],
    tile: Tile,
  ): LoopExpr[] {
    const { axis, kept } = this.plan
    const { definitions } = this.kernel
    const e = this.e
    const lanes = reductions.map((each) => e.let('lanes', constant('f32x4', identityOf(each))))
    const single = reductions.map((each) => e.let('single', constant('f32', identityOf(each))))
    const point = (position: LoopExpr, origin: LoopExpr, wide: boolean): void => {
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
        const place = this.tilePlace(id, origin)
        const scale = this.scaleOfWeight(id)
        e.store(place.operand, this.scope.scratchAt(place), scale === 1 ? toWords(result) : ops.mul(result, scale))
        this.scope.with([[id, { kind: wide ? 'lanes' : 'scalar', value: result }]], () => go(rest))
      }
      this.scope.at([[axis.id, position]], () => go(values))
    }
    this.eachRun(tile, ({ from, full, end, origin }) =>
      this.scope.with(
        known.map((id): [number, Place] => [id, this.tilePlace(id, origin)]),
        () => {
          e.loop(axis.id, from, full, 4, (position) => point(position, origin, true))
          e.loop(axis.id, full, end, 1, (position) => point(position, origin, false))
        },
      ),
    )
    return reductions.map(({ combine: how }, i) =>
      e.let(
        'joined',
        combine(how!, single[i]!, how === 'sum' ? ops.hsum(lanes[i]!) : how === 'max' ? ops.hmax(lanes[i]!) : ops.hmin(lanes[i]!)),
      ),
    )
  }
}
