// Contracts for few tokens (more: contract-tile.ts), by workgroups: a tile is 8 rows (or 4) by up to 4 tokens, and invocations share its k. Each takes parts of
// packed blocks (PackedFormat.dotPart), neighbours those that lie side by side, so that a workgroup reads memory in one stream;
// every byte of weights is read once, and every activation once for all rows of the tile and all dots that it meets, into
// registers. Partial sums meet in scratch memory. Where k is short a workgroup has several tiles, where rows are few and k is
// long it has more invocations: that keeps a GPU busy without a second launch to join what workgroups found.

import * as affine from '../../dsl/affine.ts'
import type { AxisId, Kernel } from '../kernel/types.ts'
import { builtin, constant, Emitter, load, ops } from './build-loops.ts'
import { activationAddress, walksOf, weightAddress } from './contract-dots.ts'
import { activationWords, type ContractPlan, type Dot, planContract, tokenStride } from './contract-plan.ts'
import type { LoopExpr, LoopFunction } from './loops.ts'
import { a8 } from './activation-blocks.ts'
import type { PackedFormat } from './packed-words.ts'
import type { Machine } from './machine.ts'
import { kernelFunction, storeDotBlock, storeOutput } from './outputs.ts'
import { sum } from './staged.ts'
import { emitAffine, unflatten } from './affine-loops.ts'
import { type Place, Scope } from './scope.ts'
import { joinParts, mostSlots } from './work-group.ts'

/** How a part is multiplied, and how many parts a block has. */
const waysOf = ({ bytes, format }: Dot): Pick<PackedFormat, 'parts' | 'dotPart'> => (bytes ? format.packed! : format)
const partsOf = (dot: Dot): number => (dot.k / dot.format.k) * waysOf(dot).parts
const powerBelow = (n: number): number => 2 ** Math.floor(Math.log2(n))

/** Tiles of rows along all constant axes that rows depend on. */
function tilesOf({ lane, tile, rowAxes, others }: ContractPlan): number {
  const fixed = [...rowAxes, ...others].filter((axis) => affine.isConstant(axis.extent))
  return fixed.reduce((product, axis) => product * axis.extent.const, Math.ceil(lane.extent.const / tile))
}

/** More partial sums than these would not stay in registers, in vectors of four. */
const mostSums = 16

/** Tiles that a workgroup has together, at least: blocks of 32 numbers are written by those that have all of their rows. */
const togetherOf = ({ writesBlocks, tile }: ContractPlan): number => (writesBlocks ? a8.k / tile : 1)

/** Dots that walk k together, as many as registers and scratch memory hold. */
const walksFor = (plan: ContractPlan, tokens: number, machine: Machine): (readonly Dot[])[] =>
  walksOf(
    plan.dots,
    (count) =>
      count * tokens * (plan.tile / 4) <= mostSums &&
      count * tokens * plan.tile * machine.threads <= machine.scratchWords - (count < plan.dots.length ? sumsOf(plan, tokens) : 0),
  )

/** Words of what the dots of tiles that belong together come to. */
const sumsOf = (plan: ContractPlan, tokens: number): number => togetherOf(plan) * plan.dots.length * tokens * plan.tile

/** Invocations of a workgroup: all kernels of a launch must come to the same number. */
function threadsFor(kernels: readonly Kernel[], machine: Machine, bounds: affine.Bounds): number {
  const plans = kernels.flatMap((each) => planContract(each, bounds) ?? [])
  const tiles = plans.reduce((sum, plan) => sum + tilesOf(plan) / togetherOf(plan), 0)
  const parts = Math.min(...plans.flatMap((plan) => plan.dots.map((dot) => partsOf(dot) * togetherOf(plan))))
  const fit = (threads: number): boolean =>
    plans.every((plan) => {
      const tokens = tokensOf(plan, bounds)
      return sum(scratchFor(plan, walksFor(plan, tokens, machine), tokens, threads, togetherOf(plan))) <= machine.scratchWords
    })
  let threads = machine.threads
  while (threads < machine.mostThreads && threads < parts && tiles * threads < machine.busyThreads && fit(2 * threads)) threads *= 2
  return threads
}

/** Words of partial sums and, where there are several walks, of what they came to. */
function scratchFor(
  { dots, tile }: ContractPlan,
  walks: readonly (readonly Dot[])[],
  tokens: number,
  threads: number,
  tiles: number,
): number[] {
  const widest = Math.max(...walks.map(({ length }) => length))
  const partial = threads * widest * tokens * tile
  return walks.length === 1 ? [partial] : [partial, dots.length * tiles * tokens * tile]
}

const tokensOf = ({ token }: ContractPlan, bounds: affine.Bounds): number => (token && affine.range(token.extent, bounds).max >= 2 ? 4 : 1)

/** `together`: the kernels of the launch, this one among them. */
export function scheduleContractGroup(
  kernel: Kernel,
  plan: ContractPlan,
  machine: Machine,
  bounds: affine.Bounds,
  together: readonly Kernel[] = [kernel],
): LoopFunction {
  const e = new Emitter()
  const scope = new Scope(kernel, e, bounds)
  const tokens = tokensOf(plan, bounds)
  const threads = threadsFor(together, machine, bounds)
  const walks = walksFor(plan, tokens, machine)
  const tilesTogether = togetherOf(plan)
  let sharers = Math.min(threads / tilesTogether, powerBelow(Math.max(...plan.dots.map(partsOf))))
  const words = (): number[] => scratchFor(plan, walks, tokens, threads, threads / sharers)
  // Some with nothing to share rather than more tiles than there is room for.
  while (sharers < threads / tilesTogether && sum(words()) > machine.scratchWords) sharers *= 2
  const tilesHere = threads / sharers
  // Sizes are those of a machine without subgroups, so that both forms are launched alike.
  const fewerWords = (): number[] => scratchFor(plan, walks, tokens, tilesHere * mostSlots(machine, sharers), tilesHere)
  const points = tokens * plan.tile
  const partial = kernel.operands.length
  const sums = partial + words().length - 1
  const total = tilesOf(plan)
  const rest = [...plan.rowAxes, ...plan.others]
  const fixed = rest.filter((axis) => affine.isConstant(axis.extent))
  const moving = rest.filter((axis) => !affine.isConstant(axis.extent))
  if (moving.length > 1) throw new Error(`internal: ${kernel.name} has more symbolic axes than a grid has dimensions`)
  const outside: [AxisId, LoopExpr][] = moving[0] ? [[moving[0].id, builtin('group_z')]] : []
  const first = plan.token && e.value('s', ops.mul(builtin('group_y'), tokens))
  const extent = plan.token && emitAffine(plan.token.extent)
  /** Tokens after this one of the tile are past the end, and it is read in their place. */
  const last = plan.token && e.value('last', ops.sub(ops.sub(extent!, 1), first!))

  /** Runs `body` at the first row of a tile of this workgroup. */
  const atTile = (inGroup: LoopExpr, body: (row: LoopExpr) => void): void => {
    const own = e.value('own', ops.add(ops.mul(builtin('group_x'), tilesHere), inGroup))
    const flat = total % tilesHere === 0 ? own : e.value('flat', ops.min(own, total - 1))
    const laneTiles = { id: plan.lane.id, extent: affine.constant(Math.ceil(plan.lane.extent.const / plan.tile)) }
    const at = unflatten(e, flat, [...fixed, laneTiles])
    const row = e.value('row', ops.mul(at.pop()![1], plan.tile))
    scope.at([...outside, ...at, [plan.lane.id, row]], () => body(row))
  }

  const guarded = (inside: readonly LoopExpr[], body: () => void): void => {
    if (inside.length === 0) body()
    else
      e.if(
        inside.reduce((a, b) => ops.and(a, b)),
        body,
      )
  }

  /** Where the sums of a walk begin: behind those of earlier ones. */
  const startOf = (walk: readonly Dot[]): number => given * sum(walks.slice(0, walks.indexOf(walk)).map(({ length }) => length))
  const given = tilesHere * points
  const invocation = builtin('invocation')
  const [inGroup, sharer] =
    tilesHere === 1
      ? [constant('i32', 0), invocation]
      : [e.value('tile', ops.shr_u(invocation, Math.log2(sharers))), e.value('sharer', ops.and(invocation, sharers - 1))]
  atTile(inGroup, () => {
    for (const walk of walks) {
      const accumulators = plan.token ? scope.at([[plan.token.id, first!]], () => dotParts(walk)) : dotParts(walk)
      const width = walk.length * points
      const at = ops.mul(inGroup, width)
      const parts = accumulators.flatMap((tile, n) =>
        tile.flatMap((row, t) => row.map((value, q) => ({ at, offset: n * points + t * plan.tile + 4 * q, value }))),
      )
      joinParts(scope, { ...machine, threads }, { sharers, sharer, points: tilesHere * width, partial, sums, start: startOf(walk) }, parts)
    }
  })

  /** Partial sums of this invocation: [dot][token][quad]. */
  function dotParts(walk: readonly Dot[]): LoopExpr[][][] {
    const { format } = walk[0]!
    const { parts, dotPart } = waysOf(walk[0]!)
    const weights = walk.map((dot) => ({ dot, ...weightAddress(scope, dot, plan.tile) }))
    const base = e.value('a', activationAddress(scope, walk[0]!))
    const stride = plan.token ? tokenStride(kernel, walk[0]!, plan.token.id, scope.index)! : 0
    const shifts = Array.from({ length: tokens }, (_, t) =>
      last && t > 0 ? e.value('shift', ops.mul(ops.min(last, t), stride)) : constant('i32', 0),
    )
    const accumulators = weights.map(({ quads }) => shifts.map(() => quads.map(() => e.let('acc', constant('f32x4', 0)))))
    // What is chosen in another kernel's part of the weights is left to that.
    const where = plan.choice?.where
    const all = constant('i32', partsOf(walk[0]!))
    const end = where ? e.value('end', ops.select(scope.scalar(where), all, constant('i32', 0))) : all
    e.loop('p', sharer, end, sharers, (flat) => {
      const block = parts === 1 ? flat : e.value('block', ops.shr_u(flat, Math.log2(parts)))
      const part = parts === 1 ? constant('i32', 0) : e.value('part', ops.and(flat, parts - 1))
      const x = e.value('x', ops.add(base, ops.mul(block, activationWords(walk[0]!, format.k))))
      dotPart(e, {
        part,
        weights: weights.map(({ dot, address, quads }) => ({
          block: { operand: dot.weight, at: e.value('w', ops.add(address.at, ops.mul(block, format.words))), offset: 0 },
          quads,
        })),
        activations: shifts.map((shift) => ({ operand: walk[0]!.activation, at: e.value('x', ops.add(x, shift)), offset: 0 })),
        accumulators,
      })
    })
    return accumulators
  }

  /** Where the value of a point is left for its block: in place of the first sum of it. */
  const valueAt = (here: LoopExpr, place: LoopExpr): LoopExpr => ops.add(ops.mul(here, walks[0]!.length * points), place)

  // One invocation a point of each tile.
  e.loop('point', invocation, given, threads, (point) =>
    scope.nested(() => {
      const here = tilesHere === 1 ? constant('i32', 0) : e.value('here', ops.div(point, points))
      const place = tilesHere === 1 ? point : e.value('place', ops.rem(point, points))
      atTile(here, (row) => {
        const inside: LoopExpr[] = []
        if (total % tilesHere !== 0) inside.push(ops.lt(ops.add(ops.mul(builtin('group_x'), tilesHere), here), total))
        const own = e.value('row', ops.add(row, ops.rem(place, plan.tile)))
        if (plan.lane.extent.const % plan.tile !== 0) inside.push(ops.lt(own, plan.lane.extent.const))
        const moved: [AxisId, LoopExpr][] = [[plan.lane.id, own]]
        if (plan.token) {
          const s = e.value('s', ops.add(first!, ops.div(place, plan.tile)))
          moved.push([plan.token.id, s])
          inside.push(ops.lt(s, extent!))
        }
        const store = (): void =>
          scope.at(moved, () => {
            const places = walks.flatMap((walk) => {
              return walk.map((dot, n): [number, Place] => {
                const at = ops.add(ops.mul(here, walk.length * points), place)
                return [dot.definition, { kind: 'scalar', value: e.let('sum', load('f32', sums, at, startOf(walk) + n * points)) }]
              })
            })
            scope.with(places, () => {
              if (plan.writesBlocks) e.store(sums, valueAt(here, place), scope.scalar(kernel.outputs[0]!.value))
              else for (const output of kernel.outputs) storeOutput(scope, output)
            })
          })
        guarded(inside, store)
      })
    }),
  )

  if (plan.writesBlocks) {
    e.barrier()
    e.loop('block', invocation, (tilesHere / tilesTogether) * tokens, threads, (block) => scope.nested(() => storeBlockOf(block)))
  }

  /** Rounds the values of 32 rows and one token. */
  function storeBlockOf(block: LoopExpr): void {
    const here = e.value('here', ops.mul(ops.div(block, tokens), tilesTogether))
    const t = e.value('t', ops.rem(block, tokens))
    const number = (i: LoopExpr): LoopExpr => {
      const tile = ops.add(here, ops.shr_u(i, Math.log2(plan.tile)))
      return load('f32', sums, valueAt(tile, ops.add(ops.mul(t, plan.tile), ops.and(i, plan.tile - 1))))
    }
    atTile(here, () => {
      const inside: LoopExpr[] = []
      if (total % tilesHere !== 0) inside.push(ops.lt(ops.add(ops.mul(builtin('group_x'), tilesHere), here), total))
      const moved: [AxisId, LoopExpr][] = []
      if (plan.token) {
        const s = e.value('s', ops.add(first!, t))
        moved.push([plan.token.id, s])
        inside.push(ops.gt(extent!, s))
      }
      guarded(inside, () => scope.at(moved, () => storeDotBlock(scope, kernel.outputs[0]!, number)))
    })
  }

  const x =
    tilesHere === 1
      ? [...fixed.map((axis) => ({ size: axis.extent, divisor: 1 })), { size: plan.lane.extent, divisor: plan.tile }]
      : [{ size: affine.constant(total), divisor: tilesHere }]
  const grid = [
    x,
    plan.token ? [{ size: plan.token.extent, divisor: tokens }] : [],
    moving.map((axis) => ({ size: axis.extent, divisor: 1 })),
  ]
  return kernelFunction(kernel, e, { workgroup: threads, grid, scratch: machine.leastSubgroup === 0 ? words() : fewerWords() })
}
