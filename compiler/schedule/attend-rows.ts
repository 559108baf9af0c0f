// The rows of attention: which of them make a block and which blocks a group, how positions are cut into chunks, where the
// scratch memory of each is, and loops over them. What is done with rows is in attend.ts, what with positions in attend-tile.ts.

import * as affine from '../../dsl/affine.ts'
import type { AxisId, Index, Kernel, KernelAxis } from '../kernel/types.ts'
import { axesOfIndex } from '../kernel/index-walk.ts'
import { strideOf } from '../kernel/index-map.ts'
import type { AttendPlan, Load, Score, Weighted } from './attend-plan.ts'
import { constant, Emitter, load, ops } from './build-loops.ts'
import type { LoopExpr } from './loops.ts'
import type { Machine } from './machine.ts'
import { emitAffine } from './affine-loops.ts'
import { Scope, type ScratchPlace } from './scope.ts'

/** The axis that kernels get: the row of a block. */
export const rowAxis = 'row'

/**
 * Positions of a tile, a multiple of what is taken at once (attend-vectors.ts). Where blocks share it, its vectors of 64 numbers take half of the nearest
 * cache; in a chunk each vector is met once, and a longer tile has less to be done once a tile.
 */
const tileSizes = { shared: 60, chunk: 240 } as const
/** Positions that are worth a chunk. */
export const shortestChunk = 60

/**
 * Runs of positions, by rows of a block, that a tile of a chunk is made of: as many as are read together. They are far apart and go on from
 * tile to tile, because memory that is read at several places waits less (contract.ts).
 */
const runsOf: Readonly<Partial<Record<number, number>>> = { 1: 4, 2: 4, 3: 3, 4: 2 }
/** Of the 15 registers that V8 leaves, twelve hold sums. */
const mostRows = 6
/** Blocks that use a tile while it is in the nearest cache; of the tokens there should be enough groups for threads to share. */
const mostBlocks = 8
const fewestGroups = 4
/** So many rows read halves and blocks as they are; more have them converted. */
const mostOfPacked = 4
/** So many blocks are shared as they are. */
const enoughUnits = 24
/** What positions are cut into where there are fewer: equal work for 1, 2, 4 and 8 threads. */
const fewestChunks = 8

/** A block's rows: so many heads of so many tokens. `blocks` of them, of neighbouring tokens, walk together. */
interface Rows {
  readonly heads: number
  readonly tokens: number
  readonly count: number
  readonly blocks: number
}

/** How many heads see the same vectors. */
export const headsIn = ({ heads }: AttendPlan): number => heads.reduce((product, { extent }) => product * extent.const, 1)

/** Heads in blocks of equal size, and as many tokens as fit beside them. */
function rowsOf(plan: AttendPlan, bounds: affine.Bounds): Rows {
  const { token } = plan
  const all = headsIn(plan)
  const block = Math.ceil(all / Math.ceil(all / mostRows))
  const most = token ? Math.max(1, affine.range(token.extent, bounds).max) : 1
  const tokens = Math.max(1, Math.min(Math.floor(mostRows / block), most))
  const blocks = Math.max(1, Math.min(mostBlocks, Math.floor(most / tokens / fewestGroups)))
  return { heads: block, tokens, count: block * tokens, blocks }
}

/**
 * Without tokens there are few blocks: positions are cut into chunks, that threads find enough to share. How many depends on sizes
 * alone. 1: no chunks.
 */
function chunksOf(plan: AttendPlan, rows: Rows, bounds: affine.Bounds): { units: number; most: number } {
  const { axis, batch, token, visible } = plan
  const none = { units: 1, most: 1 }
  if (token || batch.some(({ extent }) => !affine.isConstant(extent))) return none
  const bound = [...visible.from, ...visible.to].some((index) => axesOfIndex(index).size > 0)
  const units = batch.reduce((product, { extent }) => product * extent.const, Math.ceil(headsIn(plan) / rows.heads))
  const most = Math.min(fewestChunks, Math.floor(affine.range(axis.extent, bounds).max / shortestChunk))
  return bound || units === 0 || units >= enoughUnits || most < 2 ? none : { units, most }
}

/**
 * Positions of a tile that follow each other, `full` of them (whole fours) before `end`; `origin`: the position whose place in what is
 * kept of a tile would be the first.
 */
export interface Run {
  readonly from: LoopExpr
  readonly full: LoopExpr
  readonly end: LoopExpr
  readonly origin: LoopExpr
}

/** A tile from one position to before `stop`: one run, or several. */
export interface Tile {
  readonly from: LoopExpr
  readonly stop: LoopExpr
  readonly shape: Run | Runs
}

/** Runs of `length` positions that begin `apart` from each other and end where the tile stops; all have `joint` of them. */
interface Runs {
  readonly length: LoopExpr
  readonly apart: LoopExpr
  readonly joint: LoopExpr
}

export class AttendRows {
  protected readonly plan: AttendPlan
  protected readonly kernel: Kernel
  protected readonly machine: Machine
  protected readonly rows: Rows
  protected readonly scope: Scope
  protected readonly e = new Emitter()
  protected readonly words: number[] = []
  /** Scratch operands: the rows' queries of each score, values of a tile, one number a row, sums. */
  protected readonly queries: ReadonlyMap<number, number>
  protected readonly tiles: ReadonlyMap<number, number>
  protected readonly numbers: ReadonlyMap<number, number>
  protected readonly sums: ReadonlyMap<number, number>
  protected readonly joined: ReadonlyMap<number, number>
  /** Rows whose queries lie side by side. */
  protected readonly asked: number
  /** Four sums of each row and position of a tile. */
  protected readonly partial: number
  /** Vectors of halves that are read times 2^-112; where tiles of halves and blocks are converted. */
  protected readonly shifted: ReadonlySet<Load>
  protected readonly staged: ReadonlyMap<Load, number>
  /** Where the tile begins. */
  protected tileFrom: LoopExpr = constant('i32', 0)
  protected readonly factor: number
  protected readonly tileSize: number
  /** What is kept of a tile has so many places for each row: some more, for zeros. */
  protected readonly slotsOfRow: number
  /** Runs of positions that a tile is made of, and the most positions of one. */
  protected readonly runs: number
  protected readonly runLength: number
  /** All heads. */
  protected readonly all: number
  /** Blocks, and chunks of positions at most. */
  protected readonly chunks: { readonly units: number; readonly most: number }
  protected readonly shared = new Set<number>()
  /** First token of the group, or of the block inside `eachBlock`; the block's first row in what is kept for a group. */
  protected first: LoopExpr | undefined
  protected base: LoopExpr = constant('i32', 0)
  /** The block's first query where a chunk has all blocks' side by side; else it is that of `base`. */
  protected queryBase: LoopExpr | undefined
  protected head: LoopExpr = constant('i32', 0)

  constructor(plan: AttendPlan, machine: Machine, bounds: affine.Bounds) {
    this.plan = plan
    this.rows = rowsOf(plan, bounds)
    this.all = headsIn(plan)
    const rows = { id: rowAxis, extent: affine.constant(this.rows.count) }
    this.kernel = { ...plan.kernel, axes: [...plan.kernel.axes, rows] }
    this.machine = machine
    this.scope = new Scope(this.kernel, this.e, bounds)
    const { count, blocks } = this.rows
    const all = count * blocks
    const chunks = chunksOf(plan, this.rows, bounds)
    const asked = chunks.most > 1 ? count * chunks.units : all
    this.asked = asked
    this.tileSize = chunks.most > 1 ? tileSizes.chunk : tileSizes.shared
    this.slotsOfRow = this.tileSize + 8
    this.queries = new Map(plan.scores.map(({ id, axis }) => [id, this.scratch(asked * axis.extent.const)]))
    this.tiles = new Map([...plan.kept].map((id) => [id, this.scratch(count * this.slotsOfRow)]))
    const left = chunks.most > 1 ? asked * chunks.most : all
    this.numbers = new Map([plan.running.maximum, ...plan.totals].map((id) => [id, this.scratch(left, chunks.most > 1)]))
    this.sums = new Map(plan.weighted.map(({ id, axis }) => [id, this.scratch(left * axis.extent.const, chunks.most > 1)]))
    this.partial = this.scratch(count * this.slotsOfRow * 4)
    const packed = [...plan.scores, ...plan.weighted].filter(({ vector }) => this.kernel.operands[vector.operand]!.format !== 'f32')
    const isHalves = ({ vector }: Score | Weighted): boolean => this.kernel.operands[vector.operand]!.format === 'f16'
    // Blocks of a single token are met as they are, however many rows there are (attend-shorts.ts).
    const staged = count > mostOfPacked ? packed.filter((each) => chunks.most === 1 || isHalves(each)) : []
    this.staged = new Map(staged.map(({ axis, vector }) => [vector, this.scratch(this.tileSize * axis.extent.const)]))
    // Weights that come before the maximum may be read again: they are stored as they are.
    const scalable = packed.filter(isHalves).filter((each) => !('weight' in each) || !plan.before.includes(each.weight))
    this.shifted = new Set(count > mostOfPacked ? [] : scalable.map(({ vector }) => vector))
    // Blocks take more time to decode than to come from memory: near each other they share addresses (decode at 8,000: 29 → 31 a second).
    const inBlocks = packed.some(({ vector }) => this.kernel.operands[vector.operand]!.format === 's8')
    this.runs = chunks.most > 1 && staged.length === 0 && !inBlocks ? (runsOf[count] ?? 1) : 1
    this.runLength = Math.floor(this.tileSize / this.runs / 4) * 4
    this.factor = this.scratch(Math.max(count, chunks.most))
    this.chunks = chunks
    this.joined = new Map(chunks.most > 1 ? plan.weighted.map(({ id, axis }) => [id, this.scratch(count * axis.extent.const)]) : [])
  }

  protected scratch(words: number, shared = false): number {
    if (shared) this.shared.add(this.words.length)
    return this.kernel.operands.length + this.words.push(words) - 1
  }

  get chunked(): boolean {
    return this.chunks.most > 1
  }

  /** Runs `body` at a group of blocks, by its number. */
  protected place(flat: LoopExpr, body: () => void): void {
    const { batch, token } = this.plan
    const e = this.e
    let rest = flat
    const cut = (name: string, size: LoopExpr): LoopExpr => {
      if (size.kind === 'const' && size.value === 1) return constant('i32', 0)
      const place = e.value(name, ops.rem(rest, size))
      rest = e.value('rest', ops.div(rest, size))
      return place
    }
    const first = token && ops.mul(this.balanced(cut, token), this.rows.tokens * this.rows.blocks)
    const head = ops.mul(cut('heads', constant('i32', Math.ceil(this.all / this.rows.heads))), this.rows.heads)
    const at: [AxisId, LoopExpr][] = []
    for (const { id, extent } of batch.slice(1).reverse()) at.push([id, cut(id, emitAffine(extent))])
    if (batch[0]) at.push([batch[0].id, rest])
    this.scope.at(at, () => {
      this.first = first && e.value('first', first)
      this.head = e.value('head', head)
      body()
    })
  }

  /** Runs `body` for every block of the group that has any token. */
  protected eachBlock(body: () => void): void {
    const { blocks, tokens, count } = this.rows
    const { token } = this.plan
    if (blocks === 1) return body()
    const e = this.e
    const group = this.first!
    const used = e.value('used', ops.min(ops.div(ops.add(ops.sub(emitAffine(token!.extent), group), tokens - 1), tokens), blocks))
    e.loop('b', 0, used, 1, (b) => {
      this.first = e.value('first', ops.add(group, ops.mul(b, tokens)))
      this.base = e.value('base', ops.mul(b, count))
      this.scope.nested(body)
    })
    this.first = group
    this.base = constant('i32', 0)
  }

  /**
   * Groups of tokens. Where later tokens see more positions, groups come from both ends in turn, so that runs of them are equal work.
   */
  protected balanced(cut: (name: string, size: LoopExpr) => LoopExpr, token: KernelAxis): LoopExpr {
    const e = this.e
    const tokens = this.rows.tokens * this.rows.blocks
    const groups = e.value('groups', ops.div(ops.add(emitAffine(token.extent), tokens - 1), tokens))
    const place = cut('place', groups)
    if (!this.plan.visible.to.some((index) => strideOf(index, token.id, this.scope.index) !== 0)) return place
    const half = e.value('half', ops.shr_u(place, 1))
    return e.value('turn', ops.select(ops.ne(ops.and(place, 1), 0), ops.sub(ops.sub(groups, 1), half), half))
  }

  /** Runs `body` at each row of the block, `own` being its number in the group; `stored` is false for rows past the end. */
  protected eachRow(body: (own: LoopExpr, stored: LoopExpr) => void): void {
    const { heads, token } = this.plan
    const e = this.e
    const yes = constant('bool', 1)
    e.loop('t', 0, this.rows.tokens, 1, (t) => {
      e.loop('h', 0, this.rows.heads, 1, (h) => {
        const at: [AxisId, LoopExpr][] = []
        let stored: LoopExpr = yes
        if (token) {
          const extent = emitAffine(token.extent)
          const place = ops.add(this.first!, t)
          at.push([token.id, e.value('token', this.rows.tokens === 1 ? place : ops.min(place, ops.sub(extent, 1)))])
          if (this.rows.tokens > 1) stored = ops.lt(place, extent)
        }
        let rest = ops.add(this.head, h)
        if (this.all % this.rows.heads !== 0) {
          stored = ops.and(stored, ops.lt(rest, this.all))
          rest = e.value('place', ops.min(rest, this.all - 1))
        }
        for (let i = heads.length - 1; i >= 0; i--) {
          const { id, extent } = heads[i]!
          at.push([id, i === 0 ? rest : e.value(id, ops.rem(rest, extent.const))])
          if (i > 0) rest = e.value('rest', ops.div(rest, extent.const))
        }
        const row = e.value('row', ops.add(ops.mul(t, this.rows.heads), h))
        const own = e.value('own', ops.add(this.base, row))
        this.scope.at([...at, [rowAxis, row]], () => body(own, stored))
      })
    })
  }

  /** The positions that some row of so many blocks may see; whole groups of four, as far as there are any. */
  protected range(blocks: number): { from: LoopExpr; to: LoopExpr } {
    const { axis, token, visible } = this.plan
    const e = this.e
    const extent = emitAffine(axis.extent)
    const last = (): LoopExpr => ops.min(ops.add(this.first!, blocks * this.rows.tokens - 1), ops.sub(emitAffine(token!.extent), 1))
    const values = (indices: readonly Index[], highest: boolean): LoopExpr[] =>
      indices.map((index) => {
        if (!token) return this.scope.emitIndex(index)
        const rises = strideOf(index, token.id, this.scope.index)! > 0
        const end = rises === highest ? e.value('last', last()) : this.first!
        return this.scope.at([[token.id, end]], () => e.value('bound', this.scope.emitIndex(index)))
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

  /** What exponents subtract where this is the maximum. */
  protected level(maximum: LoopExpr): LoopExpr {
    return this.scope.with([[this.plan.running.maximum, { kind: 'scalar', value: maximum }]], () =>
      this.e.let('level', this.scope.scalar(this.plan.running.level)),
    )
  }

  protected number(id: number, row: LoopExpr): LoopExpr {
    return this.e.let('number', load('f32', this.numbers.get(id)!, row))
  }

  protected tilePlace(id: number, origin: LoopExpr): ScratchPlace {
    const { axis } = this.plan
    return {
      kind: 'scratch',
      operand: this.tiles.get(id)!,
      axes: [rowAxis, axis.id],
      tile: { axis: axis.id, from: origin, size: this.slotsOfRow },
    }
  }

  /** The tile at `from` of a chunk that is walked in runs, the first of which ends at `limit`. */
  protected tileOfRuns(from: LoopExpr, limit: LoopExpr, apart: LoopExpr, stop: LoopExpr): Tile {
    const e = this.e
    const length = e.value('length', ops.min(ops.sub(limit, from), this.runLength))
    const last = ops.sub(stop, ops.add(from, ops.mul(apart, this.runs - 1)))
    return { from, stop, shape: { length, apart, joint: e.value('joint', ops.max(ops.min(length, last), 0)) } }
  }

  /** The tile of positions that all follow each other. */
  protected tileOfOne(from: LoopExpr, stop: LoopExpr): Tile {
    const full = this.e.value('full', ops.add(from, ops.and(ops.sub(stop, from), -4)))
    return { from, stop, shape: { from, full, end: stop, origin: from } }
  }

  /** Runs `body` for every run of a tile. */
  protected eachRun({ from, stop, shape }: Tile, body: (run: Run) => void): void {
    const e = this.e
    if ('origin' in shape) return this.scope.nested(() => body(shape))
    const { length, apart } = shape
    e.loop('run', 0, this.runs, 1, (run) => {
      const first = e.value('from', ops.add(from, ops.mul(apart, run)))
      const count = e.value('count', ops.max(ops.min(length, ops.sub(stop, first)), 0))
      const full = e.value('full', ops.add(first, ops.and(count, -4)))
      const origin = e.value('origin', ops.sub(first, ops.mul(run, this.runLength)))
      this.scope.nested(() => body({ from: first, full, end: e.value('end', ops.add(first, count)), origin }))
    })
  }
}
