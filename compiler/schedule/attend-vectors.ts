// The two passes of a tile that read vectors, each for all rows of a block at once. Scores: sums of a few positions in registers.
// Weighted sums: where rows are few, a few positions at a time go over the whole vectors, so that memory is read from one end to the
// other; else pieces of the vectors stay in registers for the whole tile.
//
// V8 leaves 15 registers, and a sum that does not fit goes through memory in every step: the shapes below count them. Halves take
// one more, for the mask. A half shifted into an f32 is 2^-112 of its value: queries and weights are taken times 2^56, which their own range
// allows, and sums are brought back once. Where more than a few rows read a tile of halves, it is converted once, into scratch memory.

import type { AxisId } from '../kernel/types.ts'
import type { Load, Score, Weighted } from './attend-plan.ts'
import type { Tile } from './attend-rows.ts'
import { AttendShorts } from './attend-shorts.ts'
import { constant, load, loadHalves, ops } from './build-loops.ts'
import type { LoopExpr } from './loops.ts'
import { shiftedHalf } from './packed-words.ts'
import { fourOfBlock, s8, scaleOfBlock } from './state-blocks.ts'

/** Positions (and chains of additions, since one waits for itself) whose scores are summed at once, by the number of rows. */
const dotShape = (rows: number): { wide: number; chains: number } =>
  rows === 1 ? { wide: 4, chains: 2 } : { wide: rows === 2 ? 4 : rows === 3 ? 3 : 2, chains: 1 }

/** Positions that go over the vectors together, where rows are few: their weights stay in registers. */
const together: Readonly<Partial<Record<number, number>>> = { 1: 6, 2: 4, 3: 3, 4: 2 }

/** What is left to be multiplied with behind shifted halves. */
const leftBehind = 2 ** 112

/** Positions that are read together, and their places in what is kept of a tile. */
interface Several {
  readonly positions: readonly LoopExpr[]
  readonly slots: readonly LoopExpr[]
}

export class AttendVectors extends AttendShorts {
  /** What a weight is stored times, and a query. */
  protected scaleOfWeight(id: number): number {
    const shifted = this.plan.weighted.find(({ weight, vector }) => weight === id && this.isShifted(vector))
    return shifted ? Math.sqrt(this.leftBehind(shifted.vector)) : 1
  }

  protected scaleOfQuery({ vector }: Score): number {
    return Math.sqrt(this.leftBehind(vector))
  }

  /** What sums are still to be multiplied with. */
  protected scaleOfSum({ weight, vector }: Weighted): number {
    return this.leftBehind(vector) / this.scaleOfWeight(weight)
  }

  private isShifted(vector: Load): boolean {
    return this.shifted.has(vector)
  }

  private leftBehind(vector: Load): number {
    return this.isShifted(vector) ? leftBehind : 1
  }

  /** Four numbers of a vector at the current point; shifted halves times 2^-112. */
  private four(vector: Load, axis: AxisId): LoopExpr {
    const operand = this.kernel.operands[vector.operand]!
    const staged = this.staged.get(vector)
    if (staged !== undefined) {
      const position = ops.sub(this.scope.axes.get(this.plan.axis.id)!, this.tileFrom)
      return this.e.let('v', load('f32x4', staged, ops.add(ops.mul(position, this.widthOf(axis)), this.scope.axes.get(axis)!)))
    }
    if (!this.isShifted(vector)) return this.scope.vector(vector, axis)
    return this.e.let('v', shiftedHalf(loadHalves('i32x4', vector.operand, this.scope.flat(operand, vector.index))))
  }

  private widthOf(axis: AxisId): number {
    return this.kernel.axes.find(({ id }) => id === axis)!.extent.const
  }

  /** Converts what blocks read of a tile from scratch memory. */
  protected stage(tile: LoopExpr, end: LoopExpr): void {
    const { axis: positions, scores, weighted } = this.plan
    const e = this.e
    this.tileFrom = tile
    for (const { axis, vector } of [...scores, ...weighted]) {
      const target = this.staged.get(vector)
      if (target === undefined) continue
      e.loop(positions.id, tile, end, 1, (position) => {
        const row = e.value('row', ops.mul(ops.sub(position, tile), axis.extent.const))
        if (this.kernel.operands[vector.operand]!.format === 's8') {
          const blocks = this.blocksAt({ vector, axis }, position)
          e.loop('b', 0, axis.extent.const / s8.k, 1, (b) => {
            const scale = scaleOfBlock(e, blocks, b)
            const place = ops.add(row, ops.mul(b, s8.k))
            for (let i = 0; i < s8.k / 4; i++) e.store(target, place, ops.mul(fourOfBlock(e, blocks, b, i), scale), 4 * i)
          })
          return
        }
        e.loop(axis.id, 0, axis.extent.const, 4, (d) =>
          this.scope.at(
            [
              [positions.id, position],
              [axis.id, d],
            ],
            () => e.store(target, ops.add(row, d), this.scope.vector(vector, axis.id)),
          ),
        )
      })
    }
  }

  /** Runs `body` for all positions of a tile, `wide` at a time as far as there are so many. */
  private several(tile: Tile, wide: number, body: (several: Several) => void): void {
    const e = this.e
    const { axis } = this.plan
    const { from, shape } = tile
    const one = (position: LoopExpr, origin: LoopExpr): Several => ({
      positions: [position],
      slots: [ops.sub(position, origin)],
    })
    if ('joint' in shape) {
      const { apart, joint } = shape
      e.loop(axis.id, from, ops.add(from, joint), 1, (position) => {
        const runs = Array.from({ length: this.runs }, (_, run) => run)
        const positions = runs.map((run) => e.value('position', ops.add(position, ops.mul(apart, run))))
        body({ positions, slots: runs.map((run) => ops.add(ops.sub(position, from), run * this.runLength)) })
      })
      this.eachRun(tile, ({ from: first, end, origin }) =>
        e.loop(axis.id, ops.add(first, joint), end, 1, (position) => body(one(position, origin))),
      )
      return
    }
    const groups = e.value('groups', ops.add(from, ops.mul(ops.div(ops.sub(tile.stop, from), wide), wide)))
    e.loop(axis.id, from, groups, wide, (position) => {
      const positions = Array.from({ length: wide }, (_, p) => ops.add(position, p))
      body({ positions, slots: positions.map((each) => ops.sub(each, from)) })
    })
    e.loop(axis.id, groups, tile.stop, 1, (position) => body(one(position, from)))
  }

  /** Scores of all rows with the positions of a tile: four partial sums of each, then their sums, four positions at a time. */
  protected scores(score: Score, tile: Tile): void {
    const e = this.e
    if (this.inBlocks(score.vector)) return this.scoresOfBlocks(score, tile)
    const { count } = this.rows
    const { wide, chains } = dotShape(count)
    const slot = this.tiles.get(score.id)!
    this.several(tile, wide, (several) => this.partials(score, several, chains))
    const scale = this.scaleOfQuery(score)
    const scaled = (sum: LoopExpr): LoopExpr => (scale === 1 ? sum : ops.mul(sum, scale))
    const part = (place: LoopExpr, i = 0): LoopExpr => load('f32x4', this.partial, ops.mul(place, 4), 4 * i)
    this.eachRun(tile, ({ from, full, end, origin }) =>
      e.loop('r', 0, count, 1, (row) => {
        const at = e.value('at', ops.sub(ops.mul(row, this.slotsOfRow), origin))
        e.loop('place', ops.add(at, from), ops.add(at, full), 4, (place) =>
          e.store(
            slot,
            place,
            scaled(ops.sum_pairs(ops.sum_halves(part(place), part(place, 1)), ops.sum_halves(part(place, 2), part(place, 3)))),
          ),
        )
        e.loop('place', ops.add(at, full), ops.add(at, end), 1, (place) => e.store(slot, place, scaled(ops.hsum(part(place)))))
      }),
    )
  }

  /** Of query · vector, by row and position. */
  private partials({ id, axis, vector }: Score, { positions, slots }: Several, chains: number): void {
    const e = this.e
    const wide = positions.length
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
        const vectors = positions.map((position) => {
          const place: [AxisId, LoopExpr][] = [
            [this.plan.axis.id, position],
            [axis.id, d],
          ]
          return this.scope.at(place, () => this.four(vector, axis.id))
        })
        for (let row = 0; row < count; row++) {
          const query = e.let('query', load('f32x4', this.queries.get(id)!, ops.add(ops.add(d, rows), row * width)))
          for (const [p, sum] of sums[u % used]![row]!.entries()) e.set(sum, ops.madd(query, vectors[p]!, sum))
        }
      }
    })
    for (let row = 0; row < count; row++) {
      for (let p = 0; p < wide; p++) {
        const place = ops.mul(ops.add(slots[p]!, row * this.slotsOfRow), 4)
        e.store(
          this.partial,
          place,
          sums.map((chain) => chain[row]![p]!).reduce((a, b) => ops.add(a, b)),
        )
      }
    }
  }

  /** Sums of all rows go on over a tile. */
  protected weighted(weighted: Weighted, tile: Tile): void {
    const e = this.e
    const { count } = this.rows
    const { axis } = weighted
    const positions = together[count]
    if (this.inBlocks(weighted.vector)) {
      this.rescale(weighted)
      return this.weightedOfBlocks(weighted, tile)
    }
    if (positions !== undefined) {
      this.rescale(weighted)
      return this.several(tile, positions, (several) => this.across(weighted, several))
    }
    const [step, width] = [8, axis.extent.const]
    const whole = width - (width % step)
    e.loop(axis.id, 0, whole, step, (from) => this.piece(weighted, from, 2, tile))
    if (width > whole) this.piece(weighted, constant('i32', whole), 1, tile)
  }

  /** The weight of a row's position, by its place in the tile, in four lanes. */
  private weight({ weight }: Weighted, slot: LoopExpr, row: number): LoopExpr {
    return this.e.let('p', ops.splat_f32(load('f32', this.tiles.get(weight)!, ops.add(slot, row * this.slotsOfRow))))
  }

  private factorOf(row: number): LoopExpr {
    return this.e.let('factor', ops.splat_f32(load('f32', this.factor, constant('i32', row))))
  }

  private rescale({ id, axis }: Weighted): void {
    const e = this.e
    const [slot, width] = [this.sums.get(id)!, axis.extent.const]
    const start = e.value('start', ops.mul(this.base, width))
    for (let row = 0; row < this.rows.count; row++) {
      const factor = this.factorOf(row)
      e.loop(axis.id, 0, width, 4, (d) => {
        const at = ops.add(ops.add(start, d), row * width)
        e.store(slot, at, ops.mul(load('f32x4', slot, at), factor))
      })
    }
  }

  /** A few positions, from one end of the vectors to the other. */
  private across(weighted: Weighted, { positions, slots }: Several): void {
    const e = this.e
    const { id, axis, vector } = weighted
    const { count } = this.rows
    const [slot, width] = [this.sums.get(id)!, axis.extent.const]
    const start = e.value('start', ops.mul(this.base, width))
    const weights = slots.map((place) => Array.from({ length: count }, (_, row) => this.weight(weighted, place, row)))
    const unroll = [2, 1].find((n) => width % (4 * n) === 0)!
    e.loop(axis.id, 0, width, 4 * unroll, (from) => {
      for (let u = 0; u < unroll; u++) {
        const d = ops.add(from, 4 * u)
        const at = (row: number): LoopExpr => ops.add(ops.add(start, d), row * width)
        const sums = Array.from({ length: count }, (_, row) => e.let('sum', load('f32x4', slot, at(row))))
        for (const [k, place] of positions.entries()) {
          const point: [AxisId, LoopExpr][] = [
            [this.plan.axis.id, place],
            [axis.id, d],
          ]
          const v = this.scope.at(point, () => this.four(vector, axis.id))
          for (const [row, sum] of sums.entries()) e.set(sum, ops.madd(weights[k]![row]!, v, sum))
        }
        for (const [row, sum] of sums.entries()) e.store(slot, at(row), sum)
      }
    })
  }

  /** `wide` lanes of four along the vectors, from `from` on, over the whole tile. */
  private piece(weighted: Weighted, from: LoopExpr, wide: number, tile: Tile): void {
    const e = this.e
    const { id, axis, vector } = weighted
    const { count } = this.rows
    const [slot, width] = [this.sums.get(id)!, axis.extent.const]
    const start = e.value('start', ops.add(ops.mul(this.base, width), from))
    const at = (row: number, v: number): LoopExpr => ops.add(start, row * width + 4 * v)
    const sums = Array.from({ length: count }, (_, row) => {
      const factor = this.factorOf(row)
      return Array.from({ length: wide }, (_, v) => e.let('sum', ops.mul(load('f32x4', slot, at(row, v)), factor)))
    })
    e.loop(this.plan.axis.id, tile.from, tile.stop, 1, (position) =>
      this.scope.at([[this.plan.axis.id, position]], () => {
        const vectors = Array.from({ length: wide }, (_, v) =>
          this.scope.at([[axis.id, ops.add(from, 4 * v)]], () => this.four(vector, axis.id)),
        )
        for (const [row, own] of sums.entries()) {
          const p = this.weight(weighted, ops.sub(position, tile.from), row)
          for (const [v, sum] of own.entries()) e.set(sum, ops.madd(p, vectors[v]!, sum))
        }
      }),
    )
    for (const [row, own] of sums.entries()) for (const [v, sum] of own.entries()) e.store(slot, at(row, v), sum)
  }
}
