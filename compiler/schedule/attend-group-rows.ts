// The rows of attention by workgroups (attend-group.ts): which make a block, how positions are cut into chunks, where in scratch memory
// everything is, the block of a workgroup, and what is stored in the end.

import * as affine from '../../dsl/affine.ts'
import { axesOfIndex } from '../kernel/index-walk.ts'
import { strideOf } from '../kernel/index-map.ts'
import type { AxisId, Index, Kernel, KernelAxis } from '../kernel/types.ts'
import type { AttendPlan, Score, Weighted } from './attend-plan.ts'
import { headsIn, rowAxis } from './attend-rows.ts'
import { builtin, constant, Emitter, load, ops } from './build-loops.ts'
import { identityOf } from './definitions.ts'
import type { LoopExpr, LoopFunction } from './loops.ts'
import type { Machine } from './machine.ts'
import { isInBlocks, kernelFunction, storeBlockAlong, storeOutput } from './outputs.ts'
import { emitAffine, unflatten } from './affine-loops.ts'
import { type Place, Scope, type ScratchPlace } from './scope.ts'
import { sum } from './staged.ts'
import { atBlock, blocksOf, whole } from './stages.ts'
import { joinPoints, joinSubgroups, shareOut } from './work-group.ts'

/** Invocations that share a position's vector: they read 128 bytes side by side. */
const mostLanes = 8
/** Contexts of so many of the shortest chunks are worth a second function. */
const fewestChunks = 4
const mostChunks = 64

export const powerBelow = (n: number): number => 2 ** Math.floor(Math.log2(n))
export const zero = constant('i32', 0)
export const lanesOf = ({ extent }: KernelAxis): number => Math.min(mostLanes, powerBelow(extent.const / 4))

export class GroupRows {
  protected readonly plan: AttendPlan
  protected readonly kernel: Kernel
  protected readonly machine: Machine
  protected readonly scope: Scope
  protected readonly e = new Emitter()
  protected readonly tile: number
  /** A block's rows: so many heads of so many tokens. */
  protected readonly rows: { readonly heads: number; readonly tokens: number; readonly count: number }
  protected readonly fixed: readonly KernelAxis[]
  protected readonly moving: KernelAxis | undefined
  /** Blocks along the grid's first dimension. */
  readonly units: number
  /** Positions of a chunk, and chunks at most. */
  protected readonly chunks: { readonly size: number; readonly most: number } | undefined
  protected readonly words: number[] = []
  protected readonly shared = new Set<number>()
  protected readonly queries: ReadonlyMap<number, number>
  protected readonly tiles: ReadonlyMap<number, number>
  /** One number a row: the maximum and totals. */
  protected readonly numbers: ReadonlyMap<number, number>
  protected readonly sums: ReadonlyMap<number, number>
  /** What chunks leave. */
  protected readonly left: ReadonlyMap<number, number>
  protected readonly partial: number
  protected readonly reduced: number
  protected readonly factor: number
  protected first: LoopExpr | undefined
  protected head: LoopExpr = zero

  constructor(plan: AttendPlan, machine: Machine, bounds: affine.Bounds, mostRows: number, tile: number) {
    const { threads } = machine
    this.plan = plan
    this.machine = machine
    this.tile = tile
    const all = headsIn(plan)
    const heads = Math.ceil(all / Math.ceil(all / mostRows))
    const most = plan.token ? Math.max(1, affine.range(plan.token.extent, bounds).max) : 1
    const tokens = Math.max(1, Math.min(Math.floor(mostRows / heads), most))
    const count = heads * tokens
    this.rows = { heads, tokens, count }
    this.kernel = { ...plan.kernel, axes: [...plan.kernel.axes, { id: rowAxis, extent: affine.constant(count) }] }
    this.scope = new Scope(this.kernel, this.e, bounds)
    const blocks = { id: 'heads', extent: affine.constant(Math.ceil(all / heads)) }
    this.fixed = [...plan.batch.filter(({ extent }) => affine.isConstant(extent)), blocks]
    this.moving = plan.batch.find(({ extent }) => !affine.isConstant(extent))
    this.units = this.fixed.reduce((product, { extent }) => product * extent.const, 1)
    this.chunks = this.chunksOf(bounds)
    const left = this.chunks ? this.chunks.most * this.units * count : 0
    this.queries = new Map(plan.scores.map(({ id, axis }) => [id, this.scratch(count * axis.extent.const)]))
    this.tiles = new Map([...plan.kept].map((id) => [id, this.scratch(count * tile)]))
    this.numbers = new Map([plan.running.maximum, ...plan.totals].map((id) => [id, this.scratch(count)]))
    this.reduced = this.scratch(threads)
    this.factor = this.scratch(count * (this.chunks?.most ?? 1))
    const sumWords = ({ axis }: Weighted): number => this.piecesOf(axis).halves * count * axis.extent.const
    const lanes = Math.max(...plan.scores.map(({ axis }) => lanesOf(axis)))
    // Partial scores are gone when sums are put together.
    this.partial = this.scratch(Math.max(tile * lanes * count, sumWords(plan.weighted[0]!)))
    this.sums = new Map(plan.weighted.map((each, i) => [each.id, i === 0 ? this.partial : this.scratch(sumWords(each))]))
    this.left = new Map(
      this.chunks
        ? [
            ...[...this.numbers.keys()].map((id): [number, number] => [id, this.scratch(left, true)]),
            ...plan.weighted.map(({ id, axis }): [number, number] => [id, this.scratch(left * axis.extent.const, true)]),
          ]
        : [],
    )
  }

  get chunked(): boolean {
    return this.chunks !== undefined
  }

  get fits(): boolean {
    const own = this.words.filter((_, i) => !this.shared.has(i))
    return sum(own) <= this.machine.scratchWords
  }

  protected scratch(words: number, shared = false): number {
    if (shared) this.shared.add(this.words.length)
    return this.kernel.operands.length + this.words.push(words) - 1
  }

  /** Enough chunks for all blocks to fill a large device; none for short contexts, or where tokens make blocks of their own. */
  protected chunksOf(bounds: affine.Bounds): { size: number; most: number } | undefined {
    const { axis, token, visible } = this.plan
    const longest = affine.range(axis.extent, bounds).max
    const { busyThreads, threads, shortestChunk } = this.machine
    const bound = [...visible.from, ...visible.to].some((index) => axesOfIndex(index).size > 0)
    if (token || this.moving || bound || longest < fewestChunks * shortestChunk || this.units === 0) return undefined
    const wanted = Math.max(shortestChunk, (longest * this.units * threads) / busyThreads, longest / mostChunks)
    const size = 2 ** Math.ceil(Math.log2(wanted))
    return size >= longest ? undefined : { size, most: Math.ceil(longest / size) }
  }

  /** Pieces of four of a vector, those of one invocation, and how many walk the positions beside each other. */
  protected piecesOf(axis: KernelAxis): { readonly pieces: number; readonly own: number; readonly halves: number } {
    const pieces = axis.extent.const / 4
    const own = Math.ceil(pieces / this.machine.threads)
    return { pieces, own, halves: own > 1 ? 1 : powerBelow(this.machine.threads / pieces) }
  }

  /** Runs `body` at the block of this workgroup. */
  protected atBlock(body: () => void): void {
    const { token } = this.plan
    const e = this.e
    const at = unflatten(e, builtin('group_x'), this.fixed)
    const [, block] = at.pop()!
    if (this.moving) at.push([this.moving.id, builtin('group_z')])
    this.first = token && e.value('first', ops.mul(builtin('group_y'), this.rows.tokens))
    this.head = e.value('head', ops.mul(block, this.rows.heads))
    this.scope.at(at, body)
  }

  /** Runs `body` at a row; `stored` is false for rows past the end, which are computed as the last one. */
  protected atRow(row: LoopExpr, body: (stored: LoopExpr) => void): void {
    const { heads, token } = this.plan
    const e = this.e
    const at: [AxisId, LoopExpr][] = [[rowAxis, row]]
    let stored = constant('bool', 1)
    if (token) {
      const extent = emitAffine(token.extent)
      const place = e.value('place', ops.add(this.first!, ops.div(row, this.rows.heads)))
      at.push([token.id, this.rows.tokens === 1 ? place : e.value('token', ops.min(place, ops.sub(extent, 1)))])
      if (this.rows.tokens > 1) stored = ops.lt(place, extent)
    }
    const all = headsIn(this.plan)
    let rest = e.value('head', ops.add(this.head, ops.rem(row, this.rows.heads)))
    if (all % this.rows.heads !== 0) {
      stored = ops.and(stored, ops.lt(rest, all))
      rest = e.value('head', ops.min(rest, all - 1))
    }
    at.push(...unflatten(e, rest, heads))
    this.scope.at(at, () => body(stored))
  }

  /** The positions that some row of the block may see. */
  protected range(): { from: LoopExpr; to: LoopExpr } {
    const { axis, token, visible } = this.plan
    const e = this.e
    const values = (indices: readonly Index[], highest: boolean): LoopExpr[] =>
      indices.map((index) => {
        if (!token) return this.scope.emitIndex(index)
        const rises = strideOf(index, token.id, this.scope.index)! > 0
        const last = (): LoopExpr => ops.min(ops.add(this.first!, this.rows.tokens - 1), ops.sub(emitAffine(token.extent), 1))
        return this.scope.at([[token.id, rises === highest ? e.value('last', last()) : this.first!]], () =>
          e.value('bound', this.scope.emitIndex(index)),
        )
      })
    const from = values(visible.from, false).reduce((a, b) => ops.max(a, b), zero)
    const to = values(visible.to, true).reduce((a, b) => ops.min(a, b), emitAffine(axis.extent))
    return { from: e.value('from', from), to: e.value('to', to) }
  }

  protected functionOf(grid: LoopFunction['grid'], join?: LoopFunction): LoopFunction {
    const { scores, weighted } = this.plan
    const vectors = new Set([...scores, ...weighted].flatMap(({ vector, axis }) => (this.isAligned(vector, axis) ? [vector.operand] : [])))
    const shape = { workgroup: this.machine.threads, grid, scratch: this.words, shared: this.shared, vectors }
    const kernel = join || !this.chunks ? this.plan.kernel : { ...this.plan.kernel, name: `${this.plan.kernel.name}_join` }
    return kernelFunction(kernel, this.e, join ? { ...shape, join } : shape)
  }

  /** Whether fours of the vectors begin at multiples of four words. */
  protected isAligned({ operand, index }: Score['vector'], axis: KernelAxis): boolean {
    const { dims, access } = this.kernel.operands[operand]!
    const [last, length] = [index.at(-1)!, dims.at(-1)!]
    return access === 'read' && last.kind === 'axis' && last.axis === axis.id && affine.isConstant(length) && length.const % 4 === 0
  }

  /** Queries side by side. */
  protected ask({ id, axis, query }: Score): void {
    const width = axis.extent.const
    const spans = [
      { id: rowAxis, count: constant('i32', this.rows.count) },
      { id: axis.id, count: constant('i32', width) },
    ]
    shareOut(this.scope, this.machine.threads, spans, () => {
      const [row, d] = [this.scope.axes.get(rowAxis)!, this.scope.axes.get(axis.id)!]
      this.atRow(row, () => this.e.store(this.queries.get(id)!, ops.add(ops.mul(row, width), d), this.scope.scalar(query)))
    })
  }

  /** A row for each invocation, which it shares with its neighbours, and what is known of it. */
  protected state() {
    const { running, totals } = this.plan
    const e = this.e
    const { threads } = this.machine
    const { count } = this.rows
    const sharers = powerBelow(threads / count)
    const row = sharers === threads ? zero : e.value('row', ops.shr_u(builtin('invocation'), Math.log2(sharers)))
    const sharer = sharers === threads ? builtin('invocation') : e.value('sharer', ops.and(builtin('invocation'), sharers - 1))
    const identity = (id: number): LoopExpr => constant('f32', identityOf(this.kernel.definitions[id]!))
    return {
      sharers,
      row,
      sharer,
      used: sharers * count === threads ? constant('bool', 1) : ops.lt(row, count),
      maximum: e.let('maximum', identity(running.maximum)),
      totals: new Map(totals.map((id) => [id, e.let('total', identity(id))])),
    }
  }

  protected placeIn(id: number, tile: LoopExpr): ScratchPlace {
    const positions = this.plan.axis.id
    return {
      kind: 'scratch',
      operand: this.tiles.get(id)!,
      axes: [rowAxis, positions],
      tile: { axis: positions, from: tile, size: this.tile },
    }
  }

  protected level(maximum: LoopExpr): LoopExpr {
    const { running } = this.plan
    return this.scope.with([[running.maximum, { kind: 'scalar', value: maximum }]], () =>
      this.e.let('level', this.scope.scalar(running.level)),
    )
  }

  /** One number of each row of what its invocations have, for all of them. Some may still read `reduced` when it returns. */
  protected joinRows(how: 'max' | 'sum', { row, sharer, sharers, used }: State, mine: LoopExpr): LoopExpr {
    const e = this.e
    const { threads, leastSubgroup } = this.machine
    const { count } = this.rows
    if (leastSubgroup > 0)
      return joinSubgroups(this.scope, this.machine, { sharers, sharer, rows: count, row, used }, this.reduced, how, mine)
    e.if(used, () => e.store(this.reduced, ops.add(ops.mul(sharer, count), row), mine))
    e.barrier()
    joinPoints(this.scope, threads, { sharers, points: count, partial: this.reduced, sums: this.reduced, start: 0, how })
    return e.let('joined', load('f32', this.reduced, used.kind === 'const' ? row : ops.min(row, count - 1)))
  }

  /** Where an invocation is in a vector: its first piece, and its turn among those that have the same. */
  protected pieceOf(axis: KernelAxis): { readonly piece: LoopExpr; readonly half: LoopExpr } {
    const { pieces, halves } = this.piecesOf(axis)
    const e = this.e
    if (halves * pieces === this.machine.threads && halves === 1) return { piece: builtin('invocation'), half: zero }
    if (pieces >= this.machine.threads) return { piece: builtin('invocation'), half: zero }
    return {
      piece: e.value('piece', ops.rem(builtin('invocation'), pieces)),
      half: e.value('half', ops.div(builtin('invocation'), pieces)),
    }
  }

  protected outputs(): void {
    const { weighted, outer } = this.plan
    const places = [
      ...[...this.numbers].map(([id, operand]): [number, Place] => [id, { kind: 'scratch', operand, axes: [rowAxis] }]),
      ...weighted.map(({ id, axis }): [number, Place] => [id, { kind: 'scratch', operand: this.sums.get(id)!, axes: [rowAxis, axis.id] }]),
    ]
    for (const output of this.kernel.outputs) {
      const inner = this.kernel.axes.filter(({ id }) => output.axes.includes(id) && !outer.some((axis) => axis.id === id))
      const along = isInBlocks(this.kernel, output) ? inner.pop()! : undefined
      const rows = { id: rowAxis, count: constant('i32', this.rows.count) }
      const spans = [rows, ...inner.map(whole), ...(along ? [blocksOf(along)] : [])]
      const store = (): void =>
        along ? atBlock(this.scope, along, () => storeBlockAlong(this.scope, output, along.id)) : storeOutput(this.scope, output)
      shareOut(this.scope, this.machine.threads, spans, () =>
        this.atRow(this.scope.axes.get(rowAxis)!, (stored) => this.e.if(stored, () => this.scope.with(places, store))),
      )
    }
  }
}

export type State = ReturnType<GroupRows['state']>
