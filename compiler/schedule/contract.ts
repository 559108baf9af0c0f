// Schedules a contract: dots of packed weight rows with one or several rows of activations, and their epilogue.
// A tile is 8 rows (or 4, where rows start in the middle of a packed group) by up to 4 tokens (q4_1, GMAC/s by tokens of a tile: 2 42,
// 3 44, 4 48, 5 49, 6 47, 8 47: from 4 on what is saved on unpacking weights is lost to registers). With lanes, four rows are one
// vector and the epilogue runs on vectors. Workgroups take contracts otherwise: contract-group.ts.

import * as affine from '../../dsl/affine.ts'
import type { AxisId, Kernel } from '../kernel/types.ts'
import { builtin, constant, Emitter, load, ops } from './build-loops.ts'
import { countOf } from './count.ts'
import type { LoopExpr, LoopFunction } from './loops.ts'
import type { Machine } from './machine.ts'
import { a8 } from './activation-blocks.ts'
import { activationWords, type ContractPlan, type Dot, tokenStride } from './contract-plan.ts'
import type { Address, Quad } from './packed-words.ts'
import { kernelFunction, storeBlock, storeOutput } from './outputs.ts'
import { emitAffine, emitStrides, unflatten } from './affine-loops.ts'
import { nest, type Place, Scope } from './scope.ts'

export function scheduleContract(kernel: Kernel, plan: ContractPlan, machine: Machine, bounds: affine.Bounds): LoopFunction {
  const emitter = new Emitter()
  const scope = new Scope(kernel, emitter, bounds)
  return scheduleLanes(kernel, plan, machine, bounds, scope)
}

/** Word address of the packed group that holds the first row of the tile, and which quads of it are meant. */
export function weightAddress(scope: Scope, dot: Dot, tile: 8 | 4): { address: Address; quads: LoopExpr[] } {
  const operand = scope.kernel.operands[dot.weight]!
  const strides = emitStrides(operand.dims.slice(0, dot.rows.length))
  const row = dot.rows.reduce<LoopExpr>((sum, index, i) => ops.add(sum, ops.mul(scope.emitIndex(index), strides[i]!)), constant('i32', 0))
  const groupWords = (dot.k / dot.format.k) * dot.format.words
  const group = scope.emitter.value('group', ops.mul(ops.shr_u(row, 3), groupWords))
  const quads = tile === 8 ? [constant('i32', 0), constant('i32', 1)] : [scope.emitter.value('half', ops.and(ops.shr_u(row, 2), 1))]
  return { address: { operand: dot.weight, at: group, offset: 0 }, quads }
}

export function activationAddress(scope: Scope, dot: Dot): LoopExpr {
  const dims = scope.kernel.operands[dot.activation]!.dims.slice(0, dot.activationIndex.length)
  const strides = emitStrides(dims)
  const row = dot.activationIndex.reduce<LoopExpr>(
    (sum, index, i) => ops.add(sum, ops.mul(scope.emitIndex(index), strides[i]!)),
    constant('i32', 0),
  )
  return ops.mul(row, activationWords(dot))
}

/** Rows of a tile, and whether there are any where that is not certain. */
interface Unit {
  readonly place: readonly (readonly [AxisId, LoopExpr])[]
  readonly present?: LoopExpr
}

/**
 * Places in the weights that are read at once for one token. A core asks ahead for the next lines of each place, but only for a few, and
 * not over the end of a page: with one place it waits (read alone, GB/s by places: 1 17, 2 25, 4 27, 8 29; q4_1 with its products 12, 15, 18).
 * Places must be far apart: of two groups of rows that follow each other both are slower.
 */
const streamsAtOnce = 4

/** Unrolls short blocks so that a step has enough work, as far as k allows. */
const unrollOf = (dot: Dot): number => (dot.format.k === 1 ? [4, 2, 1].find((u) => dot.k % u === 0)! : 1)

/** A dot of the tile at a unit's rows; `stride`: words of activations from a token to the next. */
interface Stream {
  readonly dot: Dot
  readonly unit: Unit
  readonly stride: number
}

/** Streams that meet the same activations: what is read of these is read once for all. */
interface Meeting {
  readonly activation: number
  readonly base: LoopExpr
  readonly stride: number
  readonly blocks: { readonly address: Address; readonly quads: readonly LoopExpr[] }[]
  /** Where in the streams' list each stands. */
  readonly places: number[]
}

/** By what they read of activations. */
function meetingsOf(scope: Scope, streams: readonly Stream[], tile: 8 | 4): Meeting[] {
  const known = new Map<string, Meeting>()
  for (const [place, { dot, unit, stride }] of streams.entries()) {
    scope.at(unit.place, () => {
      const block = weightAddress(scope, dot, tile)
      const at = activationAddress(scope, dot)
      const key = JSON.stringify([dot.activation, at, stride])
      const meeting = known.get(key)
      if (meeting) {
        meeting.blocks.push(block)
        meeting.places.push(place)
      } else {
        known.set(key, { activation: dot.activation, base: scope.emitter.value('a', at), stride, blocks: [block], places: [place] })
      }
    })
  }
  return [...known.values()]
}

/**
 * Sums of dots for tiles: [stream][token][quad]. One token and one-k formats use several accumulators each, as many as fit the registers,
 * because a single chain of additions waits for itself. Several streams walk k together: their dots must be alike.
 */
function emitDots(scope: Scope, streams: readonly Stream[], tokens: number, tile: 8 | 4): LoopExpr[][][] {
  const e = scope.emitter
  const [{ dot: first }] = streams as readonly [Stream, ...Stream[]]
  const { format, k, bytes } = first
  const unroll = unrollOf(first)
  const chains = tokens === 1 && unroll > 1 ? Math.max(1, Math.min(unroll, Math.floor(4 / streams.length))) : 1
  const zero = constant('f32x4', 0)
  const step = activationWords(first, format.k)
  const walks = meetingsOf(scope, streams, tile).map((meeting) => {
    const quads = meeting.blocks.flatMap(({ quads }) => quads)
    return {
      ...meeting,
      sums: Array.from({ length: chains }, () => Array.from({ length: tokens }, () => quads.map(() => e.let('acc', zero)))),
    }
  })
  e.loop('b', 0, k / format.k, unroll, (block) => {
    for (const { activation, base, stride, blocks, sums } of walks) {
      const at = blocks.map(({ address }) => e.let('w', ops.add(address.at, ops.mul(block, format.words))))
      const x = e.let('x', ops.add(base, ops.mul(block, step)))
      for (let u = 0; u < unroll; u++) {
        const part = {
          quads: blocks.flatMap(({ address, quads }, n): Quad[] => {
            const moved = { ...address, at: at[n]!, offset: u * format.words }
            return quads.map((quad) => ({ block: moved, quad }))
          }),
          activations: Array.from({ length: tokens }, (_, t) => ({ operand: activation, at: x, offset: u * step + t * stride })),
          accumulators: sums[u % chains]!,
        }
        if (bytes) format.dotBytes!(e, part)
        else format.dotFloat(e, part)
      }
    }
  })
  const factor = bytes ? format.bytesFactor : tokens === 1 ? format.oneTokenFactor : undefined
  const perStream = tile / 4
  const results: LoopExpr[][][] = []
  for (const { places, sums } of walks) {
    for (const [n, place] of places.entries()) {
      results[place] = Array.from({ length: tokens }, (_, t) =>
        Array.from({ length: perStream }, (_, q) => {
          const [acc, ...others] = sums.map((chain) => chain[t]![n * perStream + q]!)
          const sum = others.reduce((total, other) => ops.add(total, other), acc!)
          return e.value('acc', factor === undefined ? sum : ops.mul(sum, constant('f32x4', factor)))
        }),
      )
    }
  }
  return results
}

/** Dots with the same activations, which can walk k in one loop, as many as `fits` allows. */
export function walksOf(dots: readonly Dot[], fits: (count: number) => boolean): (readonly Dot[])[] {
  const walks: Dot[][] = []
  for (const dot of dots) {
    const walk = walks.find(
      (others) =>
        areAlike([...others, dot]) &&
        others[0]!.activation === dot.activation &&
        JSON.stringify(others[0]!.activationIndex) === JSON.stringify(dot.activationIndex) &&
        fits(others.length + 1),
    )
    if (walk) walk.push(dot)
    else walks.push([dot])
  }
  return walks
}

/** Dots that can walk k in one loop. */
const areAlike = (dots: readonly Dot[]): boolean =>
  dots.every(({ format, k, bytes }) => format === dots[0]!.format && k === dots[0]!.k && bytes === dots[0]!.bytes)

/** Bytes of the weights of one tile. */
const tileBytes = ({ dots, tile }: ContractPlan): number =>
  dots.reduce((sum, { format, k }) => sum + (k / format.k) * format.words * 4, 0) * (tile / 8)

/**
 * Lanes: rows in runs from the caller, cut into blocks of weights that stay in a core's own cache; over each block all tokens
 * pass, four at a time, so that the activations of a tile stay in the nearest cache meanwhile.
 */
function scheduleLanes(kernel: Kernel, plan: ContractPlan, machine: Machine, bounds: affine.Bounds, scope: Scope): LoopFunction {
  const e = scope.emitter
  const unit = plan.writesBlocks ? a8.k : plan.tile
  const units = Math.ceil(plan.lane.extent.const / unit)
  const fixed = plan.rowAxes.filter((axis) => affine.isConstant(axis.extent))
  const moving = plan.rowAxes.filter((axis) => !affine.isConstant(axis.extent))
  const count = fixed.reduce((product, axis) => product * axis.extent.const, units)
  const rest = [...moving, ...plan.others]
  const most = plan.token ? affine.range(plan.token.extent, bounds).max : 1
  const perBlock = Math.max(1, Math.floor(machine.blockBytes / tileBytes(plan)))
  const scratch = kernel.operands.length
  // For one token memory is what limits. Sums of more than two dots would not fit the registers.
  const groupsOf = (tokens: number): readonly (readonly Dot[])[] =>
    tokens === 1 && plan.dots.length === 2 && areAlike(plan.dots) ? [plan.dots] : plan.dots.map((dot) => [dot])
  const parts = plan.token ? 1 : streamsAtOnce / groupsOf(1)[0]!.length
  if (plan.writesBlocks || rest.length > 0 || most < 4) {
    const rows = (units: readonly Unit[]) => (plan.writesBlocks ? overBlocks(units) : overTokens((tokens) => tiles(units, tokens)))
    overUnits(builtin('from'), builtin('to'), parts, (units) => nest(scope, rest, () => rows(units)))
  } else {
    e.loop('block', builtin('from'), builtin('to'), perBlock, (first) => {
      const end = e.value('end', ops.min(ops.add(first, perBlock), builtin('to')))
      overTokens((tokens) => overUnits(first, end, 1, (units) => tiles(units, tokens)))
    })
  }

  /** All units of a range, `parts` at a time that lie far apart. */
  function overUnits(from: LoopExpr, to: LoopExpr, parts: number, body: (units: readonly Unit[]) => void): void {
    const part = parts === 1 ? undefined : e.value('part', ops.div(ops.add(ops.sub(to, from), parts - 1), parts))
    e.loop('tile', from, part ? e.value('end', ops.add(from, part)) : to, 1, (first) => {
      const others = Array.from({ length: parts - 1 }, (_, n): Unit => {
        const at = e.value('other', ops.add(first, ops.mul(part!, n + 1)))
        // At least 0, which it is: so addresses are known not to be negative, and their constant parts cost no instruction.
        return { place: placeOfUnit(e.value('unit', ops.max(ops.min(at, ops.sub(to, 1)), 0))), present: ops.lt(at, to) }
      })
      body([{ place: placeOfUnit(first) }, ...others])
    })
  }

  function placeOfUnit(flat: LoopExpr): Unit['place'] {
    const at = unflatten(e, flat, [...fixed, { id: plan.lane.id, extent: affine.constant(units) }])
    const lane = e.value('row', ops.mul(at.pop()![1], unit))
    return [...at, [plan.lane.id, lane]]
  }

  /** What is done with a unit's results. */
  function atUnit({ place, present }: Unit, body: () => void): void {
    if (present) e.if(present, () => scope.at(place, body))
    else scope.at(place, body)
  }

  function laneOf(): LoopExpr {
    return scope.axes.get(plan.lane.id)!
  }

  /** The tiles of some blocks for all tokens into scratch memory, then rounded. */
  function overBlocks(units: readonly Unit[]): void {
    overTokens((tokens) =>
      e.loop('r', 0, a8.k, plan.tile, (r) => {
        const moved = units.map(({ place }): Unit => {
          const [id, lane] = place.at(-1)!
          return { place: [...place.slice(0, -1), [id, e.value('row', ops.add(lane, r))]] }
        })
        tiles(moved, tokens, r)
      }),
    )
    for (const [n, unit] of units.entries()) {
      atUnit(unit, () =>
        nest(scope, plan.token ? [plan.token] : [], () => {
          const at = e.value('block', placeOfBlock(n))
          const values = Array.from({ length: a8.k / 4 }, (_, i) => e.value('x', load('f32x4', scratch, at, 4 * i)))
          storeBlock(scope, kernel.outputs[0]!, values)
        }),
      )
    }
  }

  /** In scratch memory: of each token, or of each unit. */
  function placeOfBlock(unit: number): LoopExpr {
    return plan.token ? ops.mul(scope.axes.get(plan.token.id)!, a8.k) : constant('i32', unit * a8.k)
  }

  /** Four tokens at a time, then one by one. */
  function overTokens(body: (tokens: number) => void): void {
    if (!plan.token) return body(1)
    const extent = emitAffine(plan.token.extent)
    const full = most >= 4 ? e.value('full', ops.mul(ops.shr_u(extent, 2), 4)) : constant('i32', 0)
    if (most >= 4) e.loop('s', 0, full, 4, (s) => scope.at([[plan.token!.id, s]], () => body(4)))
    e.loop('s', full, extent, 1, (s) => scope.at([[plan.token!.id, s]], () => body(1)))
  }

  /** Words of activations from a token to the next. */
  function strideOf(dot: Dot): number {
    return plan.token ? tokenStride(kernel, dot, plan.token.id, scope.index)! : 0
  }

  /** `inBlock`: where in their blocks of 8-bit activations the tiles begin. */
  function tiles(units: readonly Unit[], tokens: number, inBlock?: LoopExpr): void {
    const results = units.map((): LoopExpr[][][] => [])
    for (const group of groupsOf(tokens)) {
      const streams = units.flatMap((unit) => group.map((dot): Stream => ({ dot, unit, stride: strideOf(dot) })))
      const sums = emitDots(scope, streams, tokens, plan.tile)
      for (const [i, each] of sums.entries()) results[Math.floor(i / group.length)]!.push(each)
    }
    const token = plan.token && scope.axes.get(plan.token.id)!
    for (const [n, unit] of units.entries()) {
      atUnit(unit, () => {
        for (let t = 0; t < tokens; t++) {
          for (let q = 0; q < plan.tile / 4; q++) {
            const row = ops.add(laneOf(), 4 * q)
            const moved: [AxisId, LoopExpr][] = [[plan.lane.id, row]]
            if (plan.token) moved.push([plan.token.id, ops.add(token!, t)])
            const sums = results[n]!.map((each) => each[t]![q]!)
            scope.at(moved, () => (inBlock ? intoBlock(sums, ops.add(placeOfBlock(n), inBlock), q) : epilogue(row, sums)))
          }
        }
      })
    }
  }

  function placesOf(sums: readonly LoopExpr[]): [number, Place][] {
    return plan.dots.map((dot, i) => [dot.definition, { kind: 'lanes', value: sums[i]! }])
  }

  function intoBlock(sums: readonly LoopExpr[], at: LoopExpr, quad: number): void {
    scope.with(placesOf(sums), () => {
      const value = scope.vector(kernel.outputs[0]!.value, plan.lane.id)
      e.store(scratch, at, value, 4 * quad)
    })
  }

  /** Four rows; the last ones of an extent that is no multiple of the tile are cut off. */
  function epilogue(row: LoopExpr, sums: readonly LoopExpr[]): void {
    const extent = plan.lane.extent.const
    const whole = (): void => {
      scope.with(placesOf(sums), () => {
        for (const output of kernel.outputs) storeOutput(scope, output, plan.lane.id)
      })
    }
    if (extent % plan.tile === 0) return whole()
    if (extent % 4 === 0) return e.if(ops.lt(row, extent), () => scope.nested(whole))
    e.if(
      ops.le(row, extent - 4),
      () => scope.nested(whole),
      () => {
        for (let i = 0; i < 3; i++) {
          e.if(ops.lt(row, extent - i), () =>
            scope.at([[plan.lane.id, ops.add(row, i)]], () => {
              const places = plan.dots.map((dot, d): [number, Place] => [
                dot.definition,
                { kind: 'scalar', value: ops.lane_f32(sums[d]!, i) },
              ])
              scope.with(places, () => {
                for (const output of kernel.outputs) storeOutput(scope, output)
              })
            }),
          )
        }
      },
    )
  }

  const rows = { count: countOf(affine.constant(count)), unit }
  return kernelFunction(kernel, e, plan.writesBlocks ? { rows, scratch: [a8.k * Math.max(most, parts)] } : { rows })
}
