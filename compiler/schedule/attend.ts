// Attention in lanes: rows of a block see the same vectors (query heads of one key head, neighbouring queries) and walk the positions
// in tiles together, so that every vector is loaded once for all of them. Of each row there is a running maximum; sums are rescaled
// when it moves (online softmax), and scratch memory does not grow with the positions.
//
// A tile is done in three passes. Scores: vectors of two or four positions times all rows, twelve sums in registers at most. Then, by
// row, the maximum and the values behind it, four positions a lane. Weighted sums: pieces of the vectors times all rows.
// Rows past the end of an axis are computed as its last one and not stored. Positions that a mask hides from the whole block are not
// walked over (visible.ts). Which rows share a block never changes how a row is computed: no result depends on who computes it.

import * as affine from '../../dsl/affine.ts'
import type { AxisId, Expr, Index, Kernel, KernelAxis } from '../kernel/types.ts'
import { axesOfIndex, strideOf } from '../kernel/index-map.ts'
import { type AttendPlan, planAttend, rowAxis, type Score, type Weighted } from './attend-plan.ts'
import { builtin, constant, Emitter, load, ops } from './build-loops.ts'
import { combine, identityOf } from './definitions.ts'
import type { Count } from './count.ts'
import type { LoopExpr, LoopFunction } from './loops.ts'
import type { Machine } from './machine.ts'
import { kernelFunction } from './outputs.ts'
import { emitAffine, type Place, Scope, type ScratchPlace, toWords } from './scope.ts'
import { commonAxes, emitOutput } from './staged.ts'

/** Positions of a tile: its vectors of 64 numbers take half of the nearest cache. */
const tileSize = 64
/** Of the 15 registers that V8 leaves, twelve hold sums. */
const mostRows = 6
/** Blocks that use a tile while it is in the nearest cache; of the tokens there should be enough groups for threads to share. */
const mostBlocks = 8
const fewestGroups = 4
/** Enough for any number of threads to share, where blocks are cut. */
const fewestUnits = 24

/** A block's rows: so many heads of so many tokens. `blocks` of them, of neighbouring tokens, walk together. */
interface Rows {
  readonly heads: number
  readonly tokens: number
  readonly count: number
  readonly blocks: number
}

/** Undefined for what is no attention, or has parts that need the general schedule. */
export function scheduleAttend(original: Kernel, machine: Machine, bounds: affine.Bounds): LoopFunction | undefined {
  if (machine.lanes === 1 || machine.threads > 1) return undefined
  const outer = commonAxes(original)
  const plan = planAttend(original, outer, bounds)
  if (!plan) return undefined
  const attend = new Attend(plan, machine, bounds)
  return attend.build(attend.chunked ? new Attend(plan, machine, bounds).join() : undefined)
}

/** Heads in blocks of equal size, and as many tokens as fit beside them. */
function rowsOf({ heads, token }: AttendPlan, bounds: affine.Bounds): Rows {
  const all = heads.reduce((product, { extent }) => product * extent.const, 1)
  const block = Math.ceil(all / Math.ceil(all / mostRows))
  const most = token ? Math.max(1, affine.range(token.extent, bounds).max) : 1
  const tokens = Math.max(1, Math.min(Math.floor(mostRows / block), most))
  const blocks = Math.max(1, Math.min(mostBlocks, Math.floor(most / tokens / fewestGroups)))
  return { heads: block, tokens, count: block * tokens, blocks }
}

/**
 * Without tokens there are few blocks: each is cut into chunks of positions, that threads find enough to share. How many depends on
 * sizes alone. 1: no chunks.
 */
function chunksOf({ axis, batch, heads, token, visible }: AttendPlan, rows: Rows, bounds: affine.Bounds): { units: number; most: number } {
  const none = { units: 1, most: 1 }
  if (token || batch.some(({ extent }) => !affine.isConstant(extent))) return none
  const bound = [...visible.from, ...visible.to].some((index) => axesOfIndex(index).size > 0)
  const all = heads.reduce((product, { extent }) => product * extent.const, 1)
  const units = batch.reduce((product, { extent }) => product * extent.const, Math.ceil(all / rows.heads))
  const most = Math.min(Math.ceil(fewestUnits / units), Math.floor(affine.range(axis.extent, bounds).max / tileSize))
  return bound || units === 0 || most < 2 ? none : { units, most }
}

/** Sums that are computed at once: positions (or vectors) beside the rows, and chains of each, since one chain of additions waits for itself. */
const shapeOf = (rows: number, most: number): { wide: number; chains: number } => {
  const wide = rows === 1 ? most : rows === 2 ? 4 : 2
  return { wide, chains: rows * wide <= 6 ? 2 : 1 }
}

class Attend {
  readonly #plan: AttendPlan
  readonly #kernel: Kernel
  readonly #machine: Machine
  readonly #rows: Rows
  readonly #scope: Scope
  readonly #e = new Emitter()
  readonly #words: number[] = []
  /** Scratch operands: the rows' queries of each score, values of a tile, one number a row, sums. */
  readonly #queries: ReadonlyMap<number, number>
  readonly #tiles: ReadonlyMap<number, number>
  readonly #numbers: ReadonlyMap<number, number>
  readonly #sums: ReadonlyMap<number, number>
  readonly #joined: ReadonlyMap<number, number>
  readonly #factor: number
  /** All heads. */
  readonly #all: number
  /** Blocks, and chunks of each at most. */
  readonly #chunks: { readonly units: number; readonly most: number }
  readonly #shared = new Set<number>()

  constructor(plan: AttendPlan, machine: Machine, bounds: affine.Bounds) {
    this.#plan = plan
    this.#rows = rowsOf(plan, bounds)
    this.#all = plan.heads.reduce((product, { extent }) => product * extent.const, 1)
    const rows = { id: rowAxis, extent: affine.constant(this.#rows.count) }
    this.#kernel = { ...plan.kernel, axes: [...plan.kernel.axes.filter(({ id }) => id !== rowAxis), rows] }
    this.#machine = machine
    this.#scope = new Scope(this.#kernel, this.#e, bounds)
    const { count, blocks } = this.#rows
    const all = count * blocks
    this.#queries = new Map(plan.scores.map(({ id, axis }) => [id, this.#scratch(all * axis.extent.const)]))
    this.#tiles = new Map([...plan.kept].map((id) => [id, this.#scratch(count * tileSize)]))
    const chunks = chunksOf(plan, this.#rows, bounds)
    const left = chunks.most > 1 ? count * chunks.units * chunks.most : all
    this.#numbers = new Map([plan.running.maximum, ...plan.totals].map((id) => [id, this.#scratch(left, chunks.most > 1)]))
    this.#sums = new Map(plan.weighted.map(({ id, axis }) => [id, this.#scratch(left * axis.extent.const, chunks.most > 1)]))
    this.#factor = this.#scratch(Math.max(count, chunks.most))
    this.#chunks = chunks
    this.#joined = new Map(chunks.most > 1 ? plan.weighted.map(({ id, axis }) => [id, this.#scratch(count * axis.extent.const)]) : [])
  }

  #scratch(words: number, shared = false): number {
    if (shared) this.#shared.add(this.#words.length)
    return this.#kernel.operands.length + this.#words.push(words) - 1
  }

  get chunked(): boolean {
    return this.#chunks.most > 1
  }

  build(join?: LoopFunction): LoopFunction {
    const { batch, token } = this.#plan
    const { units, most } = this.#chunks
    const e = this.#e
    if (most > 1) {
      const { from, to } = this.#range(1)
      const { size, count } = this.#chunk(from, to)
      // Of the rows handed out, as many as there are chunks have one each, evenly spread.
      const all = units * most
      const before = (flat: LoopExpr): LoopExpr => ops.div(ops.mul(flat, ops.mul(count, units)), all)
      e.loop('flat', builtin('from'), builtin('to'), 1, (flat) =>
        e.loop('item', before(flat), before(ops.add(flat, 1)), 1, (item) => {
          const chunk = e.value('chunk', ops.rem(item, count))
          const unit = e.value('unit', ops.div(item, count))
          this.#place(unit, () => {
            const start = e.value('start', ops.add(from, ops.mul(chunk, size)))
            this.#base = e.value('base', ops.mul(ops.add(ops.mul(unit, most), chunk), this.#rows.count))
            this.#start()
            this.#walk(start, e.value('stop', ops.min(ops.add(start, size), to)))
          })
        }),
      )
      return this.#function([{ size: affine.constant(all), divisor: 1 }], join)
    }
    e.loop('group', builtin('from'), builtin('to'), 1, (flat) =>
      this.#place(flat, () => {
        this.#eachBlock(() => this.#start())
        const { from, to } = this.#range(this.#rows.blocks)
        this.#walk(from, to)
        this.#eachBlock(() => this.#finish())
      }),
    )
    return this.#function([
      ...batch.map(({ extent }) => ({ size: extent, divisor: 1 })),
      { size: affine.constant(this.#all), divisor: this.#rows.heads },
      ...(token ? [{ size: token.extent, divisor: this.#rows.tokens * this.#rows.blocks }] : []),
    ])
  }

  #function(count: Count, join?: LoopFunction): LoopFunction {
    const kernel = join || this.#chunks.most === 1 ? this.#plan.kernel : { ...this.#plan.kernel, name: `${this.#plan.kernel.name}_join` }
    const shape = { scratch: this.#words, shared: this.#shared, rows: { count, unit: 1 } }
    return kernelFunction(kernel, this.#e, join ? { ...shape, join } : shape)
  }

  // ---- chunks

  /** How positions are cut: chunks of equal size, whole groups of four, none much shorter than a tile. */
  #chunk(from: LoopExpr, to: LoopExpr): { size: LoopExpr; count: LoopExpr } {
    const e = this.#e
    const length = e.value('length', ops.max(ops.sub(to, from), 1))
    const wanted = e.value('wanted', ops.min(ops.div(ops.add(length, tileSize - 1), tileSize), this.#chunks.most))
    const size = e.value('size', ops.and(ops.add(ops.div(ops.sub(ops.add(length, wanted), 1), wanted), 3), -4))
    return { size, count: e.value('count', ops.div(ops.sub(ops.add(length, size), 1), size)) }
  }

  /** The function that joins the chunks of each row, in order: sums are brought to the highest of their maxima. */
  join(): LoopFunction {
    const { weighted, totals, running } = this.#plan
    const { definitions } = this.#kernel
    const e = this.#e
    const { units, most } = this.#chunks
    const { from, to } = this.#range(1)
    const { count } = this.#chunk(from, to)
    e.loop('unit', builtin('from'), builtin('to'), 1, (unit) =>
      this.#place(unit, () => {
        const start = e.value('start', ops.mul(unit, most * this.#rows.count))
        this.#eachRow((row, stored) => {
          const at = (chunk: LoopExpr): LoopExpr => ops.add(ops.add(start, row), ops.mul(chunk, this.#rows.count))
          const maximum = e.let('maximum', constant('f32', identityOf(definitions[running.maximum]!)))
          e.loop('c', 0, count, 1, (c) => e.set(maximum, combine('max', maximum, this.#number(running.maximum, at(c)))))
          const highest = this.#level(maximum)
          const sums = totals.map((id) => [id, e.let('total', constant('f32', 0))] as const)
          e.loop('c', 0, count, 1, (c) => {
            const factor = e.let('factor', ops.exp(ops.sub(this.#level(this.#number(running.maximum, at(c))), highest)))
            e.store(this.#factor, c, factor)
            for (const [id, sum] of sums) e.set(sum, ops.madd(this.#number(id, at(c)), factor, sum))
          })
          for (const { id, axis } of weighted) {
            const width = axis.extent.const
            e.loop(axis.id, 0, width, 4, (d) => {
              const sum = e.let('sum', constant('f32x4', 0))
              e.loop('c', 0, count, 1, (c) => {
                const part = load('f32x4', this.#sums.get(id)!, ops.add(ops.mul(at(c), width), d))
                e.set(sum, ops.madd(part, ops.splat_f32(load('f32', this.#factor, c)), sum))
              })
              e.store(this.#joined.get(id)!, ops.add(ops.mul(row, width), d), sum)
            })
          }
          const numbers = [[running.maximum, maximum] as const, ...sums]
          this.#output(row, stored, new Map(numbers), this.#joined)
        })
      }),
    )
    return this.#function([{ size: affine.constant(units), divisor: 1 }])
  }

  /** What exponents subtract where this is the maximum. */
  #level(maximum: LoopExpr): LoopExpr {
    let level = maximum
    this.#scope.with([[this.#plan.running.maximum, { kind: 'scalar', value: maximum }]], () => {
      level = this.#e.let('level', this.#scope.scalar(this.#plan.running.level))
    })
    return level
  }

  // ---- rows

  /** Runs `body` at a group of blocks, by its number. */
  #place(flat: LoopExpr, body: () => void): void {
    const { batch, token } = this.#plan
    const e = this.#e
    let rest = flat
    const cut = (name: string, size: LoopExpr): LoopExpr => {
      if (size.kind === 'const' && size.value === 1) return constant('i32', 0)
      const place = e.value(name, ops.rem(rest, size))
      rest = e.value('rest', ops.div(rest, size))
      return place
    }
    const first = token && ops.mul(this.#balanced(cut, token), this.#rows.tokens * this.#rows.blocks)
    const head = ops.mul(cut('heads', constant('i32', Math.ceil(this.#all / this.#rows.heads))), this.#rows.heads)
    const at: [AxisId, LoopExpr][] = []
    for (const { id, extent } of batch.slice(1).reverse()) at.push([id, cut(id, emitAffine(extent))])
    if (batch[0]) at.push([batch[0].id, rest])
    this.#scope.at(at, () => {
      this.#first = first && e.value('first', first)
      this.#head = e.value('head', head)
      body()
    })
  }

  /** First token of the group, or of the block inside `#eachBlock`; the block's first row in what is kept for a group. */
  #first: LoopExpr | undefined
  #base: LoopExpr = constant('i32', 0)
  #head: LoopExpr = constant('i32', 0)

  /** Runs `body` for every block of the group that has any token. */
  #eachBlock(body: () => void): void {
    const { blocks, tokens, count } = this.#rows
    const { token } = this.#plan
    if (blocks === 1) return body()
    const e = this.#e
    const group = this.#first!
    const used = e.value('used', ops.min(ops.div(ops.add(ops.sub(emitAffine(token!.extent), group), tokens - 1), tokens), blocks))
    e.loop('b', 0, used, 1, (b) => {
      this.#first = e.value('first', ops.add(group, ops.mul(b, tokens)))
      this.#base = e.value('base', ops.mul(b, count))
      this.#scope.nested(body)
    })
    this.#first = group
    this.#base = constant('i32', 0)
  }

  /**
   * Groups of tokens. Where later tokens see more positions, groups come from both ends in turn, so that runs of them are equal work.
   */
  #balanced(cut: (name: string, size: LoopExpr) => LoopExpr, token: KernelAxis): LoopExpr {
    const e = this.#e
    const tokens = this.#rows.tokens * this.#rows.blocks
    const groups = e.value('groups', ops.div(ops.add(emitAffine(token.extent), tokens - 1), tokens))
    const place = cut('place', groups)
    if (!this.#plan.visible.to.some((index) => strideOf(index, token.id, this.#scope.index) !== 0)) return place
    const half = e.value('half', ops.shr_u(place, 1))
    return e.value('turn', ops.select(ops.ne(ops.and(place, 1), 0), ops.sub(ops.sub(groups, 1), half), half))
  }

  /** Runs `body` at each row of the block, `own` being its number in the group; `stored` is false for rows past the end. */
  #eachRow(body: (own: LoopExpr, stored: LoopExpr) => void): void {
    const { heads, token } = this.#plan
    const e = this.#e
    const yes = constant('bool', 1)
    e.loop('t', 0, this.#rows.tokens, 1, (t) => {
      e.loop('h', 0, this.#rows.heads, 1, (h) => {
        const at: [AxisId, LoopExpr][] = []
        let stored: LoopExpr = yes
        if (token) {
          const extent = emitAffine(token.extent)
          const place = ops.add(this.#first!, t)
          at.push([token.id, e.value('token', this.#rows.tokens === 1 ? place : ops.min(place, ops.sub(extent, 1)))])
          if (this.#rows.tokens > 1) stored = ops.lt(place, extent)
        }
        let rest = ops.add(this.#head, h)
        if (this.#all % this.#rows.heads !== 0) {
          stored = ops.and(stored, ops.lt(rest, this.#all))
          rest = e.value('place', ops.min(rest, this.#all - 1))
        }
        for (let i = heads.length - 1; i >= 0; i--) {
          const { id, extent } = heads[i]!
          at.push([id, i === 0 ? rest : e.value(id, ops.rem(rest, extent.const))])
          if (i > 0) rest = e.value('rest', ops.div(rest, extent.const))
        }
        const row = e.value('row', ops.add(ops.mul(t, this.#rows.heads), h))
        const own = e.value('own', ops.add(this.#base, row))
        this.#scope.at([...at, [rowAxis, row]], () => body(own, stored))
      })
    })
  }

  /** Queries side by side, empty sums. */
  #start(): void {
    const { scores, weighted, running, totals } = this.#plan
    const e = this.#e
    this.#eachRow((row) => {
      // Queries are the call's own, and its first rows where it does a chunk.
      const own = this.chunked ? e.value('own', ops.sub(row, this.#base)) : row
      for (const { id, axis, query } of scores) {
        e.loop(axis.id, 0, axis.extent.const, 4, (d) =>
          this.#scope.at([[axis.id, d]], () =>
            e.store(this.#queries.get(id)!, ops.add(ops.mul(own, axis.extent.const), d), this.#scope.vector(query, axis.id)),
          ),
        )
      }
      for (const id of [running.maximum, ...totals]) {
        e.store(this.#numbers.get(id)!, row, constant('f32', identityOf(this.#kernel.definitions[id]!)))
      }
    })
    for (const { id, axis } of weighted) {
      const start = ops.mul(this.#base, axis.extent.const)
      e.loop('i', 0, this.#rows.count * axis.extent.const, 4, (i) => e.store(this.#sums.get(id)!, ops.add(start, i), constant('f32x4', 0)))
    }
  }

  #finish(): void {
    const { running, totals } = this.#plan
    this.#eachRow((row, stored) => {
      this.#output(row, stored, new Map([running.maximum, ...totals].map((id) => [id, this.#number(id, row)])), this.#sums)
    })
  }

  /** Stores a row's outputs, where it is one. */
  #output(row: LoopExpr, stored: LoopExpr, numbers: ReadonlyMap<number, LoopExpr>, sums: ReadonlyMap<number, number>): void {
    const { weighted, outer } = this.#plan
    const places = [
      ...[...numbers].map(([id, value]): [number, Place] => [id, { kind: 'scalar', value }]),
      ...weighted.map(({ id, axis }): [number, Place] => [id, { kind: 'scratch', operand: sums.get(id)!, axes: [rowAxis, axis.id] }]),
    ]
    const staged = { kernel: this.#kernel, machine: this.#machine, scope: this.#scope, outer, scratch: new Map(), tree: 0 }
    const outputs = (): void => this.#kernel.outputs.forEach((output) => emitOutput(staged, output))
    this.#e.if(stored, () => this.#scope.at([[rowAxis, row]], () => this.#scope.with(places, outputs)))
  }

  #number(id: number, row: LoopExpr): LoopExpr {
    return this.#e.let('number', load('f32', this.#numbers.get(id)!, row))
  }

  // ---- the walk

  #walk(from: LoopExpr, to: LoopExpr): void {
    const e = this.#e
    e.loop('tile', from, to, tileSize, (tile) =>
      this.#eachBlock(() => {
        const last = this.#rows.blocks === 1 ? to : this.#range(1).to
        const end = e.value('end', ops.min(ops.add(tile, tileSize), last))
        const step = (): void => {
          const full = e.value('full', ops.add(tile, ops.and(ops.sub(end, tile), -4)))
          for (const score of this.#plan.scores) this.#scores(score, tile, full, end)
          this.#weights(tile, full, end)
          for (const weighted of this.#plan.weighted) this.#weighted(weighted, tile, end)
        }
        if (this.#rows.blocks === 1) step()
        else e.if(ops.lt(tile, end), () => this.#scope.nested(step))
      }),
    )
  }

  /** The positions that some row of so many blocks may see; whole groups of four, as far as there are any. */
  #range(blocks: number): { from: LoopExpr; to: LoopExpr } {
    const { axis, token, visible } = this.#plan
    const e = this.#e
    const extent = emitAffine(axis.extent)
    const last = (): LoopExpr => ops.min(ops.add(this.#first!, blocks * this.#rows.tokens - 1), ops.sub(emitAffine(token!.extent), 1))
    const values = (indices: readonly Index[], highest: boolean): LoopExpr[] =>
      indices.map((index) => {
        if (!token) return this.#scope.emitIndex(index)
        const rises = strideOf(index, token.id, this.#scope.index)! > 0
        let value: LoopExpr = constant('i32', 0)
        this.#scope.at([[token.id, rises === highest ? e.value('last', last()) : this.#first!]], () => {
          value = e.value('bound', this.#scope.emitIndex(index))
        })
        return value
      })
    const from = values(visible.from, false).reduce((a, b) => ops.max(a, b), constant('i32', 0))
    const to = values(visible.to, true).map((value) => ops.and(ops.add(value, 3), -4))
    return {
      from: from.kind === 'const' ? from : e.value('start', ops.and(from, -4)),
      to: e.value(
        'stop',
        to.reduce((a, b) => ops.min(a, b), extent),
      ),
    }
  }

  /** Scores of all rows with positions tile … end - 1, at four positions at a time while there are as many. */
  #scores(score: Score, tile: LoopExpr, full: LoopExpr, end: LoopExpr): void {
    const { axis } = this.#plan
    const e = this.#e
    const { count } = this.#rows
    const { wide, chains } = shapeOf(count, 4)
    const slot = this.#tiles.get(score.id)!
    const at = (row: number, position: LoopExpr): LoopExpr => ops.add(ops.sub(position, tile), row * tileSize)
    e.loop(axis.id, tile, full, 4, (position) => {
      for (let part = 0; part < 4; part += wide) {
        const sums = this.#dots(score, ops.add(position, part), wide, chains)
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
      const sums = this.#dots(score, position, 1, chains)
      for (let row = 0; row < count; row++) e.store(slot, at(row, position), ops.hsum(sums[row]![0]!))
    })
  }

  /** By row and position: four partial sums of query · vector. */
  #dots({ id, axis, vector }: Score, position: LoopExpr, wide: number, chains: number): LoopExpr[][] {
    const e = this.#e
    const { count } = this.#rows
    const width = axis.extent.const
    const rows = this.chunked ? constant('i32', 0) : e.value('rows', ops.mul(this.#base, width))
    const unroll = [4, 2, 1].find((n) => width % (4 * n) === 0)!
    const used = Math.min(chains, unroll)
    const sums = Array.from({ length: used }, () =>
      Array.from({ length: count }, () => Array.from({ length: wide }, () => e.let('sum', constant('f32x4', 0)))),
    )
    e.loop(axis.id, 0, width, 4 * unroll, (start) => {
      for (let u = 0; u < unroll; u++) {
        const d = ops.add(start, 4 * u)
        const vectors = Array.from({ length: wide }, (_, p) => {
          let value: LoopExpr | undefined
          this.#scope.at(
            [
              [this.#plan.axis.id, ops.add(position, p)],
              [axis.id, d],
            ],
            () => {
              value = this.#scope.vector(vector, axis.id)
            },
          )
          return value!
        })
        for (let row = 0; row < count; row++) {
          const query = e.let('query', load('f32x4', this.#queries.get(id)!, ops.add(ops.add(d, rows), row * width)))
          for (const [p, sum] of sums[u % used]![row]!.entries()) e.set(sum, ops.madd(query, vectors[p]!, sum))
        }
      }
    })
    return sums[0]!.map((row, r) => row.map((sum, p) => (used === 1 ? sum : e.let('sum', ops.add(sum, sums[1]![r]![p]!)))))
  }

  /** By row: takes the tile into the maximum, then the values behind it, and its sums of one number. */
  #weights(tile: LoopExpr, full: LoopExpr, end: LoopExpr): void {
    const { running, before, after, totals, levels, kept } = this.#plan
    const { definitions } = this.#kernel
    const e = this.#e
    const places = [...kept].map((id): [number, Place] => [id, this.#tilePlace(id, tile)])
    const isDot = (id: number): boolean => definitions[id]!.over.length > 0
    const maximum = definitions[running.maximum]!
    this.#eachRow((row) =>
      this.#scope.with(
        places.filter(([id]) => isDot(id)),
        () => {
          const highest = this.#reduce(
            [maximum],
            before.filter((id) => !isDot(id)),
            tile,
            full,
            end,
          )[0]!
          const old = this.#number(running.maximum, row)
          const now = e.let('maximum', combine('max', old, highest))
          const factor = e.let('factor', ops.exp(ops.sub(this.#level(old), this.#level(now))))
          e.store(this.#numbers.get(running.maximum)!, row, now)
          e.store(this.#factor, ops.sub(row, this.#base), factor)
          const ready = places.filter(([id]) => before.includes(id))
          this.#scope.with([...ready, [running.maximum, { kind: 'scalar', value: now }]], () => {
            for (const id of levels) this.#scope.places.set(id, { kind: 'scalar', value: this.#scope.scalar(definitions[id]!.body) })
            const sums = this.#reduce(
              totals.map((id) => definitions[id]!),
              after.filter((id) => !isDot(id)),
              tile,
              full,
              end,
            )
            for (const [i, id] of totals.entries()) {
              e.store(this.#numbers.get(id)!, row, ops.madd(this.#number(id, row), factor, sums[i]!))
            }
            for (const id of levels) this.#scope.places.delete(id)
          })
        },
      ),
    )
  }

  #tilePlace(id: number, tile: LoopExpr): ScratchPlace {
    const { axis } = this.#plan
    return { kind: 'scratch', operand: this.#tiles.get(id)!, axes: [rowAxis, axis.id], tile: { axis: axis.id, from: tile, size: tileSize } }
  }

  /** One row's values over a tile, those that are kept stored, and reductions of them. */
  #reduce(
    reductions: readonly Kernel['definitions'][number][],
    values: readonly number[],
    tile: LoopExpr,
    full: LoopExpr,
    end: LoopExpr,
  ): LoopExpr[] {
    const { axis, kept } = this.#plan
    const { definitions } = this.#kernel
    const e = this.#e
    const lanes = reductions.map((each) => e.let('lanes', constant('f32x4', identityOf(each))))
    const single = reductions.map((each) => e.let('single', constant('f32', identityOf(each))))
    const point = (position: LoopExpr, wide: boolean): void => {
      const value = (expr: Expr): LoopExpr => (wide ? this.#scope.vector(expr, axis.id) : this.#scope.scalar(expr))
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
        const place = this.#tilePlace(id, tile)
        e.store(place.operand, this.#scope.scratchAt(place), toWords(result))
        this.#scope.with([[id, { kind: wide ? 'lanes' : 'scalar', value: result }]], () => go(rest))
      }
      this.#scope.at([[axis.id, position]], () => go(values))
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
  #weighted(weighted: Weighted, tile: LoopExpr, end: LoopExpr): void {
    const e = this.#e
    const { axis } = weighted
    const { wide, chains } = shapeOf(this.#rows.count, 8)
    const [step, width] = [4 * wide, axis.extent.const]
    const whole = width - (width % step)
    e.loop(axis.id, 0, whole, step, (from) => this.#piece(weighted, from, wide, chains, tile, end))
    if (width > whole) this.#piece(weighted, constant('i32', whole), (width - whole) / 4, chains, tile, end)
  }

  /** `wide` lanes of four along the vectors, from `from` on. */
  #piece({ id, axis, weight, vector }: Weighted, from: LoopExpr, wide: number, chains: number, tile: LoopExpr, end: LoopExpr): void {
    const e = this.#e
    const scope = this.#scope
    const { count } = this.#rows
    const [slot, width] = [this.#sums.get(id)!, axis.extent.const]
    const start = e.value('start', ops.add(ops.mul(this.#base, width), from))
    const at = (row: number, v: number): LoopExpr => ops.add(start, row * width + 4 * v)
    const sums = Array.from({ length: chains }, (_, chain) =>
      Array.from({ length: count }, (_, row) => {
        const factor = chain === 0 && e.let('factor', ops.splat_f32(load('f32', this.#factor, constant('i32', row))))
        return Array.from({ length: wide }, (_, v) =>
          e.let('sum', factor ? ops.mul(load('f32x4', slot, at(row, v)), factor) : constant('f32x4', 0)),
        )
      }),
    )
    const step = (position: LoopExpr, chain: number): void =>
      scope.at([[this.#plan.axis.id, position]], () => {
        const vectors = Array.from({ length: wide }, (_, v) => {
          let value: LoopExpr | undefined
          scope.at([[axis.id, ops.add(from, 4 * v)]], () => {
            value = scope.vector(vector, axis.id)
          })
          return value!
        })
        for (let row = 0; row < count; row++) {
          const place = ops.add(ops.sub(position, tile), row * tileSize)
          const p = e.let('p', ops.splat_f32(load('f32', this.#tiles.get(weight)!, place)))
          for (const [v, sum] of sums[chain]![row]!.entries()) e.set(sum, ops.madd(p, vectors[v]!, sum))
        }
      })
    const pairs = e.value('pairs', ops.add(tile, ops.and(ops.sub(end, tile), -2)))
    e.loop(this.#plan.axis.id, tile, pairs, 2, (position) => {
      step(position, 0)
      step(ops.add(position, 1), chains - 1)
    })
    e.loop(this.#plan.axis.id, pairs, end, 1, (position) => step(position, 0))
    for (let row = 0; row < count; row++) {
      for (let v = 0; v < wide; v++) {
        e.store(slot, at(row, v), chains === 1 ? sums[0]![row]![v]! : ops.add(sums[0]![row]![v]!, sums[1]![row]![v]!))
      }
    }
  }
}
