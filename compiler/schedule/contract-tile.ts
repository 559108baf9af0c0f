// Contracts for many tokens, by workgroups: a workgroup computes a tile of outputs, so many tokens by so many rows (contract-tile-shape.ts).
// It walks k in steps: the weights of a step are decoded once, four rows a vector, and the activations fetched, into scratch memory; then each
// invocation goes on with its sums of four tokens by a few vectors of rows, in registers. Weights are so read once for all tokens of a
// tile, activations once for all of its rows. Which tokens those are: tile-tokens.ts. In the end sums pass through scratch memory, so that neighbours store neighbours.
//
// Nothing outside is read: rows and tokens past the end are left out (their places in scratch memory hold anything, and so do sums that are
// never stored); k past the end, where it is no multiple of a step, counts as activations of 0.

import * as affine from '../../dsl/affine.ts'
import type { AxisId, Kernel } from '../kernel/types.ts'
import { a8 } from './activation-blocks.ts'
import { builtin, constant, Emitter, load, ops } from './build-loops.ts'
import { activationAddress, weightAddress } from './contract-dots.ts'
import type { ContractPlan, Dot } from './contract-plan.ts'
import {
  activationStride,
  type ContractTile,
  contractTile,
  rowTiles,
  type TileAxes,
  tileAxes,
  type TileWalk,
  tokensEach,
  weightStride,
} from './contract-tile-shape.ts'
import type { LoopExpr, LoopFunction } from './loops.ts'
import type { Machine } from './machine.ts'
import { kernelFunction, storeDotBlock, storeOutput } from './outputs.ts'
import { unflatten } from './affine-loops.ts'
import { type Place, Scope } from './scope.ts'
import { ByteTile } from './tile-bytes.ts'
import { alike, neighbours, tilesOfTokens, type TileTokens } from './tile-tokens.ts'

/** Sums of an invocation: [dot][token][vector of rows]. */
export type Sums = readonly (readonly (readonly LoopExpr[])[])[]

/** Something that one invocation does in each step. */
export type Fetch = (step: LoopExpr) => void

/** The schedule, or undefined where tokens are too few or no tile fits. `together`: the kernels of the launch, this one among them. */
export function scheduleContractTile(
  kernel: Kernel,
  plan: ContractPlan,
  machine: Machine,
  bounds: affine.Bounds,
  together: readonly Kernel[] = [kernel],
): LoopFunction | undefined {
  const tile = contractTile(plan, machine, bounds, together)
  return tile && new TileLoops(kernel, plan, tile, bounds).function()
}

export class TileLoops {
  readonly kernel: Kernel
  readonly plan: ContractPlan
  readonly tile: ContractTile
  private readonly axes: TileAxes
  readonly e = new Emitter()
  readonly scope: Scope
  readonly scratch: number
  readonly tokens: TileTokens
  /** Which four tokens of the tile the invocation has, and which vectors of rows: this one and every `across`th. */
  readonly four: LoopExpr
  readonly column: LoopExpr
  readonly across: number
  unit: LoopExpr = constant('i32', 0)

  constructor(kernel: Kernel, plan: ContractPlan, tile: ContractTile, bounds: affine.Bounds) {
    this.kernel = kernel
    this.plan = plan
    this.tile = tile
    this.axes = tileAxes(plan)!
    this.scope = new Scope(kernel, this.e, bounds)
    this.scratch = kernel.operands.length
    this.across = tile.rows / 4 / tile.quads
    const { e } = this
    this.tokens = plan.choice ? alike(this.scope, plan.choice, tile, this.scratch + 1) : neighbours(this.scope, plan.token!, tile.tokens)
    this.four = e.value('four', ops.shr_u(builtin('invocation'), Math.log2(this.across)))
    this.column = e.value('column', ops.mul(ops.and(builtin('invocation'), this.across - 1), 4))
  }

  function(): LoopFunction {
    const { axes, plan, tile, e } = this
    const tiles = Math.ceil((axes.units * plan.tile) / tile.rows)
    const at = unflatten(e, builtin('group_x'), [...axes.outside, { id: 'tiles', extent: affine.constant(tiles) }])
    this.unit = e.value('unit', ops.mul(at.pop()![1], tile.rows / plan.tile))
    const outer: [AxisId, LoopExpr][] = axes.moving ? [...at, [axes.moving.id, builtin('group_z')]] : at
    const whole = (): void =>
      this.scope.at(outer, () => {
        const sums = tile.walks.map((walk) => this.walk(walk))
        this.store(sums)
      })
    if (this.tokens.some) e.if(this.tokens.some, whole)
    else whole()
    const one = (size: affine.Affine) => [{ size, divisor: 1 }]
    const grid = [
      one(affine.constant(rowTiles(axes, tile, plan))),
      tilesOfTokens(plan, tile.tokens, tile.choices),
      axes.moving ? one(axes.moving.extent) : [],
    ]
    const scratch = [tile.words, tile.choosing].filter((words) => words > 0)
    return kernelFunction(this.kernel, e, { workgroup: tile.threads, grid, scratch, vectors: new Set([this.scratch]) })
  }

  /** The sums of some dots over all k. */
  private walk(walk: TileWalk): Sums {
    const { e, tile } = this
    const zero = constant('f32x4', 0)
    const each = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make)
    const sums = walk.dots.map(() => each(tokensEach, () => each(tile.quads, () => e.let('acc', zero))))
    const bytes = walk.dots[0]!.bytes ? new ByteTile(this, walk) : undefined
    const fetches = bytes ? bytes.fetches() : this.floats(walk)
    const own = this.tokens.has(ops.mul(this.four, tokensEach))
    e.loop('step', 0, Math.ceil(walk.dots[0]!.k / walk.k), 1, (step) => {
      for (const fetch of fetches) fetch(step)
      e.barrier()
      e.if(own, () => (bytes ? bytes.multiply(sums) : this.multiply(walk, sums)))
      e.barrier()
    })
    return sums
  }

  private floats(walk: TileWalk): Fetch[] {
    const first = this.tokens.at(constant('i32', 0))
    const weights = this.scope.at(first, () => walk.dots.flatMap((dot, n) => this.weights(walk, dot, n)))
    return [...weights, ...this.activations(walk)]
  }

  /** The invocation's share of `count` things, after `before` others of the step: all others have theirs. */
  shared(count: number, before: number, body: (thing: LoopExpr, has: LoopExpr | undefined) => Fetch): Fetch[] {
    const { e, tile } = this
    const turned = e.value('turn', ops.and(ops.sub(builtin('invocation'), before % tile.threads), tile.threads - 1))
    return Array.from({ length: Math.ceil(count / tile.threads) }, (_, i) => {
      const thing = e.value('thing', ops.add(turned, i * tile.threads))
      return body(thing, (i + 1) * tile.threads > count ? ops.lt(thing, count) : undefined)
    })
  }

  guarded(conditions: readonly (LoopExpr | undefined)[], body: Fetch): Fetch {
    const known = conditions.filter((condition) => condition !== undefined)
    if (known.length === 0) return body
    const all = this.e.let(
      'has',
      known.reduce((a, b) => ops.and(a, b)),
    )
    return (step) => this.e.if(all, () => body(step))
  }

  /** Runs `body` at the first row of a unit; one past the end stands for the last. */
  atUnit<T>(unit: LoopExpr, body: (row: LoopExpr, inside: LoopExpr | undefined) => T): T {
    const { e, axes, plan, tile, scope } = this
    const ragged = (axes.units * plan.tile) % tile.rows !== 0
    const flat = ragged ? e.value('flat', ops.min(unit, axes.units - 1)) : unit
    const lane = { id: plan.lane.id, extent: affine.constant(Math.ceil(plan.lane.extent.const / plan.tile)) }
    const at = unflatten(e, flat, [...axes.inside, lane])
    const row = e.value('row', ops.mul(at.pop()![1], plan.tile))
    return scope.at([...at, [plan.lane.id, row]], () => body(row, ragged ? ops.lt(unit, axes.units) : undefined))
  }

  /** Decodes the rows of a dot: slices of a run of rows, those that lie side by side first. */
  private weights(walk: TileWalk, dot: Dot, n: number): Fetch[] {
    const { e, plan, tile } = this
    const { format } = dot
    const stride = weightStride(walk, tile.rows)
    const slices = walk.k / format.sliceK
    const count = (tile.rows / plan.tile) * slices
    const perBlock = format.k / format.sliceK
    const last = (dot.k / format.k) * perBlock - 1
    return this.shared(count, n * count, (thing, has) => {
      const slice = e.value('slice', ops.and(thing, slices - 1))
      const unit = e.value('unit', ops.shr_u(thing, Math.log2(slices)))
      const to = e.value('to', ops.add(ops.mul(slice, format.sliceK * stride), ops.mul(unit, plan.tile)))
      return this.atUnit(e.value('unit', ops.add(this.unit, unit)), (_, inside) => {
        const { address, quads } = weightAddress(this.scope, dot, plan.tile)
        return this.guarded([has, inside], (step) => {
          const flat = e.value('flat', ops.add(ops.mul(step, slices), slice))
          const at = dot.k % walk.k === 0 ? flat : e.value('at', ops.min(flat, last))
          const block = perBlock === 1 ? at : e.value('block', ops.shr_u(at, Math.log2(perBlock)))
          const values = format.slice(e, {
            block: { ...address, at: e.value('w', ops.add(address.at, ops.mul(block, format.words))) },
            quads,
            slice: perBlock === 1 ? constant('i32', 0) : e.value('slice', ops.and(at, perBlock - 1)),
          })
          for (const [i, row] of values.entries()) {
            for (const [q, value] of row.entries()) e.store(this.scratch, to, value, i * stride + n * tile.rows + 4 * q, true)
          }
        })
      })
    })
  }

  /** Where the activations of a step begin in scratch memory. */
  private readonly activationsFrom = (walk: TileWalk): number => walk.k * weightStride(walk, this.tile.rows)

  /** Fetches activations, four of a token at a time, in the order in which slices give their k. */
  private activations(walk: TileWalk): Fetch[] {
    const { e, plan, tile, scope } = this
    const [dot] = walk.dots as [Dot]
    const fours = walk.k / 4
    const before = (walk.dots.length * tile.rows * walk.k) / (plan.tile * dot.format.sliceK)
    return this.shared(tile.tokens * fours, before, (thing, has) => {
      const four = e.value('four', ops.and(thing, fours - 1))
      const token = e.value('token', ops.shr_u(thing, Math.log2(fours)))
      const to = e.value('to', ops.add(ops.mul(token, activationStride(walk)), ops.mul(four, 4)))
      const inside = this.tokens.has(token)
      const from = e.value(
        'x',
        scope.at(this.tokens.at(token), () => activationAddress(scope, dot)),
      )
      return this.guarded([has, inside], (step) => {
        const k = e.value('k', dot.format.placeOf(e.value('four', ops.add(ops.mul(step, fours), four))))
        e.store(this.scratch, to, this.fourActivations(walk, dot, from, k), this.activationsFrom(walk), true)
      })
    })
  }

  private fourActivations(walk: TileWalk, dot: Dot, from: LoopExpr, k: LoopExpr): LoopExpr {
    if (dot.k % walk.k === 0) return load('f32x4', dot.activation, ops.add(from, k))
    const one = (i: number): LoopExpr => {
      const at = ops.add(k, i)
      const value = load('f32', dot.activation, ops.add(from, ops.min(at, dot.k - 1)))
      return ops.select(ops.lt(at, dot.k), value, constant('f32', 0))
    }
    return ops.pack_f32(one(0), one(1), one(2), one(3))
  }

  /** The products of a step. */
  private multiply(walk: TileWalk, sums: Sums): void {
    const { e, tile, scratch } = this
    const stride = weightStride(walk, tile.rows)
    const tokens = e.value('x', ops.mul(this.four, tokensEach * activationStride(walk)))
    e.loop('k', 0, walk.k, 4, (k) => {
      const from = e.value('x', ops.add(tokens, k))
      const xs = Array.from({ length: tokensEach }, (_, t) =>
        e.let('x', load('f32x4', scratch, from, this.activationsFrom(walk) + t * activationStride(walk), true)),
      )
      const row = e.value('w', ops.add(ops.mul(k, stride), this.column))
      for (let i = 0; i < 4; i++) {
        for (const [n, ofDot] of sums.entries()) {
          for (let q = 0; q < tile.quads; q++) {
            const w = e.let('w', load('f32x4', scratch, row, i * stride + n * tile.rows + 4 * q * this.across, true))
            for (const [t, x] of xs.entries()) {
              const acc = ofDot[t]![q]!
              e.set(acc, ops.madd(w, ops.splat_f32(ops.lane_f32(x, i)), acc))
            }
          }
        }
      }
    })
  }

  /** Stores the outputs: a pass for each token of the fours, so that the sums of a pass fit where weights were. */
  private store(walks: readonly Sums[]): void {
    const { e, tile, scratch } = this
    const fours = tile.tokens / tokensEach
    const points = fours * tile.rows
    const sums = walks.flat()
    const mine = e.value('mine', ops.add(ops.mul(this.four, tile.rows), this.column))
    e.loop('pass', 0, tokensEach, 1, (pass) => {
      for (let t = 0; t < tokensEach; t++) {
        e.if(ops.eq(pass, t), () => {
          for (const [n, ofDot] of sums.entries()) {
            for (const [q, value] of ofDot[t]!.entries()) e.store(scratch, mine, value, n * points + 4 * q * this.across, true)
          }
        })
      }
      e.barrier()
      const each = (count: number, body: (i: LoopExpr) => void): void => {
        e.loop('point', builtin('invocation'), count, tile.threads, (i) => this.scope.nested(() => body(i)))
        e.barrier()
      }
      if (!this.plan.writesBlocks) return each(points, (point) => this.point(pass, point, points))
      // Values take the place of the first dot's sums, four at a time, then whole blocks are rounded.
      each(points / 4, (i) => this.fourValues(pass, e.value('point', ops.mul(i, 4)), points))
      each(points / a8.k, (i) => this.block(pass, e.value('point', ops.mul(i, a8.k))))
    })
  }

  /** Runs `body` at a point, if it has a row and a token. */
  private atPoint(pass: LoopExpr, point: LoopExpr, body: () => void): void {
    const { e, plan, tile, scope } = this
    const place = e.value('place', ops.and(point, tile.rows - 1))
    const token = e.value('token', ops.add(ops.mul(ops.shr_u(point, Math.log2(tile.rows)), tokensEach), pass))
    const unit = e.value('unit', ops.add(this.unit, ops.shr_u(place, Math.log2(plan.tile))))
    this.atUnit(unit, (first, inside) => {
      const row = e.value('row', ops.add(first, ops.and(place, plan.tile - 1)))
      const whole = plan.lane.extent.const % plan.tile === 0
      const conditions = [this.tokens.has(token), ...(inside ? [inside] : []), ...(whole ? [] : [ops.lt(row, plan.lane.extent.const)])]
      e.if(
        conditions.reduce((a, b) => ops.and(a, b)),
        () => scope.at([[plan.lane.id, row], ...this.tokens.at(token)], body),
      )
    })
  }

  /** The sums of all dots at a point and, for lanes, three rows behind it. */
  private sumsAt(point: LoopExpr, points: number, kind: 'scalar' | 'lanes'): [number, Place][] {
    const dots = this.tile.walks.flatMap((walk) => walk.dots)
    return dots.map(({ definition }, n): [number, Place] => {
      const value = kind === 'lanes' ? load('f32x4', this.scratch, point, n * points, true) : load('f32', this.scratch, point, n * points)
      return [definition, { kind, value: this.e.let('sum', value) }]
    })
  }

  private fourValues(pass: LoopExpr, point: LoopExpr, points: number): void {
    const { scope, kernel, plan } = this
    this.atPoint(pass, point, () =>
      scope.with(this.sumsAt(point, points, 'lanes'), () =>
        this.e.store(this.scratch, point, scope.vector(kernel.outputs[0]!.value, plan.lane.id), 0, true),
      ),
    )
  }

  private block(pass: LoopExpr, point: LoopExpr): void {
    const number = (i: LoopExpr): LoopExpr => load('f32', this.scratch, ops.add(point, i))
    this.atPoint(pass, point, () => storeDotBlock(this.scope, this.kernel.outputs[0]!, number))
  }

  /** One output: a row of the tile and the token of a four that this pass is for. */
  private point(pass: LoopExpr, point: LoopExpr, points: number): void {
    const { scope, kernel } = this
    this.atPoint(pass, point, () =>
      scope.with(this.sumsAt(point, points, 'scalar'), () => {
        for (const output of kernel.outputs) storeOutput(scope, output)
      }),
    )
  }
}
