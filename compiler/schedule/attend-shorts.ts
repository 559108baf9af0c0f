// Vectors in blocks of 8 bits (state-blocks.ts) meet whole numbers of 16 bits: products of bytes with i16 are summed in integers, two to an
// instruction, and a block takes its scale once for all of them. A query is rounded to a step of its largest number over 32767, a
// weight of a block to one of the largest in its tile: 2^-16 of the largest, where the bytes themselves are within 2^-8.
//
// Keys: four positions at a time, whose sums become four lanes. Values: two at a time, whose bytes lie in turn, as their weights do.
// Sums of values stay in the order of the bytes until they are handed on.

import type { AttendPlan, Load, Score, Weighted } from './attend-plan.ts'
import type * as affine from '../../dsl/affine.ts'
import { strideOf } from '../kernel/index-map.ts'
import { AttendRows, type Tile } from './attend-rows.ts'
import { constant, load, loadHalves, ops } from './build-loops.ts'
import type { LoopExpr } from './loops.ts'
import type { Machine } from './machine.ts'
import { withoutFractions } from './math-loops.ts'
import { type BlockRow, blockRow, s8 } from './state-blocks.ts'

const largestShort = 32767
const largestByte = 127
/** Positions whose keys are met together, and rows that fit into registers beside them. */
const together = 4
const rowsTogether = 3

/** What is kept of queries: two to a word in the order of the bytes, and the step of each row. */
interface ShortQueries {
  readonly words: number
  readonly steps: number
}

/** What is kept of a tile: weights as i16 by block, row and position and their steps, scales by block and position, the largest of each block. */
interface ShortWeights extends ShortQueries {
  readonly scales: number
  readonly largest: number
}

export class AttendShorts extends AttendRows {
  private readonly shortQueries: ReadonlyMap<number, ShortQueries>
  private readonly shortWeights: ReadonlyMap<number, ShortWeights>
  /** Positions of a tile, and zeros up to a whole eight. */
  private readonly room: number

  constructor(plan: AttendPlan, machine: Machine, bounds: affine.Bounds) {
    super(plan, machine, bounds)
    const { count } = this.rows
    const room = Math.ceil(this.tileSize / 8) * 8
    // A sum of values goes over a tile, one of keys over a block: both are i32.
    if (Math.max(room, s8.k) * largestByte * largestShort >= 2 ** 31) throw new Error(`internal: sums of ${room} positions overflow`)
    this.room = room
    const words = ({ axis }: Score | Weighted): number => axis.extent.const
    this.shortQueries = new Map(
      plan.scores
        .filter(({ vector }) => this.inBlocks(vector))
        .map((score) => [score.id, { words: this.scratch((this.asked * words(score)) / 2), steps: this.scratch(this.asked) }]),
    )
    this.shortWeights = new Map(
      plan.weighted
        .filter(({ vector }) => this.inBlocks(vector))
        .map((weighted) => {
          const blocks = words(weighted) / s8.k
          return [
            weighted.id,
            {
              words: this.scratch((blocks * count * room) / 2),
              steps: this.scratch(blocks * count),
              scales: this.scratch(blocks * room),
              largest: this.scratch(blocks),
            },
          ]
        }),
    )
  }

  protected inBlocks(vector: Load): boolean {
    return this.kernel.operands[vector.operand]!.format === 's8' && !this.staged.has(vector)
  }

  /** The blocks of the vector at a position. */
  protected blocksAt({ vector, axis }: Pick<Score, 'vector' | 'axis'>, position: LoopExpr): BlockRow {
    const operand = this.kernel.operands[vector.operand]!
    return this.scope.at(
      [
        [this.plan.axis.id, position],
        [axis.id, constant('i32', 0)],
      ],
      () => blockRow(this.e, operand, vector.operand, this.scope.flat(operand, vector.index)),
    )
  }

  /** The blocks at a position and the next ones, none behind `last` positions further on. */
  private blocksFrom(from: Pick<Score, 'vector' | 'axis'>, position: LoopExpr, count: number, last?: LoopExpr): BlockRow[] {
    const e = this.e
    const first = this.blocksAt(from, position)
    const apart = this.apart(from.vector)
    return Array.from({ length: count }, (_, p) => {
      if (p === 0) return first
      const steps = last ? e.value('steps', ops.min(last, p)) : constant('i32', p)
      if (apart === undefined) return this.blocksAt(from, ops.add(position, steps))
      const { operand, words, scales } = first
      const at = { words: ops.add(words, ops.mul(steps, apart / 4)), scales: ops.add(scales, ops.mul(steps, apart / s8.k)) }
      return last ? { operand, words: e.value('words', at.words), scales: e.value('scales', at.scales) } : { operand, ...at }
    })
  }

  /** How many numbers the vectors of neighbouring positions are apart, if that is a constant. */
  private apart({ operand, index }: Load): number | undefined {
    let [total, stride] = [0, 1]
    for (const [i, { const: size }] of [...this.kernel.operands[operand]!.dims.entries()].reverse()) {
      const step = strideOf(index[i]!, this.plan.axis.id, this.scope.index)
      if (step === undefined) return undefined
      total += step * stride
      stride *= size
    }
    return total
  }

  /** The scales of block `b` at four positions. */
  private scalesOf(rows: readonly BlockRow[], b: LoopExpr): LoopExpr {
    const [first, second, third, fourth] = rows.map(({ operand, scales }) => loadHalves('i32', operand, ops.add(scales, b)))
    // Scales have no sign: nothing is to be masked.
    const bits = ops.shl(ops.pack_i32(first!, second!, third!, fourth!), 13)
    return this.e.let('scales', ops.mul(ops.bits_f32x4(bits), constant('f32x4', 2 ** 112)))
  }

  /** What rounds numbers of at most this size to i16, and what stores the step of that. Numbers so small as to overflow are zeros. */
  private rounding(largest: LoopExpr, steps: number, at: LoopExpr): LoopExpr {
    const e = this.e
    const most = constant('f32', largestShort)
    e.store(steps, at, ops.div(largest, most))
    const inverse = ops.select(ops.gt(largest, constant('f32', 2 ** -100)), ops.div(most, largest), constant('f32', 0))
    return e.let('inverse', ops.splat_f32(inverse))
  }

  /** Four numbers as whole ones. */
  private shorts(x: LoopExpr, inverse: LoopExpr): LoopExpr {
    const bits = ops.bits_i32x4(ops.madd(x, inverse, constant('f32x4', withoutFractions)))
    return ops.sub(bits, constant('i32x4', 0x4b400000))
  }

  /** A row's query, which lies in scratch memory, in whole numbers. */
  protected roundQuery({ id, axis }: Score, row: LoopExpr): void {
    const short = this.shortQueries.get(id)
    if (!short) return
    const e = this.e
    const from = this.queries.get(id)!
    const width = axis.extent.const
    const start = e.value('start', ops.mul(row, width))
    const inverse = this.rounding(this.largestOf(from, start, constant('i32', width)), short.steps, row)
    // Of sixteen numbers bytes hold l, 4 + l, 8 + l, 12 + l in turn: words are pairs of these.
    e.loop(axis.id, 0, width, 16, (d) => {
      const at = e.value('at', ops.add(start, d))
      const target = e.value('target', ops.shr_u(at, 1))
      const numbers = [0, 4, 8, 12].map((i) => this.shorts(load('f32x4', from, at, i), inverse))
      const pair = (a: LoopExpr, b: LoopExpr): LoopExpr => e.let('pair', ops.or(ops.and(a, constant('i32x4', 0xffff)), ops.shl(b, 16)))
      for (const [i, words] of [pair(numbers[0]!, numbers[1]!), pair(numbers[2]!, numbers[3]!)].entries())
        for (let l = 0; l < 4; l++) e.store(short.words, target, ops.lane_i32(words, l), 2 * l + i)
    })
  }

  /** Scores of all rows with the positions of a tile; those behind its end, up to a whole four, are those of its last one. */
  protected scoresOfBlocks(score: Score, tile: Tile): void {
    const e = this.e
    const { count } = this.rows
    const passes = Math.ceil(count / rowsTogether)
    const size = Math.ceil(count / passes)
    e.loop(this.plan.axis.id, tile.from, tile.stop, together, (position) => {
      const last = e.value('last', ops.sub(ops.sub(tile.stop, position), 1))
      const rows = this.blocksFrom(score, position, together, last)
      const slot = e.value('slot', ops.sub(position, tile.from))
      for (let first = 0; first < count; first += size) this.dotsOfBlocks(score, rows, slot, first, Math.min(size, count - first))
    })
  }

  /** Some rows' scores at four positions. */
  private dotsOfBlocks({ id, axis }: Score, rows: readonly BlockRow[], slot: LoopExpr, first: number, count: number): void {
    const e = this.e
    const width = axis.extent.const
    const { words, steps } = this.shortQueries.get(id)!
    const base = e.value('rows', ops.add(this.queryBase ?? this.base, first))
    const queries = e.value('queries', ops.mul(base, width / 2))
    const totals = Array.from({ length: count }, () => e.let('total', constant('f32x4', 0)))
    e.loop('b', 0, width / s8.k, 1, (b) => {
      const from = e.value('from', ops.add(queries, ops.mul(b, s8.k / 2)))
      const sums = Array.from({ length: count }, () => rows.map((): LoopExpr => constant('i32x4', 0)))
      for (let i = 0; i < s8.k / 8; i++) {
        const own = Array.from({ length: count }, (_, row) => e.let('query', load('i32x4', words, from, 4 * i + (row * width) / 2)))
        for (const [p, block] of rows.entries()) {
          const eight = load('i32x4', block.operand, ops.add(block.words, ops.mul(b, s8.k / 4)), 4 * (i >> 1))
          const key = e.let('key', i % 2 === 0 ? ops.bytes_lo(eight) : ops.bytes_hi(eight))
          for (const [row, query] of own.entries()) {
            const sum = ops.dot_shorts(key, query, sums[row]![p]!)
            if (i === 0) sums[row]![p] = e.let('sum', sum)
            else e.set(sums[row]![p]!, sum)
          }
        }
      }
      const scales = this.scalesOf(rows, b)
      for (const [row, own] of sums.entries()) {
        const [a, c, d, f] = own.map((sum) => ops.to_f32x4(sum)) as [LoopExpr, LoopExpr, LoopExpr, LoopExpr]
        const sum = ops.sum_pairs(ops.sum_halves(a, c), ops.sum_halves(d, f))
        e.set(totals[row]!, ops.madd(sum, scales, totals[row]!))
      }
    })
    for (const [row, total] of totals.entries()) {
      const step = ops.splat_f32(load('f32', steps, base, row))
      e.store(this.tiles.get(id)!, ops.add(slot, (first + row) * this.slotsOfRow), ops.mul(total, step))
    }
  }

  /** Sums of all rows go on over a tile, in the order of the bytes. */
  protected weightedOfBlocks(weighted: Weighted, tile: Tile): void {
    const e = this.e
    const length = e.value('length', ops.sub(tile.stop, tile.from))
    const { scales, largest } = this.shortWeights.get(weighted.id)!
    const blocks = weighted.axis.extent.const / s8.k
    e.loop(this.plan.axis.id, tile.from, tile.stop, 4, (position) => {
      const rows = this.blocksFrom(weighted, position, 4, e.value('last', ops.sub(ops.sub(tile.stop, position), 1)))
      const slot = e.value('slot', ops.sub(position, tile.from))
      e.loop('b', 0, blocks, 1, (b) => e.store(scales, ops.add(ops.mul(b, this.room), slot), this.scalesOf(rows, b)))
    })
    e.loop('b', 0, blocks, 1, (b) => e.store(largest, b, this.largestOf(scales, e.value('from', ops.mul(b, this.room)), length)))
    e.loop('r', 0, this.rows.count, 1, (row) => this.roundWeights(weighted, row, length))
    e.loop('b', 0, blocks, 1, (b) => {
      e.loop('g', 0, s8.k / 16, 1, (g) => {
        const place = e.value('place', ops.add(ops.mul(b, s8.k), ops.mul(g, 16)))
        for (const upper of [false, true]) this.sumsOfEight(weighted, b, place, upper, tile)
      })
    })
  }

  /** One row's weights, times the scales of each block, as i16. Their largest is at most the product of the largest of both. */
  private roundWeights({ id, weight, axis }: Weighted, row: LoopExpr, length: LoopExpr): void {
    const e = this.e
    const { words, steps, scales, largest } = this.shortWeights.get(id)!
    const given = this.tiles.get(weight)!
    const first = e.value('first', ops.mul(row, this.slotsOfRow))
    for (const i of [0, 4]) e.store(given, ops.add(first, length), constant('f32x4', 0), i)
    const most = this.largestOf(given, first, length)
    e.loop('b', 0, axis.extent.const / s8.k, 1, (b) => {
      const own = e.value('own', ops.add(ops.mul(b, this.rows.count), row))
      const inverse = this.rounding(e.let('bound', ops.mul(most, load('f32', largest, b))), steps, own)
      const [target, scale] = [e.value('target', ops.mul(own, this.room / 2)), e.value('scale', ops.mul(b, this.room))]
      e.loop('slot', 0, length, 8, (slot) => {
        const [x, y] = [0, 4].map((i) =>
          this.shorts(ops.mul(load('f32x4', given, ops.add(first, slot), i), load('f32x4', scales, ops.add(scale, slot), i)), inverse),
        )
        e.store(words, ops.add(target, ops.shr_u(slot, 1)), ops.pack_shorts(x!, y!))
      })
    })
  }

  /** The largest size of `length` numbers, which zeros follow up to a whole four. */
  private largestOf(operand: number, from: LoopExpr, length: LoopExpr): LoopExpr {
    const e = this.e
    const lanes = e.let('lanes', constant('f32x4', 0))
    e.loop('i', from, ops.add(from, length), 4, (i) => e.set(lanes, ops.max(lanes, ops.abs(load('f32x4', operand, i)))))
    return e.let('most', ops.hmax(lanes))
  }

  /** Eight numbers of each vector, two positions at a time. */
  private sumsOfEight(weighted: Weighted, b: LoopExpr, place: LoopExpr, upper: boolean, tile: Tile): void {
    const e = this.e
    const { id, axis } = weighted
    const { count } = this.rows
    const { words, steps } = this.shortWeights.get(id)!
    const sums = Array.from({ length: count }, () => [0, 1].map(() => e.let('sum', constant('i32x4', 0))))
    const own = e.value('own', ops.mul(b, count))
    const weights = e.value('weights', ops.mul(own, this.room / 2))
    const pair = (slot: LoopExpr, rows: readonly BlockRow[]): void => {
      const [a, c] = rows.map(({ operand, words: at }) => {
        const bytes = load('i32x4', operand, at)
        return e.let('eight', upper ? ops.bytes_hi(bytes) : ops.bytes_lo(bytes))
      }) as [LoopExpr, LoopExpr]
      const turns = [e.let('turn', ops.zip_lo(a, c)), e.let('turn', ops.zip_hi(a, c))]
      for (let row = 0; row < count; row++) {
        const weight = e.let('weight', ops.splat_i32(load('i32', words, slot, (row * this.room) / 2)))
        for (const [i, turn] of turns.entries()) e.set(sums[row]![i]!, ops.dot_shorts(turn, weight, sums[row]![i]!))
      }
    }
    // Unrolled: an address costs as much as a product.
    const pairs = e.value('pairs', ops.shr_u(ops.sub(tile.stop, tile.from), 1))
    const whole = e.value('whole', ops.and(pairs, -2))
    const from = this.blocksFrom(weighted, tile.from, 1)[0]!
    const apart = this.apart(weighted.vector)
    const at = (pairs: LoopExpr, plus: number): BlockRow => {
      const position = ops.add(ops.mul(pairs, 2), plus)
      if (apart !== undefined) return { ...from, words: ops.add(ops.add(from.words, ops.shr_u(place, 2)), ops.mul(position, apart / 4)) }
      const { words: row, ...rest } = this.blocksAt(weighted, ops.add(tile.from, position))
      return { ...rest, words: ops.add(row, ops.shr_u(place, 2)) }
    }
    e.loop('pair', 0, whole, 2, (i) => {
      for (const k of [0, 1]) pair(ops.add(ops.add(weights, i), k), [at(i, 2 * k), at(i, 2 * k + 1)])
    })
    e.loop('pair', whole, pairs, 1, (i) => pair(ops.add(weights, i), [at(i, 0), at(i, 1)]))
    // The weight beside that of a last one is zero.
    e.if(ops.lt(ops.mul(pairs, 2), ops.sub(tile.stop, tile.from)), () => pair(ops.add(weights, pairs), [at(pairs, 0), at(pairs, 0)]))
    const slot = this.sums.get(id)!
    const start = e.value('start', ops.add(ops.mul(this.base, axis.extent.const), place))
    for (const [row, both] of sums.entries()) {
      const step = e.let('step', ops.splat_f32(load('f32', steps, own, row)))
      for (const [i, sum] of both.entries()) {
        const at = row * axis.extent.const + (upper ? 8 : 0) + 4 * i
        e.store(slot, start, ops.madd(ops.to_f32x4(sum), step, load('f32x4', slot, start, at)), at)
      }
    }
  }

  /** Stores four sums of a vector, numbers d … d + 3 of what lies in `sums`, where their numbers belong from `row` on. */
  protected storeSums({ vector }: Weighted, operand: number, row: LoopExpr, d: LoopExpr, sums: LoopExpr): void {
    const e = this.e
    if (!this.inBlocks(vector)) return e.store(operand, ops.add(row, d), sums)
    const first = e.value('first', ops.add(ops.add(row, ops.and(d, -16)), ops.and(ops.shr_u(d, 2), 3)))
    for (let lane = 0; lane < 4; lane++) e.store(operand, first, ops.lane_f32(sums, lane), 4 * lane)
  }
}
