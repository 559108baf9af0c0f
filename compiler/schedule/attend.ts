// Attention in lanes: rows of a block see the same vectors (query heads of one key head, neighbouring queries) and walk the positions
// in tiles together, so that every vector is loaded once for all of them. Of each row there is a running maximum; sums are rescaled
// when it moves (online softmax), and scratch memory does not grow with the positions.
//
// Where there are few blocks of rows, positions are cut into chunks, each for all blocks, and a second function joins what they left.
// Rows past the end of an axis are computed as its last one and not stored. Positions that a mask hides from the whole block are not
// walked over (visible.ts). Which rows share a block never changes how a row is computed: no result depends on who computes it.

import * as affine from '../../dsl/affine.ts'
import type { Kernel } from '../kernel/types.ts'
import { planAttend } from './attend-plan.ts'
import { rowAxis, shortestChunk, type Tile } from './attend-rows.ts'
import { AttendTiles } from './attend-tile.ts'
import { builtin, constant, load, ops } from './build-loops.ts'
import type { Count } from './count.ts'
import { combine, identityOf } from './definitions.ts'
import type { LoopExpr, LoopFunction } from './loops.ts'
import type { Machine } from './machine.ts'
import { kernelFunction } from './outputs.ts'
import type { Place } from './scope.ts'
import { commonAxes } from './staged.ts'
import { emitOutput } from './stages.ts'

/** Undefined for what is no attention, or has parts that need the general schedule. */
export function scheduleAttend(original: Kernel, machine: Machine, bounds: affine.Bounds): LoopFunction | undefined {
  if (machine.lanes === 1 || machine.threads > 1) return undefined
  const outer = commonAxes(original)
  const plan = planAttend(original, outer, bounds)
  if (!plan) return undefined
  const attend = new Attend(plan, machine, bounds)
  return attend.build(attend.chunked ? new Attend(plan, machine, bounds).join() : undefined)
}

/** Positions in chunks. */
interface Cut {
  readonly apart: LoopExpr
  readonly size: LoopExpr
  readonly count: LoopExpr
}

class Attend extends AttendTiles {
  build(join?: LoopFunction): LoopFunction {
    const { batch, token } = this.plan
    const { most } = this.chunks
    const e = this.e
    if (most > 1) {
      const { from, to } = this.range(1)
      const cut = this.chunk(from, to)
      // Of the rows handed out, as many as there are chunks have one each, evenly spread.
      const before = (flat: LoopExpr): LoopExpr => e.value('before', ops.div(ops.mul(flat, cut.count), most))
      const [first, last] = [before(builtin('from')), before(builtin('to'))]
      // Chunk after chunk of the same vectors: memory is read on from one to the next.
      this.eachUnit(first, last, (chunk) => this.walkChunk(from, to, cut, chunk))
      return this.functionOf([{ size: affine.constant(most), divisor: 1 }], join)
    }
    e.loop('group', builtin('from'), builtin('to'), 1, (flat) =>
      this.place(flat, () => {
        this.eachBlock(() => {
          this.placeQueries()
          this.clearSums()
        })
        const { from, to } = this.range(this.rows.blocks)
        this.walk(from, to)
        this.eachBlock(() => this.finish())
      }),
    )
    return this.functionOf([
      ...batch.map(({ extent }) => ({ size: extent, divisor: 1 })),
      { size: affine.constant(this.all), divisor: this.rows.heads },
      ...(token ? [{ size: token.extent, divisor: this.rows.tokens * this.rows.blocks }] : []),
    ])
  }

  /** Runs `body` for every block and some chunks of it, at their place in what chunks leave. */
  protected eachUnit(first: LoopExpr, last: LoopExpr, body: (chunk: LoopExpr) => void): void {
    const { units } = this.chunks
    const e = this.e
    e.loop('unit', 0, units, 1, (unit) =>
      this.place(unit, () => {
        this.queryBase = e.value('query', ops.mul(unit, this.rows.count))
        this.base = this.queryBase
        this.placeQueries()
        e.loop('chunk', first, last, 1, (chunk) =>
          this.scope.nested(() => {
            this.base = e.value('base', ops.add(ops.mul(chunk, units * this.rows.count), this.queryBase!))
            this.clearSums()
            body(chunk)
          }),
        )
      }),
    )
    this.queryBase = undefined
    this.base = constant('i32', 0)
  }

  protected functionOf(count: Count, join?: LoopFunction): LoopFunction {
    const kernel = join || this.chunks.most === 1 ? this.plan.kernel : { ...this.plan.kernel, name: `${this.plan.kernel.name}_join` }
    const shape = { scratch: this.words, shared: this.shared, rows: { count, unit: 1 } }
    return kernelFunction(kernel, this.e, join ? { ...shape, join } : shape)
  }

  /**
   * How positions are cut: into runs `apart` from each other, far ones, and these into `count` pieces of `size`, whole groups of four; a chunk
   * is such a piece of each run.
   */
  protected chunk(from: LoopExpr, to: LoopExpr): Cut {
    const e = this.e
    const length = e.value('length', ops.max(ops.sub(to, from), 1))
    const wanted = e.value('wanted', ops.max(ops.min(ops.div(length, shortestChunk), this.chunks.most), 1))
    const over = (a: LoopExpr, b: LoopExpr | number): LoopExpr => ops.div(ops.sub(ops.add(a, b), 1), b)
    const apart = e.value('apart', ops.mul(over(length, 4 * this.runs), 4))
    const size = e.value('size', ops.mul(over(apart, ops.mul(wanted, 4)), 4))
    return { apart, size, count: e.value('count', over(apart, size)) }
  }

  /** Goes over a chunk's positions. */
  protected walkChunk(from: LoopExpr, to: LoopExpr, { apart, size }: Cut, chunk: LoopExpr): void {
    const e = this.e
    const start = e.value('start', ops.add(from, ops.mul(chunk, size)))
    if (this.runs > 1) {
      const limit = e.value('limit', ops.min(ops.add(start, size), ops.add(from, apart)))
      e.loop('tile', start, limit, this.runLength, (tile) => this.scope.nested(() => this.tile(this.tileOfRuns(tile, limit, apart, to))))
      return
    }
    const stop = e.value('stop', ops.min(ops.add(start, size), to))
    e.loop('tile', start, stop, this.tileSize, (tile) =>
      this.scope.nested(() => {
        const end = e.value('end', ops.min(ops.add(tile, this.tileSize), stop))
        this.stage(tile, end)
        this.tile(this.tileOfOne(tile, end))
      }),
    )
  }

  /** The function that joins the chunks of each row, in order: sums are brought to the highest of their maxima. */
  join(): LoopFunction {
    const { weighted, totals, running } = this.plan
    const { definitions } = this.kernel
    const e = this.e
    const { units } = this.chunks
    const { from, to } = this.range(1)
    const { count } = this.chunk(from, to)
    e.loop('unit', builtin('from'), builtin('to'), 1, (unit) =>
      this.place(unit, () => {
        const start = e.value('start', ops.mul(unit, this.rows.count))
        this.eachRow((row, stored) => {
          const at = (chunk: LoopExpr): LoopExpr => ops.add(ops.add(start, row), ops.mul(chunk, units * this.rows.count))
          const maximum = e.let('maximum', constant('f32', identityOf(definitions[running.maximum]!)))
          e.loop('c', 0, count, 1, (c) => e.set(maximum, combine('max', maximum, this.number(running.maximum, at(c)))))
          const highest = this.level(maximum)
          const sums = totals.map((id) => [id, e.let('total', constant('f32', 0))] as const)
          e.loop('c', 0, count, 1, (c) => {
            const factor = e.let('factor', ops.exp(ops.sub(this.level(this.number(running.maximum, at(c))), highest)))
            e.store(this.factor, c, factor)
            for (const [id, sum] of sums) e.set(sum, ops.madd(this.number(id, at(c)), factor, sum))
          })
          for (const each of weighted) {
            const { id, axis } = each
            const scale = this.scaleOfSum(each)
            const width = axis.extent.const
            e.loop(axis.id, 0, width, 4, (d) => {
              const sum = e.let('sum', constant('f32x4', 0))
              e.loop('c', 0, count, 1, (c) => {
                const part = load('f32x4', this.sums.get(id)!, ops.add(ops.mul(at(c), width), d))
                e.set(sum, ops.madd(part, ops.splat_f32(load('f32', this.factor, c)), sum))
              })
              this.storeSums(each, this.joined.get(id)!, ops.mul(row, width), d, scale === 1 ? sum : ops.mul(sum, scale))
            })
          }
          const numbers = [[running.maximum, maximum] as const, ...sums]
          this.output(row, stored, new Map(numbers), this.joined)
        })
      }),
    )
    return this.functionOf([{ size: affine.constant(units), divisor: 1 }])
  }

  /** Queries side by side. */
  protected placeQueries(): void {
    const { scores } = this.plan
    const e = this.e
    this.eachRow((row) => {
      for (const score of scores) {
        const { id, axis, query } = score
        const scale = this.scaleOfQuery(score)
        e.loop(axis.id, 0, axis.extent.const, 4, (d) =>
          this.scope.at([[axis.id, d]], () =>
            e.store(
              this.queries.get(id)!,
              ops.add(ops.mul(row, axis.extent.const), d),
              scale === 1 ? this.scope.vector(query, axis.id) : ops.mul(this.scope.vector(query, axis.id), scale),
            ),
          ),
        )
        this.roundQuery(score, row)
      }
    })
  }

  /** No sums yet. */
  protected clearSums(): void {
    const { weighted, running, totals } = this.plan
    const e = this.e
    for (const id of [running.maximum, ...totals]) {
      const empty = constant('f32', identityOf(this.kernel.definitions[id]!))
      e.loop('i', 0, this.rows.count, 1, (i) => e.store(this.numbers.get(id)!, ops.add(this.base, i), empty))
    }
    for (const { id, axis } of weighted) {
      const start = ops.mul(this.base, axis.extent.const)
      e.loop('i', 0, this.rows.count * axis.extent.const, 4, (i) => e.store(this.sums.get(id)!, ops.add(start, i), constant('f32x4', 0)))
    }
  }

  protected walk(from: LoopExpr, to: LoopExpr): void {
    const e = this.e
    e.loop('tile', from, to, this.tileSize, (tile) => {
      this.stage(tile, ops.min(ops.add(tile, this.tileSize), to))
      this.eachBlock(() => {
        const last = this.rows.blocks === 1 ? to : this.range(1).to
        const end = e.value('end', ops.min(ops.add(tile, this.tileSize), last))
        if (this.rows.blocks === 1) this.tile(this.tileOfOne(tile, end))
        else e.if(ops.lt(tile, end), () => this.scope.nested(() => this.tile(this.tileOfOne(tile, end))))
      })
    })
  }

  protected tile(tile: Tile): void {
    for (const score of this.plan.scores) this.scores(score, tile)
    this.weights(tile)
    for (const weighted of this.plan.weighted) this.weighted(weighted, tile)
  }

  protected finish(): void {
    const { running, totals, weighted } = this.plan
    const e = this.e
    for (const each of weighted) {
      const scale = this.scaleOfSum(each)
      const grain = this.inBlocks(each.vector) ? 16 : 4
      if (scale === 1 && grain === 4) continue
      const [slot, width] = [this.sums.get(each.id)!, each.axis.extent.const]
      const start = e.value('start', ops.mul(this.base, width))
      e.loop('i', 0, this.rows.count * width, grain, (i) => {
        const places = Array.from({ length: grain / 4 }, (_, k) => ops.add(i, 4 * k))
        const sums = places.map((place) => e.let('sum', load('f32x4', slot, ops.add(start, place))))
        for (const [k, sum] of sums.entries()) this.storeSums(each, slot, start, places[k]!, scale === 1 ? sum : ops.mul(sum, scale))
      })
    }
    this.eachRow((row, stored) => {
      this.output(row, stored, new Map([running.maximum, ...totals].map((id) => [id, this.number(id, row)])), this.sums)
    })
  }

  /** Stores a row's outputs, where it is one. */
  protected output(row: LoopExpr, stored: LoopExpr, numbers: ReadonlyMap<number, LoopExpr>, sums: ReadonlyMap<number, number>): void {
    const { weighted, outer } = this.plan
    const places = [
      ...[...numbers].map(([id, value]): [number, Place] => [id, { kind: 'scalar', value }]),
      ...weighted.map(({ id, axis }): [number, Place] => [id, { kind: 'scratch', operand: sums.get(id)!, axes: [rowAxis, axis.id] }]),
    ]
    const staged = { kernel: this.kernel, machine: this.machine, scope: this.scope, outer, scratch: new Map(), tree: 0 }
    const outputs = (): void => this.kernel.outputs.forEach((output) => emitOutput(staged, output))
    this.e.if(stored, () => this.scope.at([[rowAxis, row]], () => this.scope.with(places, outputs)))
  }
}
